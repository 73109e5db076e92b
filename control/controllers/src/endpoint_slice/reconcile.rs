//! From the endpoints that should be to the fewest writes: what is unchanged stays in its slice, gaps are filled before a
//! new slice is made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};

use crate::plumbing::objects::{Labels, label, short_hash};
use crate::plumbing::patch::{or_gone, update};

/// The label that names a slice's Service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that names who keeps a slice.
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Kubernetes' default and ours.
const MAX_ENDPOINTS: usize = 100;

/// What all slices of a Service have in common.
pub(crate) struct Owner {
    pub(crate) namespace: String,
    pub(crate) service: String,
    pub(crate) reference: OwnerReference,
    /// Beside those that every slice has.
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) managed_by: &'static str,
}

/// Endpoints of one address family with the same ports.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) address_type: &'static str,
    pub(crate) ports: Vec<EndpointPort>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Create(Box<EndpointSlice>),
    Update {
        old: Arc<EndpointSlice>,
        new: Box<EndpointSlice>,
    },
    Delete(Arc<EndpointSlice>),
}

/// Decides. `existing` may be all slices of the namespace; those of others are left alone.
pub(crate) fn reconcile(
    owner: &Owner,
    existing: &[Arc<EndpointSlice>],
    wanted: Vec<Group>,
) -> Vec<Action> {
    let mine: Vec<&Arc<EndpointSlice>> = existing
        .iter()
        .filter(|s| {
            label(&s.metadata, SERVICE_NAME) == Some(&owner.service)
                && label(&s.metadata, MANAGED_BY) == Some(owner.managed_by)
        })
        .collect();
    let mut names: Vec<String> = existing.iter().map(|s| s.name_any()).collect();
    let mut actions = Vec::new();
    let mut kept: Vec<&str> = Vec::new();
    for group in wanted {
        let (slices, fresh) = fill(owner, &mine, group, &mut names);
        for (old, new) in slices {
            kept.push(old.metadata.name.as_deref().unwrap_or_default());
            if **old != new {
                actions.push(Action::Update {
                    old: old.clone(),
                    new: Box::new(new),
                });
            }
        }
        actions.extend(
            fresh
                .into_iter()
                .map(|slice| Action::Create(Box::new(slice))),
        );
    }
    let unwanted = mine
        .iter()
        .filter(|s| !kept.contains(&s.metadata.name.as_deref().unwrap_or_default()));
    actions.extend(unwanted.map(|slice| Action::Delete(Arc::clone(slice))));
    actions
}

type Kept<'a> = Vec<(&'a Arc<EndpointSlice>, EndpointSlice)>;

/// Spreads a group over the slices that it has and over new ones.
fn fill<'a>(
    owner: &Owner,
    mine: &[&'a Arc<EndpointSlice>],
    group: Group,
    names: &mut Vec<String>,
) -> (Kept<'a>, Vec<EndpointSlice>) {
    let Group {
        address_type,
        ports,
        endpoints,
    } = group;
    let mut order: Vec<String> = Vec::new();
    let mut left: HashMap<String, Endpoint> = HashMap::new();
    for endpoint in endpoints {
        let id = identity(&endpoint);
        if left.insert(id.clone(), endpoint).is_none() {
            order.push(id);
        }
    }
    let empty = order.is_empty();
    let mut kept: Kept = Vec::new();
    for old in mine {
        let same =
            old.address_type == address_type && old.ports.as_deref().unwrap_or_default() == ports;
        if !same {
            continue;
        }
        let mut new = (***old).clone();
        let stay = old
            .endpoints
            .iter()
            .flatten()
            .filter_map(|e| left.remove(&identity(e)))
            .collect();
        new.endpoints = Some(stay);
        kept.push((old, dress(owner, new)));
    }
    let mut rest: Vec<Endpoint> = order.iter().filter_map(|id| left.remove(id)).collect();
    rest.reverse();
    // Slices that are written anyway take the newcomers first.
    let mut by_change: Vec<usize> = (0..kept.len()).collect();
    by_change.sort_by_key(|i| (*kept[*i].0).as_ref() == &kept[*i].1);
    for index in by_change {
        let ends = kept[index].1.endpoints.get_or_insert_default();
        while ends.len() < MAX_ENDPOINTS
            && let Some(endpoint) = rest.pop()
        {
            ends.push(endpoint);
        }
    }
    for (old, new) in &mut kept {
        // An empty list and none are the same; writing one for the other would never end.
        if new.endpoints.as_ref().is_none_or(Vec::is_empty)
            && old.endpoints.as_ref().is_none_or(Vec::is_empty)
        {
            new.endpoints.clone_from(&old.endpoints);
        }
    }
    // An empty slice goes, but the last one of a Service without endpoints stays as the sign that it has none.
    let all = kept.len();
    let mut dropped = 0;
    kept.retain(|(_, new)| {
        let none = new.endpoints.as_ref().is_none_or(Vec::is_empty);
        let drop = none && !(empty && dropped + 1 == all);
        dropped += usize::from(drop);
        !drop
    });
    let mut fresh = Vec::new();
    if empty && kept.is_empty() {
        fresh.push(new_slice(owner, address_type, &ports, Vec::new(), names));
    }
    while !rest.is_empty() {
        let from = rest.len().saturating_sub(MAX_ENDPOINTS);
        let mut ends = rest.split_off(from);
        ends.reverse();
        fresh.push(new_slice(owner, address_type, &ports, ends, names));
    }
    (kept, fresh)
}

/// An endpoint stays the same one as long as its pod and its addresses do.
fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint
        .target_ref
        .as_ref()
        .and_then(|t| t.uid.as_deref())
        .unwrap_or_default();
    format!("{uid} {}", endpoint.addresses.join(","))
}

fn new_slice(
    owner: &Owner,
    address_type: &str,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
    names: &mut Vec<String>,
) -> EndpointSlice {
    let ports_text = serde_json::to_string(ports).unwrap_or_default();
    let mut number = 0_u32;
    let name = loop {
        let suffix = short_hash(&[
            &owner.reference.uid,
            owner.managed_by,
            address_type,
            &ports_text,
            &number.to_string(),
        ]);
        let name = format!("{}-{suffix}", owner.service);
        if !names.contains(&name) {
            break name;
        }
        number += 1;
    };
    names.push(name.clone());
    let slice = EndpointSlice {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(owner.namespace.clone()),
            ..ObjectMeta::default()
        },
        address_type: address_type.to_owned(),
        ports: Some(ports.to_vec()).filter(|ports| !ports.is_empty()),
        endpoints: Some(endpoints),
    };
    dress(owner, slice)
}

/// Puts on what every slice of the Service has.
fn dress(owner: &Owner, mut slice: EndpointSlice) -> EndpointSlice {
    let mut labels = owner.labels.clone();
    labels.insert(SERVICE_NAME.into(), owner.service.clone());
    labels.insert(MANAGED_BY.into(), owner.managed_by.into());
    slice.metadata.labels = Some(labels);
    if !owner.annotations.is_empty() || slice.metadata.annotations.is_some() {
        let mut annotations: BTreeMap<_, _> = slice.metadata.annotations.take().unwrap_or_default();
        annotations.extend(owner.annotations.clone());
        slice.metadata.annotations = Some(annotations);
    }
    slice.metadata.owner_references = Some(vec![owner.reference.clone()]);
    slice
}

/// Writes.
pub(crate) async fn carry_out(
    client: &Client,
    namespace: &str,
    actions: Vec<Action>,
) -> anyhow::Result<()> {
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    for action in actions {
        match action {
            Action::Create(slice) => {
                api.create(&PostParams::default(), &slice).await?;
            }
            Action::Update { old, new } => {
                update(&api, &*old, &new).await?;
            }
            Action::Delete(slice) => {
                let only = Preconditions {
                    uid: slice.uid(),
                    resource_version: None,
                };
                or_gone(
                    api.delete(
                        &slice.name_any(),
                        &DeleteParams::default().preconditions(only),
                    )
                    .await,
                )?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            namespace: "ns".into(),
            service: "web".into(),
            reference: OwnerReference {
                uid: "svc".into(),
                ..OwnerReference::default()
            },
            labels: Labels::from([("team".into(), "a".into())]),
            annotations: Labels::new(),
            managed_by: "me",
        }
    }

    fn group(port: i32, ips: impl IntoIterator<Item = usize>) -> Group {
        let endpoint = |n: usize| Endpoint {
            addresses: vec![format!("10.0.{}.{}", n / 256, n % 256)],
            ..Endpoint::default()
        };
        Group {
            address_type: "IPv4",
            ports: vec![EndpointPort {
                port: Some(port),
                ..EndpointPort::default()
            }],
            endpoints: ips.into_iter().map(endpoint).collect(),
        }
    }

    /// Applies the actions, and says how many of each kind there were.
    fn apply(slices: &mut Vec<Arc<EndpointSlice>>, wanted: Vec<Group>) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for action in reconcile(&owner(), slices, wanted) {
            match action {
                Action::Create(slice) => {
                    counts.0 += 1;
                    assert!(!slices.iter().any(|s| s.name_any() == slice.name_any()));
                    slices.push(Arc::new(*slice));
                }
                Action::Update { old, new } => {
                    counts.1 += 1;
                    let at = slices
                        .iter()
                        .position(|s| s.name_any() == old.name_any())
                        .unwrap();
                    slices[at] = Arc::new(*new);
                }
                Action::Delete(slice) => {
                    counts.2 += 1;
                    slices.retain(|s| s.name_any() != slice.name_any());
                }
            }
        }
        counts
    }

    fn sizes(slices: &[Arc<EndpointSlice>]) -> Vec<usize> {
        slices
            .iter()
            .map(|s| s.endpoints.as_ref().map_or(0, Vec::len))
            .collect()
    }

    #[test]
    fn slices_change_as_little_as_possible() {
        let mut slices = Vec::new();
        assert_eq!(apply(&mut slices, vec![group(80, [])]), (1, 0, 0));
        assert_eq!(apply(&mut slices, vec![group(80, [])]), (0, 0, 0));
        assert_eq!(apply(&mut slices, vec![group(80, 0..3)]), (0, 1, 0));
        assert_eq!(apply(&mut slices, vec![group(80, 0..250)]), (2, 1, 0));
        assert_eq!(sizes(&slices), [100, 100, 50]);
        assert_eq!(apply(&mut slices, vec![group(80, 0..250)]), (0, 0, 0));
        // One goes, one comes: one slice is written.
        assert_eq!(apply(&mut slices, vec![group(80, 1..251)]), (0, 1, 0));
        assert_eq!(sizes(&slices).iter().sum::<usize>(), 250);
        // Other ports are other slices.
        assert_eq!(
            apply(&mut slices, vec![group(80, 1..251), group(81, 300..301)]),
            (1, 0, 0)
        );
        assert_eq!(apply(&mut slices, vec![group(80, 1..2)]).2, 3);
        assert_eq!(apply(&mut slices, vec![group(80, [])]), (0, 1, 0));
        assert_eq!(sizes(&slices), [0]);
    }

    #[test]
    fn slices_of_others_are_left_alone_and_labels_are_kept_right() {
        let mut slices = Vec::new();
        apply(&mut slices, vec![group(80, 0..1)]);
        let mut foreign = (*slices[0]).clone();
        foreign.metadata.name = Some("foreign".into());
        foreign
            .labels_mut()
            .insert(MANAGED_BY.into(), "other".into());
        slices.push(Arc::new(foreign));
        let mut bare = (*slices[0]).clone();
        bare.metadata.labels.as_mut().unwrap().remove("team");
        slices[0] = Arc::new(bare);
        assert_eq!(apply(&mut slices, vec![group(80, 0..1)]), (0, 1, 0));
        assert_eq!(slices[0].labels()["team"], "a");
        assert_eq!(slices.len(), 2);
    }
}
