//! The sockets: what can be answered from memory is answered at once, the rest in bounded tasks.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::wire::{self, Reply};
use super::zone::Zone;
use super::{Upstream, relay};
use crate::model::State;

/// How many questions may wait for a name server at once; more are dropped, and the client asks again.
const MAX_RELAYED: usize = 256;
/// How many TCP clients there may be at once.
const MAX_TCP: usize = 64;
/// How long a TCP client may be silent.
const TCP_IDLE: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Context {
    zone: Arc<Zone>,
    state: Arc<RwLock<State>>,
    upstream: Arc<Upstream>,
    relayed: Arc<Semaphore>,
}

impl Context {
    fn reply(&self, query: &[u8], udp: bool) -> Reply {
        let state = self
            .state
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        wire::reply(&self.zone, &state, query, udp)
    }

    /// Finishes a reply that needs others.
    async fn finish(&self, reply: Reply, query: &[u8], udp: bool) -> Option<Vec<u8>> {
        match reply {
            Reply::Send(bytes) => Some(bytes),
            Reply::Ignore => None,
            Reply::Relay => match relay::ask(&self.upstream.servers(), query, udp).await {
                Some(answer) => Some(answer),
                None => wire::failure(query),
            },
            Reply::Chase(so_far, name, kind) => {
                let question = wire::query(so_far.metadata.id, name, kind)?;
                let found = relay::ask(&self.upstream.servers(), &question, udp).await;
                wire::chased(*so_far, found.as_deref(), query, udp)
            }
        }
    }
}

pub(super) async fn run(
    (udp, tcp): (UdpSocket, TcpListener),
    zone: Arc<Zone>,
    state: Arc<RwLock<State>>,
    upstream: Arc<Upstream>,
) {
    let context = Context {
        zone,
        state,
        upstream,
        relayed: Arc::new(Semaphore::new(MAX_RELAYED)),
    };
    let clients = Arc::new(Semaphore::new(MAX_TCP));
    let udp = Arc::new(udp);
    let mut buffer = vec![0; 4096];
    loop {
        tokio::select! {
            received = udp.recv_from(&mut buffer) => match received {
                Ok((length, from)) => datagram(&context, &udp, &buffer[..length], from).await,
                // Linux reports an unreachable earlier client here; nothing to do about it.
                Err(error) => tracing::debug!(%error, "cannot receive"),
            },
            accepted = tcp.accept() => match accepted {
                Ok((stream, _)) => {
                    if let Ok(permit) = clients.clone().try_acquire_owned() {
                        let context = context.clone();
                        tokio::spawn(async move {
                            connection(context, stream).await;
                            drop(permit);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a DNS connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

async fn datagram(context: &Context, socket: &Arc<UdpSocket>, query: &[u8], from: SocketAddr) {
    match context.reply(query, true) {
        Reply::Send(bytes) => {
            let _ = socket.send_to(&bytes, from).await;
        }
        Reply::Ignore => {}
        other => {
            let Ok(permit) = context.relayed.clone().try_acquire_owned() else {
                return;
            };
            let (context, socket, query) = (context.clone(), socket.clone(), query.to_vec());
            tokio::spawn(async move {
                if let Some(bytes) = context.finish(other, &query, true).await {
                    let _ = socket.send_to(&bytes, from).await;
                }
                drop(permit);
            });
        }
    }
}

async fn connection(context: Context, mut stream: TcpStream) {
    while let Ok(Ok(query)) = tokio::time::timeout(TCP_IDLE, relay::read_message(&mut stream)).await
    {
        let reply = context.reply(&query, false);
        let Some(answer) = context.finish(reply, &query, false).await else {
            return;
        };
        let written =
            tokio::time::timeout(TCP_IDLE, relay::write_message(&mut stream, &answer)).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}
