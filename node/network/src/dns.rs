//! Cluster DNS: answers for the cluster's domain from [`State`], relays everything else to the host's own name servers.
//!
//! Every node answers its own pods. The names are those of the Kubernetes DNS specification 1.1.0.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, RwLock};

use anyhow::Context;
use minicloud_api::part::Shutdown;
use tokio::net::{TcpListener, UdpSocket};

use crate::Config;
use crate::model::State;

mod relay;
mod server;
mod wire;
mod zone;

pub use zone::{Answer, Record, Zone};

/// The server, bound to its address and not yet running.
pub struct Server {
    udp: UdpSocket,
    tcp: TcpListener,
    zone: Arc<Zone>,
    state: Arc<RwLock<State>>,
    upstream: Arc<Vec<SocketAddr>>,
}

impl Server {
    /// Binds UDP and TCP port 53 of the cluster DNS address.
    ///
    /// # Errors
    /// When the address is not this node's or the port is taken.
    pub async fn bind(config: &Config, state: Arc<RwLock<State>>) -> anyhow::Result<Self> {
        let address = SocketAddr::from((config.cluster_dns, 53));
        let what = || {
            format!(
                "cluster DNS cannot listen on {address}; is another name server bound to all addresses?"
            )
        };
        Ok(Self {
            udp: UdpSocket::bind(address).await.with_context(what)?,
            tcp: TcpListener::bind(address).await.with_context(what)?,
            zone: Arc::new(Zone::new(
                &config.cluster_domain,
                config.service_cidr,
                config.pod_cidr,
            )),
            state,
            upstream: Arc::new(upstream(&config.resolv_conf, config.cluster_dns)),
        })
    }

    /// Answers until shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        server::run(self, shutdown).await;
    }
}

/// The host's name servers, without ourselves: asking oneself would never end.
fn upstream(resolv_conf: &Path, own: Ipv4Addr) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(resolv_conf).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse().ok())
        .filter(|ip: &std::net::IpAddr| *ip != std::net::IpAddr::from(own))
        .map(|ip| SocketAddr::new(ip, 53))
        // More than three are not used by the C library either.
        .take(3)
        .collect()
}
