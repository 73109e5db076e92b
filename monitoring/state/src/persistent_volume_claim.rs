//! PersistentVolumeClaims: how much was asked for, and what came of it.

use serde_json::Value;

use crate::common::conditions;
use crate::families::{Families, Family, gauge};
use crate::json::{list, map, quantity, seconds, text};

const INFO: Family = gauge(
    "kube_persistentvolumeclaim_info",
    "Information about persistent volume claim.",
);
const CREATED: Family = gauge(
    "kube_persistentvolumeclaim_created",
    "Unix creation timestamp",
);
const DELETED: Family = gauge(
    "kube_persistentvolumeclaim_deletion_timestamp",
    "Unix deletion timestamp",
);
const ACCESS_MODE: Family = gauge(
    "kube_persistentvolumeclaim_access_mode",
    "The access mode(s) specified by the persistent volume claim.",
);
const REQUESTED: Family = gauge(
    "kube_persistentvolumeclaim_resource_requests_storage_bytes",
    "The capacity of storage requested by the persistent volume claim.",
);
const PHASE: Family = gauge(
    "kube_persistentvolumeclaim_status_phase",
    "The phase the persistent volume claim is currently in.",
);
const CONDITION: Family = gauge(
    "kube_persistentvolumeclaim_status_condition",
    "Information about status of different conditions of persistent volume claim.",
);

/// Where the class was before there was a field for it; it still wins.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Adds the samples of one PersistentVolumeClaim.
pub(crate) fn write(claim: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("namespace", text(claim, "/metadata/namespace")),
        ("persistentvolumeclaim", text(claim, "/metadata/name")),
    ]);
    let annotated = map(claim, "/metadata/annotations")
        .into_iter()
        .find(|(key, _)| *key == CLASS_ANNOTATION);
    let class = match annotated {
        Some((_, class)) => text(class, ""),
        None => text(claim, "/spec/storageClassName"),
    };
    let labels = [
        ("storageclass", class),
        ("volumename", text(claim, "/spec/volumeName")),
        ("volumemode", text(claim, "/spec/volumeMode")),
    ];
    out.info(INFO, &labels);
    out.value(CREATED, seconds(claim, "/metadata/creationTimestamp"));
    out.value(DELETED, seconds(claim, "/metadata/deletionTimestamp"));
    for mode in list(claim, "/spec/accessModes") {
        out.info(ACCESS_MODE, &[("access_mode", text(mode, ""))]);
    }
    out.value(
        REQUESTED,
        quantity(claim, "/spec/resources/requests/storage"),
    );
    let phases = ["Lost", "Bound", "Pending"];
    out.one_of(PHASE, "phase", &phases, text(claim, "/status/phase"));
    conditions(&mut out, CONDITION, claim);
}
