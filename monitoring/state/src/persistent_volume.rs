//! PersistentVolumes: where the bytes are, how many, and whose.

use serde_json::Value;

use crate::families::{Families, Family, gauge};
use crate::json::{list, quantity, seconds, text, text_or, written};

const INFO: Family = gauge(
    "kube_persistentvolume_info",
    "Information about persistentvolume.",
);
const CREATED: Family = gauge("kube_persistentvolume_created", "Unix creation timestamp");
const DELETED: Family = gauge(
    "kube_persistentvolume_deletion_timestamp",
    "Unix deletion timestamp",
);
const CAPACITY: Family = gauge(
    "kube_persistentvolume_capacity_bytes",
    "Persistentvolume capacity in bytes.",
);
const CLAIM: Family = gauge(
    "kube_persistentvolume_claim_ref",
    "Information about the Persistent Volume Claim Reference.",
);
const PHASE: Family = gauge(
    "kube_persistentvolume_status_phase",
    "The phase indicates if a volume is available, bound to a claim, or released by a claim.",
);
const MODE: Family = gauge(
    "kube_persistentvolume_volume_mode",
    "Volume Mode information for the PersistentVolume.",
);

/// The labels that say where a volume is, by field. All of them are there; those of other sources are empty.
const SOURCES: [(&str, &str); 17] = [
    ("gce_persistent_disk_name", "/spec/gcePersistentDisk/pdName"),
    ("ebs_volume_id", "/spec/awsElasticBlockStore/volumeID"),
    ("azure_disk_name", "/spec/azureDisk/diskName"),
    ("fc_wwids", "/spec/fc/wwids"),
    ("fc_lun", "/spec/fc/lun"),
    ("fc_target_wwns", "/spec/fc/targetWWNs"),
    ("iscsi_target_portal", "/spec/iscsi/targetPortal"),
    ("iscsi_iqn", "/spec/iscsi/iqn"),
    ("iscsi_lun", "/spec/iscsi/lun"),
    ("iscsi_initiator_name", "/spec/iscsi/initiatorName"),
    ("nfs_server", "/spec/nfs/server"),
    ("nfs_path", "/spec/nfs/path"),
    ("csi_driver", "/spec/csi/driver"),
    ("csi_volume_handle", "/spec/csi/volumeHandle"),
    ("local_path", "/spec/local/path"),
    ("local_fs", "/spec/local/fsType"),
    ("host_path", "/spec/hostPath/path"),
];

/// Adds the samples of one PersistentVolume.
pub(crate) fn write(volume: &Value, out: &mut Families) {
    let mut out = out.object(&[("persistentvolume", text(volume, "/metadata/name"))]);
    let sources = SOURCES.map(|(label, field)| (label, joined(volume, field)));
    let mut labels = vec![("storageclass", text(volume, "/spec/storageClassName"))];
    labels.extend(
        sources
            .iter()
            .map(|(label, value)| (*label, value.as_str())),
    );
    labels.push(("host_path_type", text(volume, "/spec/hostPath/type")));
    labels.push((
        "reclaim_policy",
        text(volume, "/spec/persistentVolumeReclaimPolicy"),
    ));
    out.info(INFO, &labels);
    out.value(CREATED, seconds(volume, "/metadata/creationTimestamp"));
    out.value(DELETED, seconds(volume, "/metadata/deletionTimestamp"));
    out.value(CAPACITY, quantity(volume, "/spec/capacity/storage"));
    let claim = text(volume, "/spec/claimRef/name");
    if !claim.is_empty() {
        let namespace = text(volume, "/spec/claimRef/namespace");
        out.info(CLAIM, &[("name", claim), ("claim_namespace", namespace)]);
    }
    let phases = ["Pending", "Available", "Bound", "Released", "Failed"];
    out.one_of(PHASE, "phase", &phases, text(volume, "/status/phase"));
    let mode = text_or(volume, "/spec/volumeMode", "Filesystem");
    out.info(MODE, &[("volumemode", mode)]);
}

/// A text, a number, or a list of texts with commas between.
fn joined(volume: &Value, field: &str) -> String {
    match list(volume, field) {
        [] => written(volume, field),
        items => {
            let items: Vec<&str> = items.iter().map(|item| text(item, "")).collect();
            items.join(",")
        }
    }
}
