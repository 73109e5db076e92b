//! What a claim or a volume needs next. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use minicloud_api::quantity::Quantity;

use crate::plumbing::events::Kind;
use crate::plumbing::objects::{annotation, created, is_deleting, selector, selects, uid};

/// The node for which a claim that waits for its first consumer is to be provisioned.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Who is to provision a claim.
pub(crate) const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const STORAGE_PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
const CLASS_BETA: &str = "volume.beta.kubernetes.io/storage-class";
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// What to do for a claim.
#[derive(Debug, PartialEq)]
pub(super) enum ClaimStep {
    Nothing,
    /// Write the claim (and its status) so, and say this about it.
    Write {
        claim: Box<PersistentVolumeClaim>,
        tell: Option<(Kind, &'static str, String)>,
    },
    /// Bind the claim and this volume to one another.
    Bind(Arc<PersistentVolume>),
}

/// What to do for a volume.
#[derive(Debug, PartialEq)]
pub(super) enum VolumeStep {
    Nothing,
    /// The claim has the next step.
    WakeClaim,
    /// Write the volume and its status so.
    Write {
        volume: Box<PersistentVolume>,
        /// It is given up because its claim is gone.
        released: bool,
    },
}

/// True when the claim once had its volume.
pub(super) fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    annotation(&claim.metadata, BIND_COMPLETED).is_some()
}

/// True when the volume's reference names this claim, and this very one if it has a UID.
pub(super) fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref());
    reference.is_some_and(|r| {
        r.namespace == claim.metadata.namespace
            && r.name == claim.metadata.name
            && r.uid
                .as_deref()
                .is_none_or(|u| u.is_empty() || u == uid(&claim.metadata))
    })
}

fn class_name(claim: &PersistentVolumeClaim) -> Option<&str> {
    annotation(&claim.metadata, CLASS_BETA)
        .or_else(|| claim.spec.as_ref()?.storage_class_name.as_deref())
}

fn default_class(classes: &[Arc<StorageClass>]) -> Option<&Arc<StorageClass>> {
    let defaults = classes
        .iter()
        .filter(|c| annotation(&c.metadata, IS_DEFAULT) == Some("true"));
    // The newest, then the first by name, as in Kubernetes.
    defaults.max_by(|a, b| {
        (created(&a.metadata), b.name_any()).cmp(&(created(&b.metadata), a.name_any()))
    })
}

fn with_phase(claim: &PersistentVolumeClaim, phase: &str) -> PersistentVolumeClaim {
    let mut new = claim.clone();
    new.status.get_or_insert_default().phase = Some(phase.into());
    new
}

/// Decides for a claim.
pub(super) fn claim(
    claim: &PersistentVolumeClaim,
    volumes: &[Arc<PersistentVolume>],
    classes: &[Arc<StorageClass>],
) -> ClaimStep {
    let volume_name = claim
        .spec
        .as_ref()
        .and_then(|s| s.volume_name.as_deref())
        .unwrap_or_default();
    let named = volumes
        .iter()
        .find(|v| v.metadata.name.as_deref() == Some(volume_name));
    if is_bound(claim) {
        return bound(claim, volume_name, named);
    }
    if is_deleting(&claim.metadata) {
        return ClaimStep::Nothing;
    }
    if !volume_name.is_empty() {
        return match named {
            Some(volume)
                if volume.spec.as_ref().is_none_or(|s| s.claim_ref.is_none())
                    || is_for(volume, claim) =>
            {
                match mismatch(volume, claim) {
                    None => ClaimStep::Bind(volume.clone()),
                    Some(why) => pending(claim, Some((Kind::Warning, "VolumeMismatch", why))),
                }
            }
            Some(volume) => {
                let said = format!(
                    "volume {:?} already bound to a different claim.",
                    volume.name_any()
                );
                pending(claim, Some((Kind::Warning, "FailedBinding", said)))
            }
            None => pending(claim, None),
        };
    }
    let class = match class_name(claim) {
        Some(name) => classes
            .iter()
            .find(|c| c.metadata.name.as_deref() == Some(name)),
        None => None,
    };
    let waits = class
        .is_some_and(|c| c.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
        && annotation(&claim.metadata, SELECTED_NODE).is_none();
    if let Some(volume) = best_match(claim, volumes, waits) {
        return ClaimStep::Bind(volume.clone());
    }
    if class_name(claim).is_none()
        && let Some(default) = default_class(classes)
    {
        let mut new = with_phase(claim, "Pending");
        new.spec.get_or_insert_default().storage_class_name = default.metadata.name.clone();
        return ClaimStep::Write {
            claim: Box::new(new),
            tell: None,
        };
    }
    let tell = match (class_name(claim), class) {
        (None | Some(""), _) => {
            let said = "no persistent volumes available for this claim and no storage class is set";
            (Kind::Normal, "FailedBinding", said.to_owned())
        }
        (Some(name), None) => (
            Kind::Warning,
            "ProvisioningFailed",
            format!("storageclass.storage.k8s.io {name:?} not found"),
        ),
        (Some(_), Some(_)) if waits => {
            let said = "waiting for first consumer to be created before binding";
            (Kind::Normal, "WaitForFirstConsumer", said.to_owned())
        }
        (Some(_), Some(class)) if class.provisioner == NO_PROVISIONER => {
            let said = "no persistent volumes available for this claim and its storage class provisions none";
            (Kind::Normal, "FailedBinding", said.to_owned())
        }
        (Some(_), Some(class)) => return provision(claim, &class.provisioner),
    };
    pending(claim, Some(tell))
}

fn pending(claim: &PersistentVolumeClaim, tell: Option<(Kind, &'static str, String)>) -> ClaimStep {
    ClaimStep::Write {
        claim: Box::new(with_phase(claim, "Pending")),
        tell,
    }
}

fn provision(claim: &PersistentVolumeClaim, provisioner: &str) -> ClaimStep {
    let mut new = with_phase(claim, "Pending");
    for key in [STORAGE_PROVISIONER, STORAGE_PROVISIONER_BETA] {
        new.annotations_mut().insert(key.into(), provisioner.into());
    }
    let said = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system \
         administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    ClaimStep::Write {
        claim: Box::new(new),
        tell: Some((Kind::Normal, "ExternalProvisioning", said)),
    }
}

fn bound(
    claim: &PersistentVolumeClaim,
    volume_name: &str,
    named: Option<&Arc<PersistentVolume>>,
) -> ClaimStep {
    let lost = |reason: &'static str, said: &str| {
        if claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Lost") {
            return ClaimStep::Nothing;
        }
        ClaimStep::Write {
            claim: Box::new(with_phase(claim, "Lost")),
            tell: Some((Kind::Warning, reason, said.to_owned())),
        }
    };
    if volume_name.is_empty() {
        return lost(
            "ClaimLost",
            "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
        );
    }
    match named {
        None => lost(
            "ClaimLost",
            "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        ),
        Some(volume)
            if volume.spec.as_ref().is_none_or(|s| s.claim_ref.is_none())
                || is_for(volume, claim) =>
        {
            ClaimStep::Bind(volume.clone())
        }
        Some(_) => lost(
            "ClaimMisbound",
            "Two claims are bound to the same volume, this one is bound incorrectly",
        ),
    }
}

/// Why a volume that the claim asks for by name does not do.
fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
    let (have, want) = (
        volume.spec.clone().unwrap_or_default(),
        claim.spec.clone().unwrap_or_default(),
    );
    if storage(have.capacity.as_ref()) < storage(want.resources.and_then(|r| r.requests).as_ref()) {
        return Some("requested PV is too small".into());
    }
    if have.storage_class_name.unwrap_or_default() != class_name(claim).unwrap_or_default() {
        return Some("storageClassName does not match".into());
    }
    if mode(have.volume_mode) != mode(want.volume_mode) {
        return Some("incompatible volumeMode".into());
    }
    let modes = have.access_modes.unwrap_or_default();
    if !want
        .access_modes
        .iter()
        .flatten()
        .all(|m| modes.contains(m))
    {
        return Some("incompatible accessMode".into());
    }
    None
}

fn mode(mode: Option<String>) -> String {
    mode.unwrap_or_else(|| "Filesystem".into())
}

fn storage(
    map: Option<
        &std::collections::BTreeMap<
            String,
            k8s_openapi::apimachinery::pkg::api::resource::Quantity,
        >,
    >,
) -> Quantity {
    map.and_then(|m| m.get("storage"))
        .and_then(|q| q.0.parse().ok())
        .unwrap_or_default()
}

/// The smallest volume that does; one that was reserved for the claim goes before all. A claim that waits for its first
/// consumer only gets a reserved one: which other it gets is the scheduler's choice.
fn best_match<'a>(
    claim: &PersistentVolumeClaim,
    volumes: &'a [Arc<PersistentVolume>],
    waits: bool,
) -> Option<&'a Arc<PersistentVolume>> {
    let wants = claim
        .spec
        .as_ref()
        .and_then(|s| s.selector.as_ref())
        .map(selector);
    let usable = |volume: &&Arc<PersistentVolume>| {
        let free = match volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()) {
            Some(_) => is_for(volume, claim),
            None => {
                !waits
                    && volume
                        .status
                        .as_ref()
                        .and_then(|s| s.phase.as_deref())
                        .is_none_or(|p| p == "Available")
            }
        };
        let selected = match &wants {
            None => true,
            Some(None) => false,
            Some(Some(selector)) => selects(selector, volume.metadata.labels.as_ref()),
        };
        free && selected && !is_deleting(&volume.metadata) && mismatch(volume, claim).is_none()
    };
    volumes.iter().filter(usable).min_by_key(|v| {
        let spec = v.spec.as_ref();
        (
            spec.is_none_or(|s| s.claim_ref.is_none()),
            storage(spec.and_then(|s| s.capacity.as_ref())),
        )
    })
}

/// The volume as it is when it has the claim.
pub(super) fn bound_volume(
    volume: &PersistentVolume,
    claim: &PersistentVolumeClaim,
    now: Time,
) -> PersistentVolume {
    let mut new = volume.clone();
    let spec = new.spec.get_or_insert_default();
    let ours = spec.claim_ref.is_none();
    if spec.claim_ref.as_ref().and_then(|r| r.uid.as_ref()) != claim.metadata.uid.as_ref() {
        spec.claim_ref = Some(ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("PersistentVolumeClaim".into()),
            namespace: claim.metadata.namespace.clone(),
            name: claim.metadata.name.clone(),
            uid: claim.metadata.uid.clone(),
            resource_version: claim.metadata.resource_version.clone(),
            ..ObjectReference::default()
        });
    }
    if ours {
        new.annotations_mut()
            .insert(BOUND_BY_CONTROLLER.into(), "yes".into());
    }
    set_phase(&mut new, "Bound", now);
    new
}

fn set_phase(volume: &mut PersistentVolume, phase: &str, now: Time) {
    let status = volume.status.get_or_insert_default();
    if status.phase.as_deref() != Some(phase) {
        status.phase = Some(phase.into());
        status.last_phase_transition_time = Some(now);
    }
}

/// The claim as it is when it has the volume.
pub(super) fn bound_claim(
    claim: &PersistentVolumeClaim,
    volume: &PersistentVolume,
) -> PersistentVolumeClaim {
    let mut new = with_phase(claim, "Bound");
    let have = volume.spec.clone().unwrap_or_default();
    let spec = new.spec.get_or_insert_default();
    let ours = spec.volume_name.as_deref().unwrap_or_default().is_empty();
    spec.volume_name.clone_from(&volume.metadata.name);
    let annotations = new.annotations_mut();
    annotations.insert(BIND_COMPLETED.into(), "yes".into());
    if ours {
        annotations.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
    }
    let status = new.status.get_or_insert_default();
    status.access_modes = have.access_modes;
    status.capacity = have.capacity;
    new
}

/// Decides for a volume. `claim` is what its reference names, if that exists.
pub(super) fn volume(
    volume: &PersistentVolume,
    claim: Option<&PersistentVolumeClaim>,
    now: Time,
) -> VolumeStep {
    let phase = volume
        .status
        .as_ref()
        .and_then(|s| s.phase.as_deref())
        .unwrap_or_default();
    let to = |phase: &str, released: bool| {
        let mut new = volume.clone();
        set_phase(&mut new, phase, now.clone());
        if new == *volume {
            VolumeStep::Nothing
        } else {
            VolumeStep::Write {
                volume: Box::new(new),
                released,
            }
        }
    };
    let Some(reference) = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()) else {
        return to("Available", false);
    };
    if reference.uid.as_deref().unwrap_or_default().is_empty() {
        // Reserved, and not bound yet.
        return match claim {
            Some(_) if phase == "Available" => VolumeStep::WakeClaim,
            _ => to("Available", false),
        };
    }
    let claim = claim.filter(|claim| is_for(volume, claim));
    let Some(claim) = claim else {
        return if matches!(phase, "Released" | "Failed") {
            VolumeStep::Nothing
        } else {
            to("Released", true)
        };
    };
    let named = claim
        .spec
        .as_ref()
        .and_then(|s| s.volume_name.as_deref())
        .unwrap_or_default();
    if named.is_empty() {
        return VolumeStep::WakeClaim;
    }
    if Some(named) == volume.metadata.name.as_deref() {
        return to("Bound", false);
    }
    // The claim went elsewhere. What we reserved ourselves is free again; what a person reserved stays so.
    if annotation(&volume.metadata, BOUND_BY_CONTROLLER).is_none() {
        return to("Available", false);
    }
    let mut new = volume.clone();
    new.annotations_mut().remove(BOUND_BY_CONTROLLER);
    new.spec.get_or_insert_default().claim_ref = None;
    set_phase(&mut new, "Available", now);
    VolumeStep::Write {
        volume: Box::new(new),
        released: false,
    }
}

#[cfg(test)]
mod tests;
