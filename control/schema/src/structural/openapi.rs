//! Which OpenAPI keywords a CustomResourceDefinition may use, and how they fit together; the second half of what
//! apiextensions-apiserver checks, with its sentences.

use std::collections::HashSet;

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::Value;

use super::meta;
use super::raw::Raw;

/// What is inherited on the way down.
#[derive(Clone, Copy)]
struct Above<'a> {
    root: bool,
    /// Within `apiVersion`, `kind` or `metadata`.
    in_meta: bool,
    /// Why defaults are forbidden here.
    no_defaults: Option<&'a str>,
}

/// Adds what is wrong with the keywords of `schema`.
pub(super) fn check(schema: Raw<'_>, at: &Path, errors: &mut ErrorList) {
    walk(
        schema,
        at,
        Above {
            root: true,
            in_meta: false,
            no_defaults: None,
        },
        errors,
    );
}

fn walk(schema: Raw<'_>, at: &Path, above: Above<'_>, errors: &mut ErrorList) {
    keywords(schema, at, above, errors);
    if schema.flag("uniqueItems") {
        errors.push(FieldError::forbidden(
            at.child("uniqueItems"),
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ));
    }
    let inner = Above {
        root: false,
        ..above
    };
    if let Some(additional) = schema.get("additionalProperties") {
        if schema.map("properties").next().is_some() && *additional != Value::Bool(true) {
            errors.push(FieldError::forbidden(
                at.child("additionalProperties"),
                "additionalProperties and properties are mutual exclusive",
            ));
        }
        if let Some(schema) = schema.sub("additionalProperties") {
            let reason = above
                .in_meta
                .then_some("inside additionalProperties applying to object metadata");
            let inner = Above {
                no_defaults: reason.or(above.no_defaults),
                ..inner
            };
            walk(schema, &at.child("additionalProperties"), inner, errors);
        }
    }
    for (name, property) in schema.map("properties") {
        let of_resource =
            (above.root || schema.flag("x-kubernetes-embedded-resource")) && meta::is_meta(name);
        let reason = format!("in top-level {name}");
        let inner = Above {
            root: false,
            in_meta: above.in_meta || of_resource,
            no_defaults: if of_resource && above.root {
                Some(&reason)
            } else {
                above.no_defaults
            },
        };
        walk(property, &at.child("properties").key(name), inner, errors);
    }
    for keyword in ["not", "items"] {
        if let Some(one) = schema.sub(keyword) {
            walk(one, &at.child(keyword), inner, errors);
        }
    }
    for keyword in ["allOf", "oneOf", "anyOf"] {
        for (index, one) in schema.list(keyword).enumerate() {
            walk(one, &at.child(keyword).index(index), inner, errors);
        }
    }
    extensions(schema, at, errors);
}

fn keywords(schema: Raw<'_>, at: &Path, above: Above<'_>, errors: &mut ErrorList) {
    const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
    let kind = schema.kind();
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(at.child("type"), kind, TYPES));
    }
    if kind == "null" {
        errors.push(FieldError::forbidden(
            at.child("type"),
            "type cannot be set to null, use nullable as an alternative",
        ));
    }
    if schema.get("default").is_some()
        && let Some(reason) = above.no_defaults
    {
        errors.push(FieldError::forbidden(
            at.child("default"),
            format!("must not be set {reason}"),
        ));
    }
    for keyword in [
        "id",
        "additionalItems",
        "patternProperties",
        "definitions",
        "dependencies",
        "$ref",
    ] {
        let given = match schema.get(keyword) {
            Some(Value::String(text)) => keyword == "$ref" || !text.is_empty(),
            Some(Value::Object(map)) => {
                matches!(keyword, "additionalItems" | "dependencies") || !map.is_empty()
            }
            Some(_) => true,
            None => false,
        };
        if given {
            errors.push(FieldError::forbidden(
                at.child(keyword),
                format!("{keyword} is not supported"),
            ));
        }
    }
    if schema.get("items").is_some_and(Value::is_array) {
        errors.push(FieldError::forbidden(
            at.child("items"),
            "items must be a schema object and not an array",
        ));
    }
    if above.in_meta && schema.flag("x-kubernetes-embedded-resource") {
        errors.push(FieldError::forbidden(
            at.child("x-kubernetes-embedded-resource"),
            "must not be used inside of resource meta",
        ));
    }
    for keyword in ["multipleOf"] {
        if schema
            .get(keyword)
            .and_then(Value::as_f64)
            .is_some_and(|factor| factor <= 0.0)
        {
            let value = schema.get(keyword).cloned().unwrap_or_default();
            errors.push(FieldError::invalid(
                at.child(keyword),
                value,
                "must be greater than 0",
            ));
        }
    }
    if schema
        .get("x-kubernetes-validations")
        .and_then(Value::as_array)
        .is_some_and(|rules| !rules.is_empty())
    {
        // Accepting a rule that is then not applied would let through what the author of the schema forbade.
        errors.push(FieldError::forbidden(
            at.child("x-kubernetes-validations"),
            "validation rules in CEL are not evaluated by this server: remove them or express them by the schema's own keywords",
        ));
    }
}

fn extensions(schema: Raw<'_>, at: &Path, errors: &mut ErrorList) {
    let kind = schema.kind();
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        errors.push(FieldError::invalid(
            at.child("x-kubernetes-preserve-unknown-fields"),
            false,
            "must be true or undefined",
        ));
    }
    let wants = |extension: &str, wanted: &str, errors: &mut ErrorList| {
        let detail = format!("must be {wanted} if {extension} is specified");
        errors.push(if kind.is_empty() {
            FieldError::required(at.child("type"), detail)
        } else {
            FieldError::invalid(at.child("type"), kind, detail)
        });
    };
    if let Some(map_type) = schema.get("x-kubernetes-map-type").and_then(Value::as_str) {
        if kind != "object" {
            wants("x-kubernetes-map-type", "object", errors);
        }
        if !matches!(map_type, "atomic" | "granular") {
            errors.push(FieldError::not_supported(
                at.child("x-kubernetes-map-type"),
                map_type,
                &["atomic", "granular"],
            ));
        }
    }
    let list_type = schema.get("x-kubernetes-list-type").and_then(Value::as_str);
    let keys: Vec<&str> = schema.texts("x-kubernetes-list-map-keys").collect();
    if let Some(list_type) = list_type {
        if kind != "array" {
            wants("x-kubernetes-list-type", "array", errors);
        } else if list_type == "set" {
            set_of_atoms(schema, at, errors);
        }
        if !matches!(list_type, "atomic" | "set" | "map") {
            let supported = &["atomic", "set", "map"];
            errors.push(FieldError::not_supported(
                at.child("x-kubernetes-list-type"),
                list_type,
                supported,
            ));
        }
    }
    if !keys.is_empty() && list_type != Some("map") {
        let path = at.child("x-kubernetes-list-type");
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(match list_type {
            None => FieldError::required(path, detail),
            Some(other) => FieldError::invalid(path, other, detail),
        });
    }
    if list_type == Some("map") {
        list_map(schema, &keys, at, errors);
    }
    if let Some(list_type @ ("set" | "map")) = list_type
        && schema
            .sub("items")
            .is_some_and(|items| items.flag("nullable"))
    {
        errors.push(FieldError::forbidden(
            at.child("items").child("nullable"),
            format!("cannot be nullable when x-kubernetes-list-type is {list_type}"),
        ));
    }
}

fn set_of_atoms(schema: Raw<'_>, at: &Path, errors: &mut ErrorList) {
    let Some(items) = schema.sub("items") else {
        return;
    };
    let (keyword, default) = match items.kind() {
        "array" => ("x-kubernetes-list-type", "atomic"),
        "object" => ("x-kubernetes-map-type", "granular"),
        _ => return,
    };
    let given = items.get(keyword).and_then(Value::as_str);
    if given.unwrap_or(default) != "atomic" {
        let value = given.map_or(Value::Null, Value::from);
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        errors.push(FieldError::invalid(
            at.child("items").child(keyword),
            value,
            detail,
        ));
    }
}

fn list_map(schema: Raw<'_>, keys: &[&str], at: &Path, errors: &mut ErrorList) {
    let keys_at = at.child("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.push(FieldError::required(
            keys_at.clone(),
            "must not be empty if x-kubernetes-list-type is map",
        ));
    }
    let items_at = at.child("items");
    let Some(items) = schema.sub("items") else {
        return errors.push(FieldError::required(
            items_at,
            "must have a schema if x-kubernetes-list-type is map",
        ));
    };
    if items.kind() != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        return errors.push(FieldError::invalid(
            items_at.child("type"),
            items.kind(),
            detail,
        ));
    }
    let all_keys = || Value::from(keys.to_vec());
    let required: HashSet<&str> = items.texts("required").collect();
    let mut seen = HashSet::new();
    for key in keys {
        if !seen.insert(key) {
            errors.push(FieldError::invalid(
                keys_at.clone(),
                all_keys(),
                "must not contain duplicate entries",
            ));
        }
        let Some(property) = items.property(key) else {
            errors.push(FieldError::invalid(
                keys_at.clone(),
                all_keys(),
                "entries must all be names of item properties",
            ));
            continue;
        };
        let key_at = items_at.child("properties").key(key);
        if matches!(property.kind(), "array" | "object") {
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(
                key_at.child("type"),
                property.kind(),
                detail,
            ));
        }
        if !required.contains(key) && property.get("default").is_none() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(key_at.child("default"), detail));
        }
        if property.flag("nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(key_at.child("nullable"), detail));
        }
    }
}
