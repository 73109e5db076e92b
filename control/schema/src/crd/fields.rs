//! The fields of a CustomResourceDefinition, for strict field validation: what is not listed here is unknown.

use serde_json::Value;

use crate::structural::meta;

/// What a field holds.
enum Field {
    /// Anything; not looked into.
    Any,
    /// Metadata of an object.
    Metadata,
    Object(&'static [(&'static str, Field)]),
    List(&'static Field),
    /// JSONSchemaProps.
    Schema,
    Schemas,
    SchemaMap,
}

use Field::{Any, List, Metadata, Object, Schema, SchemaMap, Schemas};

const NAMES: Field = Object(&[
    ("plural", Any),
    ("singular", Any),
    ("shortNames", Any),
    ("kind", Any),
    ("listKind", Any),
    ("categories", Any),
]);

const CONVERSION: Field = Object(&[
    ("strategy", Any),
    (
        "webhook",
        Object(&[
            (
                "clientConfig",
                Object(&[
                    ("url", Any),
                    (
                        "service",
                        Object(&[
                            ("namespace", Any),
                            ("name", Any),
                            ("path", Any),
                            ("port", Any),
                        ]),
                    ),
                    ("caBundle", Any),
                ]),
            ),
            ("conversionReviewVersions", Any),
        ]),
    ),
]);

const COLUMN: Field = Object(&[
    ("name", Any),
    ("type", Any),
    ("format", Any),
    ("description", Any),
    ("priority", Any),
    ("jsonPath", Any),
]);

const SCALE: Field = Object(&[
    ("specReplicasPath", Any),
    ("statusReplicasPath", Any),
    ("labelSelectorPath", Any),
]);

const VERSION: Field = Object(&[
    ("name", Any),
    ("served", Any),
    ("storage", Any),
    ("deprecated", Any),
    ("deprecationWarning", Any),
    ("schema", Object(&[("openAPIV3Schema", Schema)])),
    (
        "subresources",
        Object(&[("status", Object(&[])), ("scale", SCALE)]),
    ),
    ("additionalPrinterColumns", List(&COLUMN)),
    ("selectableFields", List(&Object(&[("jsonPath", Any)]))),
]);

const CONDITION: Field = Object(&[
    ("type", Any),
    ("status", Any),
    ("lastTransitionTime", Any),
    ("reason", Any),
    ("message", Any),
    ("observedGeneration", Any),
]);

const DEFINITION: Field = Object(&[
    ("apiVersion", Any),
    ("kind", Any),
    ("metadata", Metadata),
    (
        "spec",
        Object(&[
            ("group", Any),
            ("names", NAMES),
            ("scope", Any),
            ("versions", List(&VERSION)),
            ("conversion", CONVERSION),
            ("preserveUnknownFields", Any),
        ]),
    ),
    (
        "status",
        Object(&[
            ("conditions", List(&CONDITION)),
            ("acceptedNames", NAMES),
            ("storedVersions", Any),
            ("observedGeneration", Any),
        ]),
    ),
]);

const RULE: Field = Object(&[
    ("rule", Any),
    ("message", Any),
    ("messageExpression", Any),
    ("reason", Any),
    ("fieldPath", Any),
    ("optionalOldSelf", Any),
]);

/// The fields of JSONSchemaProps.
const PROPS: &[(&str, Field)] = &[
    ("id", Any),
    ("$schema", Any),
    ("$ref", Any),
    ("description", Any),
    ("type", Any),
    ("format", Any),
    ("title", Any),
    ("default", Any),
    ("maximum", Any),
    ("exclusiveMaximum", Any),
    ("minimum", Any),
    ("exclusiveMinimum", Any),
    ("maxLength", Any),
    ("minLength", Any),
    ("pattern", Any),
    ("maxItems", Any),
    ("minItems", Any),
    ("uniqueItems", Any),
    ("multipleOf", Any),
    ("enum", Any),
    ("maxProperties", Any),
    ("minProperties", Any),
    ("required", Any),
    ("items", Schemas),
    ("allOf", Schemas),
    ("oneOf", Schemas),
    ("anyOf", Schemas),
    ("not", Schema),
    ("properties", SchemaMap),
    ("additionalProperties", Schema),
    ("patternProperties", SchemaMap),
    ("dependencies", Any),
    ("additionalItems", Schema),
    ("definitions", SchemaMap),
    (
        "externalDocs",
        Object(&[("description", Any), ("url", Any)]),
    ),
    ("example", Any),
    ("nullable", Any),
    ("x-kubernetes-preserve-unknown-fields", Any),
    ("x-kubernetes-embedded-resource", Any),
    ("x-kubernetes-int-or-string", Any),
    ("x-kubernetes-list-map-keys", Any),
    ("x-kubernetes-list-type", Any),
    ("x-kubernetes-map-type", Any),
    ("x-kubernetes-validations", List(&RULE)),
];

/// Deeper schemas are refused by validation; what is in them does not matter.
const MAX_DEPTH: usize = 128;

/// Removes unknown fields; gives their paths, sorted.
pub(super) fn prune(definition: &mut Value) -> Vec<String> {
    let mut removed = Vec::new();
    walk(&DEFINITION, definition, "", 0, &mut removed);
    removed.sort_unstable();
    removed
}

fn walk(field: &Field, value: &mut Value, path: &str, depth: usize, removed: &mut Vec<String>) {
    if depth > MAX_DEPTH {
        return;
    }
    match (field, value) {
        (Metadata, value) => meta::prune(value, path, removed),
        (Object(fields), value) => object(fields, value, path, depth, removed),
        (Schema, value) => object(PROPS, value, path, depth, removed),
        (List(item), Value::Array(items)) => each(item, items, path, depth, removed),
        (Schemas, Value::Array(items)) => each(&Schema, items, path, depth, removed),
        (Schemas, value) => walk(&Schema, value, path, depth + 1, removed),
        (SchemaMap, Value::Object(map)) => {
            for (name, schema) in map.iter_mut() {
                walk(&Schema, schema, &join(path, name), depth + 1, removed);
            }
        }
        _ => {}
    }
}

fn each(field: &Field, items: &mut [Value], path: &str, depth: usize, removed: &mut Vec<String>) {
    for (index, item) in items.iter_mut().enumerate() {
        walk(field, item, &format!("{path}[{index}]"), depth + 1, removed);
    }
}

fn object(
    fields: &[(&str, Field)],
    value: &mut Value,
    path: &str,
    depth: usize,
    removed: &mut Vec<String>,
) {
    let Value::Object(object) = value else { return };
    object.retain(
        |name, value| match fields.iter().find(|(known, _)| known == name) {
            Some((_, field)) => {
                if !matches!(field, Any) {
                    walk(field, value, &join(path, name), depth + 1, removed);
                }
                true
            }
            None => {
                removed.push(join(path, name));
                false
            }
        },
    );
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
