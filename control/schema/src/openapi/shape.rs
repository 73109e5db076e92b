//! From JSON Schema as `k8s-openapi` writes it to OpenAPI v3 as Kubernetes publishes it.

use serde_json::{Map, Value, json};

use super::{builtin, gvk, merge};

/// Where references point: into a document's components.
pub(super) const DEFINITIONS: &str = "#/components/schemas/";

/// The definition `name`, reshaped.
pub(super) fn definition(name: &str, schema: Value) -> Value {
    let Value::Object(mut schema) = schema else {
        return json!({});
    };
    let short = name.rsplit('.').next().unwrap_or(name);
    match short {
        "Quantity" => {
            return described(
                &schema,
                json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            );
        }
        "IntOrString" => {
            let shape = json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]});
            return described(&schema, shape);
        }
        // What may be anything, or one of several shapes, is published without any.
        "JSON"
        | "JSONSchemaPropsOrArray"
        | "JSONSchemaPropsOrBool"
        | "JSONSchemaPropsOrStringArray" => {
            return described(&schema, json!({}));
        }
        _ => {}
    }
    for value in schema.values_mut() {
        walk(value);
    }
    let has = |properties: &Map<String, Value>, field: &str| properties.contains_key(field);
    let is_object = schema
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|properties| {
            has(properties, "apiVersion") && has(properties, "kind") && has(properties, "metadata")
        });
    if is_object && let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        // Rust's types always have metadata, objects on the wire need not.
        required.retain(|field| field != "metadata");
        if required.is_empty() {
            schema.remove("required");
        }
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (field, property) in properties {
            merge::annotate(short, field, property);
        }
    }
    if let Some((group, version, kind)) = builtin::kind_of(name) {
        schema.insert(
            "x-kubernetes-group-version-kind".to_owned(),
            json!([gvk(group, version, kind)]),
        );
    }
    Value::Object(schema)
}

fn described(schema: &Map<String, Value>, mut shape: Value) -> Value {
    if let Some(description) = schema.get("description") {
        shape["description"] = description.clone();
    }
    shape
}

/// A reference that stands beside other keywords moves into an `allOf`: OpenAPI v3 would ignore those beside it.
fn walk(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.len() > 1
                && let Some(reference) = object
                    .get("$ref")
                    .filter(|reference| reference.is_string())
                    .cloned()
            {
                object.remove("$ref");
                object.insert("allOf".to_owned(), json!([{"$ref": reference}]));
                return;
            }
            object.values_mut().for_each(walk);
        }
        Value::Array(items) => items.iter_mut().for_each(walk),
        _ => {}
    }
}

/// What a definition refers to.
pub(super) fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value.as_str().and_then(|s| s.strip_prefix(DEFINITIONS)) {
                    Some(name) if key == "$ref" => found.push(name.to_owned()),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
