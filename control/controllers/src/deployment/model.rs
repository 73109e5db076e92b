//! What a Deployment's numbers, annotations and templates mean. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde_json::Value;

use crate::plumbing::objects::{annotation, controlled_by};

/// Which rollout a ReplicaSet, or the Deployment's template, belongs to.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const HASH: &str = "pod-template-hash";
const HISTORY_MAX_CHARS: usize = 2000;

/// `spec.replicas`; the API server has filled in the default.
pub(crate) fn replicas(deployment: &Deployment) -> i32 {
    deployment
        .spec
        .as_ref()
        .and_then(|s| s.replicas)
        .unwrap_or(1)
}

/// A set's `spec.replicas`.
pub(crate) fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}

/// A set's `status.availableReplicas`.
pub(crate) fn available(set: &ReplicaSet) -> i32 {
    set.status
        .as_ref()
        .and_then(|s| s.available_replicas)
        .unwrap_or(0)
}

/// A set's `status.replicas`.
pub(crate) fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |s| s.replicas)
}

/// True for the strategy `RollingUpdate`.
pub(crate) fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|s| s.strategy.as_ref());
    strategy.and_then(|s| s.type_.as_deref()) != Some("Recreate")
}

fn percent_of(value: Option<&IntOrString>, total: i32, up: bool) -> i32 {
    match value {
        Some(IntOrString::Int(n)) => *n,
        Some(IntOrString::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = percent * i64::from(total);
            let share = if up {
                (product + 99).div_euclid(100)
            } else {
                product.div_euclid(100)
            };
            i32::try_from(share).unwrap_or(i32::MAX)
        }
        None => percent_of(Some(&IntOrString::String("25%".into())), total, up),
    }
}

/// maxSurge and maxUnavailable as numbers of pods. Both being zero would stop every rollout, so then one may be missing.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    let rolling = deployment
        .spec
        .as_ref()
        .and_then(|s| s.strategy.as_ref())
        .and_then(|s| s.rolling_update.as_ref());
    let total = replicas(deployment);
    let surge = percent_of(rolling.and_then(|r| r.max_surge.as_ref()), total, true);
    let unavailable = percent_of(
        rolling.and_then(|r| r.max_unavailable.as_ref()),
        total,
        false,
    );
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

/// How many pods there may be beyond `spec.replicas`.
pub(crate) fn max_surge(deployment: &Deployment) -> i32 {
    if is_rolling(deployment) {
        fenceposts(deployment).0
    } else {
        0
    }
}

/// How many of `spec.replicas` may be unavailable.
pub(crate) fn max_unavailable(deployment: &Deployment) -> i32 {
    let total = replicas(deployment);
    if !is_rolling(deployment) || total == 0 {
        0
    } else {
        fenceposts(deployment).1.min(total)
    }
}

/// A set's revision, zero when it has none.
pub(crate) fn revision(set: &ReplicaSet) -> i64 {
    annotation(&set.metadata, REVISION)
        .and_then(|r| r.parse().ok())
        .unwrap_or(0)
}

/// The `spec.replicas` that the Deployment had when the set was last sized.
pub(crate) fn desired(set: &ReplicaSet) -> Option<i32> {
    annotation(&set.metadata, DESIRED)?.parse().ok()
}

/// The most pods that the Deployment might have had when the set was last sized.
pub(crate) fn max_replicas(set: &ReplicaSet) -> Option<i32> {
    annotation(&set.metadata, MAX)?.parse().ok()
}

/// Notes the Deployment's size on the set, for proportional scaling.
pub(crate) fn note_size(deployment: &Deployment, set: &mut ReplicaSet) {
    let total = replicas(deployment);
    let annotations = set.annotations_mut();
    annotations.insert(DESIRED.into(), total.to_string());
    annotations.insert(
        MAX.into(),
        total.saturating_add(max_surge(deployment)).to_string(),
    );
}

/// Gives the set the Deployment's annotations and its revision; an older revision goes into the history.
pub(crate) fn annotate(deployment: &Deployment, set: &mut ReplicaSet, new_revision: i64) {
    let skip = |key: &str| {
        matches!(
            key,
            REVISION | HISTORY | DESIRED | MAX | LAST_APPLIED | "deprecated.deployment.rollback.to"
        )
    };
    for (key, value) in deployment
        .annotations()
        .iter()
        .filter(|(key, _)| !skip(key))
    {
        set.annotations_mut().insert(key.clone(), value.clone());
    }
    let old = annotation(&set.metadata, REVISION).map(str::to_owned);
    if revision(set) >= new_revision && old.is_some() {
        return;
    }
    set.annotations_mut()
        .insert(REVISION.into(), new_revision.to_string());
    if let Some(old) = old.filter(|old| !old.is_empty()) {
        let mut all: Vec<String> = annotation(&set.metadata, HISTORY)
            .map(|h| h.split(',').map(str::to_owned).collect())
            .unwrap_or_default();
        all.push(old);
        while all.len() > 1 && all.iter().map(|r| r.len() + 1).sum::<usize>() > HISTORY_MAX_CHARS {
            all.remove(0);
        }
        set.annotations_mut().insert(HISTORY.into(), all.join(","));
    }
}

/// A template as JSON without the hash label and without what is empty, which Kubernetes takes as equal to absent.
fn canonical(template: Option<&PodTemplateSpec>) -> Value {
    let mut value = serde_json::to_value(template).unwrap_or_default();
    if let Some(labels) = value
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.remove(HASH);
    }
    if let Some(meta) = value
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        meta.remove("creationTimestamp");
    }
    prune(&mut value);
    value
}

fn prune(value: &mut Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => {
            map.retain(|key, value| {
                let empty = prune(value);
                // `emptyDir: {}` says something; an empty list or a missing text does not.
                let says_nothing = [
                    "annotations",
                    "labels",
                    "metadata",
                    "resources",
                    "securityContext",
                ];
                !(empty
                    && (value.is_null()
                        || value.is_array()
                        || says_nothing.contains(&key.as_str())))
            });
            map.is_empty()
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                prune(item);
            }
            items.is_empty()
        }
        _ => false,
    }
}

/// True when the set was made for the Deployment's present template.
pub(crate) fn same_template(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let wanted = canonical(deployment.spec.as_ref().map(|s| &s.template));
    wanted == canonical(set.spec.as_ref().and_then(|s| s.template.as_ref()))
}

/// A name-safe hash of the template: FNV-1a of its JSON and the collision count, in Kubernetes' safe alphabet. It need not
/// be Kubernetes' own value, only stay the same: a set is found by its template, not by the hash.
pub(crate) fn template_hash(deployment: &Deployment) -> String {
    let template = canonical(deployment.spec.as_ref().map(|s| &s.template));
    let collisions = deployment.status.as_ref().and_then(|s| s.collision_count);
    let mut hash: u32 = 0x811c_9dc5;
    let bytes = template.to_string();
    let count = collisions.map(|c| c.to_le_bytes()).unwrap_or_default();
    let tail: &[u8] = if collisions.is_some() { &count } else { &[] };
    for byte in bytes.bytes().chain(tail.iter().copied()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    hash.to_string()
        .bytes()
        .map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]))
        .collect()
}

/// The set for the Deployment's template, with no pods yet.
pub(crate) fn new_set(deployment: &Deployment, new_revision: i64) -> Option<ReplicaSet> {
    let spec = deployment.spec.as_ref()?;
    let hash = template_hash(deployment);
    let mut template = spec.template.clone();
    let labels = template
        .metadata
        .get_or_insert_default()
        .labels
        .get_or_insert_default();
    labels.insert(HASH.into(), hash.clone());
    let labels: BTreeMap<_, _> = labels.clone();
    let mut selector = spec.selector.clone();
    selector
        .match_labels
        .get_or_insert_default()
        .insert(HASH.into(), hash.clone());
    let mut set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name_any())),
            namespace: deployment.namespace(),
            labels: Some(labels),
            owner_references: Some(vec![controlled_by(deployment)?]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    };
    annotate(deployment, &mut set, new_revision);
    note_size(deployment, &mut set);
    Some(set)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn deployment(replicas: i32, surge: Value, unavailable: Value) -> Deployment {
        from_value(json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "d", "annotations": {"note": "x", LAST_APPLIED: "{}"}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}
        }))
        .unwrap()
    }

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        let check = |replicas, surge: Value, unavailable: Value, expect: (i32, i32)| {
            let d = deployment(replicas, surge.clone(), unavailable.clone());
            assert_eq!(
                (max_surge(&d), max_unavailable(&d)),
                expect,
                "{replicas} {surge} {unavailable}"
            );
        };
        check(10, json!("25%"), json!("25%"), (3, 2));
        check(10, Value::Null, Value::Null, (3, 2));
        check(1, json!("25%"), json!("25%"), (1, 0));
        check(3, json!(0), json!("30%"), (0, 1));
        check(5, json!(0), json!(9), (0, 5));
        check(0, json!(1), json!(1), (1, 0));
        check(10, json!("100%"), json!("0%"), (10, 0));
    }

    #[test]
    fn a_new_set_carries_hash_revision_and_size() {
        let d = deployment(4, json!(1), json!(1));
        let set = new_set(&d, 3).unwrap();
        let hash = template_hash(&d);
        assert_eq!(set.name_any(), format!("web-{hash}"));
        assert_eq!(set.labels()["pod-template-hash"], hash);
        assert_eq!(
            set.spec
                .as_ref()
                .unwrap()
                .selector
                .match_labels
                .as_ref()
                .unwrap()["pod-template-hash"],
            hash
        );
        let annotations = json!({"note": "x", REVISION: "3", DESIRED: "4", MAX: "5"});
        assert_eq!(
            serde_json::to_value(set.annotations()).unwrap(),
            annotations
        );
        assert!(same_template(&d, &set));
        let mut collided = d.clone();
        collided.status.get_or_insert_default().collision_count = Some(1);
        assert_ne!(template_hash(&collided), hash);
    }

    #[test]
    fn templates_are_compared_by_meaning() {
        let d = deployment(1, json!(1), json!(1));
        let mut set = new_set(&d, 1).unwrap();
        let edit = |set: &mut ReplicaSet, f: &dyn Fn(&mut PodTemplateSpec)| {
            f(set.spec.as_mut().unwrap().template.as_mut().unwrap())
        };
        edit(&mut set, &|t| {
            let spec = t.spec.as_mut().unwrap();
            spec.volumes = Some(Vec::new());
            spec.security_context = Some(Default::default());
        });
        assert!(same_template(&d, &set));
        edit(&mut set, &|t| {
            t.spec.as_mut().unwrap().containers[0].image = Some("j".into())
        });
        assert!(!same_template(&d, &set));
    }

    #[test]
    fn an_old_set_used_again_keeps_its_history() {
        let d = deployment(1, json!(1), json!(1));
        let mut set = new_set(&d, 1).unwrap();
        annotate(&d, &mut set, 3);
        annotate(&d, &mut set, 3);
        annotate(&d, &mut set, 5);
        assert_eq!(
            (revision(&set), annotation(&set.metadata, HISTORY)),
            (5, Some("1,3"))
        );
    }
}
