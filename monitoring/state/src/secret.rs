//! Secrets: that they exist, of which type and version. Their content is not read.

use serde_json::Value;

use crate::common::resource_version;
use crate::families::{Families, Family, gauge};
use crate::json::{seconds, text};

const INFO: Family = gauge("kube_secret_info", "Information about secret.");
const TYPE: Family = gauge("kube_secret_type", "Type about secret.");
const CREATED: Family = gauge("kube_secret_created", "Unix creation timestamp");
const RESOURCE_VERSION: Family = gauge(
    "kube_secret_metadata_resource_version",
    "Resource version representing a specific version of secret.",
);

/// Adds the samples of one Secret.
pub(crate) fn write(secret: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("namespace", text(secret, "/metadata/namespace")),
        ("secret", text(secret, "/metadata/name")),
    ]);
    out.info(INFO, &[]);
    out.info(TYPE, &[("type", text(secret, "/type"))]);
    out.value(CREATED, seconds(secret, "/metadata/creationTimestamp"));
    out.value(RESOURCE_VERSION, resource_version(secret));
}
