//! Connections: accept, TLS, HTTP/1.1 or HTTP/2, and an orderly end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use minicloud_api::part::Shutdown;
use minicloud_api::share::{Shares, client};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::limits::Limits;
use super::service;
use crate::api::Api;
use crate::authn::Peer;

/// How often it is logged that connections are refused.
const REFUSED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Serves until shutdown, then lets running requests end for [`super::limits::Limits::drain_timeout`].
pub async fn run(api: Arc<Api>, listener: TcpListener, mut shutdown: Shutdown) {
    let limits = api.config.limits.clone();
    let connections = Arc::new(Semaphore::new(limits.connections));
    let clients = Shares::new(limits.connections_per_client);
    let mut refused_at: Option<Instant> = None;
    let acceptor = TlsAcceptor::from(Arc::clone(&api.config.tls));
    // The protocol was agreed on in the handshake, so nothing has to be guessed from the first bytes.
    let builders = Arc::new((builder(&api).http1_only(), builder(&api).http2_only()));
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            // Held before accepting: what is too much waits in the kernel's queue.
            let place = Arc::clone(&connections).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.wait() => break,
        };
        let Ok(place) = place else { break };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: wait for some to come back instead of spinning.
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(share) = clients.take(client(from.ip())) else {
            // Not for each of them: whoever opens so many would fill the log as well.
            if refused_at.is_none_or(|at| at.elapsed() > REFUSED_LOG_INTERVAL) {
                refused_at = Some(Instant::now());
                tracing::warn!(%from, limit = limits.connections_per_client, "a client has too many connections; closing new ones");
            }
            continue;
        };
        let (api, acceptor, builders) = (Arc::clone(&api), acceptor.clone(), Arc::clone(&builders));
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _held = (place, share);
            let Some((io, peer)) = handshake(&api, acceptor, stream).await else {
                return;
            };
            let began = Arc::new(AtomicBool::new(false));
            let builder = if peer.speaks_h2() {
                &builders.1
            } else {
                &builders.0
            };
            let service = {
                let (api, peer) = (Arc::clone(&api), Arc::clone(&peer));
                let began = Arc::clone(&began);
                service_fn(move |request| {
                    began.store(true, Ordering::Relaxed);
                    let (api, peer) = (Arc::clone(&api), Arc::clone(&peer));
                    async move { Ok::<_, Infallible>(service::serve(api, peer, request).await) }
                })
            };
            let connection = builder
                .serve_connection_with_upgrades(io, service)
                .into_owned();
            let mut connection = std::pin::pin!(watcher.watch(connection));
            tokio::select! {
                result = &mut connection => if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                },
                why = unwelcome(&api.config.limits, &began, &peer) => {
                    tracing::debug!(%from, why, "closed a connection");
                }
            }
        });
    }
    drop(listener);
    // Watches end at once, so that draining waits for short requests only.
    api.end_watches();
    if tokio::time::timeout(limits.drain_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not end in time and were cut off");
    }
}

/// Returns why a connection is to be closed, when it is. One that behaves may rest as its protocol allows.
async fn unwelcome(limits: &Limits, began: &AtomicBool, peer: &Peer) -> &'static str {
    let start = Instant::now();
    tokio::time::sleep(limits.handshake_timeout).await;
    if !began.load(Ordering::Relaxed) {
        return "it asks nothing";
    }
    let interval = limits.stranger_timeout.min(limits.stall_timeout) / 4;
    loop {
        tokio::time::sleep(interval).await;
        // HTTP/2 answers pings for ever, so whoever may only ask for health could otherwise hold every place.
        if !peer.is_known() && start.elapsed() > limits.stranger_timeout {
            return "nobody knows who it is";
        }
        if peer.sends.stalled(limits.stall_timeout) {
            return "it does not read what it asked for";
        }
    }
}

fn builder(api: &Api) -> Builder<TokioExecutor> {
    let limits = &api.config.limits;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.header_bytes.max(8 << 10))
        .max_headers(128);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(250)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_send_buf_size(256 << 10)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

type TlsIo = TokioIo<tokio_rustls::server::TlsStream<TcpStream>>;

async fn handshake(
    api: &Api,
    acceptor: TlsAcceptor,
    stream: TcpStream,
) -> Option<(TlsIo, Arc<Peer>)> {
    let _ = stream.set_nodelay(true);
    let handshake =
        tokio::time::timeout(api.config.limits.handshake_timeout, acceptor.accept(stream));
    let tls = match handshake.await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return None;
        }
        Err(_) => return None,
    };
    let session = tls.get_ref().1;
    let h2 = session.alpn_protocol() == Some(b"h2");
    let peer = Peer::new(api, session.peer_certificates().unwrap_or_default(), h2);
    Some((TokioIo::new(tls), Arc::new(peer)))
}
