//! The versions of a definition.

use std::collections::HashSet;

use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::names;
use serde_json::Value;

use super::parts::{printer_column, root_schema, scale, selectable_fields};
use super::{items, text, versions};

/// The most versions; Kubernetes leaves it to the size of the object.
const MAX_VERSIONS: usize = 64;

/// Where a part of the versions is told to be: hoisted to the definition when it is the same in all.
struct Place {
    hoisted: bool,
    field: &'static str,
    hoisted_field: &'static str,
}

impl Place {
    fn new(all: &[&Value], field: &'static str, hoisted_field: &'static str) -> Self {
        let hoisted = all
            .windows(2)
            .all(|pair| pair[0].get(field) == pair[1].get(field));
        Self {
            hoisted,
            field,
            hoisted_field,
        }
    }

    /// The path for the version at `index`; `None` if it was already told for an earlier one.
    fn path(&self, at: &Path, index: usize) -> Option<Path> {
        match (self.hoisted, index) {
            (true, 0) => Some(at.child(self.hoisted_field)),
            (true, _) => None,
            (false, _) => Some(at.child("versions").index(index).child(self.field)),
        }
    }
}

pub(super) fn all_versions(crd: &Value, at: &Path, errors: &mut ErrorList) {
    let all: Vec<&Value> = versions(crd).collect();
    let versions_at = at.child("versions");
    if all.is_empty() {
        return errors.push(FieldError::required(
            versions_at,
            "must have at least one version",
        ));
    }
    if all.len() > MAX_VERSIONS {
        return errors.push(FieldError::too_many(versions_at, all.len(), MAX_VERSIONS));
    }
    let schemas = Place::new(&all, "schema", "validation");
    let subresources = Place::new(&all, "subresources", "subresources");
    let columns = Place::new(&all, "additionalPrinterColumns", "additionalPrinterColumns");
    let selectable = Place::new(&all, "selectableFields", "selectableFields");
    let any_status = all.iter().any(|version| has_status(version));
    let mut seen = HashSet::new();
    let mut unique = true;
    for (index, version) in all.iter().enumerate() {
        let here = versions_at.index(index);
        let name = text(version, "/name");
        unique &= seen.insert(name);
        let complaints = names::dns1035_label(name);
        if !complaints.is_empty() {
            errors.push(FieldError::invalid(
                here.child("name"),
                name,
                complaints.join(","),
            ));
        }
        deprecation(version, &here, errors);
        let schema_given = version
            .pointer("/schema/openAPIV3Schema")
            .filter(|schema| !schema.is_null());
        match (schema_given, schemas.path(at, index)) {
            (None, _) => {
                let at = here.child("schema").child("openAPIV3Schema");
                errors.push(FieldError::required(at, "schemas are required"));
            }
            (Some(schema), Some(at)) => {
                let status = if schemas.hoisted {
                    any_status
                } else {
                    has_status(version)
                };
                root_schema(schema, status, &at.child("openAPIV3Schema"), errors);
            }
            (Some(_), None) => {}
        }
        if let Some(at) = subresources.path(at, index) {
            scale(version, &at, errors);
        }
        if let Some(at) = columns.path(at, index) {
            for (index, column) in items(version, "additionalPrinterColumns") {
                printer_column(column, &at.index(index), errors);
            }
        }
        if let Some(at) = selectable.path(at, index) {
            selectable_fields(version, &at, errors);
        }
    }
    let whole = || crd.pointer("/spec/versions").cloned().unwrap_or_default();
    if !unique {
        errors.push(FieldError::invalid(
            versions_at.clone(),
            whole(),
            "must contain unique version names",
        ));
    }
    if all
        .iter()
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .count()
        != 1
    {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(versions_at, whole(), detail));
    }
}

fn has_status(version: &Value) -> bool {
    version
        .pointer("/subresources/status")
        .is_some_and(|status| !status.is_null())
}

fn deprecation(version: &Value, at: &Path, errors: &mut ErrorList) {
    let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) else {
        return;
    };
    let mut complain = |why: &str| {
        errors.push(FieldError::invalid(
            at.child("deprecationWarning"),
            warning,
            why,
        ));
    };
    if version.get("deprecated") != Some(&Value::Bool(true)) {
        return complain("can only be set for deprecated versions");
    }
    if warning.len() > 256 {
        complain("must be <= 256 characters long");
    }
    if warning.is_empty() {
        complain("must not be an empty string");
    }
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        complain(&format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        ));
    }
}
