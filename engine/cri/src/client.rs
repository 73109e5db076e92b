//! The client: one method for each call, each with its deadline. The calls are in the modules below, by what they are about.
//!
//! Know before changing: a deadline is enforced twice, as the `grpc-timeout` header, by which the runtime gives up its own work,
//! and here, because a runtime that hangs honours no header. The second is later by [`SLACK`], so that the runtime's own
//! message wins where there is one.

mod containers;
mod images;
mod sandboxes;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status};

use crate::error::{CallError, ErrorKind};
use crate::events::Events;
use crate::v1::image_service_client::ImageServiceClient;
use crate::v1::runtime_service_client::RuntimeServiceClient;
use crate::v1::{StatusRequest, StatusResponse, VersionRequest, VersionResponse};

/// The largest message accepted from a runtime: two streams of `ExecSync` at 16 MiB each, and room around them.
pub const MAX_MESSAGE_BYTES: usize = 40 << 20;

/// For calls that only read. A machine under memory pressure with a slow disk takes many seconds for a list.
const READ: Duration = Duration::from_secs(30);
/// For calls that change something; kubelet's default for a runtime request.
const CHANGE: Duration = Duration::from_secs(120);
/// A sandbox needs several processes, a network and mounts; kubelet doubles its default for it.
const SANDBOX: Duration = Duration::from_secs(240);
const SLACK: Duration = Duration::from_secs(2);
/// The longest grace, timeout or deadline that is passed on. A pod may ask for 292 years, at which the header has no room, and
/// a runtime that counts nanoseconds in 64 bits would kill at once.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A connection to a runtime's socket. Cheap to clone; opens itself at the first call and again after a break.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// A client for the Unix socket at `socket`. Connects at the first call, which must run on a tokio runtime.
    pub fn new(socket: &Path) -> Self {
        let path = socket.to_path_buf();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(&path).await.map(TokioIo::new) }
        });
        // The authority is never resolved; it only has to be a valid one.
        let channel = Endpoint::from_static("http://localhost")
            .connect_timeout(Duration::from_secs(5))
            .connect_with_connector_lazy(connector);
        Client { channel }
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The runtime's name and version.
    pub async fn version(&self) -> Result<VersionResponse, CallError> {
        let message = VersionRequest {
            version: "v1".into(),
        };
        let mut stub = self.runtime();
        call("Version", "", READ, message, |m| async move {
            stub.version(m).await
        })
        .await
    }

    /// The runtime's conditions; `verbose` adds its configuration.
    pub async fn status(&self, verbose: bool) -> Result<StatusResponse, CallError> {
        let mut stub = self.runtime();
        call(
            "Status",
            "",
            READ,
            StatusRequest { verbose },
            |m| async move { stub.status(m).await },
        )
        .await
    }

    /// Subscribes to containerd's own events. Fails with [`crate::ErrorKind::Unimplemented`] at other runtimes.
    pub async fn events(&self) -> Result<Events, CallError> {
        Events::subscribe(self).await
    }
}

async fn call<M, R, F>(
    name: &'static str,
    object: &str,
    deadline: Duration,
    message: M,
    send: impl FnOnce(Request<M>) -> F,
) -> Result<R, CallError>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    call_or(ErrorKind::Timeout, name, object, deadline, message, send).await
}

/// [`call`], to which a runtime that does not answer within the deadline is an error of the kind `silence`.
async fn call_or<M, R, F>(
    silence: ErrorKind,
    name: &'static str,
    object: &str,
    deadline: Duration,
    message: M,
    send: impl FnOnce(Request<M>) -> F,
) -> Result<R, CallError>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let deadline = deadline.min(LONGEST + CHANGE);
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    match tokio::time::timeout(deadline + SLACK, send(request)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) if status.message().starts_with("Timeout expired") => {
            Err(CallError::silence(name, object, deadline, silence))
        }
        Ok(Err(status)) => Err(CallError::status(name, object, &status)),
        Err(_) => Err(CallError::silence(name, object, deadline, silence)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_socket_is_unavailable() {
        let client = Client::new(Path::new("/nonexistent/containerd.sock"));
        let error = client.version().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("No such file"), "{error}");
    }

    #[tokio::test]
    async fn for_ever_is_cut_short() {
        let client = Client::new(Path::new("/nonexistent/containerd.sock"));
        for long in [Duration::MAX, Duration::from_secs(i64::MAX.cast_unsigned())] {
            let error = client.stop_container("x", long).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            assert!(client.exec_sync("x", &[], long).await.is_err());
            assert!(client.pull_image("x", None, long).await.is_err());
        }
    }

    #[tokio::test]
    async fn silence_is_a_timeout() {
        let dir = std::env::temp_dir().join(format!("cri-silence-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let socket = dir.join("s");
        let _ = std::fs::remove_file(&socket);
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let mut stub = Client::new(&socket).runtime();
        let mut again = stub.clone();
        let deadline = Duration::from_millis(50);
        let error = call(
            "Version",
            "",
            deadline,
            VersionRequest::default(),
            |m| async move { stub.version(m).await },
        )
        .await
        .unwrap_err();
        // One that hangs is not a command that does.
        let hangs = call_or(
            ErrorKind::Unavailable,
            "ExecSync",
            "x",
            deadline,
            crate::v1::ExecSyncRequest::default(),
            |m| async move { again.exec_sync(m).await },
        )
        .await
        .unwrap_err();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(hangs.kind, ErrorKind::Unavailable, "{hangs}");
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        assert_eq!(error.to_string(), "Version: no answer within 0.05 s");
    }
}
