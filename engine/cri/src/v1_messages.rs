//! The messages as prost generates them, and the `Debug` of those that may hold secrets.

/// CRI's messages, package `runtime.v1`; what they mean is said in Kubernetes' cri-api.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod runtime {
    tonic::include_proto!("runtime.v1");
}

#[allow(missing_docs, unreachable_pub, clippy::all)]
pub(crate) mod events {
    tonic::include_proto!("containerd.services.events.v1");
}

impl std::fmt::Debug for runtime::AuthConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

/// Environment variables are where people keep passwords.
impl std::fmt::Debug for runtime::KeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyValue")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
