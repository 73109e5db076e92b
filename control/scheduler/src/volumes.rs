//! Claims of a pod: where bound volumes allow it to run, and for claims that wait for their first consumer, which volume or
//! which provisioning a node would mean. Pure.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm};
use k8s_openapi::api::storage::v1::StorageClass;
use minicloud_api::quantity::Quantity;
use minicloud_api::selector::LabelSelector;

use crate::cluster::{ClaimKey, Cluster};
use crate::filter::{Refusal, Rule};
use crate::pod::PodInfo;
use crate::terms::{Labels, NodeTerm, label_selector, node_terms, selects};

/// The node for which a claim is to be provisioned.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// What decides in a PersistentVolume.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Volume {
    class: String,
    modes: Vec<String>,
    capacity: Quantity,
    volume_mode: String,
    labels: Labels,
    /// One of these must fit the node, if there are any.
    nodes: Option<Vec<NodeTerm>>,
    /// Namespace, name and UID (perhaps empty) of the claim that has it.
    claim: Option<(ClaimKey, String)>,
    available: bool,
}

impl Volume {
    /// Reads a volume.
    pub(crate) fn read(volume: &PersistentVolume) -> Self {
        let spec = volume.spec.clone().unwrap_or_default();
        let phase = volume.status.as_ref().and_then(|s| s.phase.as_deref());
        Self {
            class: spec.storage_class_name.unwrap_or_default(),
            modes: spec.access_modes.unwrap_or_default(),
            capacity: storage(spec.capacity.as_ref()),
            volume_mode: spec.volume_mode.unwrap_or_else(|| "Filesystem".into()),
            labels: volume.metadata.labels.clone().unwrap_or_default(),
            nodes: spec
                .node_affinity
                .and_then(|a| a.required)
                .map(|s| node_terms(&s)),
            claim: spec.claim_ref.map(|c| {
                let key = (c.namespace.unwrap_or_default(), c.name.unwrap_or_default());
                (key, c.uid.unwrap_or_default())
            }),
            available: volume.metadata.deletion_timestamp.is_none()
                && matches!(phase, None | Some("Available" | "Bound" | "Pending")),
        }
    }

    fn fits_node(&self, name: &str, labels: &Labels) -> bool {
        self.nodes
            .as_ref()
            .is_none_or(|terms| terms.iter().any(|term| term.matches(name, labels)))
    }
}

/// What decides in a PersistentVolumeClaim.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    uid: String,
    class: Option<String>,
    modes: Vec<String>,
    request: Quantity,
    volume_mode: String,
    selector: Option<LabelSelector>,
    pub(crate) volume_name: String,
    bound: bool,
    pub(crate) selected_node: Option<String>,
    deleting: bool,
}

impl Claim {
    /// Reads a claim.
    pub(crate) fn read(claim: &PersistentVolumeClaim) -> Self {
        let spec = claim.spec.clone().unwrap_or_default();
        let annotation = |key: &str| {
            claim
                .metadata
                .annotations
                .as_ref()
                .and_then(|a| a.get(key))
                .cloned()
        };
        Self {
            uid: claim.metadata.uid.clone().unwrap_or_default(),
            class: spec.storage_class_name,
            modes: spec.access_modes.unwrap_or_default(),
            request: storage(spec.resources.and_then(|r| r.requests).as_ref()),
            volume_mode: spec.volume_mode.unwrap_or_else(|| "Filesystem".into()),
            selector: spec.selector.as_ref().map(label_selector),
            volume_name: spec.volume_name.unwrap_or_default(),
            bound: annotation(BIND_COMPLETED).is_some(),
            selected_node: annotation(SELECTED_NODE),
            deleting: claim.metadata.deletion_timestamp.is_some(),
        }
    }

    /// True when the claim has its volume for good.
    pub(crate) fn is_bound(&self) -> bool {
        self.bound && !self.volume_name.is_empty()
    }
}

/// What decides in a StorageClass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Class {
    waits: bool,
    provisions: bool,
    topologies: Vec<TopologySelectorTerm>,
}

impl Class {
    /// Reads a class.
    pub(crate) fn read(class: &StorageClass) -> Self {
        Self {
            waits: class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
            provisions: !class.provisioner.is_empty() && class.provisioner != NO_PROVISIONER,
            topologies: class.allowed_topologies.clone().unwrap_or_default(),
        }
    }

    fn allows(&self, labels: &Labels) -> bool {
        self.topologies.is_empty()
            || self.topologies.iter().any(|term| {
                term.match_label_expressions
                    .iter()
                    .flatten()
                    .all(|e| labels.get(&e.key).is_some_and(|v| e.values.contains(v)))
            })
    }
}

fn storage(
    map: Option<
        &std::collections::BTreeMap<
            String,
            k8s_openapi::apimachinery::pkg::api::resource::Quantity,
        >,
    >,
) -> Quantity {
    map.and_then(|m| m.get("storage"))
        .and_then(|q| q.0.parse().ok())
        .unwrap_or_default()
}

/// The pod's claims, sorted into those that have a volume and those that wait for a node.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    bound: Vec<String>,
    waiting: Vec<ClaimKey>,
}

/// What choosing a node means for the claims that wait.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// These claims get these volumes.
    pub(crate) bind: Vec<(ClaimKey, String)>,
    /// Volumes are to be made for these claims on the node.
    pub(crate) provision: Vec<ClaimKey>,
}

impl Plan {
    /// True when there is nothing to wait for.
    pub(crate) fn is_empty(&self) -> bool {
        self.bind.is_empty() && self.provision.is_empty()
    }
}

/// Looks at the pod's claims. An error holds for every node.
pub(crate) fn wanted(pod: &PodInfo, cluster: &Cluster) -> Result<Wanted, Refusal> {
    let mut all = Wanted::default();
    for name in &pod.claims {
        let refuse = |reason: String| Err(Refusal::new(Rule::Volumes, reason));
        let key = (pod.namespace.clone(), name.clone());
        let Some(claim) = cluster.claims.get(&key) else {
            return refuse(format!("persistentvolumeclaim {name:?} not found"));
        };
        if claim.deleting {
            return refuse(format!("persistentvolumeclaim {name:?} is being deleted"));
        }
        if claim.is_bound() {
            if !cluster.volumes.contains_key(&claim.volume_name) {
                return refuse(format!(
                    "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {:?}",
                    claim.volume_name
                ));
            }
            all.bound.push(claim.volume_name.clone());
            continue;
        }
        let class = claim
            .class
            .as_ref()
            .and_then(|class| cluster.classes.get(class));
        if !class.is_some_and(|class| class.waits) || !claim.volume_name.is_empty() {
            return refuse("pod has unbound immediate PersistentVolumeClaims".into());
        }
        all.waiting.push(key);
    }
    Ok(all)
}

impl Wanted {
    /// What running on this node would take.
    pub(crate) fn on_node(
        &self,
        cluster: &Cluster,
        name: &str,
        labels: &Labels,
    ) -> Result<Plan, Refusal> {
        let refuse = |reason: &str| Err(Refusal::new(Rule::Volumes, reason));
        let conflict = |volume: &String| {
            cluster
                .volumes
                .get(volume)
                .is_none_or(|v| !v.fits_node(name, labels))
        };
        if self.bound.iter().any(conflict) {
            return refuse("node(s) had volume node affinity conflict");
        }
        let mut plan = Plan::default();
        let mut taken: HashSet<&str> = HashSet::new();
        for key in &self.waiting {
            let Some(claim) = cluster.claims.get(key) else {
                continue;
            };
            const NONE: &str = "node(s) didn't find available persistent volumes to bind";
            if claim
                .selected_node
                .as_ref()
                .is_some_and(|node| node != name)
            {
                return refuse(NONE);
            }
            if let Some(volume) = match_volume(cluster, key, claim, name, labels, &taken)
                && claim.selected_node.is_none()
            {
                taken.insert(volume);
                plan.bind.push((key.clone(), volume.to_owned()));
                continue;
            }
            let class = claim
                .class
                .as_ref()
                .and_then(|class| cluster.classes.get(class));
            if !class.is_some_and(|class| class.provisions && class.allows(labels)) {
                return refuse(NONE);
            }
            plan.provision.push(key.clone());
        }
        Ok(plan)
    }
}

/// The smallest volume that is free for the claim and reaches the node; one reserved for the claim goes first.
fn match_volume<'a>(
    cluster: &'a Cluster,
    key: &ClaimKey,
    claim: &Claim,
    node: &str,
    labels: &Labels,
    taken: &HashSet<&str>,
) -> Option<&'a str> {
    let fits = |name: &str, volume: &Volume| {
        let free = match &volume.claim {
            None => cluster.promised.get(name).is_none_or(|to| to == key),
            Some((of, uid)) => of == key && (uid.is_empty() || *uid == claim.uid),
        };
        free && volume.available
            && !taken.contains(name)
            && volume.class == claim.class.clone().unwrap_or_default()
            && volume.volume_mode == claim.volume_mode
            && claim.modes.iter().all(|mode| volume.modes.contains(mode))
            && volume.capacity >= claim.request
            && claim
                .selector
                .as_ref()
                .is_none_or(|s| selects(s, &volume.labels))
            && volume.fits_node(node, labels)
    };
    cluster
        .volumes
        .iter()
        .filter(|(name, volume)| fits(name, volume))
        .min_by_key(|(_, volume)| (volume.claim.is_none(), volume.capacity))
        .map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::testing::{cluster, node, pod};

    fn volume(size: &str, on: &str, claim: Option<&str>) -> Volume {
        let mut pv = json!({"spec": {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions":
                [{"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}]}]}}}, "status": {"phase": "Available"}});
        if let Some(claim) = claim {
            pv["spec"]["claimRef"] = json!({"namespace": "ns", "name": claim, "uid": ""});
        }
        Volume::read(&from_value(pv).unwrap())
    }

    fn claim(class: &str, size: &str, extra: Value) -> Claim {
        let mut pvc = json!({"metadata": {"uid": "u"}, "spec": {"storageClassName": class,
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}});
        crate::testing::merge(&mut pvc, &extra);
        Claim::read(&from_value(pvc).unwrap())
    }

    fn world() -> Cluster {
        let mut cluster = cluster(vec![node("n1", json!({})), node("n2", json!({}))], vec![]);
        let class = |provisioner: &str, mode: &str| {
            Class::read(
                &from_value(json!({"provisioner": provisioner, "volumeBindingMode": mode}))
                    .unwrap(),
            )
        };
        cluster.classes.insert(
            "local".into(),
            class(NO_PROVISIONER, "WaitForFirstConsumer"),
        );
        cluster.classes.insert(
            "local-path".into(),
            class("minicloud.io/local-path", "WaitForFirstConsumer"),
        );
        cluster
            .classes
            .insert("now".into(), class("x", "Immediate"));
        cluster
            .volumes
            .insert("big1".into(), volume("9Gi", "n1", None));
        cluster
            .volumes
            .insert("small1".into(), volume("2Gi", "n1", None));
        cluster
            .volumes
            .insert("small2".into(), volume("2Gi", "n2", None));
        let bound = json!({"metadata": {"annotations": {BIND_COMPLETED: "yes"}}, "spec": {"volumeName": "big1"}});
        let mut put =
            |name: &str, claim: Claim| cluster.claims.insert(("ns".into(), name.into()), claim);
        put("bound", claim("local", "1Gi", bound));
        put("static", claim("local", "1Gi", json!({})));
        put("static2", claim("local", "1Gi", json!({})));
        put("huge", claim("local", "8Gi", json!({})));
        put("made", claim("local-path", "1Gi", json!({})));
        put(
            "chosen",
            claim(
                "local-path",
                "1Gi",
                json!({"metadata": {"annotations": {SELECTED_NODE: "n2"}}}),
            ),
        );
        put("immediate", claim("now", "1Gi", json!({})));
        put(
            "lost",
            claim(
                "now",
                "1Gi",
                json!({"metadata": {"annotations": {BIND_COMPLETED: "yes"}}, "spec": {"volumeName": "gone"}}),
            ),
        );
        put(
            "going",
            claim(
                "now",
                "1Gi",
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            ),
        );
        cluster
    }

    #[test]
    fn claims_decide_about_nodes() {
        let cluster = world();
        let check = |claims: &[&str], expect: [&str; 2]| {
            let volumes: Vec<_> = claims
                .iter()
                .map(|c| json!({"name": c, "persistentVolumeClaim": {"claimName": c}}))
                .collect();
            let pod = pod("p", json!({"volumes": volumes}));
            let said = |r: Refusal| r.reasons.concat();
            let got = match wanted(&pod, &cluster) {
                Err(refusal) => [said(refusal), String::new()],
                Ok(wanted) => ["n1", "n2"].map(|n| {
                    let labels = &cluster.nodes[n].spec.as_ref().unwrap().labels;
                    wanted
                        .on_node(&cluster, n, labels)
                        .map_or_else(said, |plan| {
                            let bind = plan
                                .bind
                                .into_iter()
                                .map(|(claim, volume)| format!("{}={volume}", claim.1));
                            bind.chain(plan.provision.into_iter().map(|c| format!("+{}", c.1)))
                                .collect::<Vec<_>>()
                                .join(" ")
                        })
                }),
            };
            assert_eq!(got, expect, "{claims:?}");
        };
        let (conflict, none) = (
            "node(s) had volume node affinity conflict",
            "node(s) didn't find available persistent volumes to bind",
        );
        check(&[], ["", ""]);
        check(&["bound"], ["", conflict]);
        check(&["static"], ["static=small1", "static=small2"]);
        check(&["static", "static2"], ["static=small1 static2=big1", none]);
        check(&["huge"], ["huge=big1", none]);
        check(&["made"], ["+made", "+made"]);
        check(&["chosen"], [none, "+chosen"]);
        check(
            &["absent"],
            ["persistentvolumeclaim \"absent\" not found", ""],
        );
        check(
            &["going"],
            ["persistentvolumeclaim \"going\" is being deleted", ""],
        );
        check(
            &["immediate"],
            ["pod has unbound immediate PersistentVolumeClaims", ""],
        );
        check(
            &["lost"],
            [
                "persistentvolumeclaim \"lost\" bound to non-existent persistentvolume \"gone\"",
                "",
            ],
        );
    }

    #[test]
    fn volumes_reserved_or_promised_go_to_whom_they_are_meant_for() {
        let mut cluster = world();
        let choose = |cluster: &Cluster| {
            let pod = pod(
                "p",
                json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "static"}}]}),
            );
            let labels = &cluster.nodes["n1"].spec.as_ref().unwrap().labels;
            wanted(&pod, cluster)
                .unwrap()
                .on_node(cluster, "n1", labels)
                .unwrap()
                .bind[0]
                .1
                .clone()
        };
        cluster
            .promised
            .insert("small1".into(), ("ns".into(), "static2".into()));
        assert_eq!(choose(&cluster), "big1");
        cluster
            .volumes
            .insert("reserved".into(), volume("20Gi", "n1", Some("static")));
        assert_eq!(choose(&cluster), "reserved");
        cluster
            .volumes
            .insert("foreign".into(), volume("1Gi", "n1", Some("other")));
        assert_eq!(choose(&cluster), "reserved");
    }
}
