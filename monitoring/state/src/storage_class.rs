//! StorageClasses: who provisions, and how.

use serde_json::Value;

use crate::families::{Families, Family, gauge};
use crate::json::{seconds, text, text_or};

const INFO: Family = gauge("kube_storageclass_info", "Information about storageclass.");
const CREATED: Family = gauge("kube_storageclass_created", "Unix creation timestamp");

/// Adds the samples of one StorageClass.
pub(crate) fn write(class: &Value, out: &mut Families) {
    let mut out = out.object(&[("storageclass", text(class, "/metadata/name"))]);
    let labels = [
        ("provisioner", text(class, "/provisioner")),
        ("reclaim_policy", text_or(class, "/reclaimPolicy", "Delete")),
        (
            "volume_binding_mode",
            text_or(class, "/volumeBindingMode", "Immediate"),
        ),
    ];
    out.info(INFO, &labels);
    out.value(CREATED, seconds(class, "/metadata/creationTimestamp"));
}
