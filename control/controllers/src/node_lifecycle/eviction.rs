//! How long a pod may stay on a node with NoExecute taints. Pure.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

/// The node's taints that make pods leave.
pub(super) fn no_execute(node: &Node) -> Vec<Taint> {
    let taints = node.spec.iter().flat_map(|s| s.taints.iter().flatten());
    taints
        .filter(|t| t.effect == "NoExecute")
        .cloned()
        .collect()
}

/// How long the pod may stay, from when the taints were there; none means for ever.
pub(super) fn stays_for(pod: &Pod, taints: &[Taint]) -> Option<Duration> {
    if taints.is_empty() {
        return None;
    }
    let tolerations = pod
        .spec
        .as_ref()
        .and_then(|s| s.tolerations.as_deref())
        .unwrap_or_default();
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let mut fitting = tolerations
            .iter()
            .filter(|t| tolerates(t, taint))
            .peekable();
        if fitting.peek().is_none() {
            return Some(Duration::ZERO);
        }
        for seconds in fitting.filter_map(|t| t.toleration_seconds) {
            shortest = Some(shortest.map_or(seconds, |s| s.min(seconds)));
        }
    }
    shortest.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    let (key, effect) = (text(&toleration.key), text(&toleration.effect));
    let exists = text(&toleration.operator) == "Exists";
    (effect.is_empty() || effect == taint.effect)
        && (key == taint.key || (key.is_empty() && exists))
        && (exists || text(&toleration.value) == text(&taint.value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn tolerations_say_how_long_a_pod_stays() {
        let check = |tolerations: Value, taints: Value, expect: Option<u64>| {
            let pod = from_value(json!({"spec": {"containers": [], "tolerations": tolerations}}))
                .unwrap();
            let taints: Vec<Taint> = from_value(taints.clone()).unwrap();
            assert_eq!(
                stays_for(&pod, &taints),
                expect.map(Duration::from_secs),
                "{tolerations}"
            );
        };
        let taint = |key: &str| json!({"key": key, "value": "v", "effect": "NoExecute"});
        let exists = |key: &str, seconds: Option<i64>| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        check(json!([]), json!([]), None);
        check(json!([]), json!([taint("a")]), Some(0));
        check(json!([exists("a", None)]), json!([taint("a")]), None);
        check(
            json!([exists("a", Some(300))]),
            json!([taint("a")]),
            Some(300),
        );
        check(
            json!([exists("a", Some(300)), exists("b", Some(10))]),
            json!([taint("a"), taint("b")]),
            Some(10),
        );
        check(
            json!([exists("a", Some(300))]),
            json!([taint("a"), taint("b")]),
            Some(0),
        );
        check(json!([exists("a", Some(-5))]), json!([taint("a")]), Some(0));
        check(
            json!([{"operator": "Exists"}]),
            json!([taint("a"), taint("b")]),
            None,
        );
        check(
            json!([{"key": "a", "value": "v"}]),
            json!([taint("a")]),
            None,
        );
        check(
            json!([{"key": "a", "value": "w"}]),
            json!([taint("a")]),
            Some(0),
        );
    }
}
