//! ConfigMaps: that they exist, and which version. Their content is not read.

use serde_json::Value;

use crate::common::resource_version;
use crate::families::{Families, Family, gauge};
use crate::json::{seconds, text};

const INFO: Family = gauge("kube_configmap_info", "Information about configmap.");
const CREATED: Family = gauge("kube_configmap_created", "Unix creation timestamp");
const RESOURCE_VERSION: Family = gauge(
    "kube_configmap_metadata_resource_version",
    "Resource version representing a specific version of the configmap.",
);

/// Adds the samples of one ConfigMap.
pub(crate) fn write(config_map: &Value, out: &mut Families) {
    let mut out = out.object(&[
        ("namespace", text(config_map, "/metadata/namespace")),
        ("configmap", text(config_map, "/metadata/name")),
    ]);
    out.info(INFO, &[]);
    out.value(CREATED, seconds(config_map, "/metadata/creationTimestamp"));
    out.value(RESOURCE_VERSION, resource_version(config_map));
}
