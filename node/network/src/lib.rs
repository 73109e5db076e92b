//! The network of one node: routes, the pod bridge, Services and cluster DNS.
//!
//! [`prepare`] runs before any pod: unreachable routes for the cluster's ranges come first, so that a missing rule can never
//! send cluster traffic out of the default route; then the bridge, the kernel settings, the CNI configuration and an empty
//! ruleset. [`run`] then keeps the service proxy ([`proxy`]) and DNS ([`dns`]) in step with Services and EndpointSlices,
//! which both read from one [`model::State`].

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use ipnet::Ipv4Net;
use kube::Client;
use minicloud_api::part::Shutdown;
use tokio::sync::watch;

pub mod cni;
pub mod command;
pub mod dns;
pub mod follow;
pub mod link;
pub mod model;
pub mod proxy;

/// The name of the bridge that pods are attached to.
pub const BRIDGE: &str = "minicloud0";
/// The nftables table that the proxy owns, in family `ip`.
pub const TABLE: &str = "minicloud";

/// What the network of a node is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's name, for `Local` traffic policies.
    pub node_name: String,
    /// The address by which others reach this node.
    pub node_ip: Ipv4Addr,
    /// The range of all pods.
    pub pod_cidr: Ipv4Net,
    /// The part of it that this node gives out.
    pub node_pod_cidr: Ipv4Net,
    /// The range of Services.
    pub service_cidr: Ipv4Net,
    /// The address of cluster DNS, within the range of Services.
    pub cluster_dns: Ipv4Addr,
    /// The DNS domain of the cluster, e.g. `cluster.local`.
    pub cluster_domain: String,
    /// Where what a reboot may lose is kept.
    pub run_dir: PathBuf,
    /// Where the container runtime looks for CNI configuration.
    pub cni_conf_dir: PathBuf,
    /// Where CNI's host-local keeps which addresses are given out.
    pub cni_data_dir: PathBuf,
    /// The resolver configuration whose name servers answer for everything outside the cluster.
    pub resolv_conf: PathBuf,
}

impl Config {
    /// The bridge's own address: the first of the node's range, the pods' gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        self.node_pod_cidr
            .hosts()
            .next()
            .unwrap_or(self.node_pod_cidr.addr())
    }
}

/// Makes routes, bridge, kernel settings, CNI configuration and a first ruleset. Done again, it changes nothing.
///
/// # Errors
/// When a command fails, e.g. for want of a privilege or a package; the error names it.
pub async fn prepare(config: &Config) -> anyhow::Result<()> {
    link::prepare(config).await?;
    cni::write(config)?;
    proxy::prepare(config).await
}

/// Follows Services and EndpointSlices and keeps proxy and DNS in step, until shutdown. Rules, addresses and DNS stay
/// when it ends: the workload goes on without the server.
pub async fn run(config: Config, client: Client, shutdown: Shutdown) {
    let state = Arc::new(RwLock::new(model::State::default()));
    let (changed, changes) = watch::channel(0_u64);
    let config = Arc::new(config);
    tokio::join!(
        follow::run(client, state.clone(), changed, shutdown.clone()),
        proxy::run(
            config.clone(),
            state.clone(),
            changes.clone(),
            shutdown.clone()
        ),
        dns::keeper::run(config, state, changes, shutdown),
    );
}

/// Removes what [`prepare`] and [`run`] made: table, bridge, routes, configuration. What is gone already is fine.
pub async fn clean_up(config: &Config) {
    dns::keeper::stop(config).await;
    if let Err(error) = minicloud_nftables::delete_table("ip", TABLE).await {
        tracing::warn!(%error, "cannot remove the nftables table {TABLE}");
    }
    link::clean_up(config).await;
    cni::clean_up(config).await;
}
