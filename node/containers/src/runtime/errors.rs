//! CRI's errors as the agent's.

use minicloud_agent::runtime::{RegistryAuth, RuntimeError};
use minicloud_cri::{CallError, ErrorKind, v1};

pub(super) fn runtime_error(error: CallError) -> RuntimeError {
    let words = error.to_string();
    match error.kind {
        ErrorKind::NotFound => RuntimeError::NotFound(words),
        ErrorKind::Unavailable => RuntimeError::Unavailable(words),
        ErrorKind::Timeout => RuntimeError::Timeout(words),
        ErrorKind::Unimplemented => RuntimeError::Unsupported(words),
        ErrorKind::AlreadyExists | ErrorKind::Invalid | ErrorKind::Failed => {
            RuntimeError::Failed(words)
        }
    }
}

pub(super) fn absent_is_done(result: Result<(), CallError>) -> Result<(), RuntimeError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other.map_err(runtime_error),
    }
}

/// Runs what blocks on files where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RuntimeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RuntimeError::Failed(error.to_string()))
}

pub(super) fn auth(auth: &RegistryAuth) -> v1::AuthConfig {
    v1::AuthConfig {
        username: auth.username.clone(),
        password: auth.password.clone(),
        auth: auth.auth.clone(),
        // The caller chose these for the image's registry. containerd takes the address for a URL and drops the credentials
        // without a word when it is `HOST:PORT`, or Docker Hub's, so it is left out, as kubelet does.
        server_address: String::new(),
        identity_token: auth.identity_token.clone(),
        registry_token: auth.registry_token.clone(),
    }
}
