//! What of an object matters for finding targets: little is kept of each, so that a watch costs little memory.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use minicloud_api::annotations;

/// Namespace (empty for none) and name.
pub type Key = (String, String);

type Annotations = BTreeMap<String, String>;

/// What the annotations ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `prometheus.io/scheme`: `http` or `https`.
    pub scheme: &'static str,
    /// `prometheus.io/path`.
    pub path: String,
    /// `prometheus.io/port`.
    pub port: Option<u16>,
}

impl Asked {
    /// Nothing unless `prometheus.io/scrape` is `true`. What cannot be used counts as absent.
    fn new(annotations: Option<&Annotations>) -> Option<Self> {
        let annotations = annotations?;
        let get = |name: &str| {
            annotations
                .get(&format!("prometheus.io/{name}"))
                .map(|v| v.trim())
        };
        (get("scrape")? == "true").then(|| Self {
            scheme: match get("scheme") {
                Some("https") => "https",
                _ => "http",
            },
            path: match get("path") {
                Some(path) if path.starts_with('/') => path.to_owned(),
                Some(path) if !path.is_empty() => format!("/{path}"),
                _ => "/metrics".to_owned(),
            },
            port: get("port").and_then(port),
        })
    }
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its InternalIP.
    pub address: Option<IpAddr>,
    /// Its annotation `minicloud.io/metrics-port`.
    pub metrics_port: Option<u16>,
}

/// A pod that asks to be scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRecord {
    /// How.
    pub asked: Asked,
    /// Its address while it runs.
    pub address: Option<IpAddr>,
    /// Its node.
    pub node: String,
    /// The TCP ports that its containers declare.
    pub ports: Vec<u16>,
}

/// A Service that asks to be scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// How.
    pub asked: Asked,
}

/// A piece of a Service's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceRecord {
    /// The Service.
    pub service: String,
    /// Its TCP ports.
    pub ports: Vec<u16>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointRecord>,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Its address.
    pub address: Option<IpAddr>,
    /// The pod behind it; empty when there is none.
    pub pod: String,
    /// Its node; empty when none is known.
    pub node: String,
}

/// What is kept of an object; nothing for one that does not matter.
pub trait Record<K>: Sized + PartialEq + Clone + Send + Sync + 'static {
    /// Looks at an object.
    fn of(object: &K) -> Option<Self>;
}

impl Record<Node> for NodeRecord {
    fn of(node: &Node) -> Option<Self> {
        let addresses = node.status.as_ref()?.addresses.as_deref().unwrap_or(&[]);
        let internal = addresses
            .iter()
            .find(|address| address.type_ == "InternalIP");
        Some(Self {
            address: internal.and_then(|address| address.address.parse().ok()),
            metrics_port: annotations::metrics_port(node.metadata.annotations.as_ref()),
        })
    }
}

impl Record<Pod> for PodRecord {
    fn of(pod: &Pod) -> Option<Self> {
        let asked = Asked::new(pod.metadata.annotations.as_ref())?;
        let status = pod.status.as_ref()?;
        let running = status.phase.as_deref() == Some("Running");
        let spec = pod.spec.as_ref()?;
        let declared = spec
            .containers
            .iter()
            .flat_map(|c| c.ports.iter().flatten());
        let mut ports: Vec<u16> = declared
            .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
            .filter_map(|port| number(port.container_port))
            .collect();
        ports.sort_unstable();
        ports.dedup();
        Some(Self {
            asked,
            address: status
                .pod_ip
                .as_ref()
                .filter(|_| running)
                .and_then(|ip| ip.parse().ok()),
            node: spec.node_name.clone().unwrap_or_default(),
            ports,
        })
    }
}

impl Record<Service> for ServiceRecord {
    fn of(service: &Service) -> Option<Self> {
        let asked = Asked::new(service.metadata.annotations.as_ref())?;
        Some(Self { asked })
    }
}

impl Record<EndpointSlice> for SliceRecord {
    fn of(slice: &EndpointSlice) -> Option<Self> {
        let labels = slice.metadata.labels.as_ref()?;
        let service = labels.get("kubernetes.io/service-name")?.clone();
        let ports = slice.ports.iter().flatten();
        let endpoints = slice.endpoints.iter().flatten().map(|endpoint| {
            let target = endpoint.target_ref.as_ref();
            let pod = target.filter(|target| target.kind.as_deref() == Some("Pod"));
            EndpointRecord {
                address: endpoint.addresses.first().and_then(|a| a.parse().ok()),
                pod: pod.and_then(|pod| pod.name.clone()).unwrap_or_default(),
                node: endpoint.node_name.clone().unwrap_or_default(),
            }
        });
        Some(Self {
            service,
            ports: ports
                .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
                .filter_map(|port| number(port.port?))
                .collect(),
            endpoints: endpoints.collect(),
        })
    }
}
