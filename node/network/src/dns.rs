//! Cluster DNS: answers for the cluster's domain from [`State`], relays everything else to the host's own name servers.
//!
//! It is a process of its own ([`serve`], `minicloud dns`), started and told by [`keeper`], so that names go on to resolve
//! while the server is down or is upgraded. Every node answers its own pods. The names are those of the Kubernetes DNS specification 1.1.0.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use anyhow::Context;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

use crate::Config;
use crate::model::State;

pub mod keeper;
mod relay;
mod server;
mod wire;
mod zone;

pub use zone::{Answer, Record, Zone};

/// What the DNS process is told at start, as a JSON file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsConfig {
    /// Where it listens, on UDP and TCP.
    pub address: SocketAddr,
    /// The cluster's domain.
    pub domain: String,
    /// The range of Services.
    pub service_cidr: Ipv4Net,
    /// The range of pods.
    pub pod_cidr: Ipv4Net,
    /// Whose name servers answer for everything outside the cluster.
    pub resolv_conf: PathBuf,
    /// The file with the [`State`], replaced whole; a line on standard input says that it is new.
    pub state: PathBuf,
}

impl DnsConfig {
    /// The settings that follow from a node's.
    pub fn new(config: &Config) -> Self {
        Self {
            address: SocketAddr::from((config.cluster_dns, 53)),
            domain: config.cluster_domain.clone(),
            service_cidr: config.service_cidr,
            pod_cidr: config.pod_cidr,
            resolv_conf: config.resolv_conf.clone(),
            state: config.run_dir.join("dns-state.json"),
        }
    }
}

/// The server, bound to its address and not yet running.
pub(crate) struct Server {
    udp: UdpSocket,
    tcp: TcpListener,
    zone: Arc<Zone>,
    state: Arc<RwLock<State>>,
    upstream: Arc<Vec<SocketAddr>>,
}

impl Server {
    async fn bind(config: &DnsConfig, state: Arc<RwLock<State>>) -> anyhow::Result<Self> {
        let address = config.address;
        let what = || {
            format!(
                "cluster DNS cannot listen on {address}; is another name server bound to all addresses?"
            )
        };
        Ok(Self {
            udp: UdpSocket::bind(address).await.with_context(what)?,
            tcp: TcpListener::bind(address).await.with_context(what)?,
            zone: Arc::new(Zone::new(
                &config.domain,
                config.service_cidr,
                config.pod_cidr,
            )),
            state,
            upstream: Arc::new(upstream(&config.resolv_conf, address.ip())),
        })
    }
}

/// The DNS process: answers until SIGTERM, from the state in the file that `config` names.
///
/// # Errors
/// When the address cannot be had.
pub async fn serve(config: DnsConfig) -> anyhow::Result<()> {
    let state = Arc::new(RwLock::new(read_state(&config.state)));
    let server = Server::bind(&config, state.clone()).await?;
    let input = std::io::stdin().as_fd().try_clone_to_owned()?;
    let input = pipe::Receiver::from_owned_fd(input).context("standard input is not a pipe")?;
    let mut renewed = BufReader::new(input).lines();
    let mut told = true;
    let mut ended = signal(SignalKind::terminate())?;
    let serving = server::run(server);
    tokio::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => return Ok(()),
            _ = ended.recv() => return Ok(()),
            line = renewed.next_line(), if told => {
                // The server has ended: what it told last holds until the next one starts another process.
                told = matches!(line, Ok(Some(_)));
                let new = read_state(&config.state);
                *state.write().unwrap_or_else(std::sync::PoisonError::into_inner) = new;
            }
        }
    }
}

/// The state in the file; none when there is no file yet.
fn read_state(path: &Path) -> State {
    let Ok(text) = std::fs::read(path) else {
        return State::default();
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::error!(%error, path = %path.display(), "the state cannot be read");
        State::default()
    })
}

/// The host's name servers, without ourselves: asking oneself would never end.
fn upstream(resolv_conf: &Path, own: IpAddr) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(resolv_conf).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse().ok())
        .filter(|ip: &IpAddr| *ip != own)
        .map(|ip| SocketAddr::new(ip, 53))
        // More than three are not used by the C library either.
        .take(3)
        .collect()
}
