//! Port 3000: one listener for the APIs of all parts.
//!
//! A part is a value ([`minicloud_api::part::Part`]): routes, the permission that a request needs, an OpenAPI fragment,
//! metrics and a future. [`run`] adds everything else, so that no part has code for it: TLS, authentication (client
//! certificates and TokenReview), authorization (SubjectAccessReview), limits, request ids, RFC 9457 problems with a hint,
//! `/openapi.json`, `/metrics`, `/livez`, `/readyz`, supervision and graceful shutdown. It knows the cluster only through
//! the Kubernetes API, so it works the same in front of K3s.
//!
//! [`status`] is the smallest part and shows how one is made.

mod access;
mod health;
mod idle;
mod metrics;
mod openapi;
mod respond;
mod serve;
pub mod status;
mod supervise;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use minicloud_api::part::{Part, Shutdown};

pub use openapi::Conflict;
pub use serve::Listener;

/// What the listener needs from its host.
pub struct Config {
    /// Where to listen.
    pub addresses: Vec<SocketAddr>,
    /// Server certificate and, for client certificates, a verifier for the cluster's CA. The listener takes the user from a
    /// certificate that this configuration accepted, so a configuration that accepts any certificate lets anyone in.
    pub tls: Arc<rustls::ServerConfig>,
    /// The product's version, shown in `/openapi.json`.
    pub version: String,
    /// Limits.
    pub limits: Limits,
}

/// What one client, or all of them together, may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Connections of one client address at a time; more are closed at once.
    pub max_connections_per_client: usize,
    /// Requests at a time that have not been answered yet; more get 503.
    pub max_in_flight: usize,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// Largest request head.
    pub max_header_bytes: usize,
    /// From the first byte of a connection to the end of its TLS handshake, and from the first byte of a request's head
    /// to the end of it.
    pub head_timeout: Duration,
    /// From a request's head to the head of its answer; a stream may then go on.
    pub answer_timeout: Duration,
    /// How long a connection may be without a request.
    pub idle_timeout: Duration,
    /// How long open requests may go on after shutdown has begun.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 512,
            max_connections_per_client: 128,
            max_in_flight: 256,
            max_body_bytes: 3 << 20,
            max_header_bytes: 32 << 10,
            head_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(300),
            grace: Duration::from_secs(10),
        }
    }
}

/// Why the listener cannot start. None of it passes by itself: report and stop.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// An address is taken or not this machine's.
    #[error(
        "cannot listen on {address}; `ss -ltnp` shows who does; choose another address in the settings"
    )]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Two parts describe the same thing differently.
    #[error("the API descriptions of the parts do not fit together")]
    OpenApi(#[from] Conflict),
    /// Two parts have one name.
    #[error("part {0:?} {1}")]
    Part(&'static str, &'static str),
}

/// Takes the addresses and puts the parts together; [`Listener::run`] serves. The listener asks `client` who a caller is
/// and what it may do: the client's own identity needs `create` on TokenReviews and SubjectAccessReviews (the role
/// `system:auth-delegator`).
///
/// # Errors
/// See [`ListenerError`].
pub async fn bind(
    config: Config,
    client: kube::Client,
    parts: Vec<Part>,
) -> Result<Listener, ListenerError> {
    serve::bind(config, client, parts).await
}

/// [`bind`] and [`Listener::run`] in one.
///
/// # Errors
/// See [`ListenerError`].
pub async fn run(
    config: Config,
    client: kube::Client,
    parts: Vec<Part>,
    shutdown: Shutdown,
) -> Result<(), ListenerError> {
    bind(config, client, parts).await?.run(shutdown).await;
    Ok(())
}
