//! A new pod, once admission has had its say: its first status, and what Kubernetes' own admission plugins give every pod
//! (Priority, DefaultTolerationSeconds).

use serde_json::{Value, json};

use super::{defaults, qos};
use crate::json::{Get, Set};

/// How long a pod stays on a node that is not ready or not reachable.
const TOLERATION_SECONDS: i64 = 300;

pub(super) fn prepare(value: &mut Value) {
    let spec = value.object("spec");
    // Admission may have set the account.
    defaults::service_account(spec);
    spec.default_to("priority", priority(spec.text("priorityClassName")));
    spec.default_to("preemptionPolicy", "PreemptLowerPriority");
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        tolerate(spec, key);
    }
    let gated = !spec.items("schedulingGates").is_empty();
    let mut status = json!({"phase": "Pending", "qosClass": qos::class(spec)});
    if gated {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    value.put("status", status);
}

fn priority(class: &str) -> i64 {
    match class {
        "system-node-critical" => 2_000_001_000,
        "system-cluster-critical" => 2_000_000_000,
        _ => 0,
    }
}

fn tolerate(spec: &mut Value, key: &str) {
    let tolerated = spec.items("tolerations").iter().any(|t| {
        (t.text("key") == key || t.text("key").is_empty())
            && matches!(t.text("effect"), "" | "NoExecute")
    });
    if tolerated || !spec.is_object() {
        return;
    }
    let toleration = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS});
    match spec.get_mut("tolerations").and_then(Value::as_array_mut) {
        Some(list) => list.push(toleration),
        None => spec.put("tolerations", json!([toleration])),
    }
}
