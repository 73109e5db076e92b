//! The parts of a version: schema, scale, printer columns, selectable fields.

use std::collections::HashSet;

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::Value;

use super::{items, text};
use crate::jsonpath::{JsonPath, SimplePath};
use crate::structural::Structural;
use crate::structural::raw::Raw;

/// The most fields that selectors may use.
const MAX_SELECTABLE: usize = 8;

pub(super) fn root_schema(schema: &Value, status: bool, at: &Path, errors: &mut ErrorList) {
    // As Kubernetes names them, by the fields of its own structure.
    const ALLOWED: &[(&str, &str)] = &[
        ("Description", "description"),
        ("Type", "type"),
        ("Format", "format"),
        ("Title", "title"),
        ("Maximum", "maximum"),
        ("ExclusiveMaximum", "exclusiveMaximum"),
        ("Minimum", "minimum"),
        ("ExclusiveMinimum", "exclusiveMinimum"),
        ("MaxLength", "maxLength"),
        ("MinLength", "minLength"),
        ("Pattern", "pattern"),
        ("MaxItems", "maxItems"),
        ("MinItems", "minItems"),
        ("UniqueItems", "uniqueItems"),
        ("MultipleOf", "multipleOf"),
        ("Required", "required"),
        ("Items", "items"),
        ("Properties", "properties"),
        ("ExternalDocs", "externalDocs"),
        ("Example", "example"),
        (
            "XPreserveUnknownFields",
            "x-kubernetes-preserve-unknown-fields",
        ),
        ("XValidations", "x-kubernetes-validations"),
    ];
    if let Some(raw) = Raw::new(schema) {
        // The schema of the status subresource is taken out of the properties, so nothing else may restrict it.
        if status
            && raw
                .keywords()
                .any(|keyword| !ALLOWED.iter().any(|(_, allowed)| *allowed == keyword))
        {
            let fields: Vec<&str> = ALLOWED.iter().map(|(field, _)| *field).collect();
            errors.push(FieldError::invalid(
                at.clone(),
                schema.clone(),
                format!(
                    "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
                    fields.join(" ")
                ),
            ));
        }
        if raw.flag("nullable") {
            errors.push(FieldError::forbidden(
                at.child("nullable"),
                "nullable cannot be true at the root",
            ));
        }
    }
    if let Err(found) = Structural::compile(schema, at) {
        errors.extend(found);
    }
}

pub(super) fn scale(version: &Value, at: &Path, errors: &mut ErrorList) {
    let Some(scale) = version
        .pointer("/subresources/scale")
        .filter(|scale| !scale.is_null())
    else {
        return;
    };
    for (field, below, required) in [
        ("specReplicasPath", &[".spec."][..], true),
        ("statusReplicasPath", &[".status."], true),
        ("labelSelectorPath", &[".spec.", ".status."], false),
    ] {
        let at = at.child("scale").child(field);
        let given = scale.get(field).and_then(Value::as_str).unwrap_or_default();
        if given.is_empty() {
            if required {
                errors.push(FieldError::required(at, ""));
            }
        } else if let Err(why) = SimplePath::parse(given) {
            errors.push(FieldError::invalid(at, given, why.to_string()));
        } else if !below.iter().any(|prefix| given.starts_with(prefix)) {
            let places: Vec<&str> = below
                .iter()
                .map(|prefix| prefix.trim_end_matches('.'))
                .collect();
            let under = if places.len() > 1 {
                "under either "
            } else {
                "under "
            };
            errors.push(FieldError::invalid(
                at,
                given,
                format!("should be a json path {under}{}", places.join(" or ")),
            ));
        }
    }
}

pub(super) fn printer_column(column: &Value, at: &Path, errors: &mut ErrorList) {
    const TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
    const FORMATS: &[&str] = &[
        "byte",
        "date",
        "date-time",
        "double",
        "float",
        "int32",
        "int64",
        "password",
    ];
    if text(column, "/name").is_empty() {
        errors.push(FieldError::required(at.child("name"), ""));
    }
    let types = format!("must be one of {}", TYPES.join(","));
    match text(column, "/type") {
        "" => errors.push(FieldError::required(at.child("type"), types)),
        given if !TYPES.contains(&given) => {
            errors.push(FieldError::invalid(at.child("type"), given, types))
        }
        _ => {}
    }
    let format = text(column, "/format");
    if !format.is_empty() && !FORMATS.contains(&format) {
        let detail = format!("must be one of {}", FORMATS.join(","));
        errors.push(FieldError::invalid(at.child("format"), format, detail));
    }
    let path_at = at.child("JSONPath");
    match text(column, "/jsonPath") {
        "" => errors.push(FieldError::required(path_at, "")),
        given if !given.starts_with('.') => {
            errors.push(FieldError::invalid(
                path_at,
                given,
                "must be a simple json path starting with .",
            ));
        }
        given => {
            if let Err(why) = JsonPath::parse(given) {
                errors.push(FieldError::invalid(path_at, given, why.to_string()));
            }
        }
    }
}

pub(super) fn selectable_fields(version: &Value, at: &Path, errors: &mut ErrorList) {
    let schema = version
        .pointer("/schema/openAPIV3Schema")
        .and_then(Raw::new);
    let mut seen = HashSet::new();
    for (index, field) in items(version, "selectableFields") {
        let at = at.index(index).child("jsonPath");
        let given = text(field, "/jsonPath");
        if given.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let target = |path: SimplePath| {
            path.names()
                .iter()
                .try_fold(schema?, |schema, name| below(schema, name))
        };
        let found = SimplePath::parse(given)
            .map_err(|why| why.to_string())
            .and_then(|path| {
                target(path).ok_or_else(|| "does not refer to a valid field".to_owned())
            });
        match found {
            Err(why) => {
                errors.push(FieldError::invalid(
                    at,
                    given,
                    format!("is an invalid path: {why}"),
                ));
                continue;
            }
            Ok(target) => {
                if given.starts_with(".metadata.") || given == ".metadata" {
                    errors.push(FieldError::invalid(
                        at.clone(),
                        given,
                        "must not point to fields in metadata",
                    ));
                }
                if !matches!(target.kind(), "string" | "boolean" | "integer") {
                    let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
                    errors.push(FieldError::invalid(at.clone(), given, detail));
                }
            }
        }
        if !seen.insert(given) {
            errors.push(FieldError::duplicate(at, given));
        }
    }
    if seen.len() > MAX_SELECTABLE {
        errors.push(FieldError::too_many(at.clone(), seen.len(), MAX_SELECTABLE));
    }
}

fn below<'a>(schema: Raw<'a>, name: &str) -> Option<Raw<'a>> {
    schema
        .property(name)
        .or_else(|| schema.sub("additionalProperties"))
}
