//! What a node's conditions say, and which taints follow. Pure.

use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Conditions that keep new pods away while they are true.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    (
        "NetworkUnavailable",
        "node.kubernetes.io/network-unavailable",
    ),
];

/// Whether a node that is not ready may lose its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    Now,
    /// Not yet: what is there stays, nothing is added.
    Later,
    /// No node is ready: what is there is taken away.
    Never,
}

fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status
        .as_ref()?
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == kind)
}

/// The status of the condition Ready, `Unknown` when there is none.
pub(super) fn ready(node: &Node) -> &str {
    condition(node, "Ready").map_or("Unknown", |c| c.status.as_str())
}

/// True when the kubelet has ever reported.
pub(super) fn has_spoken(node: &Node) -> bool {
    condition(node, "Ready").is_some_and(|c| c.reason.as_deref() != Some("NodeStatusNeverUpdated"))
}

/// When the kubelet last wrote the condition Ready.
pub(super) fn heartbeat(node: &Node) -> Option<Time> {
    condition(node, "Ready")?.last_heartbeat_time.clone()
}

/// The node with the conditions that a kubelet reports all unknown.
pub(super) fn silenced(node: &Node, now: Time) -> Node {
    let mut new = node.clone();
    let never = !has_spoken(node);
    let conditions = new
        .status
        .get_or_insert_default()
        .conditions
        .get_or_insert_default();
    for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        let (reason, message) = match never {
            true => (
                "NodeStatusNeverUpdated",
                "Kubelet never posted node status.",
            ),
            false => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
        };
        match conditions.iter_mut().find(|c| c.type_ == kind) {
            Some(condition) if condition.status == "Unknown" => {}
            Some(condition) => {
                condition.status = "Unknown".into();
                condition.reason = Some(reason.into());
                condition.message = Some(message.into());
                condition.last_transition_time = Some(now.clone());
            }
            None => conditions.push(NodeCondition {
                type_: kind.into(),
                status: "Unknown".into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(now.clone()),
            }),
        }
    }
    new
}

/// True when too many nodes are not ready to believe it of each: none of the others is, or most are not.
pub(super) fn is_disrupted(others_ready: usize, count: usize) -> bool {
    let not_ready = count.saturating_sub(others_ready);
    others_ready == 0 || (not_ready > 2 && not_ready * 100 >= count * 55)
}

/// True when the node has a taint of ours that makes pods leave.
pub(super) fn has_no_execute(node: &Node) -> bool {
    let taints = node.spec.iter().flat_map(|s| s.taints.iter().flatten());
    taints
        .into_iter()
        .any(|t| t.effect == "NoExecute" && (t.key == NOT_READY || t.key == UNREACHABLE))
}

/// The taints as they should be; none when they are right. Those of others stay.
pub(super) fn taints(node: &Node, eviction: Eviction, now: Time) -> Option<Vec<Taint>> {
    let old: Vec<Taint> = node
        .spec
        .as_ref()
        .and_then(|s| s.taints.clone())
        .unwrap_or_default();
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    let trouble = match ready(node) {
        "True" => None,
        "False" => Some(NOT_READY),
        _ => Some(UNREACHABLE),
    };
    if let Some(key) = trouble {
        wanted.push((key, "NoSchedule"));
        let there = old.iter().any(|t| t.key == key && t.effect == "NoExecute");
        if eviction == Eviction::Now || (eviction == Eviction::Later && there) {
            wanted.push((key, "NoExecute"));
        }
    }
    for (kind, key) in PRESSURES {
        if condition(node, kind).is_some_and(|c| c.status == "True") {
            wanted.push((key, "NoSchedule"));
        }
    }
    if node.spec.as_ref().and_then(|s| s.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let ours = |t: &Taint| {
        let trouble = t.key == NOT_READY || t.key == UNREACHABLE;
        let other = t.key == UNSCHEDULABLE || PRESSURES.iter().any(|(_, key)| *key == t.key);
        (trouble && matches!(t.effect.as_str(), "NoSchedule" | "NoExecute"))
            || (other && t.effect == "NoSchedule")
    };
    let is = |t: &Taint, (key, effect): &(&str, &str)| t.key == *key && t.effect == *effect;
    let mut new: Vec<Taint> = old
        .iter()
        .filter(|t| !ours(t) || wanted.iter().any(|w| is(t, w)))
        .cloned()
        .collect();
    for want in wanted {
        if !new.iter().any(|t| is(t, &want)) {
            new.push(Taint {
                key: want.0.into(),
                effect: want.1.into(),
                time_added: Some(now.clone()),
                value: None,
            });
        }
    }
    (new != old).then_some(new)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn node(ready: Option<&str>, spec: Value, extra: Value) -> Node {
        let mut conditions: Vec<Value> =
            ready.iter().map(|r| json!({"type": "Ready", "status": r, "lastHeartbeatTime": "2026-01-01T00:00:00Z"})).collect();
        conditions.extend(extra.as_array().cloned().unwrap_or_default());
        from_value(
            json!({"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}),
        )
        .unwrap()
    }

    fn now() -> Time {
        Time("2026-01-02T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn taints_follow_conditions() {
        use Eviction::{Later, Never, Now};
        let check = |node: Node, eviction: Eviction, expect: Option<&[&str]>| {
            let got = taints(&node, eviction, now()).map(|all| {
                let short =
                    |t: Taint| format!("{}:{}", t.key.rsplit('/').next().unwrap(), t.effect);
                all.into_iter().map(short).collect::<Vec<_>>()
            });
            assert_eq!(
                got,
                expect.map(|e| e.iter().map(|t| (*t).to_owned()).collect()),
                "{node:?}"
            );
        };
        let plain = |ready| node(ready, json!({}), json!([]));
        let tainted = |ready, taints: &[(&str, &str)]| {
            let all: Vec<_> = taints
                .iter()
                .map(|(k, e)| json!({"key": k, "effect": e}))
                .collect();
            node(ready, json!({"taints": all}), json!([]))
        };
        check(plain(Some("True")), Now, None);
        check(
            plain(Some("False")),
            Now,
            Some(&["not-ready:NoSchedule", "not-ready:NoExecute"]),
        );
        check(
            plain(Some("Unknown")),
            Now,
            Some(&["unreachable:NoSchedule", "unreachable:NoExecute"]),
        );
        check(
            plain(None),
            Now,
            Some(&["unreachable:NoSchedule", "unreachable:NoExecute"]),
        );
        check(plain(Some("False")), Later, Some(&["not-ready:NoSchedule"]));
        check(plain(Some("False")), Never, Some(&["not-ready:NoSchedule"]));
        let both = [
            (NOT_READY, "NoSchedule"),
            (NOT_READY, "NoExecute"),
            ("gpu", "NoSchedule"),
        ];
        check(tainted(Some("False"), &both), Later, None);
        check(
            tainted(Some("False"), &both),
            Never,
            Some(&["not-ready:NoSchedule", "gpu:NoSchedule"]),
        );
        check(tainted(Some("True"), &both), Now, Some(&["gpu:NoSchedule"]));
        check(
            tainted(Some("Unknown"), &both),
            Now,
            Some(&[
                "gpu:NoSchedule",
                "unreachable:NoSchedule",
                "unreachable:NoExecute",
            ]),
        );
        check(
            node(Some("True"), json!({"unschedulable": true}), json!([])),
            Now,
            Some(&["unschedulable:NoSchedule"]),
        );
        check(
            tainted(Some("True"), &[(UNSCHEDULABLE, "NoSchedule")]),
            Now,
            Some(&[]),
        );
        let pressed = json!([{"type": "DiskPressure", "status": "True"}, {"type": "PIDPressure", "status": "False"}]);
        check(
            node(Some("True"), json!({}), pressed),
            Now,
            Some(&["disk-pressure:NoSchedule"]),
        );
    }

    #[test]
    fn silence_is_said_of_all_that_the_kubelet_reports() {
        let spoken = silenced(
            &node(
                Some("True"),
                json!({}),
                json!([{"type": "DiskPressure", "status": "False"}]),
            ),
            now(),
        );
        let mute = silenced(&node(None, json!({}), json!([])), now());
        for (node, reason, ready_since) in [
            (&spoken, "NodeStatusUnknown", "2026-01-02"),
            (&mute, "NodeStatusNeverUpdated", "2026-01-02"),
        ] {
            let conditions = node.status.as_ref().unwrap().conditions.as_ref().unwrap();
            assert_eq!(conditions.len(), 4);
            assert!(conditions.iter().all(|c| c.status == "Unknown"));
            let ready = condition(node, "Ready").unwrap();
            assert_eq!(ready.reason.as_deref(), Some(reason));
            assert!(
                ready
                    .last_transition_time
                    .as_ref()
                    .unwrap()
                    .0
                    .to_string()
                    .starts_with(ready_since)
            );
        }
        assert!(has_spoken(&spoken) && !has_spoken(&mute));
        let later = Time("2026-01-03T00:00:00Z".parse().unwrap());
        assert_eq!(silenced(&spoken, later), spoken);
    }

    #[test]
    fn a_failure_of_most_is_not_believed() {
        let check = |ready: usize, count: usize, expect: bool| {
            assert_eq!(is_disrupted(ready, count), expect, "{ready} of {count}")
        };
        check(0, 1, true);
        check(0, 5, true);
        check(1, 2, false);
        check(1, 3, false);
        check(1, 4, true);
        check(5, 10, false);
        check(4, 10, true);
    }
}
