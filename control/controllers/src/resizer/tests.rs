use serde_json::from_value;

use super::*;

fn spec(resources: Value, tolerance: u32, limits: &str) -> Spec {
    from_value(json!({"target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "one"}, "container": "main",
        "resources": resources, "tolerancePercent": tolerance, "limits": limits}))
    .unwrap()
}

fn target(requests: Value, limits: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [
        {"name": "other"}, {"name": "main", "resources": {"requests": requests, "limits": limits}}]}}}})
}

#[test]
fn requests_grow_with_the_cluster() {
    let check = |resources: Value, nodes: usize, expect: Value| {
        let amounts = wanted(&spec(resources, 0, "Keep"), nodes).unwrap();
        assert_eq!(json!(texts(&amounts)), expect);
    };
    let both = json!({"cpu": {"base": "100m", "perNode": "10m"}, "memory": {"base": "40Mi", "perNode": "4Mi"}});
    check(both.clone(), 0, json!({"cpu": "100m", "memory": "40Mi"}));
    check(both.clone(), 3, json!({"cpu": "130m", "memory": "52Mi"}));
    check(both, 100, json!({"cpu": "1100m", "memory": "440Mi"}));
    check(
        json!({"cpu": {"base": 1, "perNode": "500u"}}),
        1,
        json!({"cpu": "1001m"}),
    );
    check(
        json!({"memory": {"perNode": "1Mi"}}),
        2,
        json!({"memory": "2Mi"}),
    );
    check(
        json!({"memory": {"perNode": "8Ei"}}),
        1_000_000,
        json!({"memory": "9223372036854775807"}),
    );
    let bad = wanted(&spec(json!({"cpu": {"base": "much"}}), 0, "Keep"), 1).unwrap_err();
    assert!(
        bad.starts_with("spec.resources.cpu.base: \"much\""),
        "{bad}"
    );
}

#[test]
fn only_what_is_out_of_tolerance_is_changed() {
    let resources = json!({"cpu": {"base": "100m"}, "memory": {"base": "100Mi"}});
    let resize = |amounts: Value| {
        Decision::Resize(
            json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "resources": amounts}]}}}}),
        )
    };
    let check = |requests: Value, limits: Value, tolerance: u32, follow: &str, expect: Decision| {
        let spec = spec(resources.clone(), tolerance, follow);
        let amounts = wanted(&spec, 1).unwrap();
        assert_eq!(decide(&target(requests, limits), &spec, &amounts), expect);
    };
    let right = json!({"cpu": "100m", "memory": "100Mi"});
    let near = json!({"cpu": "110m", "memory": "90Mi"});
    let keep = || resize(json!({"requests": right}));
    check(right.clone(), json!({}), 0, "Keep", Decision::Fits);
    check(near.clone(), json!({}), 10, "Keep", Decision::Fits);
    check(near.clone(), json!({}), 9, "Keep", keep());
    check(json!({"cpu": "100m"}), json!({}), 10, "Keep", keep());
    check(
        json!({"cpu": "0.1", "memory": "102400Ki"}),
        json!({}),
        0,
        "Keep",
        Decision::Fits,
    );
    let follow = resize(json!({"requests": right, "limits": right}));
    check(right.clone(), json!({}), 10, "Follow", follow);
    check(right.clone(), near, 10, "Follow", Decision::Fits);
    let spec = spec(resources.clone(), 0, "Keep");
    assert_eq!(
        decide(&json!({}), &spec, &Amounts::new()),
        Decision::NoContainer
    );
}

#[test]
fn the_definition_is_a_good_one_and_has_every_field() {
    use minicloud_schema::crd;
    let mut definition = definition();
    assert_eq!(crd::prune(&mut definition), Vec::<String>::new());
    crd::default(&mut definition);
    let errors = crd::validate_create(&definition);
    assert!(errors.is_empty(), "{errors}");
    let compiled = crd::compile(&definition).unwrap();
    let schema = &compiled.versions[0].schema;
    let status = Status {
        observed_generation: Some(1),
        nodes: 3,
        requests: BTreeMap::from([("cpu".to_owned(), "1".to_owned())]),
        conditions: vec![ready(&[], true, "Fits", "", Timestamp::UNIX_EPOCH)],
    };
    let mut whole = json!({"apiVersion": "minicloud.io/v1", "kind": "Resizer", "metadata": {"name": "a"},
        "spec": spec(json!({"ephemeral-storage": {"base": 1, "perNode": "1Gi"}}), 5, "Follow"), "status": status});
    assert_eq!(schema.prune(&mut whole), Vec::<String>::new());
    assert!(
        schema.validate(&whole).is_empty(),
        "{}",
        schema.validate(&whole)
    );
    // What may be left out is filled in, and then our type reads it.
    let mut least = json!({"apiVersion": "minicloud.io/v1", "kind": "Resizer", "metadata": {"name": "a"},
        "spec": {"target": {"name": "one"}, "container": "main", "resources": {"cpu": {"base": "1"}}}});
    schema.apply_defaults(&mut least);
    let resizer: Resizer = from_value(least).unwrap();
    assert_eq!(
        (resizer.spec.tolerance_percent, resizer.spec.limits),
        (10, Limits::Keep)
    );
    assert_eq!(
        (
            resizer.spec.target.kind.as_str(),
            resizer.spec.target.api_version.as_str()
        ),
        ("Deployment", "apps/v1")
    );
    for (path, bad) in [
        ("/spec/resources/cpu/base", json!("-1")),
        ("/spec/target/kind", json!("Pod")),
        ("/spec/tolerancePercent", json!(101)),
        ("/spec/resources", json!({})),
        ("/spec/container", json!("")),
        ("/spec/target/name", json!("one?x")),
    ] {
        let mut wrong = json!({"apiVersion": "minicloud.io/v1", "kind": "Resizer", "metadata": {"name": "a"},
            "spec": spec(json!({"cpu": {"base": "1"}}), 5, "Follow")});
        *wrong.pointer_mut(path).unwrap() = bad;
        assert!(!schema.validate(&wrong).is_empty(), "{path}");
    }
}

#[test]
fn the_condition_changes_with_its_status() {
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
    let first = ready(&[], true, "Resized", "a", at(5));
    let same = ready(std::slice::from_ref(&first), true, "Fits", "b", at(9));
    assert_eq!(
        (same.last_transition_time, same.reason.as_str()),
        (Time(at(5)), "Fits")
    );
    let other = ready(&[first], false, "Refused", "c", at(9));
    assert_eq!(other.last_transition_time, Time(at(9)));
}
