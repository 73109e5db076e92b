//! Which pods go first when a ReplicaSet shrinks: Kubernetes' order (`ActivePodsWithRanks`).

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::DELETION_COST;
use crate::plumbing::objects::{annotation, is_ready, node_name, phase, pod_condition, uid};

/// The `count` pods of `pods` to delete. `related` are all pods that share the load with them, on whichever node.
pub(super) fn first_to_go(
    pods: &[Arc<Pod>],
    related: &[Arc<Pod>],
    count: usize,
    now: Timestamp,
) -> Vec<Arc<Pod>> {
    let mut per_node: HashMap<&str, usize> = HashMap::new();
    for pod in related {
        *per_node.entry(node_name(pod)).or_default() += 1;
    }
    let mut sorted: Vec<_> = pods.to_vec();
    sorted.sort_by(|a, b| {
        let rank = |pod: &Pod| per_node.get(node_name(pod)).copied().unwrap_or(0);
        compare(a, b, rank(a), rank(b), now)
    });
    sorted.truncate(count);
    sorted
}

/// Less means: goes before.
fn compare(a: &Pod, b: &Pod, rank_a: usize, rank_b: usize, now: Timestamp) -> Ordering {
    let unassigned = |p: &Pod| !node_name(p).is_empty();
    let stage = |p: &Pod| match phase(p) {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    let cost = |p: &Pod| {
        annotation(&p.metadata, DELETION_COST)
            .and_then(|c| c.parse::<i32>().ok())
            .unwrap_or(0)
    };
    let ready_since = |p: &Pod| {
        pod_condition(p, "Ready")
            .and_then(|c| c.last_transition_time.as_ref())
            .map(|t| t.0)
    };
    let created = |p: &Pod| p.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let restarts = |p: &Pod| {
        let all = p
            .status
            .as_ref()
            .and_then(|s| s.container_statuses.as_ref());
        all.into_iter()
            .flatten()
            .map(|c| c.restart_count)
            .max()
            .unwrap_or(0)
    };
    let both_ready = is_ready(a) && is_ready(b);
    unassigned(a)
        .cmp(&unassigned(b))
        .then_with(|| stage(a).cmp(&stage(b)))
        .then_with(|| is_ready(a).cmp(&is_ready(b)))
        .then_with(|| cost(a).cmp(&cost(b)))
        .then_with(|| Reverse(rank_a).cmp(&Reverse(rank_b)))
        .then_with(|| match both_ready {
            true => younger_first(ready_since(a), ready_since(b), now, a, b),
            false => Ordering::Equal,
        })
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| younger_first(created(a), created(b), now, a, b))
}

/// Ages count by their magnitude only (powers of two), so that among pods of about the same age the choice is arbitrary
/// and not always the last batch (KEP-2185).
fn younger_first(
    a: Option<Timestamp>,
    b: Option<Timestamp>,
    now: Timestamp,
    pod_a: &Pod,
    pod_b: &Pod,
) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let magnitude = |at: Option<Timestamp>| {
        let age = at.map_or(0, |at| now.duration_since(at).as_nanos());
        u128::try_from(age)
            .ok()
            .and_then(u128::checked_ilog2)
            .map_or(-1, i64::from)
    };
    magnitude(a)
        .cmp(&magnitude(b))
        .then_with(|| uid(&pod_a.metadata).cmp(uid(&pod_b.metadata)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn pod(uid: &str, change: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": uid, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {"phase": "Running", "conditions":
                [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
        });
        json_patch_merge(&mut pod, &change);
        Arc::new(from_value(pod).unwrap())
    }

    fn json_patch_merge(into: &mut Value, change: &Value) {
        match (into, change) {
            (Value::Object(into), Value::Object(change)) => {
                for (key, value) in change {
                    json_patch_merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
            (into, change) => *into = change.clone(),
        }
    }

    #[test]
    fn the_least_valuable_pod_goes_first() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        // Each pod is less valuable than the next for one reason.
        let order = [
            pod(
                "unassigned",
                json!({"spec": {"nodeName": null}, "status": {"phase": "Pending", "conditions": null}}),
            ),
            pod(
                "pending",
                json!({"status": {"phase": "Pending", "conditions": null}}),
            ),
            pod(
                "unknown",
                json!({"status": {"phase": "Unknown", "conditions": null}}),
            ),
            pod(
                "unready",
                json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
            ),
            pod(
                "cheap",
                json!({"metadata": {"annotations": {DELETION_COST: "-5"}}}),
            ),
            pod("doubled", json!({"spec": {"nodeName": "crowded"}})),
            pod(
                "just ready",
                json!({"status": {"conditions":
                [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T23:59:00Z"}]}}),
            ),
            pod(
                "restarted",
                json!({"status": {"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 3}]}}),
            ),
            pod(
                "young",
                json!({"metadata": {"creationTimestamp": "2026-01-01T23:59:00Z"}}),
            ),
            pod("plain", json!({})),
            pod(
                "dear",
                json!({"metadata": {"annotations": {DELETION_COST: "5"}}}),
            ),
        ];
        let related: Vec<_> = order
            .iter()
            .cloned()
            .chain((0..20).map(|n| pod(&n.to_string(), json!({"spec": {"nodeName": "crowded"}}))))
            .collect();
        let mut mixed = order.to_vec();
        mixed.reverse();
        let names = |pods: &[Arc<Pod>]| {
            pods.iter()
                .map(|p| p.metadata.name.clone().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(&first_to_go(&mixed, &related, 99, now)),
            names(&order)
        );
        assert_eq!(
            names(&first_to_go(&mixed, &related, 2, now)),
            ["unassigned", "pending"]
        );
    }

    #[test]
    fn ages_count_by_magnitude() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let since = |uid: &str, at: &str| {
            pod(
                uid,
                json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at}]}}),
            )
        };
        let (a, b) = (
            since("a", "2026-01-01T12:00:00Z"),
            since("b", "2026-01-01T12:00:01Z"),
        );
        assert_eq!(
            first_to_go(&[b.clone(), a.clone()], &[], 1, now)[0]
                .metadata
                .uid,
            Some("a".into())
        );
        let old = since("0", "2025-01-01T12:00:01Z");
        assert_eq!(
            first_to_go(&[old, b], &[], 1, now)[0].metadata.uid,
            Some("b".into())
        );
    }
}
