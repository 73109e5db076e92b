//! Which schemas are taken.

use super::*;

#[test]
fn structural_rules() {
    refused(
        json!({"properties": {"a": {}, "b": {"type": "array"}, "c": {"type": "array", "items": {}}}}),
        expect![[r#"
            schema.properties[a].type: Required value: must not be empty for specified object fields
            schema.properties[b].items: Required value: must be specified
            schema.properties[c].items.type: Required value: must not be empty for specified array items
            schema.type: Required value: must not be empty at the root
        "#]],
    );
    refused(
        json!({"type": "array", "items": {"type": "string"}}),
        expect![[r#"
        schema.type: Invalid value: "array": must be object at the root
    "#]],
    );
    refused(
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        expect![[r#"
            schema.additionalProperties: Forbidden: must not be used at the root
        "#]],
    );
    refused(
        json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties": {"labels": {"type": "object"}}},
            "kind": {"type": "integer"},
            "e": {"type": "object", "x-kubernetes-embedded-resource": true},
            "i": {"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}
        }}),
        expect![[r#"
            schema.properties[e].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields
            schema.properties[i].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true
            schema.properties[kind].type: Invalid value: "integer": must be string
            schema.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified
        "#]],
    );
    refused(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [
            {"type": "object", "properties": {"a": {"description": "x", "default": "d", "nullable": true}, "b": {"minLength": 1}}},
            {"properties": {"metadata": {}}, "required": ["a"]}
        ]}),
        expect![[r#"
            schema.anyOf[0].properties[a].default: Forbidden: must be undefined to be structural
            schema.anyOf[0].properties[a].description: Forbidden: must be empty to be structural
            schema.anyOf[0].properties[a].nullable: Forbidden: must be false to be structural
            schema.anyOf[0].type: Forbidden: must be empty to be structural
            schema.anyOf[1].properties[metadata]: Forbidden: must not be specified in a nested context
            schema.properties[b]: Required value: because it is defined in schema.anyOf[0].properties[b]
            schema.properties[metadata]: Required value: because it is defined in schema.anyOf[1].properties[metadata]
        "#]],
    );
    // The two ways to write int-or-string are let through.
    for schema in [
        json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true}),
        json!({"allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "^1"}], "x-kubernetes-int-or-string": true}),
        json!({"x-kubernetes-preserve-unknown-fields": true}),
    ] {
        refused(spec_of(schema), expect!["accepted\n"]);
    }
}

#[test]
fn keyword_rules() {
    refused(
        spec_of(json!({"type": "object", "properties": {
            "a": {"type": "strin"}, "b": {"type": "string", "$ref": "#/x", "id": "i"}, "c": {"type": "array", "uniqueItems": true, "items": {"type": "string"}},
            "d": {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": {"type": "string"}},
            "e": {"type": "string", "pattern": "("}, "f": {"type": "object", "x-kubernetes-preserve-unknown-fields": false},
            "g": {"type": "string", "x-kubernetes-validations": [{"rule": "self.size() > 1"}]},
            "h": {"type": "array", "items": [{"type": "string"}]}, "i": {"type": "integer", "multipleOf": 0}
        }})),
        expect![[r##"
            schema.properties[spec].properties[e].pattern: Invalid value: "(": must be a valid regular expression, but isn't: unclosed group
            schema.properties[spec].properties[a].type: Unsupported value: "strin": supported values: "array", "boolean", "integer", "number", "object", "string"
            schema.properties[spec].properties[b].id: Forbidden: id is not supported
            schema.properties[spec].properties[b].$ref: Forbidden: $ref is not supported
            schema.properties[spec].properties[c].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic
            schema.properties[spec].properties[d].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive
            schema.properties[spec].properties[f].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined
            schema.properties[spec].properties[g].x-kubernetes-validations: Forbidden: validation rules in CEL are not evaluated by this server: remove them or express them by the schema's own keywords
            schema.properties[spec].properties[h].items: Forbidden: items must be a schema object and not an array
            schema.properties[spec].properties[i].multipleOf: Invalid value: 0: must be greater than 0
        "##]],
    );
    refused(
        spec_of(json!({"type": "object", "properties": {
            "a": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string", "nullable": true}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "k", "z"]},
            "b": {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"},
            "c": {"type": "array", "items": {"type": "string", "nullable": true}, "x-kubernetes-list-type": "set"},
            "d": {"type": "string", "x-kubernetes-list-type": "odd"},
            "e": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-map-keys": ["k"]},
            "f": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "map"},
            "g": {"type": "string", "x-kubernetes-map-type": "x"}
        }})),
        expect![[r#"
            schema.properties[spec].properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property
            schema.properties[spec].properties[a].items.properties[k].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable
            schema.properties[spec].properties[a].x-kubernetes-list-map-keys: Invalid value: ["k","k","z"]: must not contain duplicate entries
            schema.properties[spec].properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property
            schema.properties[spec].properties[a].items.properties[k].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable
            schema.properties[spec].properties[a].x-kubernetes-list-map-keys: Invalid value: ["k","k","z"]: entries must all be names of item properties
            schema.properties[spec].properties[b].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set
            schema.properties[spec].properties[c].items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set
            schema.properties[spec].properties[d].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified
            schema.properties[spec].properties[d].x-kubernetes-list-type: Unsupported value: "odd": supported values: "atomic", "set", "map"
            schema.properties[spec].properties[e].x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty
            schema.properties[spec].properties[f].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map
            schema.properties[spec].properties[f].items.type: Invalid value: "string": must be object if parent array's x-kubernetes-list-type is map
            schema.properties[spec].properties[g].type: Invalid value: "string": must be object if x-kubernetes-map-type is specified
            schema.properties[spec].properties[g].x-kubernetes-map-type: Unsupported value: "x": supported values: "atomic", "granular"
        "#]],
    );
    refused(
        json!({"type": "object", "properties": {"kind": {"type": "string", "default": "X"}, "a": {"type": "integer", "default": "one"}, "b": {"type": "object", "default": {"x": 1}},
            "c": {"type": "array", "items": {"type": "integer"}, "default": [1, "x"]}}}),
        expect![[r#"
            schema.properties[kind].default: Forbidden: must not be set in top-level kind
            schema.properties[a].default: Invalid value: "string":  in body must be of type integer: "string"
            schema.properties[b].default: Invalid value: {"x":1}: must not have unknown fields
            schema.properties[c].default[1]: Invalid value: "string": [1] in body must be of type integer: "string"
        "#]],
    );
}

#[test]
fn ill_typed_and_huge_schemas_are_refused() {
    refused(
        json!({"type": 1, "properties": [], "required": [1], "maxLength": -1, "not": 3, "additionalProperties": "x", "allOf": {}}),
        expect![[r#"
            schema.additionalProperties: Invalid value: "x": must be an object
            schema.allOf: Invalid value: {}: must be an array of schemas
            schema.maxLength: Invalid value: -1: must be a non-negative integer
            schema.not: Invalid value: 3: must be an object
            schema.properties: Invalid value: []: must be an object of schemas
            schema.required: Invalid value: [1]: must be an array of strings
            schema.type: Invalid value: 1: must be a string
        "#]],
    );
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"type": "array", "items": deep});
    }
    let errors = Structural::compile(&spec_of(deep), &at()).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("must not be nested deeper than 64 levels"),
        "{errors}"
    );
    let many: serde_json::Map<String, Value> = (0..=super::super::shape::MAX_SCHEMAS)
        .map(|n| (n.to_string(), json!({"type": "string"})))
        .collect();
    let errors =
        Structural::compile(&json!({"type": "object", "properties": many}), &at()).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "schema: Too many: 50002: must have at most 50000 items"
    );
}
