use expect_test::{Expect, expect};
use minicloud_api::field::Path;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Structural;

fn at() -> Path {
    Path::new("schema")
}

fn spec_of(spec: Value) -> Value {
    json!({"type": "object", "properties": {"spec": spec}})
}

fn compiled(schema: &Value) -> Structural {
    Structural::compile(schema, &at()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn lines(errors: &minicloud_api::field::ErrorList) -> String {
    errors.iter().map(|error| format!("{error}\n")).collect()
}

fn refused(schema: Value, expect: Expect) {
    let text = match Structural::compile(&schema, &at()) {
        Ok(_) => "accepted\n".to_owned(),
        Err(errors) => lines(&errors),
    };
    expect.assert_eq(&text);
}

fn validate(spec: Value, value: Value, expect: Expect) {
    let errors = compiled(&spec_of(spec)).validate(&json!({"spec": value}));
    expect.assert_eq(&lines(&errors));
}

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
    let many: serde_json::Map<String, Value> = (0..=super::shape::MAX_SCHEMAS)
        .map(|n| (n.to_string(), json!({"type": "string"})))
        .collect();
    let errors =
        Structural::compile(&json!({"type": "object", "properties": many}), &at()).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "schema: Too many: 50002: must have at most 50000 items"
    );
}

#[test]
fn values_are_validated_with_the_sentences_of_kubernetes() {
    let scalars = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "replicas": {"type": "integer", "minimum": 1, "maximum": 10},
        "ratio": {"type": "number", "exclusiveMinimum": true, "minimum": 0.5, "exclusiveMaximum": true, "maximum": 1.5, "multipleOf": 0.1},
        "color": {"type": "string", "enum": ["red", "green"]}, "size": {"type": "integer", "enum": [1, 2]},
        "code": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-z]+$"},
        "when": {"type": "string", "format": "date-time"}, "port": {"x-kubernetes-int-or-string": true},
        "step": {"type": "integer", "multipleOf": 5}, "flag": {"type": "boolean"}, "maybe": {"type": "string", "nullable": true}
    }});
    validate(
        scalars.clone(),
        json!({"replicas": 11, "ratio": 0.5, "color": "blue", "size": 3, "code": "A", "when": "now", "port": true, "step": 7, "flag": "yes", "maybe": null}),
        expect![[r#"
            spec.code: Invalid value: "A": spec.code in body should be at least 2 chars long
            spec.code: Invalid value: "A": spec.code in body should match '^[a-z]+$'
            spec.color: Unsupported value: "blue": supported values: "red", "green"
            spec.flag: Invalid value: "string": spec.flag in body must be of type boolean: "string"
            spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"
            spec.ratio: Invalid value: 0.5: spec.ratio in body should be greater than 0.5
            spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10
            spec.size: Unsupported value: 3: supported values: "1", "2"
            spec.step: Invalid value: 7: spec.step in body should be a multiple of 5
            spec.when: Invalid value: "now": spec.when in body must be of type date-time: "now"
            spec.name: Required value
        "#]],
    );
    validate(
        scalars.clone(),
        json!({"name": null, "replicas": 1.5, "ratio": 0.7, "code": "abcd", "size": 1.0, "port": 80, "step": 10}),
        expect![[r#"
            spec.code: Too long: may not be more than 3 bytes
            spec.name: Invalid value: "null": spec.name in body must be of type string: "null"
            spec.replicas: Invalid value: "number": spec.replicas in body must be of type integer: "number"
        "#]],
    );
    validate(
        scalars,
        json!({"name": "ok", "replicas": 2.0, "ratio": 1.2, "port": "http"}),
        expect![[""]],
    );
    validate(
        json!({"type": "object", "properties": {
            "few": {"type": "array", "items": {"type": "string"}, "minItems": 2}, "many": {"type": "array", "items": {"type": "string"}, "maxItems": 1},
            "low": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
            "high": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 1},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}}, "none": {"type": "object", "additionalProperties": false},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}},
            "embedded": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}
        }}),
        json!({"few": ["a"], "many": ["a", "b"], "low": {}, "high": {"a": 1, "b": 2}, "map": {"x.y": "one"}, "none": {"z": 1}, "set": ["a", "b", "a", "a"],
            "keyed": [{"k": "a"}, {"k": "a", "v": 1}, {"v": "x"}], "embedded": {"kind": ""}}),
        expect![[r#"
            spec.embedded.apiVersion: Required value
            spec.embedded.kind: Required value
            spec.few: Invalid value: 1: spec.few in body should have at least 2 items
            spec.high: Too many: 2: must have at most 1 item
            spec.keyed[2].v: Invalid value: "string": spec.keyed[2].v in body must be of type integer: "string"
            spec.keyed[2].k: Required value
            spec.keyed[1]: Duplicate value: {"k":"a"}
            spec.low: Invalid value: 0: spec.low in body should have at least 1 properties
            spec.many: Too many: 2: must have at most 1 item
            spec.map.x.y: Invalid value: "string": spec.map.x.y in body must be of type integer: "string"
            spec.none: Invalid value: "z": spec.none.z in body is a forbidden property
            spec.set[2]: Duplicate value: "a"
        "#]],
    );
}

#[test]
fn junctors() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}], "oneOf": [{"required": ["a"]}, {"required": ["c"]}],
        "allOf": [{"properties": {"a": {"maximum": 5}}}, {"properties": {"b": {"maximum": 5}}}], "not": {"required": ["b", "c"]}});
    validate(schema.clone(), json!({"a": 1}), expect![[""]]);
    validate(
        schema.clone(),
        json!({}),
        expect![[r#"
            <nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)
            spec.a: Required value
            <nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid
            spec.a: Required value
        "#]],
    );
    validate(
        schema,
        json!({"a": 6, "b": 7, "c": 1}),
        expect![[r#"
            <nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives
            spec.a: Invalid value: 6: spec.a in body should be less than or equal to 5
            spec.b: Invalid value: 7: spec.b in body should be less than or equal to 5
            <nil>: Invalid value: "": "spec" must validate all the schemas (allOf). None validated
            <nil>: Invalid value: "": "spec" must not validate the schema (not)
        "#]],
    );
}

#[test]
fn unchanged_values_are_let_pass_on_update() {
    let schema = compiled(&spec_of(json!({"type": "object", "properties": {
        "a": {"type": "integer", "maximum": 5}, "b": {"type": "integer", "maximum": 5},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "integer", "maximum": 5}}}}
    }})));
    let old = json!({"spec": {"a": 9, "b": 9, "keyed": [{"k": "x", "v": 9}, {"k": "y", "v": 1}]}});
    let new = json!({"spec": {"a": 9, "b": 10, "keyed": [{"k": "y", "v": 9}, {"k": "x", "v": 9}]}});
    expect![[r#"
        spec.b: Invalid value: 10: spec.b in body should be less than or equal to 5
        spec.keyed[0].v: Invalid value: 9: spec.keyed[0].v in body should be less than or equal to 5
    "#]]
    .assert_eq(&lines(&schema.validate_update(&new, &old)));
    assert!(schema.validate_update(&old, &old).is_empty());
    // An alternative does not become true because the value was wrong before.
    let schema = compiled(&spec_of(
        json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "oneOf": [{"properties": {"a": {"maximum": 5}}}, {"properties": {"b": {"maximum": 5}}}]}),
    ));
    let check = |old: Value, new: Value, good: bool| {
        let errors = schema.validate_update(&json!({"spec": new}), &json!({"spec": old}));
        assert_eq!(errors.is_empty(), good, "{errors}");
    };
    check(json!({"a": 9, "b": 9}), json!({"a": 9, "b": 1}), true);
    check(json!({"a": 9, "b": 1}), json!({"a": 9, "b": 9}), false);
}

#[test]
fn pruning() {
    let schema = compiled(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "known": {"type": "string"}, "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"closed": {"type": "object"}}},
            "free": {"type": "object", "additionalProperties": true},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
            "ios": {"x-kubernetes-int-or-string": true}
        }}
    }}));
    let mut object = json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "n", "odd": 1, "ownerReferences": [{"uid": "u", "odd": 1}], "labels": {"x": "y"}},
        "odd": 1, "spec": {"known": "x", "odd": {"y": 1}, "list": [{"a": "x", "b": 1}, 3], "map": {"k": {"a": "x", "c": 1}},
            "open": {"any": {"thing": 1}, "closed": {"x": 1}}, "free": {"a": 1, "b": {"c": 1}},
            "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "odd": 1}, "spec": {"x": 1}, "status": {}}, "ios": 3}});
    let removed = schema.prune(&mut object);
    expect![[r#"
        metadata.odd
        metadata.ownerReferences[0].odd
        odd
        spec.free.b.c
        spec.list[0].b
        spec.map.k.c
        spec.odd
        spec.open.closed.x
        spec.pod.metadata.odd
        spec.pod.spec.x
        spec.pod.status"#]]
    .assert_eq(&removed.join("\n"));
    assert_eq!(
        object,
        json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "n", "ownerReferences": [{"uid": "u"}], "labels": {"x": "y"}},
            "spec": {"known": "x", "list": [{"a": "x"}, 3], "map": {"k": {"a": "x"}}, "open": {"any": {"thing": 1}, "closed": {}},
                "free": {"a": 1, "b": {}}, "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}, "ios": 3}})
    );
    assert!(schema.prune(&mut object).is_empty());
}

#[test]
fn defaulting() {
    let schema = compiled(&spec_of(
        json!({"type": "object", "default": {}, "properties": {
            "replicas": {"type": "integer", "default": 1}, "nested": {"type": "object", "default": {}, "properties": {"x": {"type": "string", "default": "y"}}},
            "none": {"type": "object", "properties": {"x": {"type": "string", "default": "y"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"p": {"type": "integer", "default": 2}}}},
            "nullable": {"type": "string", "nullable": true, "default": "d"}, "gone": {"type": "string"}
        }}),
    ));
    let check = |mut object: Value, expect: Value| {
        schema.apply_defaults(&mut object);
        assert_eq!(object, expect);
    };
    check(
        json!({}),
        json!({"spec": {"replicas": 1, "nested": {"x": "y"}, "nullable": "d"}}),
    );
    check(
        json!({"spec": {"replicas": null, "list": [{}, {"p": "UDP"}, null], "map": {"a": {}}, "nullable": null, "gone": null, "none": {}}}),
        json!({"spec": {"replicas": 1, "nested": {"x": "y"}, "list": [{"p": "TCP"}, {"p": "UDP"}, null], "map": {"a": {"p": 2}}, "nullable": null, "none": {"x": "y"}}}),
    );
    check(
        json!({"spec": "not an object"}),
        json!({"spec": "not an object"}),
    );
}

/// The schema of a Deployment, which has most of what schemas have, as a schema of one piece.
fn deployment() -> Value {
    let settings = schemars::generate::SchemaSettings::draft07().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
        settings.transforms.clear();
    });
    let generator = settings.into_generator();
    let mut schema = generator
        .into_root_schema_for::<k8s_openapi::api::apps::v1::Deployment>()
        .to_value();
    schema["properties"]["metadata"] = json!({"type": "object"});
    schema.as_object_mut().unwrap().remove("title");
    schema
}

#[test]
fn a_real_schema_is_taken_and_kept_to() {
    let schema = compiled(&deployment());
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "n"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "livenessProbe": {"httpGet": {"port": "http", "path": "/"}}}
        ]}}
    }});
    assert_eq!(lines(&schema.validate(&object)), "");
    assert!(schema.prune(&mut object).is_empty());
    let container = &mut object["spec"]["template"]["spec"]["containers"][0];
    container["imagePullPolice"] = json!("Always");
    container["ports"][0]["containerPort"] = json!("80");
    container["livenessProbe"]["httpGet"]["port"] = json!(1.5);
    assert_eq!(
        schema.prune(&mut object),
        ["spec.template.spec.containers[0].imagePullPolice"]
    );
    expect![[r#"
        spec.template.spec.containers[0].livenessProbe.httpGet.port: Invalid value: "number": spec.template.spec.containers[0].livenessProbe.httpGet.port in body must be of type integer,string: "number"
        spec.template.spec.containers[0].ports[0].containerPort: Invalid value: "string": spec.template.spec.containers[0].ports[0].containerPort in body must be of type integer: "string"
    "#]].assert_eq(&lines(&schema.validate(&object)));
}

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
