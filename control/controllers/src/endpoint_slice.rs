//! EndpointSlices of Services that select pods: the addresses behind each Service, in slices of at most 100.
//!
//! A slice's name follows from its Service, its ports and its number, so a stale cache cannot make a second one.

pub(crate) mod reconcile;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use kube::{Client, ResourceExt};
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use self::reconcile::{Group, Owner, carry_out, reconcile};
use crate::plumbing::events::{Kind, Recorder};
use crate::plumbing::informer::{Informer, Key};
use crate::plumbing::objects::{controlled_by, is_deleting, is_ready, label, node_name, reference};
use crate::plumbing::patch::is_namespace_terminating;
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;
use crate::service_pods::{
    HEADLESS, addresses, behind, families, hostname, is_headless, port_number, protocol,
    publishes_unready, selector, wake_services,
};

const NAME: &str = "endpointslice-controller";
const MANAGED_BY: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

// ---- decide ----

/// What the Service's slices should hold: per address family and set of ports, the endpoints.
fn groups(
    service: &Service,
    pods: &[Arc<Pod>],
    zone_of: &dyn Fn(&str) -> Option<String>,
) -> Vec<Group> {
    let mut groups: BTreeMap<(usize, String), Group> = BTreeMap::new();
    for (order, family) in families(service).into_iter().enumerate() {
        for pod in pods {
            let addresses = addresses(pod, family);
            if addresses.is_empty() {
                continue;
            }
            let ports = ports(service, pod);
            let key = serde_json::to_string(&ports).unwrap_or_default();
            let group = groups.entry((order, key)).or_insert_with(|| Group {
                address_type: family,
                ports,
                endpoints: Vec::new(),
            });
            group
                .endpoints
                .push(endpoint(service, pod, addresses, zone_of));
        }
        if !groups.keys().any(|(of, _)| *of == order) {
            let none = Group {
                address_type: family,
                ports: Vec::new(),
                endpoints: Vec::new(),
            };
            groups.insert((order, String::new()), none);
        }
    }
    groups.into_values().collect()
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.iter().flat_map(|s| s.ports.iter().flatten());
    ports
        .filter_map(|port| {
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(port_number(pod, port)?),
                protocol: Some(protocol(port.protocol.as_ref()).to_owned()),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect()
}

fn endpoint(
    service: &Service,
    pod: &Pod,
    addresses: Vec<String>,
    zone_of: &dyn Fn(&str) -> Option<String>,
) -> Endpoint {
    let serving = is_ready(pod);
    let terminating = is_deleting(&pod.metadata);
    let node = Some(node_name(pod)).filter(|node| !node.is_empty());
    Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(publishes_unready(service) || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(pod, service),
        node_name: node.map(str::to_owned),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.namespace(),
            name: pod.metadata.name.clone(),
            uid: pod.uid(),
            ..ObjectReference::default()
        }),
        zone: node.and_then(zone_of),
        ..Endpoint::default()
    }
}

fn owner(service: &Service) -> Option<Owner> {
    let mut labels = service.labels().clone();
    if is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    Some(Owner {
        namespace: service.namespace()?,
        service: service.name_any(),
        reference: controlled_by(service)?,
        labels,
        annotations: BTreeMap::new(),
        managed_by: MANAGED_BY,
    })
}

// ---- act ----

struct Controller {
    shared: Arc<Shared>,
    client: Client,
    events: Recorder,
}

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let queue: Arc<Queue<Key>> = Arc::default();
    let add = queue.clone();
    shared.services.on_change(move |change| {
        if let Some(service) = &change.new {
            add.add(Key::of(service.as_ref()));
        }
    });
    let (add, services) = (queue.clone(), shared.services.clone());
    shared
        .pods
        .on_change(move |change| wake_services(&services, &add, change));
    let add = queue.clone();
    shared.endpoint_slices.on_change(move |change| {
        if let Some(slice) = change.latest()
            && label(&slice.metadata, reconcile::MANAGED_BY) == Some(MANAGED_BY)
            && let Some(service) = label(&slice.metadata, reconcile::SERVICE_NAME)
        {
            add.add(Key::new(slice.namespace().unwrap_or_default(), service));
        }
    });
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        events: shared.recorder(&client, NAME),
        client,
    });
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        this.shared.services.wait_synced().await;
        this.shared.pods.wait_synced().await;
        this.shared.nodes.wait_synced().await;
        this.shared.endpoint_slices.wait_synced().await;
        let work = |key| {
            let this = this.clone();
            async move { this.sync(key).await }
        };
        queue.run(NAME, 4, shutdown, work).await;
    });
}

impl Controller {
    async fn sync(&self, key: Key) -> anyhow::Result<()> {
        let Some(service) = self.shared.services.get(&key.namespace, &key.name) else {
            // The garbage collector takes the slices, which the Service owns.
            return Ok(());
        };
        if selector(&service).is_none() || is_deleting(&service.metadata) {
            return Ok(());
        }
        let Some(owner) = owner(&service) else {
            return Ok(());
        };
        let nodes = self.shared.nodes.clone();
        let wanted = groups(&service, &behind(&self.shared.pods, &service), &|node| {
            zone(&nodes, node)
        });
        let existing = self.shared.endpoint_slices.in_namespace(&key.namespace);
        let actions = reconcile(&owner, &existing, wanted);
        match carry_out(&self.client, &key.namespace, actions).await {
            Err(error) if error.downcast_ref().is_some_and(is_namespace_terminating) => Ok(()),
            Err(error) => {
                if !error
                    .downcast_ref()
                    .is_some_and(|e| crate::plumbing::patch::is_code(e, 409))
                {
                    let said =
                        format!("Error updating Endpoint Slices for Service {key}: {error:#}");
                    self.events.emit(
                        &reference(&*service),
                        Kind::Warning,
                        "FailedToUpdateEndpointSlices",
                        said,
                    );
                }
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

fn zone(nodes: &Informer<Node>, node: &str) -> Option<String> {
    nodes.get("", node)?.labels().get(ZONE).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        from_value(
            json!({"metadata": {"name": "web", "namespace": "ns", "uid": "svc"}, "spec": spec}),
        )
        .unwrap()
    }

    fn pod(name: &str, ip: &str, ready: bool, extra: Value) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "ns", "uid": name},
            "spec": {"nodeName": "n1", "hostname": name, "subdomain": "web",
                "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": status}]}
        });
        if let Some(extra) = extra.as_object() {
            for (key, value) in extra {
                pod["metadata"][key] = value.clone();
            }
        }
        Arc::new(from_value(pod).unwrap())
    }

    /// Each group in short: `ports: ip[r][s][t]…`.
    fn short(service: &Service, pods: &[Arc<Pod>]) -> Vec<String> {
        groups(service, pods, &|_| Some("z".into()))
            .into_iter()
            .map(|group| {
                let ports: Vec<_> = group
                    .ports
                    .iter()
                    .map(|p| format!("{}/{}", p.name.as_deref().unwrap(), p.port.unwrap()))
                    .collect();
                let ends: Vec<_> = group
                    .endpoints
                    .iter()
                    .map(|e| {
                        let c = e.conditions.as_ref().unwrap();
                        let flag = |on: Option<bool>, letter: &'static str| {
                            if on == Some(true) { letter } else { "" }
                        };
                        format!(
                            "{} {}{}{}",
                            e.addresses[0],
                            flag(c.ready, "r"),
                            flag(c.serving, "s"),
                            flag(c.terminating, "t")
                        )
                    })
                    .collect();
                format!(
                    "{} {}: {}",
                    group.address_type,
                    ports.join(","),
                    ends.join(", ")
                )
            })
            .collect()
    }

    #[test]
    fn pods_become_endpoints() {
        let http = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
        let gone = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let pods = [
            pod("a", "10.0.0.1", true, json!({})),
            pod("b", "10.0.0.2", false, json!({})),
            pod("c", "10.0.0.3", true, gone),
            pod("d", "", true, json!({})),
        ];
        let check = |spec: Value, pods: &[Arc<Pod>], expect: &[&str]| {
            assert_eq!(short(&service(spec.clone()), pods), expect, "{spec}")
        };
        check(
            json!({"ports": http}),
            &pods,
            &["IPv4 http/8080: 10.0.0.1 rs, 10.0.0.2 , 10.0.0.3 st"],
        );
        check(
            json!({"ports": http, "publishNotReadyAddresses": true}),
            &pods,
            &["IPv4 http/8080: 10.0.0.1 rs, 10.0.0.2 r, 10.0.0.3 rst"],
        );
        check(
            json!({"ports": [{"port": 80}]}),
            &pods[..1],
            &["IPv4 /80: 10.0.0.1 rs"],
        );
        check(
            json!({"ports": [{"port": 80, "targetPort": 81}, {"name": "x", "port": 90, "targetPort": "none"}]}),
            &pods[..1],
            &["IPv4 /81: 10.0.0.1 rs"],
        );
        check(
            json!({"clusterIP": "None"}),
            &pods[..1],
            &["IPv4 : 10.0.0.1 rs"],
        );
        check(json!({"ports": http}), &[], &["IPv4 : "]);
        check(
            json!({"ports": [{"port": 80}], "ipFamilies": ["IPv6", "IPv4"]}),
            &pods[..1],
            &["IPv6 : ", "IPv4 /80: 10.0.0.1 rs"],
        );
    }

    #[test]
    fn pods_whose_named_port_differs_get_slices_of_their_own() {
        let mut other = (*pod("b", "10.0.0.2", true, json!({}))).clone();
        other.spec.as_mut().unwrap().containers[0]
            .ports
            .as_mut()
            .unwrap()[0]
            .container_port = 9090;
        let pods = [pod("a", "10.0.0.1", true, json!({})), Arc::new(other)];
        let web = service(json!({"ports": [{"name": "h", "port": 80, "targetPort": "http"}]}));
        assert_eq!(
            short(&web, &pods),
            ["IPv4 h/8080: 10.0.0.1 rs", "IPv4 h/9090: 10.0.0.2 rs"]
        );
    }

    #[test]
    fn an_endpoint_says_whose_it_is() {
        let group = &groups(
            &service(json!({})),
            &[pod("a", "10.0.0.1", true, json!({}))],
            &|_| Some("z".into()),
        )[0];
        let expect = json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
            "hostname": "a", "nodeName": "n1", "zone": "z", "targetRef": {"kind": "Pod", "namespace": "ns", "name": "a", "uid": "a"}});
        assert_eq!(serde_json::to_value(&group.endpoints[0]).unwrap(), expect);
    }
}
