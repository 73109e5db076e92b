//! Defaulting and pruning.

use super::*;

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
