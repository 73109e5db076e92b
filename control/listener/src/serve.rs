//! Accepting connections: TLS, HTTP/1.1 and HTTP/2 with their limits, and the end of all that at shutdown.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use minicloud_api::part::{Part, Run, Shutdown};
use minicloud_api::share::{Shares, client};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::access::Access;
use crate::idle::{Activity, until_sent};
use crate::respond::{self, Shared};
use crate::{Config, ListenerError, openapi, supervise};

/// HTTP/2 streams of one connection at a time.
const MAX_STREAMS: u32 = 100;
const MAX_HEADERS: usize = 100;
/// After an accept that failed (no file descriptors, say): waiting is all that helps.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listener whose addresses are taken; see [`crate::bind`].
pub struct Listener {
    sockets: Vec<TcpListener>,
    server: Server,
    background: Vec<(&'static str, Run)>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}

pub(crate) async fn bind(
    config: Config,
    client: kube::Client,
    parts: Vec<Part>,
) -> Result<Listener, ListenerError> {
    check_parts(&parts)?;
    let document = openapi::merge(
        &config.version,
        parts.iter().map(|part| (part.name, &part.openapi)),
    )?;
    let mut sockets = Vec::new();
    for address in &config.addresses {
        let bound = TcpListener::bind(address).await;
        sockets.push(bound.map_err(|source| ListenerError::Bind {
            address: *address,
            source,
        })?);
    }
    let shared = Arc::new(Shared {
        access: Access::new(client),
        health: Arc::default(),
        metrics: Default::default(),
        in_flight: Semaphore::new(config.limits.max_in_flight),
        limits: config.limits.clone(),
        openapi: serde_json::to_vec(&document).unwrap_or_default(),
        part_metrics: parts.iter().map(|part| part.metrics.clone()).collect(),
    });
    let background = parts
        .iter()
        .filter_map(|part| Some((part.name, part.run.clone()?)))
        .collect();
    let server = Server {
        router: respond::router(&shared, parts),
        shared,
        tls: TlsAcceptor::from(config.tls),
        connections: Arc::new(Semaphore::new(config.limits.max_connections)),
        clients: Shares::new(config.limits.max_connections_per_client),
        graceful: GracefulShutdown::new(),
    };
    Ok(Listener {
        sockets,
        server,
        background,
    })
}

impl Listener {
    /// Where it listens: what was asked for, with the real port where that was 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }

    /// Serves, and runs the parts' background work, until shutdown; returns when what was open has ended or the grace
    /// period is over.
    pub async fn run(self, mut shutdown: Shutdown) {
        for address in self.addresses() {
            tracing::info!(%address, "serving the Minicloud API");
        }
        let Self {
            sockets,
            server,
            background,
        } = self;
        let mut supervised = JoinSet::new();
        for (name, run) in background {
            supervised.spawn(supervise::supervise(
                name,
                run,
                server.shared.health.clone(),
                shutdown.clone(),
            ));
        }
        tokio::select! {
            _ = join_all(sockets.iter().map(|socket| server.accept(socket))) => {}
            () = shutdown.wait() => {}
        }
        // New clients are refused from here on, instead of waiting in vain.
        drop(sockets);
        let grace = server.shared.limits.grace;
        let drain = async {
            server.graceful.shutdown().await;
            while supervised.join_next().await.is_some() {}
        };
        if tokio::time::timeout(grace, drain).await.is_err() {
            tracing::warn!(
                grace_seconds = grace.as_secs(),
                "some connections or parts did not end in time; they are cut off"
            );
        }
    }
}

fn check_parts(parts: &[Part]) -> Result<(), ListenerError> {
    let mut names = HashSet::new();
    for part in parts {
        if !names.insert(part.name) {
            return Err(ListenerError::Part(part.name, "is there twice"));
        }
    }
    Ok(())
}

struct Server {
    router: axum::Router,
    shared: Arc<Shared>,
    tls: TlsAcceptor,
    connections: Arc<Semaphore>,
    clients: Arc<Shares<IpAddr>>,
    graceful: GracefulShutdown,
}

impl Server {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            // Take the place first: when all are taken, clients wait in the kernel's queue instead of being turned away.
            let Ok(place) = self.connections.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, from)) => {
                    let Some(share) = self.clients.take(client(from.ip())) else {
                        tracing::debug!(%from, "closed a connection: this client has too many");
                        continue;
                    };
                    let (tls, router, shared) =
                        (self.tls.clone(), self.router.clone(), self.shared.clone());
                    let watcher = self.graceful.watcher();
                    tokio::spawn(async move {
                        connection(stream, from, tls, router, shared, watcher).await;
                        drop((place, share));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    tls: TlsAcceptor,
    router: axum::Router,
    shared: Arc<Shared>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _counted = shared.metrics.connections.enter();
    let limits = shared.limits.clone();
    // Small answers should not wait for a full packet; a socket that refuses still works.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(limits.head_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%from, "TLS handshake took too long"),
    };
    let peer: Option<Arc<CertificateDer<'static>>> = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|leaf| Arc::new(leaf.clone().into_owned()));
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let activity = Activity::new();
    let requests = activity.clone();
    let service =
        hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (shared, router, peer) = (shared.clone(), router.clone(), peer.clone());
            let open = requests.open();
            async move {
                let peer = peer.as_deref().map(AsRef::as_ref);
                let response = respond::handle(shared, router, peer, request).await;
                Ok::<_, std::convert::Infallible>(until_sent(response, open))
            }
        });
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(limits.max_header_bytes.max(8192));
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        // A peer that vanished without a word is found out.
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    // TLS has settled the protocol. Guessing from the first bytes would wait for them without a limit.
    let http = if h2 {
        http.http2_only()
    } else {
        http.http1_only()
    };
    let connection = http
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    tokio::select! {
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                tracing::debug!(%from, %error, "connection ended");
            }
        }
        () = activity.idle(limits.idle_timeout) => tracing::debug!(%from, "closed an idle connection"),
    }
}
