//! What a certificate says: the identities of a cluster and their names, as Kubernetes' components expect them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use minicloud_api::user::{GROUP_MASTERS, GROUP_NODES, NODE_USER_PREFIX};

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// TLS servers.
    Server,
    /// TLS clients.
    Client,
    /// Both: a peer that serves and calls under one name.
    Both,
}

/// One certificate's subject, names and use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertSpec {
    /// CN: the user name of a client.
    pub common_name: String,
    /// O: the groups of a client.
    pub organizations: Vec<String>,
    /// What it may be used for.
    pub usage: Usage,
    /// DNS names of a server.
    pub dns_names: Vec<String>,
    /// Addresses of a server.
    pub addresses: Vec<IpAddr>,
    /// How long it lasts, in days.
    pub lifetime_days: u32,
}

/// How a server is reached, beside `localhost` and the loopback addresses.
#[derive(Debug, Clone, Default)]
pub struct ServerNames {
    /// The machine's host name.
    pub hostname: String,
    /// The cluster domain, `cluster.local`.
    pub cluster_domain: String,
    /// The ClusterIP of the Service `kubernetes`.
    pub service_ip: Option<IpAddr>,
    /// The addresses that clients and nodes use.
    pub advertise_addresses: Vec<IpAddr>,
    /// Further DNS names.
    pub extra_names: Vec<String>,
}

const YEAR_DAYS: u32 = 365;
/// More than the CA lasts, which bounds it.
const AS_LONG_AS_THE_CA_DAYS: u32 = 3650;

impl CertSpec {
    /// A client certificate for any user and groups, one year.
    pub fn client(
        user: impl Into<String>,
        groups: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            common_name: user.into(),
            organizations: groups.into_iter().map(Into::into).collect(),
            usage: Usage::Client,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            lifetime_days: YEAR_DAYS,
        }
    }

    /// The same for a key that stays in this process's memory: it cannot be stolen from a disk, and a client that was made
    /// from it cannot be renewed, so it lasts as long as the CA.
    #[must_use]
    pub fn in_memory(self) -> Self {
        Self {
            lifetime_days: AS_LONG_AS_THE_CA_DAYS,
            ..self
        }
    }

    /// The API server's (and port 3000's) serving certificate.
    pub fn api_server(names: &ServerNames) -> Self {
        let domain = &names.cluster_domain;
        let mut dns_names: Vec<String> =
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
                .map(str::to_owned)
                .to_vec();
        if !domain.is_empty() {
            dns_names.push(format!("kubernetes.default.svc.{domain}"));
        }
        Self::server("kube-apiserver", dns_names, names)
    }

    /// The serving certificate of a node's agent (port 10250).
    pub fn agent_server(node: &str, names: &ServerNames) -> Self {
        Self::server(
            &format!("{NODE_USER_PREFIX}{node}"),
            vec![node.to_owned()],
            names,
        )
    }

    fn server(common_name: &str, mut dns_names: Vec<String>, names: &ServerNames) -> Self {
        dns_names.push("localhost".to_owned());
        dns_names.push(names.hostname.clone());
        dns_names.extend(names.extra_names.iter().cloned());
        let mut addresses = vec![
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        addresses.extend(names.service_ip);
        addresses.extend(&names.advertise_addresses);
        Self {
            usage: Usage::Server,
            dns_names: unique(dns_names.into_iter().filter(|name| !name.is_empty())),
            addresses: unique(addresses),
            ..Self::client(common_name, [] as [&str; 0])
        }
    }

    /// `kubernetes-admin` in `system:masters`: may do anything.
    pub fn admin() -> Self {
        Self::client("kubernetes-admin", [GROUP_MASTERS])
    }

    /// The controllers.
    pub fn controller_manager() -> Self {
        Self::client("system:kube-controller-manager", [] as [&str; 0])
    }

    /// The scheduler.
    pub fn scheduler() -> Self {
        Self::client("system:kube-scheduler", [] as [&str; 0])
    }

    /// The service proxy.
    pub fn service_proxy() -> Self {
        Self::client("system:kube-proxy", [] as [&str; 0])
    }

    /// The listener on port 3000: asks who a caller is and what it may do.
    pub fn listener() -> Self {
        Self::client("system:minicloud-listener", [] as [&str; 0])
    }

    /// The API server as a client of port 3000, where parts answer for API groups that it does not hold itself. It has no rights
    /// at the API.
    pub fn aggregator() -> Self {
        Self::client("system:minicloud-aggregator", [] as [&str; 0])
    }

    /// What lists objects for `/metrics/state`: the only one of our identities there that may list Secrets.
    pub fn state_metrics() -> Self {
        Self::client("system:minicloud-state", [] as [&str; 0])
    }

    /// The Prometheus that collects this cluster's metrics. Its rights are those of the group `system:minicloud-metrics`.
    pub fn prometheus() -> Self {
        Self::client("system:minicloud-prometheus", ["system:minicloud-metrics"])
    }

    /// What reads Probes and writes what came of them.
    pub fn probes() -> Self {
        Self::client("system:minicloud-probes", [] as [&str; 0])
    }

    /// A node's agent.
    pub fn node(node: &str) -> Self {
        Self::client(format!("{NODE_USER_PREFIX}{node}"), [GROUP_NODES])
    }

    /// The API server as a client of the node agents. Agents serve logs and exec to this identity only; it has no rights
    /// at the API but `system:kubelet-api-admin`.
    pub fn kubelet_client() -> Self {
        Self::client("kube-apiserver-kubelet-client", [] as [&str; 0])
    }

    /// One of the controllers, as the service account that Kubernetes gives it in `kube-system`.
    pub fn controller(name: &str) -> Self {
        Self::client(
            format!("system:serviceaccount:kube-system:{name}"),
            [
                "system:serviceaccounts",
                "system:serviceaccounts:kube-system",
            ],
        )
    }
}

fn unique<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut out = Vec::new();
    for item in items {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}
