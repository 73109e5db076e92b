//! What holds for every schema and every object.

use proptest::prelude::*;

use super::*;

/// Any JSON, not too large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-e{}\\[\\]^$.*\\\\]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop_oneof!["[a-e]", schema_keyword().prop_map(str::to_owned)];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn schema_keyword() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "type",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "default",
        "nullable",
        "enum",
        "pattern",
        "format",
        "maximum",
        "minLength",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "spec",
        "metadata",
        "apiVersion",
        "kind",
    ])
}

/// A schema that is likely to be accepted.
fn likely_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string", "default": "x", "maxLength": 3})),
        Just(json!({"type": "integer", "minimum": 0, "nullable": true})),
        Just(json!({"type": "number", "multipleOf": 0.5})),
        Just(json!({"type": "string", "format": "date-time", "pattern": "^a"})),
        Just(json!({"x-kubernetes-int-or-string": true})),
        Just(json!({"x-kubernetes-preserve-unknown-fields": true})),
        Just(
            json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true})
        ),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            inner.clone().prop_map(|items| json!({"type": "array", "items": items, "maxItems": 2, "x-kubernetes-list-type": "set"})),
            inner.clone().prop_map(|any| json!({"type": "object", "additionalProperties": any})),
            prop::collection::btree_map("[a-e]", inner, 0..4)
                .prop_map(|map| json!({"type": "object", "properties": map, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]})),
        ]
    })
}

proptest! {
    #[test]
    fn no_schema_and_no_object_panics(schema in any_json(), object in any_json()) {
        if let Ok(schema) = Structural::compile(&schema, &at()) {
            let mut object = object;
            schema.prune(&mut object);
            schema.apply_defaults(&mut object);
            let _ = schema.validate(&object);
        }
    }

    #[test]
    fn pruning_and_defaulting_settle(spec in likely_schema(), value in any_json()) {
        if let Ok(schema) = Structural::compile(&spec_of(spec), &at()) {
            let mut object = json!({"apiVersion": "a/v1", "kind": "K", "spec": value});
            schema.prune(&mut object);
            schema.apply_defaults(&mut object);
            let once = object.clone();
            prop_assert!(schema.prune(&mut object).is_empty());
            schema.apply_defaults(&mut object);
            prop_assert_eq!(&once, &object);
            prop_assert!(schema.validate_update(&object, &once).is_empty());
            let _ = schema.validate(&object);
        }
    }
}
