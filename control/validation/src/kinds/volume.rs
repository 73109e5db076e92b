//! Persistent volumes and claims of them.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::{Map, Value, json};

use super::meta::{immutable, label_selector};
use super::pod::resources::{amount, quantity};
use super::pod::{default_claim_spec, scheduling, volume_sources};
use super::text::{name_if_set, no_backsteps, one_of_if_set, required};
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set, same};

const SPEC: At<'static> = At::root("spec");
const ROOT: At<'static> = At::root("");
const MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
/// What of a volume's specification is not its source.
const NOT_SOURCE: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

pub(super) struct PersistentVolume;

impl Rules for PersistentVolume {
    const COMMON: Common = Common {
        status: true,
        ..Common::cluster()
    };
    shape!(k8s_openapi::api::core::v1::PersistentVolume);

    fn default(value: &mut Value) {
        let spec = value.object("spec");
        spec.default_to("persistentVolumeReclaimPolicy", "Retain");
        spec.default_to("volumeMode", "Filesystem");
        if let Some(host) = spec.some("hostPath")
            && !host.has("type")
        {
            host.put("type", "");
        }
        value.object("status").default_to("phase", "Pending");
    }

    fn create(value: &mut Value) {
        value.put("status", json!({"phase": "Pending"}));
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let spec = value.at("spec");
        access_modes(spec, "", &SPEC, errors);
        capacity(spec, errors);
        one_of_if_set(
            spec,
            "persistentVolumeReclaimPolicy",
            &["Delete", "Recycle", "Retain"],
            &SPEC,
            errors,
        );
        if spec.has("nodeAffinity") {
            let at = SPEC.child("nodeAffinity");
            let affinity = spec.at("nodeAffinity");
            if affinity.has("required") {
                scheduling::node_selector(affinity.at("required"), &at.child("required"), errors);
            } else {
                at.child("required")
                    .required(errors, "must specify required node constraints");
            }
        }
        source(spec, errors);
        let root = spec.at("hostPath").text("path");
        if !root.is_empty()
            && root.split('/').all(|part| matches!(part, "" | "."))
            && spec.text("persistentVolumeReclaimPolicy") == "Recycle"
        {
            let detail = "may not be 'recycle' for a hostPath mount of '/'";
            SPEC.child("persistentVolumeReclaimPolicy")
                .forbidden(errors, detail);
        }
        name_if_set(
            spec,
            "storageClassName",
            names::dns1123_subdomain,
            &SPEC,
            errors,
        );
        one_of_if_set(spec, "volumeMode", &["Block", "Filesystem"], &SPEC, errors);
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        let (spec, before) = (new.at("spec"), old.at("spec"));
        if !same(&only_source(spec), &only_source(before)) {
            let at = SPEC.child("persistentvolumesource");
            at.forbidden(
                errors,
                "spec.persistentvolumesource is immutable after creation",
            );
        }
        immutable(spec, before, "volumeMode", &ROOT, errors);
        if before.has("nodeAffinity") {
            immutable(spec, before, "nodeAffinity", &ROOT, errors);
        }
    }
}

fn only_source(spec: &Value) -> Value {
    let mut source: Map<String, Value> = spec
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, _)| !NOT_SOURCE.contains(&field.as_str()))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    if let Some(csi) = source.get_mut("csi") {
        csi.take_out("controllerExpandSecretRef");
    }
    Value::Object(source)
}

fn capacity(spec: &Value, errors: &mut ErrorList) {
    let at = SPEC.child("capacity");
    let capacity = spec.at("capacity");
    let count = capacity.as_object().map_or(0, Map::len);
    if count == 0 {
        return at.required(errors, "");
    }
    if !capacity.has("storage") || count > 1 {
        at.unsupported(errors, capacity.clone(), &["storage"]);
    }
    for (name, value) in spec.entries("capacity") {
        if amount(value).is_none_or(|q| q.is_negative() || q.is_zero()) {
            at.key(name)
                .invalid(errors, value.clone(), "must be greater than zero");
        }
    }
}

fn source(spec: &Value, errors: &mut ErrorList) {
    let mut found = false;
    for (kind, source) in spec
        .own_entries()
        .filter(|(field, _)| !NOT_SOURCE.contains(field))
    {
        let at = SPEC.child(kind);
        if std::mem::replace(&mut found, true) {
            at.forbidden(errors, "may not specify more than 1 volume type");
            continue;
        }
        match kind {
            "hostPath" => volume_sources::host_path(source, &at, errors),
            "local" => {
                required(source, "path", &at, errors);
                no_backsteps(source.text("path"), &at.child("path"), errors);
                if !spec.has("nodeAffinity") {
                    SPEC.child("nodeAffinity")
                        .required(errors, "Local volume requires node affinity");
                }
            }
            "nfs" => {
                for field in ["server", "path"] {
                    required(source, field, &at, errors);
                }
                if !source.text("path").starts_with('/') {
                    at.child("path").invalid(
                        errors,
                        source.text("path"),
                        "must be an absolute path",
                    );
                }
            }
            "csi" => {
                for field in ["driver", "volumeHandle"] {
                    required(source, field, &at, errors);
                }
            }
            other => {
                let known = volume_sources::FOREIGN
                    .iter()
                    .find(|(name, _)| *name == other);
                for field in known.map_or(&[][..], |(_, fields)| fields) {
                    required(source, field, &at, errors);
                }
            }
        }
    }
    if !found {
        SPEC.required(errors, "must specify a volume type");
    }
}

fn access_modes(spec: &Value, missing: &str, at: &At<'_>, errors: &mut ErrorList) {
    let at = at.child("accessModes");
    let modes = spec.items("accessModes");
    if modes.is_empty() {
        at.required(errors, missing);
    }
    for mode in modes
        .iter()
        .filter(|mode| !MODES.contains(&mode.as_str().unwrap_or_default()))
    {
        at.unsupported(errors, mode.clone(), &MODES);
    }
    let other = |mode: &Value| {
        mode != "ReadWriteOncePod" && mode.as_str().is_some_and(|m| MODES.contains(&m))
    };
    if modes.iter().any(|mode| mode == "ReadWriteOncePod") && modes.iter().any(other) {
        at.forbidden(
            errors,
            "may not use ReadWriteOncePod with other access modes",
        );
    }
}

pub(super) struct PersistentVolumeClaim;

impl Rules for PersistentVolumeClaim {
    const COMMON: Common = Common {
        status: true,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::core::v1::PersistentVolumeClaim);

    fn default(value: &mut Value) {
        default_claim_spec(value.object("spec"));
        value.object("status").default_to("phase", "Pending");
    }

    fn create(value: &mut Value) {
        value.put("status", json!({"phase": "Pending"}));
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        check_claim_spec(value.at("spec"), &SPEC, errors);
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        claim_update(new, old, errors);
    }

    fn check_status(new: &Value, _old: &Value, errors: &mut ErrorList) {
        let at = At::root("status");
        for field in ["capacity", "allocatedResources"] {
            for (name, value) in new.at("status").entries(field) {
                if amount(value).is_none_or(|q| q.is_negative()) {
                    let detail = "must be a valid resource quantity";
                    at.child(field)
                        .key(name)
                        .invalid(errors, value.clone(), detail);
                }
            }
        }
    }
}

/// A `PersistentVolumeClaimSpec`, of a claim or of a pod's ephemeral volume.
pub(super) fn check_claim_spec(spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    access_modes(spec, "at least 1 access mode is required", at, errors);
    if spec.has("selector") {
        label_selector(spec.at("selector"), &at.child("selector"), errors);
    }
    let size = spec.at("resources").at("requests").at("storage");
    {
        let at = at.child("resources");
        let at = at.key("storage");
        match amount(size) {
            None => at.required(errors, ""),
            Some(q) if q.is_zero() || q.is_negative() => {
                at.invalid(errors, size.clone(), "must be greater than zero");
            }
            Some(_) => quantity("storage", size, &at, errors),
        }
    }
    name_if_set(
        spec,
        "storageClassName",
        names::dns1123_subdomain,
        at,
        errors,
    );
    name_if_set(
        spec,
        "volumeAttributesClassName",
        names::dns1123_subdomain,
        at,
        errors,
    );
    one_of_if_set(spec, "volumeMode", &["Block", "Filesystem"], at, errors);
    for field in ["dataSource", "dataSourceRef"] {
        if spec.has(field) {
            data_source(spec.at(field), &at.child(field), errors);
        }
    }
}

fn data_source(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    required(source, "name", at, errors);
    required(source, "kind", at, errors);
    if source.text("apiGroup").is_empty() && source.text("kind") != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        at.invalid(errors, source.text("kind"), detail);
    }
    name_if_set(source, "apiGroup", names::dns1123_subdomain, at, errors);
    name_if_set(source, "namespace", names::dns1123_label, at, errors);
}

/// A claim stays as it is, but for its volume (once), its class (once), and its size once bound.
fn claim_update(new: &Value, old: &Value, errors: &mut ErrorList) {
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let mut munged = spec.clone();
    if before.text("volumeName").is_empty() {
        munged.copy_from(before, "volumeName");
    }
    if !before.has("storageClassName") {
        munged.copy_from(before, "storageClassName");
    }
    let size = |v: &Value| v.at("resources").at("requests").at("storage").clone();
    if new.at("status").text("phase") == "Bound" {
        if munged.at("resources").at("requests").is_object() {
            munged
                .object("resources")
                .object("requests")
                .put("storage", size(before));
        }
        munged.copy_from(before, "volumeAttributesClassName");
    }
    if !same(&munged, before) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                      bound claims";
        SPEC.forbidden(errors, detail);
    }
    let (wanted, was) = (amount(&size(spec)), amount(&size(before)));
    let kept = amount(old.at("status").at("capacity").at("storage"));
    if wanted < was && kept.is_some() && wanted <= kept {
        // A claim whose expansion failed may go back, but not below what it has.
        let at = SPEC.child("resources");
        let at = at.child("requests");
        at.child("storage")
            .forbidden(errors, "field can not be less than status.capacity");
    }
    immutable(spec, before, "volumeMode", &ROOT, errors);
}
