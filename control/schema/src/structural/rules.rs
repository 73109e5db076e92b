//! What makes a schema structural, with the paths and sentences of apiextensions-apiserver: every field has a type outside
//! of the logical junctors, and the junctors (`allOf`, `anyOf`, `oneOf`, `not`) only restrict values.

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::{Value, json};

use super::pattern;
use super::raw::Raw;

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Adds, sorted by text, what keeps `schema` from being structural.
pub(super) fn check(schema: Raw<'_>, at: &Path, errors: &mut ErrorList) {
    let mut found = ErrorList::new();
    structure(schema, Level::Root, at, &mut found);
    complete(schema, Some(schema), at, at, &mut found);
    let mut found: Vec<FieldError> = found.into_iter().collect();
    found.sort_by_cached_key(ToString::to_string);
    errors.extend(found);
}

fn structure(schema: Raw<'_>, level: Level, at: &Path, errors: &mut ErrorList) {
    let kind = schema.kind();
    let embedded = schema.flag("x-kubernetes-embedded-resource");
    let preserve = schema.flag("x-kubernetes-preserve-unknown-fields");
    let int_or_string = schema.flag("x-kubernetes-int-or-string");
    let additional = schema.get("additionalProperties");

    if kind == "array" && schema.get("items").is_none() {
        errors.push(FieldError::required(at.child("items"), "must be specified"));
    }
    if let Some(items) = schema.sub("items") {
        structure(items, Level::Item, &at.child("items"), errors);
    }
    for (name, property) in schema.map("properties") {
        structure(
            property,
            Level::Field,
            &at.child("properties").key(name),
            errors,
        );
    }
    if additional.is_some() {
        if level == Level::Root {
            errors.push(FieldError::forbidden(
                at.child("additionalProperties"),
                "must not be used at the root",
            ));
        }
        if let Some(schema) = schema.sub("additionalProperties") {
            structure(
                schema,
                Level::Field,
                &at.child("additionalProperties"),
                errors,
            );
        }
    }
    for (keyword, set) in [
        ("x-kubernetes-preserve-unknown-fields", preserve),
        ("x-kubernetes-embedded-resource", embedded),
    ] {
        if int_or_string && set {
            errors.push(FieldError::invalid(
                at.child(keyword),
                true,
                "must be false if x-kubernetes-int-or-string is true",
            ));
        }
    }
    value_validation(schema, level, at, errors);

    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() {
            FieldError::required(at.child("type"), detail)
        } else {
            FieldError::invalid(at.child("type"), kind, detail)
        });
    } else if kind.is_empty() && !int_or_string && !preserve {
        let of = match level {
            Level::Root => "at the root",
            Level::Item => "for specified array items",
            Level::Field => "for specified object fields",
        };
        errors.push(FieldError::required(
            at.child("type"),
            format!("must not be empty {of}"),
        ));
    }
    if embedded && additional.is_some() {
        errors.push(FieldError::forbidden(
            at.child("additionalProperties"),
            "must not be used if x-kubernetes-embedded-resource is set",
        ));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(
            at.child("type"),
            kind,
            "must be object at the root",
        ));
    }
    resource_fields(schema, level, level == Level::Root || embedded, at, errors);
    if embedded && !preserve && schema.map("properties").next().is_none() {
        errors.push(FieldError::required(
            at.child("properties"),
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ));
    }
}

/// `apiVersion`, `kind` and `metadata` are Kubernetes' own.
fn resource_fields(
    schema: Raw<'_>,
    level: Level,
    is_resource: bool,
    at: &Path,
    errors: &mut ErrorList,
) {
    if !is_resource {
        return;
    }
    let mut has_kind = |name: &str, wanted: &str| {
        if let Some(property) = schema.property(name)
            && property.kind() != wanted
        {
            let path = at.child("properties").key(name).child("type");
            errors.push(FieldError::invalid(
                path,
                property.kind(),
                format!("must be {wanted}"),
            ));
        }
    };
    has_kind("kind", "string");
    has_kind("apiVersion", "string");
    has_kind("metadata", "object");
    if level == Level::Root
        && let Some(metadata) = schema.property("metadata")
    {
        // Restrictions of name and generateName are fine, and defaults are dealt with elsewhere.
        let only_names = metadata
            .map("properties")
            .all(|(name, _)| matches!(name, "name" | "generateName"));
        let only_known = metadata
            .keywords()
            .all(|keyword| matches!(keyword, "type" | "properties" | "default"));
        if !only_names || !only_known {
            errors.push(FieldError::forbidden(
                at.child("properties").key("metadata"),
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            ));
        }
    }
}

fn is_int_or_string(any_of: Option<&Value>) -> bool {
    any_of.is_some_and(|any_of| *any_of == json!([{"type": "integer"}, {"type": "string"}]))
}

/// `skip_any_of` lets the one way to write int-or-string pass.
fn value_validation(schema: Raw<'_>, level: Level, at: &Path, errors: &mut ErrorList) {
    let skip_any_of = is_int_or_string(schema.get("anyOf"));
    let mut all_of = schema.list("allOf").peekable();
    let skip_first = all_of
        .peek()
        .is_some_and(|first| is_int_or_string(first.get("anyOf")));
    for (index, one) in all_of.enumerate() {
        nested(
            one,
            skip_first && index == 0,
            level,
            &at.child("allOf").index(index),
            errors,
        );
    }
    junctors(schema, skip_any_of, level, at, errors);
    regular_expression(schema, at, errors);
}

fn junctors(schema: Raw<'_>, skip_any_of: bool, level: Level, at: &Path, errors: &mut ErrorList) {
    if !skip_any_of {
        for (index, one) in schema.list("anyOf").enumerate() {
            nested(one, false, level, &at.child("anyOf").index(index), errors);
        }
    }
    for (index, one) in schema.list("oneOf").enumerate() {
        nested(one, false, level, &at.child("oneOf").index(index), errors);
    }
    if let Some(not) = schema.sub("not") {
        nested(not, false, level, &at.child("not"), errors);
    }
}

fn regular_expression(schema: Raw<'_>, at: &Path, errors: &mut ErrorList) {
    let pattern = schema.text("pattern");
    if let Err(why) = pattern::check(pattern) {
        errors.push(FieldError::invalid(
            at.child("pattern"),
            pattern,
            format!("must be a valid regular expression, but isn't: {why}"),
        ));
    }
}

/// Below a junctor a schema may only restrict.
fn nested(schema: Raw<'_>, skip_any_of: bool, level: Level, at: &Path, errors: &mut ErrorList) {
    for (index, one) in schema.list("allOf").enumerate() {
        nested(one, false, level, &at.child("allOf").index(index), errors);
    }
    junctors(schema, skip_any_of, level, at, errors);
    regular_expression(schema, at, errors);
    if let Some(items) = schema.sub("items") {
        nested(items, false, level, &at.child("items"), errors);
    }
    for (name, property) in schema.map("properties") {
        nested(
            property,
            false,
            Level::Field,
            &at.child("properties").key(name),
            errors,
        );
    }
    const TEXTS: &[&str] = &["type", "title", "description"];
    const FLAGS: &[&str] = &[
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ];
    const VALUES: &[&str] = &[
        "additionalProperties",
        "default",
        "externalDocs",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
    ];
    const LISTS: &[&str] = &["x-kubernetes-list-map-keys", "x-kubernetes-validations"];
    let listed = |keyword: &str| {
        schema
            .get(keyword)
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
    };
    let empty = TEXTS
        .iter()
        .filter(|k| !schema.text(k).is_empty())
        .map(|k| (k, "empty"));
    let not_set = FLAGS
        .iter()
        .filter(|k| schema.flag(k))
        .map(|k| (k, "false"));
    let undefined = VALUES
        .iter()
        .filter(|k| schema.get(k).is_some())
        .map(|k| (k, "undefined"));
    let no_items = LISTS.iter().filter(|k| listed(k)).map(|k| (k, "empty"));
    for (keyword, state) in empty.chain(not_set).chain(undefined).chain(no_items) {
        errors.push(FieldError::forbidden(
            at.child(keyword),
            format!("must be {state} to be structural"),
        ));
    }
    if schema.property("metadata").is_some() {
        errors.push(FieldError::forbidden(
            at.child("properties").key("metadata"),
            "must not be specified in a nested context",
        ));
    }
}

/// Every field that a junctor restricts must be specified outside of it, in `outside`.
fn complete(
    schema: Raw<'_>,
    outside: Option<Raw<'_>>,
    out_at: &Path,
    at: &Path,
    errors: &mut ErrorList,
) {
    let mut restricts = |one: Raw<'_>, here: Path| restriction(one, outside, out_at, &here, errors);
    if let Some(not) = schema.sub("not") {
        restricts(not, at.child("not"));
    }
    for junctor in ["allOf", "anyOf", "oneOf"] {
        for (index, one) in schema.list(junctor).enumerate() {
            restricts(one, at.child(junctor).index(index));
        }
    }
}

fn restriction(
    schema: Raw<'_>,
    outside: Option<Raw<'_>>,
    out_at: &Path,
    at: &Path,
    errors: &mut ErrorList,
) {
    let Some(outer) = outside else {
        return errors.push(FieldError::required(
            out_at.clone(),
            format!("because it is defined in {at}"),
        ));
    };
    complete(schema, outside, out_at, at, errors);
    if let Some(items) = schema.sub("items") {
        restriction(
            items,
            outer.sub("items"),
            &out_at.child("items"),
            &at.child("items"),
            errors,
        );
    }
    for (name, property) in schema.map("properties") {
        let (out_at, at) = (
            out_at.child("properties").key(name),
            at.child("properties").key(name),
        );
        restriction(property, outer.property(name), &out_at, &at, errors);
    }
}
