//! Endpoints of Services that select pods: the older form of EndpointSlices, which clients still read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, ResourceExt};
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use crate::plumbing::informer::Key;
use crate::plumbing::objects::{is_deleting, is_ready, label, node_name};
use crate::plumbing::patch::{is_namespace_terminating, or_gone, update};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;
use crate::service_pods::{
    HEADLESS, addresses, behind, families, hostname, is_headless, port_number, protocol,
    publishes_unready, selector, wake_services,
};

const NAME: &str = "endpoint-controller";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MAX_ADDRESSES: usize = 1000;

// ---- decide ----

/// The Endpoints as they should be, built on those that are.
fn wanted(service: &Service, pods: &[Arc<Pod>], have: Option<&Endpoints>) -> Endpoints {
    let mut endpoints = have.cloned().unwrap_or_else(|| Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        subsets: None,
    });
    let mut labels = service.labels().clone();
    labels.insert(MANAGED_BY.into(), NAME.into());
    if is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    endpoints.metadata.labels = Some(labels);
    let (subsets, truncated) = subsets(service, pods);
    if truncated {
        endpoints
            .annotations_mut()
            .insert(OVER_CAPACITY.into(), "truncated".into());
    } else if let Some(annotations) = &mut endpoints.metadata.annotations {
        annotations.remove(OVER_CAPACITY);
    }
    endpoints.subsets = (!subsets.is_empty()).then_some(subsets);
    endpoints
}

/// By IP.
type Addresses = BTreeMap<String, EndpointAddress>;

/// Addresses with the same ports share a subset. Ready ones go first when there are too many.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> (Vec<EndpointSubset>, bool) {
    let publish = publishes_unready(service);
    let family = families(service)[0];
    let mut groups: BTreeMap<String, (Vec<EndpointPort>, [Addresses; 2])> = BTreeMap::new();
    let alive = |pod: &&Arc<Pod>| publish || !is_deleting(&pod.metadata);
    let (ready, unready): (Vec<_>, Vec<_>) = pods
        .iter()
        .filter(alive)
        .partition(|pod| publish || is_ready(pod));
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut truncated = false;
    for (pods, at) in [(ready, 0), (unready, 1)] {
        for pod in pods {
            let Some(ip) = addresses(pod, family).into_iter().next() else {
                continue;
            };
            if seen.len() >= MAX_ADDRESSES && !seen.contains(&ip) {
                truncated = true;
                continue;
            }
            seen.insert(ip.clone());
            let ports = ports(service, pod);
            let key = serde_json::to_string(&ports).unwrap_or_default();
            let (_, addresses) = groups
                .entry(key)
                .or_insert_with(|| (ports, Default::default()));
            addresses[at].insert(ip.clone(), address(service, pod, ip));
        }
    }
    let some = |list: Vec<EndpointAddress>| (!list.is_empty()).then_some(list);
    let subsets = groups
        .into_values()
        .map(|(ports, [ready, unready])| EndpointSubset {
            addresses: some(ready.into_values().collect()),
            not_ready_addresses: some(unready.into_values().collect()),
            ports: (!ports.is_empty()).then_some(ports),
        });
    (subsets.collect(), truncated)
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.iter().flat_map(|s| s.ports.iter().flatten());
    let mut all: Vec<EndpointPort> = ports
        .filter_map(|port| {
            Some(EndpointPort {
                name: port.name.clone().filter(|name| !name.is_empty()),
                port: port_number(pod, port)?,
                protocol: Some(protocol(port.protocol.as_ref()).to_owned()),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    all.sort_by(|a, b| (a.port, &a.protocol, &a.name).cmp(&(b.port, &b.protocol, &b.name)));
    all
}

fn address(service: &Service, pod: &Pod, ip: String) -> EndpointAddress {
    EndpointAddress {
        ip,
        hostname: hostname(pod, service),
        node_name: Some(node_name(pod).to_owned()).filter(|node| !node.is_empty()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.namespace(),
            name: pod.metadata.name.clone(),
            uid: pod.uid(),
            ..ObjectReference::default()
        }),
    }
}

// ---- act ----

struct Controller {
    shared: Arc<Shared>,
    client: Client,
}

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let queue: Arc<Queue<Key>> = Arc::default();
    let add = queue.clone();
    shared.services.on_change(move |change| {
        if let Some(service) = change.latest() {
            add.add(Key::of(service.as_ref()));
        }
    });
    let (add, services) = (queue.clone(), shared.services.clone());
    shared
        .pods
        .on_change(move |change| wake_services(&services, &add, change));
    let add = queue.clone();
    shared.endpoints.on_change(move |change| {
        if let Some(endpoints) = change.latest() {
            add.add(Key::of(endpoints.as_ref()));
        }
    });
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        client,
    });
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        this.shared.services.wait_synced().await;
        this.shared.pods.wait_synced().await;
        this.shared.endpoints.wait_synced().await;
        let work = |key| {
            let this = this.clone();
            async move { this.sync(key).await }
        };
        queue.run(NAME, 4, shutdown, work).await;
    });
}

impl Controller {
    async fn sync(&self, key: Key) -> anyhow::Result<()> {
        let api: Api<Endpoints> = Api::namespaced(self.client.clone(), &key.namespace);
        let have = self.shared.endpoints.get(&key.namespace, &key.name);
        let Some(service) = self.shared.services.get(&key.namespace, &key.name) else {
            let ours = have.is_some_and(|e| label(&e.metadata, MANAGED_BY) == Some(NAME));
            if ours {
                or_gone(api.delete(&key.name, &DeleteParams::default()).await)?;
            }
            return Ok(());
        };
        if selector(&service).is_none() || is_deleting(&service.metadata) {
            return Ok(());
        }
        let new = wanted(
            &service,
            &behind(&self.shared.pods, &service),
            have.as_deref(),
        );
        let result = match have {
            Some(have) => update(&api, &*have, &new).await.map(drop),
            None => api
                .create(&PostParams::default(), &new)
                .await
                .map(drop)
                .map_err(Into::into),
        };
        match result {
            Err(error) if error.downcast_ref().is_some_and(is_namespace_terminating) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn pod(name: &str, ip: &str, ready: bool, deleting: bool) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        let deleted = deleting.then_some("2026-01-01T00:00:00Z");
        Arc::new(
            from_value(json!({
                "metadata": {"name": name, "namespace": "ns", "uid": name, "deletionTimestamp": deleted},
                "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
                "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": status}]}
            }))
            .unwrap(),
        )
    }

    fn service(spec: Value) -> Service {
        from_value(json!({"metadata": {"name": "web", "namespace": "ns", "labels": {"a": "b"}}, "spec": spec})).unwrap()
    }

    #[test]
    fn addresses_are_sorted_by_readiness_and_ports() {
        let pods = [
            pod("b", "10.0.0.2", true, false),
            pod("a", "10.0.0.1", true, false),
            pod("c", "10.0.0.3", false, false),
            pod("d", "10.0.0.4", true, true),
            pod("e", "", true, false),
        ];
        let check = |spec: Value, expect: Value| {
            let (subsets, _) = subsets(&service(spec.clone()), &pods);
            let short: Vec<Value> = subsets
                .iter()
                .map(|s| {
                    let ips = |list: &Option<Vec<EndpointAddress>>| {
                        list.iter()
                            .flatten()
                            .map(|a| a.ip.clone())
                            .collect::<Vec<_>>()
                    };
                    let ports: Vec<_> = s.ports.iter().flatten().map(|p| p.port).collect();
                    json!([ips(&s.addresses), ips(&s.not_ready_addresses), ports])
                })
                .collect();
            assert_eq!(json!(short), expect, "{spec}");
        };
        let named =
            json!([{"name": "h", "port": 80, "targetPort": "http"}, {"name": "m", "port": 9}]);
        check(
            json!({"ports": named}),
            json!([[["10.0.0.1", "10.0.0.2"], ["10.0.0.3"], [9, 8080]]]),
        );
        check(
            json!({"ports": [{"port": 80}], "publishNotReadyAddresses": true}),
            json!([[["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], [], [80]]]),
        );
        check(
            json!({"clusterIP": "None"}),
            json!([[["10.0.0.1", "10.0.0.2"], ["10.0.0.3"], []]]),
        );
    }

    #[test]
    fn too_many_addresses_are_cut_and_said_to_be() {
        let pods: Vec<_> = (0..1200)
            .map(|n| {
                pod(
                    &n.to_string(),
                    &format!("10.1.{}.{}", n / 256, n % 256),
                    n >= 300,
                    false,
                )
            })
            .collect();
        let got = wanted(&service(json!({"ports": [{"port": 80}]})), &pods, None);
        let subset = &got.subsets.as_ref().unwrap()[0];
        assert_eq!(
            (
                subset.addresses.as_ref().unwrap().len(),
                subset.not_ready_addresses.as_ref().unwrap().len()
            ),
            (900, 100)
        );
        assert_eq!(got.annotations()[OVER_CAPACITY], "truncated");
        assert_eq!(
            serde_json::to_value(got.labels()).unwrap(),
            json!({"a": "b", MANAGED_BY: NAME})
        );
        let calm = wanted(
            &service(json!({"ports": [{"port": 80}]})),
            &pods[..1],
            Some(&got),
        );
        assert!(!calm.annotations().contains_key(OVER_CAPACITY));
    }
}
