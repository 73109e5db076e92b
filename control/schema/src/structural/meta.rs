//! `apiVersion`, `kind` and `metadata`, which every resource has whether or not its schema mentions them: at the root and
//! wherever `x-kubernetes-embedded-resource` stands.

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::Value;

/// Whether `name` is one of the three.
pub(super) fn is_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

/// The fields of ObjectMeta and of what it contains; `None` for a leaf.
const OBJECT_META: &[(&str, Option<&[&str]>)] = &[
    ("annotations", None),
    ("creationTimestamp", None),
    ("deletionGracePeriodSeconds", None),
    ("deletionTimestamp", None),
    ("finalizers", None),
    ("generateName", None),
    ("generation", None),
    ("labels", None),
    (
        "managedFields",
        Some(&[
            "apiVersion",
            "fieldsType",
            "fieldsV1",
            "manager",
            "operation",
            "subresource",
            "time",
        ]),
    ),
    ("name", None),
    ("namespace", None),
    (
        "ownerReferences",
        Some(&[
            "apiVersion",
            "blockOwnerDeletion",
            "controller",
            "kind",
            "name",
            "uid",
        ]),
    ),
    ("resourceVersion", None),
    ("selfLink", None),
    ("uid", None),
];

/// Removes fields that ObjectMeta does not have.
pub(crate) fn prune(metadata: &mut Value, path: &str, removed: &mut Vec<String>) {
    let Some(object) = metadata.as_object_mut() else {
        return;
    };
    object.retain(|name, value| {
        let Some((_, inner)) = OBJECT_META.iter().find(|(known, _)| known == name) else {
            removed.push(format!("{path}.{name}"));
            return false;
        };
        if let (Some(inner), Some(items)) = (inner, value.as_array_mut()) {
            for (index, item) in items.iter_mut().enumerate() {
                if let Some(item) = item.as_object_mut() {
                    item.retain(|field, _| {
                        let known = inner.contains(&field.as_str());
                        if !known {
                            removed.push(format!("{path}.{name}[{index}].{field}"));
                        }
                        known
                    });
                }
            }
        }
        true
    });
}

/// Checks the three of an embedded resource. Those of the root are checked with all other objects' metadata.
pub(super) fn validate_embedded(value: &Value, path: &Path, errors: &mut ErrorList) {
    for name in ["apiVersion", "kind"] {
        match value.get(name) {
            None => errors.push(FieldError::required(path.child(name), "")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::required(path.child(name), ""))
            }
            Some(Value::String(text)) if name == "apiVersion" && text.matches('/').count() > 1 => {
                errors.push(FieldError::invalid(
                    path.child(name),
                    text.as_str(),
                    format!("unexpected GroupVersion string: {text}"),
                ))
            }
            Some(Value::String(_)) => {}
            Some(other) => errors.push(FieldError::invalid(
                path.child(name),
                other.clone(),
                "must be a string",
            )),
        }
    }
    match value.get("metadata") {
        None | Some(Value::Null | Value::Object(_)) => {}
        Some(other) => errors.push(FieldError::invalid(
            path.child("metadata"),
            other.clone(),
            "must be an object",
        )),
    }
}
