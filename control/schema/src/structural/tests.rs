mod change;
mod properties;
mod rules;

use expect_test::{Expect, expect};
use minicloud_api::field::Path;
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

/// The schema of a Deployment, which has most of what schemas have, as a schema of one piece.
fn deployment() -> Value {
    fn inline(value: &mut Value) {
        if let Some(name) = value["$ref"].as_str().map(str::to_owned) {
            let name = name.rsplit('/').next().unwrap_or_default();
            let mut whole = crate::openapi::builtin::definition(name).unwrap();
            let beside = value.as_object().unwrap().clone();
            let beside = beside.into_iter().filter(|(key, _)| key != "$ref");
            whole.as_object_mut().unwrap().extend(beside);
            *value = whole;
        }
        match value {
            Value::Object(object) => object.values_mut().for_each(inline),
            Value::Array(items) => items.iter_mut().for_each(inline),
            _ => {}
        }
    }
    let mut schema = json!({"$ref": "io.k8s.api.apps.v1.Deployment"});
    inline(&mut schema);
    schema["properties"]["metadata"] = json!({"type": "object"});
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
