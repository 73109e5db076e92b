//! Mirrors Endpoints that somebody keeps by hand, for a Service without a selector, into EndpointSlices: service proxies
//! read only those.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{self as core, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use kube::ResourceExt;
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use crate::endpoint_slice::reconcile::{self, Group, Owner, carry_out, reconcile};
use crate::plumbing::informer::Key;
use crate::plumbing::objects::{controlled_by, is_deleting, label};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;
use crate::service_pods::{family, protocol};

const NAME: &str = "endpointslicemirroring-controller";
const MANAGED_BY: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// So many addresses of a subset are mirrored.
const MAX_PER_SUBSET: usize = 1000;

// ---- decide ----

/// True when the Endpoints are kept by hand for this Service and may be mirrored.
fn is_mirrored(endpoints: &Endpoints, service: Option<&Service>) -> bool {
    let spec = service.and_then(|s| s.spec.as_ref());
    spec.is_some_and(|s| s.selector.as_ref().is_none_or(BTreeMap::is_empty))
        && label(&endpoints.metadata, SKIP) != Some("true")
        && !endpoints.annotations().contains_key(LEADER)
        && !is_deleting(&endpoints.metadata)
}

fn groups(endpoints: &Endpoints) -> Vec<Group> {
    let mut groups: BTreeMap<(&'static str, String), Group> = BTreeMap::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports: Vec<EndpointPort> = subset.ports.iter().flatten().map(port).collect();
        let ports_text = serde_json::to_string(&ports).unwrap_or_default();
        let ready = subset.addresses.iter().flatten().map(|a| (a, true));
        let unready = subset
            .not_ready_addresses
            .iter()
            .flatten()
            .map(|a| (a, false));
        for (address, ready) in ready.chain(unready).take(MAX_PER_SUBSET) {
            let Some(address_type) = family(&address.ip) else {
                continue;
            };
            let group = groups
                .entry((address_type, ports_text.clone()))
                .or_insert_with(|| Group {
                    address_type,
                    ports: ports.clone(),
                    endpoints: Vec::new(),
                });
            group.endpoints.push(Endpoint {
                addresses: vec![address.ip.clone()],
                conditions: Some(EndpointConditions {
                    ready: Some(ready),
                    ..EndpointConditions::default()
                }),
                hostname: address.hostname.clone(),
                node_name: address.node_name.clone(),
                target_ref: address.target_ref.clone(),
                ..Endpoint::default()
            });
        }
    }
    groups.into_values().collect()
}

fn port(port: &core::EndpointPort) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(protocol(port.protocol.as_ref()).to_owned()),
        app_protocol: port.app_protocol.clone(),
    }
}

// ---- act ----

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let queue: Arc<Queue<Key>> = Arc::default();
    let add = queue.clone();
    shared.endpoints.on_change(move |change| {
        if let Some(endpoints) = change.latest() {
            add.add(Key::of(endpoints.as_ref()));
        }
    });
    let add = queue.clone();
    shared.services.on_change(move |change| {
        if let Some(service) = change.latest() {
            add.add(Key::of(service.as_ref()));
        }
    });
    let client = shared.client(NAME);
    let (shared, shutdown) = (shared.clone(), shutdown.clone());
    tasks.spawn(async move {
        shared.services.wait_synced().await;
        shared.endpoints.wait_synced().await;
        shared.endpoint_slices.wait_synced().await;
        let sync = |key: Key| {
            let (shared, client) = (shared.clone(), client.clone());
            async move {
                let service = shared.services.get(&key.namespace, &key.name);
                let endpoints = shared.endpoints.get(&key.namespace, &key.name);
                let mirrored = endpoints
                    .as_deref()
                    .filter(|e| is_mirrored(e, service.as_deref()));
                let existing = shared.endpoint_slices.in_namespace(&key.namespace);
                let owner = Owner {
                    namespace: key.namespace.clone(),
                    service: key.name.clone(),
                    reference: mirrored.and_then(controlled_by).unwrap_or_default(),
                    labels: mirrored.map(|e| e.labels().clone()).unwrap_or_default(),
                    annotations: BTreeMap::new(),
                    managed_by: MANAGED_BY,
                };
                let any = existing.iter().any(|s| {
                    label(&s.metadata, reconcile::MANAGED_BY) == Some(MANAGED_BY)
                        && label(&s.metadata, reconcile::SERVICE_NAME) == Some(&key.name)
                });
                if mirrored.is_none() && !any {
                    return Ok(());
                }
                let wanted = mirrored.map(groups).unwrap_or_default();
                carry_out(
                    &client,
                    &key.namespace,
                    reconcile(&owner, &existing, wanted),
                )
                .await
            }
        };
        queue.run(NAME, 2, shutdown, sync).await;
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn only_what_is_kept_by_hand_is_mirrored() {
        let check = |endpoints: Value, service: Option<Value>, expect: bool| {
            let service: Option<Service> = service.map(|s| from_value(s).unwrap());
            let got = is_mirrored(
                &from_value(json!({"metadata": endpoints})).unwrap(),
                service.as_ref(),
            );
            assert_eq!(got, expect, "{endpoints}");
        };
        let free = || Some(json!({"spec": {}}));
        check(json!({}), free(), true);
        check(json!({}), None, false);
        check(
            json!({}),
            Some(json!({"spec": {"selector": {"a": "b"}}})),
            false,
        );
        check(json!({"labels": {SKIP: "true"}}), free(), false);
        check(json!({"annotations": {LEADER: "x"}}), free(), false);
    }

    #[test]
    fn subsets_become_groups() {
        let endpoints: Endpoints = from_value(json!({"subsets": [
            {"addresses": [{"ip": "10.0.0.1", "hostname": "a"}, {"ip": "fd00::1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}],
             "ports": [{"name": "http", "port": 80}]}]}))
        .unwrap();
        let short: Vec<_> = groups(&endpoints)
            .iter()
            .map(|g| {
                let ends: Vec<_> = g
                    .endpoints
                    .iter()
                    .map(|e| {
                        (
                            e.addresses[0].clone(),
                            e.conditions.clone().unwrap().ready.unwrap(),
                        )
                    })
                    .collect();
                (g.address_type, g.ports[0].port, ends)
            })
            .collect();
        assert_eq!(
            short,
            [
                (
                    "IPv4",
                    Some(80),
                    vec![("10.0.0.1".into(), true), ("10.0.0.2".into(), false)]
                ),
                ("IPv6", Some(80), vec![("fd00::1".into(), true)]),
            ]
        );
    }
}
