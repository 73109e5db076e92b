//! What the agent is told at start. Everything else it learns from the API server, the runtime and the machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::ResolvesServerCert;

/// Settings of one agent.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name; a DNS-1123 subdomain. The client given to the agent must be `system:node:NAME`.
    pub node_name: String,
    /// The node's addresses, the primary one first. Reported as `InternalIP`.
    pub addresses: Vec<IpAddr>,
    /// Labels that the node gets when it registers, beyond the standard ones.
    pub labels: BTreeMap<String, String>,
    /// Data that survives a reboot: checkpoints, emptyDir volumes. Mode 0700; holds secrets in files of mode 0600.
    pub data_dir: PathBuf,
    /// Data that does not: small volumes (a tmpfs is mounted if this is not one).
    pub run_dir: PathBuf,
    /// Where containers log: `LOG_DIR/NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log`.
    pub log_dir: PathBuf,
    /// Addresses of the cluster's DNS; empty when there is none.
    pub cluster_dns: Vec<String>,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// The resolver configuration that pods with `dnsPolicy: Default` inherit.
    pub resolv_conf: PathBuf,
    /// Pods at most.
    pub max_pods: u32,
    /// The node's pod range; `None` takes it from the Node object's `spec.podCIDR`.
    pub pod_cidr: Option<String>,
    /// Where the HTTPS server listens, usually port 10250. Port 0 picks one; the Node object tells it.
    pub listen: SocketAddr,
    /// How the HTTPS server proves itself, and who may use it.
    pub tls: ServerTls,
    /// Resources kept from pods: subtracted from capacity. In Kubernetes' quantities by resource name.
    pub reserved: BTreeMap<String, String>,
    /// How long a starting agent waits for the API server's word before pods run as they were checkpointed.
    pub offline_after: Duration,
    /// Version to report as `kubeletVersion`, e.g. `v1.36.0+minicloud`.
    pub version: String,
}

/// TLS of the agent's server. Debug hides the key.
#[derive(Clone)]
pub struct ServerTls {
    /// The certificate for the node's name and addresses, asked for at each handshake: it is renewed while the agent runs.
    pub serving: Arc<dyn ResolvesServerCert>,
    /// CA of clients, PEM.
    pub client_ca: String,
    /// Common names that may use the server, e.g. `kube-apiserver-kubelet-client`.
    pub allowed_names: Vec<String>,
    /// Organisations (groups) that may use the server, e.g. `system:masters`.
    pub allowed_groups: Vec<String>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls")
            .field("allowed_names", &self.allowed_names)
            .field("allowed_groups", &self.allowed_groups)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Settings with the usual values; the caller sets addresses and TLS.
    pub fn new(node_name: impl Into<String>, tls: ServerTls) -> Self {
        Self {
            node_name: node_name.into(),
            addresses: Vec::new(),
            labels: BTreeMap::new(),
            data_dir: "/var/lib/minicloud/agent".into(),
            run_dir: "/run/minicloud/agent".into(),
            log_dir: "/var/log/pods".into(),
            cluster_dns: vec!["10.43.0.10".into()],
            cluster_domain: "cluster.local".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            max_pods: 110,
            pod_cidr: None,
            listen: SocketAddr::from(([0, 0, 0, 0], 10250)),
            tls,
            reserved: BTreeMap::new(),
            offline_after: Duration::from_secs(10),
            version: concat!("v1.36.0+minicloud.", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    pub(crate) fn host_ips(&self) -> Vec<String> {
        self.addresses.iter().map(ToString::to_string).collect()
    }
}
