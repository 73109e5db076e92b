//! A new pod, once admission has had its say: its first status.

use serde_json::{Value, json};

use super::{defaults, qos};
use crate::json::{Get, Set};

pub(super) fn prepare(value: &mut Value) {
    let spec = value.object("spec");
    // Admission may have set the account.
    defaults::service_account(spec);
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
