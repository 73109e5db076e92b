//! PersistentVolumes, claims and StorageClasses.

use serde_json::Value;

use super::read::{flag, list, name, or, quantity, text};
use super::{AGE, Column, Kind, NAME, age};

const CLASS: Column = Column::new("StorageClass", "The class of the storage.");
const ATTRIBUTES_CLASS: Column = Column::new(
    "VolumeAttributesClass",
    "The class of the volume's attributes.",
);
const MODES: Column = Column::new(
    "Access Modes",
    "How many nodes or pods may use it, and how.",
);
const VOLUME_MODE: Column = Column::new("VolumeMode", "A file system or a block device.").wide();

pub(super) const PERSISTENT_VOLUME: Kind = Kind::new(
    &[
        NAME,
        Column::new("Capacity", "How large it is."),
        MODES,
        Column::new("Reclaim Policy", "What becomes of it when it is released."),
        Column::new("Status", "Whether it is bound."),
        Column::new("Claim", "The claim that it is bound to."),
        CLASS,
        ATTRIBUTES_CLASS,
        Column::new("Reason", "Why it is in a bad state."),
        AGE,
        VOLUME_MODE,
    ],
    |volume, now| {
        let claim = match volume.pointer("/spec/claimRef") {
            Some(claim) if claim.is_object() => {
                format!("{}/{}", text(claim, "/namespace"), text(claim, "/name"))
            }
            _ => String::new(),
        };
        vec![
            name(volume),
            quantity(volume, "/spec/capacity/storage").into(),
            modes(volume, "/spec/accessModes").into(),
            text(volume, "/spec/persistentVolumeReclaimPolicy").into(),
            phase(volume).into(),
            claim.into(),
            class(volume).into(),
            or(text(volume, "/spec/volumeAttributesClassName"), "<unset>").into(),
            text(volume, "/status/reason").into(),
            age::of(volume, now),
            or(text(volume, "/spec/volumeMode"), "<unset>").into(),
        ]
    },
);

pub(super) const PERSISTENT_VOLUME_CLAIM: Kind = Kind::new(
    &[
        NAME,
        Column::new("Status", "Whether it is bound."),
        Column::new("Volume", "The volume that it is bound to."),
        Column::new("Capacity", "How large the volume is."),
        MODES,
        CLASS,
        ATTRIBUTES_CLASS,
        AGE,
        VOLUME_MODE,
    ],
    |claim, now| {
        let volume = text(claim, "/spec/volumeName");
        let (capacity, modes) = if volume.is_empty() {
            (String::new(), String::new())
        } else {
            (
                quantity(claim, "/status/capacity/storage"),
                modes(claim, "/status/accessModes"),
            )
        };
        vec![
            name(claim),
            phase(claim).into(),
            volume.into(),
            capacity.into(),
            modes.into(),
            class(claim).into(),
            or(text(claim, "/spec/volumeAttributesClassName"), "<unset>").into(),
            age::of(claim, now),
            or(text(claim, "/spec/volumeMode"), "<unset>").into(),
        ]
    },
);

pub(super) const STORAGE_CLASS: Kind = Kind::new(
    &[
        NAME,
        Column::new("Provisioner", "Who makes the volumes."),
        Column::new(
            "ReclaimPolicy",
            "What becomes of a volume when it is released.",
        ),
        Column::new("VolumeBindingMode", "When a volume is made."),
        Column::new("AllowVolumeExpansion", "Whether a volume may grow."),
        AGE,
    ],
    |class, now| {
        let is_default = [
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ]
        .iter()
        .any(|key| minicloud_api::meta::annotation(class, key) == Some("true"));
        let mark = if is_default { " (default)" } else { "" };
        vec![
            format!("{}{mark}", text(class, "/metadata/name")).into(),
            text(class, "/provisioner").into(),
            or(text(class, "/reclaimPolicy"), "Delete").into(),
            or(text(class, "/volumeBindingMode"), "Immediate").into(),
            flag(class, "/allowVolumeExpansion").into(),
            age::of(class, now),
        ]
    },
);

fn phase(object: &Value) -> &str {
    if text(object, "/metadata/deletionTimestamp").is_empty() {
        text(object, "/status/phase")
    } else {
        "Terminating"
    }
}

fn class(object: &Value) -> &str {
    minicloud_api::meta::annotation(object, "volume.beta.kubernetes.io/storage-class")
        .unwrap_or_else(|| text(object, "/spec/storageClassName"))
}

fn modes(object: &Value, pointer: &str) -> String {
    const SHORT: &[(&str, &str)] = &[
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given = list(object, pointer);
    let has = |mode: &str| given.iter().any(|given| given.as_str() == Some(mode));
    SHORT
        .iter()
        .filter(|(mode, _)| has(mode))
        .map(|(_, short)| *short)
        .collect::<Vec<_>>()
        .join(",")
}
