//! The first look at a schema: is it written in JSON of the right types, and of a bearable size. All later code relies on
//! it: recursion is bounded by the depth that is checked here.

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::Value;

/// How deep schemas may be nested.
pub(super) const MAX_DEPTH: usize = 64;
/// How many schemas one schema may have within it.
pub(super) const MAX_SCHEMAS: usize = 50_000;
/// How many mistakes are told at once.
const MAX_ERRORS: usize = 50;

/// What a keyword's value must be.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Flag,
    Number,
    Integer,
    Texts,
    List,
    Schema,
    SchemaOrFlag,
    SchemaOrList,
    Schemas,
    SchemaMap,
}

fn shape(keyword: &str) -> Option<Shape> {
    Some(match keyword {
        "type"
        | "format"
        | "title"
        | "description"
        | "pattern"
        | "id"
        | "$schema"
        | "$ref"
        | "x-kubernetes-list-type"
        | "x-kubernetes-map-type" => Shape::Text,
        "exclusiveMaximum"
        | "exclusiveMinimum"
        | "nullable"
        | "uniqueItems"
        | "x-kubernetes-embedded-resource"
        | "x-kubernetes-int-or-string"
        | "x-kubernetes-preserve-unknown-fields" => Shape::Flag,
        "maximum" | "minimum" | "multipleOf" => Shape::Number,
        "maxLength" | "minLength" | "maxItems" | "minItems" | "maxProperties" | "minProperties" => {
            Shape::Integer
        }
        "required" | "x-kubernetes-list-map-keys" => Shape::Texts,
        "enum" | "x-kubernetes-validations" => Shape::List,
        "not" => Shape::Schema,
        "additionalProperties" | "additionalItems" => Shape::SchemaOrFlag,
        "items" => Shape::SchemaOrList,
        "allOf" | "anyOf" | "oneOf" => Shape::Schemas,
        "properties" | "patternProperties" | "definitions" => Shape::SchemaMap,
        _ => return None,
    })
}

/// Checks `schema`, and counts the schemas in it.
pub(super) fn check(schema: &Value, at: &Path, errors: &mut ErrorList) {
    let mut seen = 0;
    look(schema, at, 0, &mut seen, errors);
    if seen > MAX_SCHEMAS {
        errors.push(FieldError::too_many(at.clone(), seen, MAX_SCHEMAS));
    }
}

fn look(schema: &Value, at: &Path, depth: usize, seen: &mut usize, errors: &mut ErrorList) {
    *seen += 1;
    if *seen > MAX_SCHEMAS || errors.len() > MAX_ERRORS {
        return;
    }
    let Some(object) = schema.as_object() else {
        return wrong(schema, at, "an object", errors);
    };
    if depth >= MAX_DEPTH {
        return errors.push(FieldError::forbidden(
            at.clone(),
            format!("schemas must not be nested deeper than {MAX_DEPTH} levels"),
        ));
    }
    for (keyword, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        let Some(shape) = shape(keyword) else {
            continue;
        };
        let here = at.child(keyword);
        let (good, wanted) = match (shape, value) {
            (Shape::Text, value) => (value.is_string(), "a string"),
            (Shape::Flag, value) => (value.is_boolean(), "a boolean"),
            (Shape::Number, value) => (value.is_number(), "a number"),
            (Shape::Integer, value) => (value.is_u64(), "a non-negative integer"),
            (Shape::List, value) => (value.is_array(), "an array"),
            (Shape::Texts, Value::Array(items)) => {
                (items.iter().all(Value::is_string), "an array of strings")
            }
            (Shape::Texts, _) => (false, "an array of strings"),
            (Shape::SchemaOrFlag, Value::Bool(_)) => (true, ""),
            (Shape::Schema | Shape::SchemaOrFlag, value) => {
                look(value, &here, depth + 1, seen, errors);
                (true, "")
            }
            (Shape::Schemas | Shape::SchemaOrList, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    look(item, &here.index(index), depth + 1, seen, errors);
                }
                (true, "")
            }
            (Shape::Schemas, _) => (false, "an array of schemas"),
            (Shape::SchemaOrList, value) => {
                look(value, &here, depth + 1, seen, errors);
                (true, "")
            }
            (Shape::SchemaMap, Value::Object(map)) => {
                for (name, item) in map {
                    look(item, &here.key(name), depth + 1, seen, errors);
                }
                (true, "")
            }
            (Shape::SchemaMap, _) => (false, "an object of schemas"),
        };
        if !good {
            wrong(value, &here, wanted, errors);
        }
    }
}

fn wrong(value: &Value, at: &Path, wanted: &str, errors: &mut ErrorList) {
    errors.push(FieldError::type_invalid(
        at.clone(),
        value.clone(),
        format!("must be {wanted}"),
    ));
}
