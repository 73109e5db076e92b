//! The rules of CustomResourceDefinitions, in apiextensions-apiserver's order and words.

mod parts;
mod versions;

use std::collections::HashSet;

use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::{meta, names};
use serde_json::Value;

use super::{condition, text, versions};

const APPROVED: &str = "api-approved.kubernetes.io";
pub(super) fn create(crd: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = meta::name(crd);
    let at = Path::new("metadata").child("name");
    for why in names::dns1123_subdomain(name) {
        errors.push(FieldError::invalid(at.clone(), name, why));
    }
    if name
        != format!(
            "{}.{}",
            text(crd, "/spec/names/plural"),
            text(crd, "/spec/group")
        )
    {
        errors.push(FieldError::invalid(
            at,
            name,
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    spec(crd, &mut errors);
    errors.extend(status(crd));
    stored_versions(crd, &mut errors);
    approval(crd, &mut errors);
    errors
}

pub(super) fn update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    spec(new, &mut errors);
    let established =
        condition(old, "Established").is_some_and(|c| c.get("status") == Some(&"True".into()));
    let mut fields = Vec::new();
    if established {
        // What is stored, and where, depends on these.
        fields.extend(["/spec/scope", "/spec/names/kind"]);
    }
    fields.extend(["/spec/group", "/spec/names/plural"]);
    for pointer in fields {
        let value = text(new, pointer);
        if value != text(old, pointer) {
            let at = Path::new(&pointer[1..].replace('/', "."));
            errors.push(FieldError::invalid(at, value, "field is immutable"));
        }
    }
    errors.extend(status(new));
    stored_versions(new, &mut errors);
    if meta::annotation(new, APPROVED) != meta::annotation(old, APPROVED) {
        approval(new, &mut errors);
    }
    errors
}

pub(super) fn status(crd: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(accepted) = crd.pointer("/status/acceptedNames") {
        all_names(
            accepted,
            &Path::new("status").child("acceptedNames"),
            &mut errors,
        );
    }
    errors
}

fn spec(crd: &Value, errors: &mut ErrorList) {
    let at = Path::new("spec");
    let group = text(crd, "/spec/group");
    let complaints = names::dns1123_subdomain(group);
    if group.is_empty() {
        errors.push(FieldError::required(at.child("group"), ""));
    } else if !complaints.is_empty() {
        errors.push(FieldError::invalid(
            at.child("group"),
            group,
            complaints.join(","),
        ));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid(
            at.child("group"),
            group,
            "should be a domain with at least one dot",
        ));
    }
    match text(crd, "/spec/scope") {
        "" => errors.push(FieldError::required(at.child("scope"), "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(FieldError::not_supported(
            at.child("scope"),
            other,
            &["Cluster", "Namespaced"],
        )),
    }
    if crd.pointer("/spec/preserveUnknownFields") == Some(&Value::Bool(true)) {
        errors.push(FieldError::invalid(
            at.child("preserveUnknownFields"),
            true,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    versions::all_versions(crd, &at, errors);
    let names_at = at.child("names");
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(crd, &format!("/spec/names/{field}")).is_empty() {
            errors.push(FieldError::required(names_at.child(field), ""));
        }
    }
    if let Some(names) = crd.pointer("/spec/names") {
        all_names(names, &names_at, errors);
    }
    conversion(crd, &at.child("conversion"), errors);
}

fn conversion(crd: &Value, at: &Path, errors: &mut ErrorList) {
    let Some(conversion) = crd
        .pointer("/spec/conversion")
        .filter(|conversion| !conversion.is_null())
    else {
        return;
    };
    match text(conversion, "/strategy") {
        "" => errors.push(FieldError::required(at.child("strategy"), "")),
        "None" => {
            if conversion
                .get("webhook")
                .is_some_and(|webhook| !webhook.is_null())
            {
                let detail = "should not be set when strategy is not set to Webhook";
                errors.push(FieldError::forbidden(at.child("webhook"), detail));
            }
        }
        // Conversion webhooks are not called, so their definitions cannot be served rightly.
        other => errors.push(FieldError::not_supported(
            at.child("strategy"),
            other,
            &["None"],
        )),
    }
}

fn all_names(all: &Value, at: &Path, errors: &mut ErrorList) {
    let name = |field: &str| all.get(field).and_then(Value::as_str).unwrap_or_default();
    for field in ["plural", "singular", "kind", "listKind"] {
        let given = name(field);
        let is_kind = field.to_lowercase().ends_with("kind");
        let complaints = names::dns1035_label(&if is_kind {
            given.to_lowercase()
        } else {
            given.to_owned()
        });
        if !given.is_empty() && !complaints.is_empty() {
            let prefix = if is_kind {
                "may have mixed case, but should otherwise match: "
            } else {
                ""
            };
            errors.push(FieldError::invalid(
                at.child(field),
                given,
                format!("{prefix}{}", complaints.join(",")),
            ));
        }
    }
    if !name("kind").is_empty() && name("kind") == name("listKind") {
        errors.push(FieldError::invalid(
            at.child("listKind"),
            name("listKind"),
            "kind and listKind may not be the same",
        ));
    }
    for field in ["shortNames", "categories"] {
        for (index, given) in items(all, field) {
            let given = given.as_str().unwrap_or_default();
            let complaints = names::dns1035_label(given);
            if !complaints.is_empty() {
                errors.push(FieldError::invalid(
                    at.child(field).index(index),
                    given,
                    complaints.join(","),
                ));
            }
        }
    }
}

fn stored_versions(crd: &Value, errors: &mut ErrorList) {
    let at = Path::new("status").child("storedVersions");
    let given = crd
        .pointer("/status/storedVersions")
        .cloned()
        .unwrap_or_default();
    let stored: Vec<&str> = given
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if stored.is_empty() {
        return errors.push(FieldError::invalid(
            at,
            given.clone(),
            "must have at least one stored version",
        ));
    }
    let known: HashSet<&str> = versions(crd)
        .map(|version| text(version, "/name"))
        .collect();
    for version in
        versions(crd).filter(|version| version.get("storage") == Some(&Value::Bool(true)))
    {
        let name = text(version, "/name");
        if !stored.contains(&name) {
            errors.push(FieldError::invalid(
                at.clone(),
                given.clone(),
                format!("must have the storage version {name}"),
            ));
        }
    }
    for (index, name) in stored
        .iter()
        .enumerate()
        .filter(|(_, name)| !known.contains(*name))
    {
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
        );
        errors.push(FieldError::invalid(at.index(index), *name, detail));
    }
}

/// Groups of the Kubernetes community are only for who has its approval.
fn approval(crd: &Value, errors: &mut ErrorList) {
    let group = text(crd, "/spec/group");
    let protected = ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        group
            .strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    if !protected {
        return;
    }
    let at = Path::new("metadata").child("annotations").key(APPROVED);
    match meta::annotation(crd, APPROVED) {
        None | Some("") => errors.push(FieldError::required(
            at,
            format!(
                "protected groups must have approval annotation {APPROVED:?}, see https://github.com/kubernetes/enhancements/pull/1111"
            ),
        )),
        Some(given) => {
            let is_url = given.starts_with("https://") || given.starts_with("http://");
            if !is_url && !given.starts_with("unapproved") {
                let detail = format!(
                    "protected groups must have approval annotation {APPROVED:?} with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
                );
                errors.push(FieldError::invalid(at, given, detail));
            }
        }
    }
}

fn items<'a>(version: &'a Value, field: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    version
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
}
