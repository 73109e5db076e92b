//! What proxy and DNS need to know of Services and EndpointSlices, and nothing more: a small copy instead of the objects.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::{Deserialize, Serialize};

/// `(namespace, name)`.
pub type Key = (String, String);

/// A transport protocol that Services know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("UDP") => Self::Udp,
            Some("SCTP") => Self::Sctp,
            _ => Self::Tcp,
        }
    }

    /// As nftables, DNS and conntrack write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// Its name, empty when it is the only one.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// The port at the Service's address.
    pub port: u16,
    /// The port at every node's address, when there is one.
    pub node_port: Option<u16>,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Its cluster addresses; empty for headless Services and external names.
    pub cluster_ips: Vec<Ipv4Addr>,
    /// Further addresses that it answers at: external ones and load balancers'.
    pub external_ips: Vec<Ipv4Addr>,
    /// The name it stands for, for external names.
    pub external_name: Option<String>,
    /// True for `clusterIP: None`.
    pub headless: bool,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// One client, one endpoint.
    pub client_affinity: bool,
    /// Traffic from inside goes to endpoints of the same node only.
    pub internal_local: bool,
    /// Traffic from outside goes to endpoints of the receiving node only, with the client's address kept.
    pub external_local: bool,
    /// Endpoints count before they are ready.
    pub publish_not_ready: bool,
}

/// An endpoint of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub ip: Ipv4Addr,
    /// Its host name within the Service's domain.
    pub hostname: Option<String>,
    /// The node it is on.
    pub node: Option<String>,
    /// New connections may go to it.
    pub ready: bool,
    /// It still answers, though it may be ending.
    pub serving: bool,
}

/// An EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SliceRecord {
    /// The Service it belongs to.
    pub service: String,
    /// `(name, protocol, port)`.
    pub ports: Vec<(String, Protocol, u16)>,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// All Services and EndpointSlices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// By namespace and name.
    #[serde(with = "pairs")]
    pub services: BTreeMap<Key, ServiceRecord>,
    /// By namespace and name of the slice.
    #[serde(with = "pairs")]
    pub slices: BTreeMap<Key, SliceRecord>,
}

/// A map as a list of pairs: JSON's keys are texts, ours are not.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Key;

    pub(super) fn serialize<V: Serialize, S: Serializer>(
        map: &BTreeMap<Key, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Key, V>, D::Error> {
        Vec::<(Key, V)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}

fn addresses<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<Ipv4Addr> {
    texts.into_iter().filter_map(|t| t.parse().ok()).collect()
}

fn port(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|p| *p != 0)
}

impl From<&Service> for ServiceRecord {
    fn from(service: &Service) -> Self {
        let Some(spec) = &service.spec else {
            return Self::default();
        };
        let headless = spec.cluster_ip.as_deref() == Some("None");
        let ips = spec
            .cluster_ips
            .clone()
            .or_else(|| spec.cluster_ip.clone().map(|ip| vec![ip]))
            .unwrap_or_default();
        let balancer = service
            .status
            .iter()
            .flat_map(|s| &s.load_balancer)
            .flat_map(|l| &l.ingress)
            .flatten();
        let mut external_ips = addresses(spec.external_ips.iter().flatten());
        external_ips.extend(balancer.filter_map(|i| i.ip.as_ref()?.parse::<Ipv4Addr>().ok()));
        Self {
            cluster_ips: addresses(&ips),
            external_ips,
            external_name: spec
                .external_name
                .clone()
                .filter(|_| spec.type_.as_deref() == Some("ExternalName")),
            headless,
            ports: spec
                .ports
                .iter()
                .flatten()
                .filter_map(|p| {
                    Some(ServicePort {
                        name: p.name.clone().unwrap_or_default(),
                        protocol: Protocol::parse(p.protocol.as_deref()),
                        port: port(p.port)?,
                        node_port: p.node_port.and_then(port),
                    })
                })
                .collect(),
            client_affinity: spec.session_affinity.as_deref() == Some("ClientIP"),
            internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            external_local: spec.external_traffic_policy.as_deref() == Some("Local"),
            publish_not_ready: spec.publish_not_ready_addresses == Some(true),
        }
    }
}

/// The label that names an EndpointSlice's Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

impl From<&EndpointSlice> for SliceRecord {
    fn from(slice: &EndpointSlice) -> Self {
        if slice.address_type != "IPv4" {
            return Self::default();
        }
        let labels = slice.metadata.labels.as_ref();
        let endpoint = |e: &k8s_openapi::api::discovery::v1::Endpoint| {
            let conditions = e.conditions.as_ref();
            let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
            let serving = conditions.and_then(|c| c.serving).unwrap_or(ready);
            let (hostname, node) = (e.hostname.clone(), e.node_name.clone());
            addresses(&e.addresses).into_iter().map(move |ip| Endpoint {
                ip,
                hostname: hostname.clone(),
                node: node.clone(),
                ready,
                serving,
            })
        };
        Self {
            service: labels
                .and_then(|l| l.get(SERVICE_NAME))
                .cloned()
                .unwrap_or_default(),
            ports: slice
                .ports
                .iter()
                .flatten()
                .filter_map(|p| {
                    let protocol = Protocol::parse(p.protocol.as_deref());
                    Some((p.name.clone().unwrap_or_default(), protocol, port(p.port?)?))
                })
                .collect(),
            endpoints: slice
                .endpoints
                .iter()
                .flatten()
                .flat_map(endpoint)
                .collect(),
        }
    }
}

impl State {
    /// The slices of a Service.
    pub fn slices_of<'a>(
        &'a self,
        namespace: &'a str,
        service: &'a str,
    ) -> impl Iterator<Item = &'a SliceRecord> {
        let from = (namespace.to_owned(), String::new());
        self.slices
            .range(from..)
            .take_while(move |((ns, _), _)| ns == namespace)
            .map(|(_, slice)| slice)
            .filter(move |slice| slice.service == service)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn config() -> crate::Config {
        crate::Config {
            node_name: "edge-1".into(),
            node_ip: Ipv4Addr::new(192, 0, 2, 1),
            pod_cidr: "10.42.0.0/16".parse().unwrap(),
            node_pod_cidr: "10.42.0.0/24".parse().unwrap(),
            service_cidr: "10.43.0.0/16".parse().unwrap(),
            cluster_dns: Ipv4Addr::new(10, 43, 0, 10),
            cluster_domain: "cluster.local".into(),
            run_dir: "/nowhere".into(),
            cni_conf_dir: "/nowhere".into(),
            cni_data_dir: "/nowhere".into(),
            resolv_conf: "/nowhere".into(),
        }
    }

    /// A state of Services and EndpointSlices given as JSON.
    pub(crate) fn state(objects: &[serde_json::Value]) -> State {
        let mut state = State::default();
        for object in objects {
            let key = (
                "default".to_owned(),
                object["metadata"]["name"].as_str().unwrap().to_owned(),
            );
            if object.get("addressType").is_some() {
                let slice: EndpointSlice = serde_json::from_value(object.clone()).unwrap();
                state.slices.insert(key, (&slice).into());
            } else {
                let service: Service = serde_json::from_value(object.clone()).unwrap();
                state.services.insert(key, (&service).into());
            }
        }
        state
    }

    #[test]
    fn what_is_not_usable_is_left_out() {
        let state = state(&[
            json!({"metadata": {"name": "a"}, "spec": {"clusterIPs": ["10.43.0.5", "fd00::5"],
                "ports": [{"port": 80}, {"port": 70000}, {"port": 53, "protocol": "UDP", "name": "dns"}]}}),
            json!({"metadata": {"name": "a-1", "labels": {"kubernetes.io/service-name": "a"}}, "addressType": "IPv4",
                "ports": [{"name": "", "port": 8080}],
                "endpoints": [{"addresses": ["10.42.0.2"]}, {"addresses": ["x"]},
                              {"addresses": ["10.42.0.3"], "conditions": {"ready": false, "serving": true}}]}),
        ]);
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        let service = &state.services[&("default".into(), "a".into())];
        assert_eq!(service.cluster_ips, [Ipv4Addr::new(10, 43, 0, 5)]);
        assert_eq!(service.ports.len(), 2);
        let slices: Vec<_> = state.slices_of("default", "a").collect();
        assert_eq!(slices.len(), 1);
        assert_eq!(
            slices[0]
                .endpoints
                .iter()
                .map(|e| (e.ready, e.serving))
                .collect::<Vec<_>>(),
            [(true, true), (false, true)]
        );
    }
}
