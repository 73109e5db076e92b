//! Connections: accept, TLS, HTTP/1.1 or HTTP/2, and an orderly end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use minicloud_api::part::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::service;
use crate::api::Api;
use crate::authn::Peer;

/// Serves until shutdown, then lets running requests end for [`super::limits::Limits::drain_timeout`].
pub async fn run(api: Arc<Api>, listener: TcpListener, mut shutdown: Shutdown) {
    let limits = api.config.limits.clone();
    let connections = Arc::new(Semaphore::new(limits.connections));
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
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: wait for some to come back instead of spinning.
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (api, acceptor, builders) = (Arc::clone(&api), acceptor.clone(), Arc::clone(&builders));
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _place = place;
            let Some((io, peer)) = handshake(&api, acceptor, stream).await else {
                return;
            };
            let began = Arc::new(AtomicBool::new(false));
            let quiet_until = tokio::time::Instant::now() + api.config.limits.handshake_timeout;
            let builder = if peer.speaks_h2() {
                &builders.1
            } else {
                &builders.0
            };
            let service = {
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
            // A connection that never asks anything is closed; one that did may rest as its protocol allows.
            let result = tokio::select! {
                result = &mut connection => result,
                () = tokio::time::sleep_until(quiet_until) => {
                    if !began.load(Ordering::Relaxed) {
                        return;
                    }
                    connection.await
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, "a connection ended early");
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
