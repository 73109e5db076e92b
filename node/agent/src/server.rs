//! The agent's HTTPS server, with the kubelet's paths. Know before changing: everything but `/healthz` is for the API server alone,
//! which proves itself by a client certificate; there are no tokens and no anonymous reads here.

mod logs;
mod streams;
mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use minicloud_api::part::Shutdown;
use minicloud_api::status::ApiStatus;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::agent::AgentError;
use crate::config::Config;
use crate::runtime::RuntimeError;
use crate::shared::Shared;
use tls::Peer;

/// Connections at once.
const CONNECTIONS: usize = 512;
/// Longest TLS handshake, and longest wait for a request's head.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A bound server.
pub(crate) struct Listener {
    socket: std::net::TcpListener,
    acceptor: TlsAcceptor,
    address: SocketAddr,
}

/// Binds.
pub(crate) fn listen(config: &Config) -> Result<Listener, AgentError> {
    let bad = |source| AgentError::Listen {
        address: config.listen,
        source,
    };
    let acceptor = tls::acceptor(&config.tls).map_err(AgentError::Config)?;
    let socket = std::net::TcpListener::bind(config.listen).map_err(bad)?;
    socket.set_nonblocking(true).map_err(bad)?;
    let address = socket.local_addr().map_err(bad)?;
    Ok(Listener {
        socket,
        acceptor,
        address,
    })
}

impl Listener {
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves until shutdown.
    pub(crate) async fn serve(self, shared: Arc<Shared>, mut shutdown: Shutdown) {
        let socket = match TcpListener::from_std(self.socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, "the agent's server cannot be served");
                return;
            }
        };
        let routes = routes(shared);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let place = places.clone().acquire_owned().await;
            let accepted = tokio::select! {
                () = shutdown.wait() => return,
                accepted = socket.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: it passes.
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let (acceptor, routes) = (self.acceptor.clone(), routes.clone());
            tokio::spawn(async move {
                let _place = place;
                let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await
                else {
                    return;
                };
                let peer = Peer::of(stream.get_ref().1.peer_certificates());
                let service = routes.layer(axum::Extension(peer));
                let mut builder =
                    hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                builder
                    .http1()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HANDSHAKE);
                let served = builder
                    .serve_connection_with_upgrades(
                        TokioIo::new(stream),
                        TowerToHyperService::new(service),
                    )
                    .await;
                if let Err(error) = served {
                    tracing::trace!(%error, "a connection ended");
                }
            });
        }
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route("/pods", get(pods))
        .route("/stats/summary", get(stats))
        .route(
            "/containerLogs/{namespace}/{pod}/{container}",
            get(logs::serve),
        )
        .route("/exec/{namespace}/{pod}/{container}", any(streams::exec))
        .route(
            "/exec/{namespace}/{pod}/{uid}/{container}",
            any(streams::exec),
        )
        .route(
            "/attach/{namespace}/{pod}/{container}",
            any(streams::attach),
        )
        .route(
            "/attach/{namespace}/{pod}/{uid}/{container}",
            any(streams::attach),
        )
        .route("/portForward/{namespace}/{pod}", any(streams::port_forward))
        .route(
            "/portForward/{namespace}/{pod}/{uid}",
            any(streams::port_forward),
        )
        .layer(middleware::from_fn_with_state(shared.clone(), guard));
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .merge(guarded)
        .with_state(shared)
}

/// Lets the API server in, and nobody else.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let tls = &shared.config.tls;
    match request.extensions().get::<Option<Peer>>() {
        Some(Some(peer)) if peer.may_enter(&tls.allowed_names, &tls.allowed_groups) => {
            next.run(request).await
        }
        Some(Some(peer)) => {
            let message = format!("Forbidden (user={}, verb=proxy, resource=nodes)", peer.name);
            Refusal(StatusCode::FORBIDDEN, message).into_response()
        }
        _ => Refusal(StatusCode::UNAUTHORIZED, "Unauthorized".into()).into_response(),
    }
}

/// A refusal. The API server passes it on as it is, so it is a `Status`, which clients understand.
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Refusal {
    fn not_found(message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, message.into())
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let reason = match self.0 {
            StatusCode::BAD_REQUEST => "BadRequest",
            StatusCode::UNAUTHORIZED => "Unauthorized",
            StatusCode::FORBIDDEN => "Forbidden",
            StatusCode::NOT_FOUND => "NotFound",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
            _ => "InternalError",
        };
        let status = ApiStatus::new(self.0.as_u16(), reason, self.1);
        (self.0, Json(status.to_value())).into_response()
    }
}

impl From<RuntimeError> for Refusal {
    fn from(error: RuntimeError) -> Self {
        let code = match error {
            RuntimeError::NotFound(_) => StatusCode::NOT_FOUND,
            RuntimeError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            RuntimeError::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(code, error.to_string())
    }
}

async fn pods(State(shared): State<Arc<Shared>>) -> Json<serde_json::Value> {
    let items = shared.pods.all();
    let items: Vec<&k8s_openapi::api::core::v1::Pod> = items.iter().map(Arc::as_ref).collect();
    Json(serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
}

/// A short form of the kubelet's summary: CPU and memory per container.
async fn stats(State(shared): State<Arc<Shared>>) -> Result<Json<serde_json::Value>, Refusal> {
    let pods = shared.runtime.stats().await?;
    let pods: Vec<serde_json::Value> = pods
        .iter()
        .map(|pod| {
            let containers = pod.containers.iter().map(|c| {
                serde_json::json!({
                    "name": c.name,
                    "cpu": {"time": pod.at, "usageCoreNanoSeconds": c.cpu_usage_ns},
                    "memory": {"time": pod.at, "usageBytes": c.memory_usage_bytes, "workingSetBytes": c.memory_working_set_bytes,
                        "rssBytes": c.memory_rss_bytes},
                    "rootfs": {"time": pod.at, "usedBytes": c.rootfs_used_bytes},
                })
            });
            serde_json::json!({
                "podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
                "containers": containers.collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(Json(
        serde_json::json!({"node": {"nodeName": shared.config.node_name}, "pods": pods}),
    ))
}

/// The parts of a path: `namespace`, `pod` and, by route, `uid` and `container`.
type Where = Path<HashMap<String, String>>;

/// The pod that a path names.
fn find_pod(
    shared: &Shared,
    path: &HashMap<String, String>,
) -> Result<Arc<k8s_openapi::api::core::v1::Pod>, Refusal> {
    let part = |name: &str| path.get(name).map(String::as_str);
    let (namespace, name) = (
        part("namespace").unwrap_or_default(),
        part("pod").unwrap_or_default(),
    );
    shared
        .pods
        .find(namespace, name, part("uid").filter(|u| !u.is_empty()))
        .ok_or_else(|| {
            Refusal::not_found(format!("pod \"{namespace}/{name}\" not found on this node"))
        })
}

/// Query parameters, repeated ones in order.
fn query(request: &Request) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent(&text)
    };
    let pairs = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|p| !p.is_empty());
    pairs
        .map(|pair| {
            pair.split_once('=')
                .map_or((decode(pair), String::new()), |(k, v)| {
                    (decode(k), decode(v))
                })
        })
        .collect()
}

/// Percent-decoding; what is not a code stays.
fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten();
        let code = code
            .and_then(|c| std::str::from_utf8(c).ok())
            .and_then(|c| u8::from_str_radix(c, 16).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn truth(value: &str) -> bool {
    matches!(value, "1" | "true" | "True" | "TRUE" | "t" | "T")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let request =
            Request::get("/x?command=sh&command=-c&command=echo+a%26b&tty=1&odd=%zz&empty")
                .body(axum::body::Body::empty());
        let found = query(&request.expect("a request"));
        let pairs: Vec<String> = found.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            pairs.join("|"),
            "command=sh|command=-c|command=echo a&b|tty=1|odd=%zz|empty="
        );
        assert!(truth("1") && truth("true") && !truth("0") && !truth(""));
    }
}
