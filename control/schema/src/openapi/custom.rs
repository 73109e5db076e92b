//! Schemas of custom resources: that of the definition, with what every object has.

use serde_json::{Map, Value, json};

use super::reference;

pub(super) const API_VERSION: &str = "APIVersion names the version of the schema of this object, as GROUP/VERSION. Servers convert what they know to their own version and may refuse what they do not.";
pub(super) const KIND: &str = "Kind names the REST resource that this object is, in CamelCase. Servers may infer it from the address of the request.";
const METADATA: &str = "Standard object's metadata.";

/// How deep schemas are followed; none that was accepted is deeper.
const MAX_DEPTH: usize = 64;

/// `org.example.v1.Widget`.
pub(super) fn definition_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.rsplit('.').filter(|part| !part.is_empty()).collect();
    parts.extend([version, kind]);
    parts.join(".")
}

/// The published schema of `raw`; `metadata` is the definition of ObjectMeta.
pub(super) fn schema(raw: &Value, metadata: &str) -> Value {
    let mut schema = raw.clone();
    if !schema.is_object() {
        schema = json!({"type": "object"});
    }
    embedded(&mut schema, metadata, 0);
    if let Value::Object(schema) = &mut schema {
        resource(schema, metadata);
    }
    schema
}

/// Adds `apiVersion`, `kind` and `metadata` to the properties.
fn resource(schema: &mut Map<String, Value>, metadata: &str) {
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    let Value::Object(properties) = properties else {
        return;
    };
    properties.insert(
        "apiVersion".to_owned(),
        json!({"description": API_VERSION, "type": "string"}),
    );
    properties.insert(
        "kind".to_owned(),
        json!({"description": KIND, "type": "string"}),
    );
    properties.insert(
        "metadata".to_owned(),
        json!({"description": METADATA, "allOf": [reference(metadata)]}),
    );
}

fn embedded(schema: &mut Value, metadata: &str, depth: usize) {
    let Value::Object(schema) = schema else {
        return;
    };
    if depth > MAX_DEPTH {
        return;
    }
    for (keyword, value) in schema.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties
                    .values_mut()
                    .for_each(|property| embedded(property, metadata, depth + 1));
            }
            ("items" | "additionalProperties", value) => embedded(value, metadata, depth + 1),
            _ => {}
        }
    }
    if schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
        resource(schema, metadata);
    }
}
