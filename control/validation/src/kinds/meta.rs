//! Metadata of every kind: `ValidateObjectMeta` and its update, and what an update may not touch.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::Common;
use super::text::{annotations, label_name, labels};
use crate::at::At;
use crate::json::{Get, Set, same};
use crate::seen::Seen;

const METADATA: At<'static> = At::root("metadata");
const IMMUTABLE: &str = "field is immutable";

/// Metadata that a client may leave out of an update and may not change: the system owns it.
const OWNED: [&str; 4] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

pub(super) fn prepare_create(value: &mut Value, generation: bool) {
    let metadata = value.object("metadata");
    if generation {
        metadata.put("generation", 1);
    } else {
        metadata.take_out("generation");
    }
    metadata.take_out("selfLink");
}

pub(super) fn prepare_update(new: &mut Value, old: &Value, changed: bool) {
    let before = old.at("metadata");
    let metadata = new.object("metadata");
    for field in OWNED {
        // A uid that differs is an error to report; the others are the system's whatever the client says.
        if field != "uid" || !metadata.has(field) {
            metadata.copy_from(before, field);
        }
    }
    metadata.take_out("selfLink");
    match before.int("generation") {
        Some(generation) => {
            metadata.put("generation", generation.saturating_add(i64::from(changed)))
        }
        None if changed => metadata.put("generation", 1),
        None => drop(metadata.take_out("generation")),
    }
}

pub(super) fn check(value: &Value, common: &Common, errors: &mut ErrorList) {
    let metadata = value.at("metadata");
    let (name, prefix) = (metadata.text("name"), metadata.text("generateName"));
    if !prefix.is_empty() {
        METADATA.child("generateName").complain(
            errors,
            prefix,
            (common.name)(&without_dash(prefix)),
        );
    }
    if name.is_empty() {
        METADATA
            .child("name")
            .required(errors, "name or generateName is required");
    } else {
        METADATA
            .child("name")
            .complain(errors, name, (common.name)(name));
    }
    let namespace = metadata.text("namespace");
    let at = METADATA.child("namespace");
    match (common.namespaced, namespace.is_empty()) {
        (true, true) => at.required(errors, ""),
        (true, false) => at.complain(errors, namespace, names::dns1123_label(namespace)),
        (false, false) => at.forbidden(errors, "not allowed on this type"),
        (false, true) => {}
    }
    shared(metadata, errors);
}

pub(super) fn check_update(new: &Value, old: &Value, common: &Common, errors: &mut ErrorList) {
    let (metadata, before) = (new.at("metadata"), old.at("metadata"));
    if before.has("deletionTimestamp") {
        let had: Seen<&Value> = before.items("finalizers").iter().collect();
        let added: Vec<String> = metadata
            .items("finalizers")
            .iter()
            .filter(|f| !had.contains(f))
            .filter_map(|f| f.as_str().map(|f| format!("{f:?}")))
            .collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            METADATA.child("finalizers").forbidden(errors, &detail);
        }
    }
    if !common.unconditional && metadata.text("resourceVersion").is_empty() {
        METADATA
            .child("resourceVersion")
            .invalid(errors, "", "must be specified for an update");
    }
    if metadata.int("generation").unwrap_or(0) < before.int("generation").unwrap_or(0) {
        METADATA.child("generation").invalid(
            errors,
            metadata.int("generation").unwrap_or(0),
            "must not be decremented",
        );
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        immutable(metadata, before, field, &METADATA, errors);
    }
    shared(metadata, errors);
}

fn shared(metadata: &Value, errors: &mut ErrorList) {
    if let Some(generation) = metadata.int("generation").filter(|g| *g < 0) {
        METADATA.child("generation").invalid(
            errors,
            generation,
            "must be greater than or equal to 0",
        );
    }
    labels(metadata, "labels", &METADATA, errors);
    annotations(metadata, &METADATA, errors);
    owner_references(metadata, errors);
    finalizers(metadata, errors);
    managed_fields(metadata, errors);
}

fn owner_references(metadata: &Value, errors: &mut ErrorList) {
    let at = METADATA.child("ownerReferences");
    let mut controller: Option<String> = None;
    let mut reported = false;
    for owner in metadata.items("ownerReferences") {
        let (api_version, kind, name) = (
            owner.text("apiVersion"),
            owner.text("kind"),
            owner.text("name"),
        );
        let version = api_version.rsplit('/').next().unwrap_or_default();
        if version.is_empty() || api_version.matches('/').count() > 1 {
            at.child("apiVersion")
                .invalid(errors, api_version, "version must not be empty");
        }
        for field in ["kind", "name", "uid"] {
            if owner.text(field).is_empty() {
                at.child(field).invalid(errors, "", "must not be empty");
            }
        }
        if (api_version, kind) == ("v1", "Event") {
            at.invalid(
                errors,
                owner.clone(),
                "/v1, Kind=Event is disallowed from being an owner",
            );
        }
        if owner.flag("controller") {
            let this = format!("{kind}/{name}");
            match controller.replace(this.clone()) {
                // The whole list is shown, so one such error is enough.
                Some(first) if !std::mem::replace(&mut reported, true) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                    );
                    at.invalid(errors, metadata.at("ownerReferences").clone(), &detail);
                }
                _ => {}
            }
        }
    }
}

fn finalizers(metadata: &Value, errors: &mut ErrorList) {
    let at = METADATA.child("finalizers");
    let list = metadata.items("finalizers");
    for (i, finalizer) in list.iter().enumerate() {
        finalizer_name(
            finalizer.as_str().unwrap_or_default(),
            &at,
            &at.index(i),
            errors,
        );
    }
    if list.iter().any(|f| f == "orphan") && list.iter().any(|f| f == "foregroundDeletion") {
        at.invalid(
            errors,
            metadata.at("finalizers").clone(),
            "finalizer foregroundDeletion and orphan cannot be both set",
        );
    }
}

/// A finalizer is a qualified name; without a prefix it must be one of Kubernetes' own.
pub(super) fn finalizer_name(
    name: &str,
    at: &At<'_>,
    standard_at: &At<'_>,
    errors: &mut ErrorList,
) {
    at.complain(errors, name, names::qualified_name(name));
    if !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
        standard_at.invalid(
            errors,
            name,
            "name is neither a standard finalizer name nor is it fully qualified",
        );
    }
}

fn managed_fields(metadata: &Value, errors: &mut ErrorList) {
    const MANAGER_MAX_BYTES: usize = 128;
    const SUBRESOURCE_MAX_BYTES: usize = 256;
    let list = METADATA.child("managedFields");
    for (i, entry) in metadata.items("managedFields").iter().enumerate() {
        let at = list.index(i);
        if !matches!(entry.text("operation"), "Apply" | "Update") {
            at.child("operation").invalid(
                errors,
                entry.text("operation"),
                "must be `Apply` or `Update`",
            );
        }
        if !matches!(entry.text("fieldsType"), "" | "FieldsV1") {
            at.child("fieldsType")
                .invalid(errors, entry.text("fieldsType"), "must be `FieldsV1`");
        }
        let manager = entry.text("manager");
        if manager.len() > MANAGER_MAX_BYTES {
            at.child("manager").too_long(errors, MANAGER_MAX_BYTES);
        }
        if let Some((position, c)) = manager.char_indices().find(|(_, c)| c.is_control()) {
            let detail = format!(
                "invalid character U+{:04X} (at position {position})",
                u32::from(c)
            );
            at.child("manager").invalid(errors, manager, &detail);
        }
        if entry.text("subresource").len() > SUBRESOURCE_MAX_BYTES {
            at.child("subresource")
                .too_long(errors, SUBRESOURCE_MAX_BYTES);
        }
    }
}

/// An error if the field differs.
pub(super) fn immutable(
    new: &Value,
    old: &Value,
    field: &str,
    at: &At<'_>,
    errors: &mut ErrorList,
) {
    if !same(new.at(field), old.at(field)) {
        at.child(field)
            .invalid(errors, new.at(field).clone(), IMMUTABLE);
    }
}

/// A generated name may end with dashes, to which something will be appended.
fn without_dash(prefix: &str) -> String {
    if prefix.len() > 1 && prefix.ends_with('-') {
        format!("{}a", prefix.strip_suffix('-').unwrap_or(prefix))
    } else {
        prefix.to_owned()
    }
}

/// Label selectors as `ValidateLabelSelector` checks them.
pub(super) fn label_selector(selector: &Value, at: &At<'_>, errors: &mut ErrorList) {
    labels(selector, "matchLabels", at, errors);
    let expressions = at.child("matchExpressions");
    for (i, expression) in selector.items("matchExpressions").iter().enumerate() {
        let at = expressions.index(i);
        let values = expression.items("values");
        match expression.text("operator") {
            "In" | "NotIn" if values.is_empty() => {
                at.child("values").required(
                    errors,
                    "must be specified when `operator` is 'In' or 'NotIn'",
                );
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                at.child("values").forbidden(
                    errors,
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "Exists" | "DoesNotExist" => {}
            other => at
                .child("operator")
                .invalid(errors, other, "not a valid selector operator"),
        }
        label_name(expression.text("key"), &at.child("key"), errors);
        let list = at.child("values");
        for (j, value) in values.iter().filter_map(Value::as_str).enumerate() {
            list.index(j)
                .complain(errors, value, names::label_value(value));
        }
    }
}

/// An error for a number below zero.
pub(super) fn not_negative(value: &Value, field: &str, at: &At<'_>, errors: &mut ErrorList) {
    if let Some(number) = value.int(field).filter(|n| *n < 0) {
        at.child(field)
            .invalid(errors, number, "must be greater than or equal to 0");
    }
}
