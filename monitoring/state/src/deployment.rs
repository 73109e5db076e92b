//! Deployments: how many pods are wanted, and how far a rollout is.

use serde_json::Value;

use crate::families::{Families, Family, flag, gauge};
use crate::json::{list, number, seconds, text, truth};

const CREATED: Family = gauge("kube_deployment_created", "Unix creation timestamp");
const DELETED: Family = gauge(
    "kube_deployment_deletion_timestamp",
    "Unix deletion timestamp",
);
const GENERATION: Family = gauge(
    "kube_deployment_metadata_generation",
    "Sequence number representing a specific generation of the desired state.",
);
const PAUSED: Family = gauge(
    "kube_deployment_spec_paused",
    "Whether the deployment is paused and will not be processed by the deployment controller.",
);
const WANTED: Family = gauge(
    "kube_deployment_spec_replicas",
    "Number of desired pods for a deployment.",
);
const MAX_SURGE: Family = gauge(
    "kube_deployment_spec_strategy_rollingupdate_max_surge",
    "Maximum number of replicas that can be scheduled above the desired number of replicas \
     during a rolling update of a deployment.",
);
const MAX_UNAVAILABLE: Family = gauge(
    "kube_deployment_spec_strategy_rollingupdate_max_unavailable",
    "Maximum number of unavailable replicas during a rolling update of a deployment.",
);
const CONDITION: Family = gauge(
    "kube_deployment_status_condition",
    "The current status conditions of a deployment.",
);
const OBSERVED: Family = gauge(
    "kube_deployment_status_observed_generation",
    "The generation observed by the deployment controller.",
);
/// Counts in the status, by field.
const COUNTS: [(&str, Family); 5] = [
    (
        "/status/replicas",
        gauge(
            "kube_deployment_status_replicas",
            "The number of replicas per deployment.",
        ),
    ),
    (
        "/status/readyReplicas",
        gauge(
            "kube_deployment_status_replicas_ready",
            "The number of ready replicas per deployment.",
        ),
    ),
    (
        "/status/availableReplicas",
        gauge(
            "kube_deployment_status_replicas_available",
            "The number of available replicas per deployment.",
        ),
    ),
    (
        "/status/unavailableReplicas",
        gauge(
            "kube_deployment_status_replicas_unavailable",
            "The number of unavailable replicas per deployment.",
        ),
    ),
    (
        "/status/updatedReplicas",
        gauge(
            "kube_deployment_status_replicas_updated",
            "The number of updated replicas per deployment.",
        ),
    ),
];

/// The reasons that the deployment controller gives; any other is `unknown`, so that there are only so many series.
const REASONS: [&str; 11] = [
    "",
    "DeploymentPaused",
    "DeploymentResumed",
    "FoundNewReplicaSet",
    "MinimumReplicasAvailable",
    "MinimumReplicasUnavailable",
    "NewReplicaSetAvailable",
    "NewReplicaSetCreated",
    "ProgressDeadlineExceeded",
    "ReplicaSetCreateError",
    "ReplicaSetUpdated",
];

/// Adds the samples of one Deployment.
pub(crate) fn write(deployment: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("namespace", text(deployment, "/metadata/namespace")),
        ("deployment", text(deployment, "/metadata/name")),
    ]);
    out.value(CREATED, seconds(deployment, "/metadata/creationTimestamp"));
    out.value(DELETED, seconds(deployment, "/metadata/deletionTimestamp"));
    out.value(GENERATION, number(deployment, "/metadata/generation"));
    let paused = truth(deployment, "/spec/paused") == Some(true);
    out.put(PAUSED, &[], flag(paused));
    let wanted = number(deployment, "/spec/replicas").unwrap_or(1.0);
    out.put(WANTED, &[], wanted);
    let rolling = deployment.pointer("/spec/strategy/rollingUpdate");
    if let Some(rolling) = rolling.filter(|rolling| rolling.is_object()) {
        let scaled = |field| share(rolling.pointer(field), wanted);
        out.value(MAX_SURGE, scaled("/maxSurge").map(f64::ceil));
        out.value(MAX_UNAVAILABLE, scaled("/maxUnavailable").map(f64::floor));
    }
    for condition in list(deployment, "/status/conditions") {
        let reason = text(condition, "/reason");
        let known = REASONS.contains(&reason);
        let labels = [
            ("reason", if known { reason } else { "unknown" }),
            ("condition", text(condition, "/type")),
        ];
        out.condition(CONDITION, &labels, "status", text(condition, "/status"));
    }
    // Fields that are zero are not in the object.
    let observed = number(deployment, "/status/observedGeneration");
    out.put(OBSERVED, &[], observed.unwrap_or(0.0));
    for (field, family) in COUNTS {
        out.put(family, &[], number(deployment, field).unwrap_or(0.0));
    }
}

/// A number of replicas: a whole number, or a percentage of those wanted.
fn share(value: Option<&Value>, wanted: f64) -> Option<f64> {
    match value? {
        Value::String(text) => {
            let percent: u32 = text.strip_suffix('%')?.parse().ok()?;
            Some(f64::from(percent) * wanted / 100.0)
        }
        value => value.as_f64(),
    }
}
