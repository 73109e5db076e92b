//! Namespaces: whether they are there to stay.

use serde_json::Value;

use crate::common::conditions;
use crate::families::{Families, Family, flag, gauge};
use crate::json::{seconds, text};

const CREATED: Family = gauge("kube_namespace_created", "Unix creation timestamp");
const PHASE: Family = gauge(
    "kube_namespace_status_phase",
    "kubernetes namespace status phase.",
);
const CONDITION: Family = gauge(
    "kube_namespace_status_condition",
    "The condition of a namespace.",
);

/// Adds the samples of one Namespace.
pub(crate) fn write(namespace: &Value, out: &mut Families) {
    let mut out = out.object(&[("namespace", text(namespace, "/metadata/name"))]);
    out.value(CREATED, seconds(namespace, "/metadata/creationTimestamp"));
    for phase in ["Active", "Terminating"] {
        let holds = text(namespace, "/status/phase") == phase;
        out.put(PHASE, &[("phase", phase)], flag(holds));
    }
    conditions(&mut out, CONDITION, namespace);
}
