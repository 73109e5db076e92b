//! Known cases of the three formats, and what holds for every patch.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{OPERATIONS_MAX, PatchError, json_patch, merge_patch, strategic_merge_patch};

fn strategic(kind: &str, original: Value, patch: Value) -> Result<Value, PatchError> {
    let group = if kind == "Deployment" { "apps" } else { "" };
    strategic_merge_patch(&original, &patch, group, "v1", kind)
}

fn check(kind: &str, original: Value, patch: Value, expect: Value) {
    assert_eq!(
        strategic(kind, original, patch.clone()),
        Ok(expect),
        "{patch}"
    );
}

fn refuse(kind: &str, original: Value, patch: Value, expect: &str) {
    assert_eq!(
        strategic(kind, original, patch.clone()).map_err(|e| e.to_string()),
        Err(expect.to_owned()),
        "{patch}"
    );
}

/// A pod's specification with this patch.
fn spec(original: Value, patch: Value, expect: Value) {
    check(
        "Pod",
        json!({"spec": original}),
        json!({"spec": patch}),
        json!({"spec": expect}),
    );
}

#[test]
fn maps_and_nulls() {
    let labels = |labels: Value| json!({"metadata": {"labels": labels}});
    check(
        "Pod",
        labels(json!({"a": "1", "b": "2"})),
        labels(json!({"a": null, "c": "3", "d": null})),
        labels(json!({"b": "2", "c": "3"})),
    );
    check(
        "Pod",
        labels(json!({"a": "1"})),
        labels(json!({"$patch": "replace", "c": "3"})),
        labels(json!({"c": "3"})),
    );
    check(
        "Pod",
        labels(json!({"a": "1"})),
        labels(json!({"$patch": "delete"})),
        labels(json!({})),
    );
    check(
        "Pod",
        labels(json!({"a": "1"})),
        json!({"metadata": {"labels": null}}),
        json!({"metadata": {}}),
    );
    check(
        "Pod",
        json!({}),
        labels(json!({"a": null, "b": "c"})),
        labels(json!({"b": "c"})),
    );
    refuse(
        "Pod",
        labels(json!({})),
        labels(json!({"$patch": "x"})),
        "unknown patch type [x] found",
    );
    refuse(
        "Pod",
        json!({}),
        json!([]),
        "json: cannot unmarshal array into Go value of type map[string]interface {}",
    );
    refuse(
        "Widget",
        json!({}),
        json!({}),
        "strategic merge patch is not supported for /v1, Kind=Widget",
    );
}

#[test]
fn lists_by_key() {
    let old = json!({"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}]});
    spec(
        old.clone(),
        json!({"containers": [{"name": "b", "image": "2"}]}),
        json!({"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "2"}]}),
    );
    // An item that is new comes first: so does Kubernetes.
    spec(
        old.clone(),
        json!({"containers": [{"name": "c", "image": "3"}]}),
        json!({"containers": [{"name": "c", "image": "3"}, {"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}]}),
    );
    spec(
        old.clone(),
        json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "b", "args": ["y"]}]}),
        json!({"containers": [{"name": "b", "image": "1", "args": ["y"]}]}),
    );
    spec(
        old.clone(),
        json!({"containers": [{"$patch": "replace"}, {"name": "c", "image": "3"}]}),
        json!({"containers": [{"name": "c", "image": "3"}]}),
    );
    // Lists without a strategy are replaced, repeated items and all.
    spec(
        json!({"containers": [{"name": "a", "args": ["x"]}]}),
        json!({"containers": [{"name": "a", "args": ["-v", "x", "-v", "y"]}]}),
        json!({"containers": [{"name": "a", "args": ["-v", "x", "-v", "y"]}]}),
    );
    spec(
        old.clone(),
        json!({"containers": [{"name": "a", "args": ["y", "z"]}]}),
        json!({"containers": [{"name": "a", "image": "1", "args": ["y", "z"]}, {"name": "b", "image": "1"}]}),
    );
    spec(
        json!({"tolerations": [{"key": "a"}]}),
        json!({"tolerations": [{"key": "b"}]}),
        json!({"tolerations": [{"key": "b"}]}),
    );
    refuse(
        "Pod",
        json!({"spec": old}),
        json!({"spec": {"containers": [{"image": "x"}]}}),
        "map: {\"image\":\"x\"} does not contain declared merge key: name",
    );
}

#[test]
fn nested_lists_and_their_keys() {
    let container = |fields: Value| json!({"containers": [fields]});
    spec(
        container(
            json!({"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}]}),
        ),
        container(
            json!({"name": "a", "env": [{"name": "Y", "value": null, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
        ),
        container(
            json!({"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
        ),
    );
    // Ports are told apart by their number alone, although two may differ in protocol.
    spec(
        container(
            json!({"name": "a", "ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]}),
        ),
        container(json!({"name": "a", "ports": [{"containerPort": 53, "name": "dns"}]})),
        container(
            json!({"name": "a", "ports": [{"containerPort": 53, "name": "dns", "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]}),
        ),
    );
    check(
        "Service",
        json!({"spec": {"ports": [{"port": 80, "nodePort": 30080}]}}),
        json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}),
        json!({"spec": {"ports": [{"port": 80, "nodePort": 30080, "targetPort": 8080}]}}),
    );
    check(
        "Node",
        json!({"status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "Hostname", "address": "a"}]}}),
        json!({"status": {"conditions": [{"type": "Ready", "status": "False"}], "addresses": [{"type": "InternalIP", "address": "b"}]}}),
        json!({"status": {"conditions": [{"type": "Ready", "status": "False"}], "addresses": [{"type": "InternalIP", "address": "b"}, {"type": "Hostname", "address": "a"}]}}),
    );
}

#[test]
fn lists_of_texts() {
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    check(
        "Pod",
        finalizers(json!(["a", "b"])),
        finalizers(json!(["c", "a"])),
        finalizers(json!(["c", "a", "b"])),
    );
    check(
        "Pod",
        finalizers(json!(["a", "b", "c"])),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"]}}),
        finalizers(json!(["a", "c"])),
    );
    check(
        "Pod",
        finalizers(json!(["a", "b", "c"])),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"], "$setElementOrder/finalizers": ["c", "d", "a"], "finalizers": ["d"]}}),
        finalizers(json!(["c", "d", "a"])),
    );
}

#[test]
fn element_order() {
    let names = |names: &[&str]| Value::Array(names.iter().map(|n| json!({"name": n})).collect());
    // "own" was added by the server between a and b, and stays between them.
    spec(
        json!({"containers": names(&["a", "own", "b"])}),
        json!({"$setElementOrder/containers": names(&["b", "c", "a"]), "containers": names(&["c"])}),
        json!({"containers": names(&["own", "b", "c", "a"])}),
    );
    spec(
        json!({"containers": names(&["a", "b", "own"])}),
        json!({"$setElementOrder/containers": names(&["a", "b"]), "containers": [{"name": "b", "image": "2"}]}),
        json!({"containers": [{"name": "a"}, {"name": "b", "image": "2"}, {"name": "own"}]}),
    );
    spec(
        json!({"containers": names(&["a", "b"])}),
        json!({"$setElementOrder/containers": names(&["b", "a"])}),
        json!({"containers": names(&["b", "a"])}),
    );
    spec(
        json!({"containers": names(&["a", "b"])}),
        json!({"$setElementOrder/containers": names(&["b"]), "containers": [{"name": "a", "$patch": "delete"}]}),
        json!({"containers": names(&["b"])}),
    );
    // A new item takes the room of a deleted one before the server's own are put in their places: so does Kubernetes.
    spec(
        json!({"containers": names(&["a", "own"])}),
        json!({"$setElementOrder/containers": names(&["b", "c"]), "containers": [{"name": "b"}, {"name": "c"}, {"name": "a", "$patch": "delete"}]}),
        json!({"containers": names(&["own", "b", "c"])}),
    );
    spec(
        json!({"containers": names(&["own"])}),
        json!({"$setElementOrder/containers": names(&["b"]), "containers": [{"name": "b"}, {"name": "a", "$patch": "delete"}]}),
        json!({"containers": names(&["b", "own"])}),
    );
    spec(
        json!({"containers": names(&["a", "b", "x", "y", "c", "d"])}),
        json!({"$setElementOrder/containers": names(&["b", "a", "d", "c"])}),
        json!({"containers": names(&["b", "a", "x", "y", "d", "c"])}),
    );
    spec(
        json!({"containers": names(&["a", "b", "own"])}),
        json!({"$setElementOrder/containers": names(&["b", "c"]), "containers": [{"name": "c"}, {"name": "a", "$patch": "delete"}]}),
        json!({"containers": names(&["b", "own", "c"])}),
    );
    let result = strategic(
        "Pod",
        json!({"spec": {"containers": names(&["a"])}}),
        json!({"spec": {"$setElementOrder/containers": names(&["a", "b"]), "containers": names(&["b", "a"])}}),
    );
    assert!(
        matches!(result, Err(PatchError::Unprocessable(text)) if text.starts_with("The order in patch list:"))
    );
}

#[test]
fn retained_keys() {
    let strategy = |strategy: Value| json!({"spec": {"strategy": strategy}});
    check(
        "Deployment",
        strategy(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})),
        strategy(json!({"$retainKeys": ["type"], "type": "Recreate"})),
        strategy(json!({"type": "Recreate"})),
    );
    spec(
        json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"volumes": [{"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/a"}}]}),
        json!({"volumes": [{"name": "v", "hostPath": {"path": "/a"}}]}),
    );
    refuse(
        "Deployment",
        strategy(json!({})),
        strategy(json!({"$retainKeys": ["type"], "rollingUpdate": {}})),
        "invalid patch format of retainKeys",
    );
}

#[test]
fn directives_never_stay() {
    spec(
        json!({}),
        json!({
            "$setElementOrder/volumes": [{"name": "v"}],
            "volumes": [{"name": "v", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}, {"name": "w", "$patch": "delete"}],
            "securityContext": {"$patch": "replace", "runAsUser": 1},
        }),
        json!({"volumes": [{"name": "v", "emptyDir": {}}], "securityContext": {"runAsUser": 1}}),
    );
}

#[test]
fn json_patches() {
    let check = |original: Value, patch: Value, expect: Result<Value, &str>| {
        let got = json_patch(&original, &patch).map_err(|e| e.to_string());
        assert_eq!(got, expect.map_err(str::to_owned), "{patch}");
    };
    check(
        json!({"a": [1, 3]}),
        json!([{"op": "add", "path": "/a/1", "value": 2}]),
        Ok(json!({"a": [1, 2, 3]})),
    );
    check(
        json!({"a": {"b/c": 1}}),
        json!([{"op": "remove", "path": "/a/b~1c"}]),
        Ok(json!({"a": {}})),
    );
    check(
        json!({"a": 1}),
        json!([{"op": "test", "path": "/a", "value": 2}]),
        Err("testing value /a failed: test failed"),
    );
    check(
        json!({}),
        json!([{"op": "remove", "path": "/a"}]),
        Err("remove operation does not apply: doc is missing path: /a: missing value"),
    );
    assert!(matches!(
        json_patch(&json!({}), &json!([{"op": "x"}])),
        Err(PatchError::Malformed(_))
    ));
    assert!(matches!(
        json_patch(&json!({}), &json!({})),
        Err(PatchError::Malformed(_))
    ));
    let many = vec![json!({"op": "test", "path": "", "value": {}}); OPERATIONS_MAX + 1];
    assert!(matches!(
        json_patch(&json!({}), &Value::Array(many)),
        Err(PatchError::TooLarge(_))
    ));
    // Each copy doubles the object.
    let doubling: Vec<Value> = (0..40)
        .map(|i| json!({"op": "copy", "from": "", "path": format!("/{i}")}))
        .collect();
    assert!(matches!(
        json_patch(&json!({"a": "b"}), &Value::Array(doubling)),
        Err(PatchError::TooLarge(_))
    ));
}

#[test]
fn json_patches_that_grow() {
    let too_large = |original: Value, patch: Vec<Value>, what: &str| match json_patch(
        &original,
        &Value::Array(patch),
    ) {
        Err(PatchError::TooLarge(why)) => assert!(why.contains(what), "{why}"),
        other => panic!("{:.200}", format!("{other:?}")),
    };
    // Each round wraps the object into a new one: 300,000 levels, which nothing could even drop.
    let inner = "/a".repeat(100);
    let wrapper = (0..100).fold(json!({}), |inner, _| json!({"a": inner}));
    let wraps = (0..3000).flat_map(|_| {
        [
            json!({"op": "add", "path": "/n", "value": wrapper}),
            json!({"op": "move", "from": "/o", "path": format!("/n{inner}/a")}),
            json!({"op": "move", "from": "/n", "path": "/o"}),
        ]
    });
    too_large(json!({"o": {}}), wraps.collect(), "nested deeper");
    // Still short enough to be measured at the end only.
    let twice = json!({"op": "add", "path": format!("/o{}", "/a".repeat(100)), "value": wrapper});
    too_large(json!({"o": wrapper}), vec![twice], "nested deeper");
    // Harmless moves may be as many as they like.
    let there_and_back = (0..2000).flat_map(|_| {
        [
            json!({"op": "move", "from": "/o", "path": "/p"}),
            json!({"op": "move", "from": "/p", "path": "/o"}),
        ]
    });
    let same = json!({"o": {"x": [1, 2]}});
    let patch = Value::Array(there_and_back.collect());
    assert_eq!(json_patch(&same, &patch), Ok(same));
    let front = vec![json!({"op": "add", "path": "/l/0", "value": 1}); 9_000];
    too_large(json!({"l": vec![0; 100_000]}), front, "long lists");
}

#[test]
fn merge_patches() {
    let check = |original: Value, patch: Value, expect: Value| {
        assert_eq!(merge_patch(&original, &patch), Ok(expect))
    };
    check(
        json!({"a": {"b": 1, "c": 2}}),
        json!({"a": {"b": null, "d": [1]}}),
        json!({"a": {"c": 2, "d": [1]}}),
    );
    check(
        json!({"a": [1]}),
        json!({"a": {"b": null}}),
        json!({"a": {}}),
    );
    assert!(matches!(
        merge_patch(&json!({}), &json!([1])),
        Err(PatchError::Malformed(_))
    ));
}

/// Objects that look like pods and patches of pods.
fn tree(directives: bool, nulls: bool) -> impl Strategy<Value = Value> {
    const KEYS: [&str; 14] = [
        "spec",
        "metadata",
        "containers",
        "volumes",
        "env",
        "name",
        "labels",
        "finalizers",
        "image",
        "template",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$deleteFromPrimitiveList/finalizers",
    ];
    let keys = if directives { &KEYS[..] } else { &KEYS[..10] };
    let leaf = prop_oneof![
        Just(if nulls {
            Value::Null
        } else {
            Value::from(true)
        }),
        (0i64..3).prop_map(Value::from),
        prop::sample::select(vec!["a", "b", "replace", "delete", "merge", "name"])
            .prop_map(Value::from),
    ];
    let map = move |inner: BoxedStrategy<Value>| {
        prop::collection::vec((prop::sample::select(keys), inner), 0..5).prop_map(|entries| {
            Value::Object(
                entries
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v))
                    .collect(),
            )
        })
    };
    let any = leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            map(inner)
        ]
    });
    map(any.boxed())
}

proptest! {
    #[test]
    fn nothing_panics(original in tree(true, true), patch in tree(true, true)) {
        for kind in ["Pod", "Deployment", "Service", "ConfigMap"] {
            let _ = strategic(kind, original.clone(), patch.clone());
        }
        let _ = json_patch(&original, &patch);
        let _ = merge_patch(&original, &patch);
    }

    /// An empty patch changes nothing, and an object without nulls patches itself, and an empty object, to itself.
    #[test]
    fn merge_identities(object in tree(false, false)) {
        prop_assert_eq!(merge_patch(&object, &json!({})).unwrap(), object.clone());
        prop_assert_eq!(merge_patch(&object, &object).unwrap(), object.clone());
        prop_assert_eq!(merge_patch(&json!({}), &object).unwrap(), object.clone());
        prop_assert_eq!(strategic("Pod", object.clone(), json!({})).unwrap(), object);
    }

    /// A patch without directives changes nothing more when it is applied again. The first time, what is new is taken as it is, with
    /// whatever it repeats.
    #[test]
    fn strategic_is_idempotent(original in tree(false, false), patch in tree(false, true)) {
        let again = |object: Value| strategic("Pod", object, patch.clone());
        if let Ok(twice) = again(original).and_then(again) {
            prop_assert_eq!(again(twice.clone()), Ok(twice));
        }
    }
}
