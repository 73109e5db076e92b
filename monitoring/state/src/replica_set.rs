//! ReplicaSets: how many pods are wanted and there, and whose they are.

use serde_json::Value;

use crate::common::owners;
use crate::families::{Families, Family, gauge};
use crate::json::{number, seconds, text};

const CREATED: Family = gauge("kube_replicaset_created", "Unix creation timestamp");
const GENERATION: Family = gauge(
    "kube_replicaset_metadata_generation",
    "Sequence number representing a specific generation of the desired state.",
);
const OWNER: Family = gauge(
    "kube_replicaset_owner",
    "Information about the ReplicaSet's owner.",
);
const WANTED: Family = gauge(
    "kube_replicaset_spec_replicas",
    "Number of desired pods for a ReplicaSet.",
);
/// Counts in the status, by field.
const COUNTS: [(&str, Family); 4] = [
    (
        "/status/replicas",
        gauge(
            "kube_replicaset_status_replicas",
            "The number of replicas per ReplicaSet.",
        ),
    ),
    (
        "/status/fullyLabeledReplicas",
        gauge(
            "kube_replicaset_status_fully_labeled_replicas",
            "The number of fully labeled replicas per ReplicaSet.",
        ),
    ),
    (
        "/status/readyReplicas",
        gauge(
            "kube_replicaset_status_ready_replicas",
            "The number of ready replicas per ReplicaSet.",
        ),
    ),
    (
        "/status/observedGeneration",
        gauge(
            "kube_replicaset_status_observed_generation",
            "The generation observed by the ReplicaSet controller.",
        ),
    ),
];

/// Adds the samples of one ReplicaSet.
pub(crate) fn write(set: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("namespace", text(set, "/metadata/namespace")),
        ("replicaset", text(set, "/metadata/name")),
    ]);
    out.value(CREATED, seconds(set, "/metadata/creationTimestamp"));
    out.value(GENERATION, number(set, "/metadata/generation"));
    owners(&mut out, OWNER, set);
    out.value(WANTED, number(set, "/spec/replicas"));
    // Fields that are zero are not in the object.
    for (field, family) in COUNTS {
        out.put(family, &[], number(set, field).unwrap_or(0.0));
    }
}
