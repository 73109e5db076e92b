use proptest::prelude::*;
use serde_json::{Value, json};

use super::{JsonPath, SimplePath};

fn pod() -> Value {
    json!({
        "metadata": {"name": "p", "labels": {"app.kubernetes.io/name": "web", "a-b": "c"}},
        "spec": {"containers": [{"name": "a", "ports": [80, 81]}, {"name": "b"}, {"name": "c", "ports": [90]}], "replicas": 3},
        "status": {"conditions": [{"type": "Ready", "status": "True", "n": 1}, {"type": "Other", "status": "False", "n": 2}], "want": "Other"}
    })
}

#[test]
fn paths_find_what_they_point_at() {
    let pod = pod();
    let check = |path: &str, expect: Value| {
        let parsed = JsonPath::parse(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let found = parsed.find(&pod).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(json!(found), expect, "{path}");
    };
    check(".metadata.name", json!(["p"]));
    check("{.metadata.name}", json!(["p"]));
    check("{ $.metadata.name }", json!(["p"]));
    check("metadata.name", json!(["p"]));
    check(".", json!([pod]));
    check(".metadata.labels.a-b", json!(["c"]));
    check(r".metadata.labels.app\.kubernetes\.io/name", json!(["web"]));
    check(".metadata.labels['app.kubernetes.io/name']", json!(["web"]));
    check(".metadata.labels[\"a-b\"]", json!(["c"]));
    check(".metadata['name','labels'].a-b", json!(["c"]));
    check(".spec.containers[0].name", json!(["a"]));
    check(".spec.containers[-1].name", json!(["c"]));
    check(".spec.containers[*].name", json!(["a", "b", "c"]));
    check(".spec.containers[0:2].name", json!(["a", "b"]));
    check(".spec.containers[::2].name", json!(["a", "c"]));
    check(".spec.containers[-2:].name", json!(["b", "c"]));
    check(".spec.containers[0,2].name", json!(["a", "c"]));
    check(".spec.containers[5].name", json!([]));
    check("..ports", json!([[80, 81], [90]]));
    check("..ports[0]", json!([80, 90]));
    check(".spec.*", json!([pod["spec"]["containers"], 3]));
    check(".nothing.here[0]", json!([]));
    check(
        r#".status.conditions[?(@.type=="Ready")].status"#,
        json!(["True"]),
    );
    check(
        r#".status.conditions[?( @.type != 'Ready' )].status"#,
        json!(["False"]),
    );
    check(".status.conditions[?(@.n>1)].type", json!(["Other"]));
    check(".status.conditions[?(@.n <= 1.5)].type", json!(["Ready"]));
    check(".status.conditions[?(@.type==$.status.want)].n", json!([2]));
    check(".spec.containers[?(@.ports)].name", json!(["a", "c"]));
    check(".spec.containers[?(@.ports[0] == 90)].name", json!(["c"]));
    check(".spec.containers[?(@.flag==true)].name", json!([]));
}

#[test]
fn bad_paths_are_explained() {
    let check = |path: &str, expect: &str| {
        assert_eq!(
            JsonPath::parse(path).unwrap_err().to_string(),
            expect,
            "{path}"
        );
    };
    check("{.a", "unclosed action: } is missing");
    check(".a..", "a name is missing at position 4");
    check(".a[", "unterminated array: ] is missing");
    check(".a[0", "unterminated array: ] is missing");
    check(".a[x]", "invalid array index: 'x' at position 3");
    check(".a['x]", "unterminated quoted string");
    check(".a[0:1:0]", "a slice's step must be greater than 0");
    check(
        ".a[99999999999999999999]",
        "invalid array index 99999999999999999999",
    );
    check(".a[?@.b]", "a filter must stand in parentheses");
    check(".a[?(@.b]", "unterminated filter: ) is missing");
    check(
        ".a[?(@.b==x)]",
        "cannot read \"x\" in a filter: quote a text",
    );
    check(
        ".a}{.b",
        "unrecognized character in action: '}' at position 2",
    );
    check(
        "{range .items[*]}",
        "unrecognized character in action: ' ' at position 5",
    );
    check(
        &format!(".{}", "a".repeat(5000)),
        "must be no more than 4096 bytes",
    );
    let nested = format!(".a{}@.b{}", "[?(@.x".repeat(20), ")]".repeat(20));
    check(&nested, "filters must not be nested deeper than 8 levels");
}

#[test]
fn what_cannot_be_decided_is_an_error() {
    let check = |path: &str, value: Value| {
        JsonPath::parse(path)
            .unwrap()
            .find(&value)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        check("[?(@.a < 'x')]", json!([{"a": 1}])),
        "a filter compares values that have no order"
    );
    assert_eq!(
        check("[?(@.* == 1)]", json!([{"a": 1, "b": 2}])),
        "a filter compares a path that gives several values"
    );
    let wide = json!(vec![vec![0; 400]; 400]);
    assert_eq!(
        check("..*", wide),
        "the path touches more than 100000 values"
    );
}

#[test]
fn simple_paths_get_and_set() {
    let path = SimplePath::parse(".spec.replicas").unwrap();
    assert_eq!(path.to_string(), ".spec.replicas");
    let mut value = json!({});
    path.set(&mut value, json!(3)).unwrap();
    assert_eq!(value, json!({"spec": {"replicas": 3}}));
    assert_eq!(path.get(&value), Some(&json!(3)));
    assert_eq!(path.get(&json!({"spec": []})), None);
    let error = path.set(&mut json!({"spec": "x"}), json!(3)).unwrap_err();
    assert_eq!(
        error.to_string(),
        ".spec.replicas cannot be set: the value above replicas is not an object"
    );
    for (bad, why) in [
        ("spec", "must be a simple json path starting with ."),
        (".", "must be a json path in the dot notation"),
        (".a..b", "must be a json path in the dot notation"),
        (".a[0]", "must be a json path in the dot notation"),
    ] {
        assert_eq!(SimplePath::parse(bad).unwrap_err().to_string(), why);
    }
}

proptest! {
    #[test]
    fn no_path_panics(path in r#"[\[\]{}().,:?@$*='"<>!ab0-9\\ -]{0,24}"#) {
        if let Ok(path) = JsonPath::parse(&path) {
            let _ = path.find(&json!({"a": {"b": [{"a": 1}, {"a": "x"}, [1, 2, 3]]}, "b": [1, 2]}));
        }
        if let Ok(path) = SimplePath::parse(&path) {
            prop_assert_eq!(SimplePath::parse(&path.to_string()).unwrap(), path);
        }
    }

    #[test]
    fn a_dotted_path_is_the_same_as_a_lookup(names in prop::collection::vec("[a-z][a-z0-9-]{0,5}", 1..5)) {
        let value = names.iter().rev().fold(json!(1), |inner, name| json!({ name: inner }));
        let text: String = names.iter().map(|name| format!(".{name}")).collect();
        let one = json!(1);
        prop_assert_eq!(JsonPath::parse(&text).unwrap().find(&value).unwrap(), vec![&one]);
        prop_assert_eq!(SimplePath::parse(&text).unwrap().get(&value), Some(&one));
    }
}
