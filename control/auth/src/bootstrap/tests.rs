use serde_json::{Value, json};

use super::*;

#[test]
fn standard_objects_are_whole() {
    let (roles, bindings) = (cluster_roles(), cluster_role_bindings());
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let names: std::collections::BTreeSet<String> = roles.iter().map(name).collect();
    assert_eq!(names.len(), roles.len(), "no name twice");
    let bound: std::collections::BTreeSet<String> = bindings.iter().map(name).collect();
    assert_eq!(bound.len(), bindings.len(), "no name twice");
    for binding in &bindings {
        assert!(
            names.contains(binding["roleRef"]["name"].as_str().unwrap()),
            "{binding}"
        );
    }
    for role in &roles {
        for rule in role["rules"].as_array().unwrap() {
            assert!(!rule["verbs"].as_array().unwrap().is_empty(), "{role}");
        }
    }
    assert!(controller_names().all(|c| names.contains(&format!("system:controller:{c}"))));
    for expected in [
        "cluster-admin",
        "admin",
        "edit",
        "view",
        "system:basic-user",
        "system:discovery",
        "system:node",
    ] {
        assert!(names.contains(expected), "{expected}");
    }
}

#[test]
fn missing_parts_come_back_and_additions_stay() {
    let rule = |verbs: &[&str]| json!({ "apiGroups": [""], "resources": ["pods"], "verbs": verbs });
    let standard = cluster_role("r", &["aggregate-to-view"], vec![rule(&["get", "list"])]);
    let check = |stored: Value, expected: Reconciled| {
        assert_eq!(reconcile(Some(&stored), &standard), expected)
    };
    assert_eq!(
        reconcile(None, &standard),
        Reconciled::Create(standard.clone())
    );
    for object in cluster_roles().iter().chain(&cluster_role_bindings()) {
        assert_eq!(reconcile(Some(object), object), Reconciled::Unchanged);
    }
    let with = |change: &dyn Fn(&mut Value)| {
        let mut object = standard.clone();
        object["metadata"]["uid"] = "u".into();
        change(&mut object);
        object
    };
    check(with(&|_| {}), Reconciled::Unchanged);
    // More than is needed, in another form.
    check(
        with(&|o| o["rules"] = json!([rule(&["*"])])),
        Reconciled::Unchanged,
    );
    check(
        with(&|o| o["rules"] = json!([rule(&["get"]), rule(&["frob"])])),
        Reconciled::Update(with(&|o| {
            o["rules"] = json!([rule(&["get"]), rule(&["frob"]), rule(&["list"])])
        })),
    );
    check(
        with(&|o| o["rules"] = Value::Null),
        Reconciled::Update(with(&|o| o["rules"] = json!([rule(&["get", "list"])]))),
    );
    let label = "rbac.authorization.k8s.io/aggregate-to-view";
    check(
        with(&|o| {
            drop(
                o["metadata"]["labels"]
                    .as_object_mut()
                    .unwrap()
                    .remove(label),
            )
        }),
        Reconciled::Update(with(&|_| {})),
    );
    check(
        with(&|o| o["metadata"]["labels"][label] = "false".into()),
        Reconciled::Unchanged,
    );
    let protect = |o: &mut Value| {
        o["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] =
            "false".into();
        o["rules"] = json!([]);
    };
    check(with(&protect), Reconciled::Unchanged);
    // Aggregated roles: the selectors, not the gathered rules.
    let gathers = aggregated_role("g", &[], "aggregate-to-view");
    let mut stored = gathers.clone();
    stored["rules"] = json!([rule(&["get"])]);
    assert_eq!(reconcile(Some(&stored), &gathers), Reconciled::Unchanged);
    let mut without = stored.clone();
    without.as_object_mut().unwrap().remove("aggregationRule");
    assert_eq!(
        reconcile(Some(&without), &gathers),
        Reconciled::Update(stored)
    );
}

#[test]
fn bindings_get_their_subjects_back() {
    let standard = cluster_role_binding("b", &[group("g"), system_account("s")]);
    let mut stored = standard.clone();
    stored["subjects"] = json!([user("added"), { "apiGroup": "", "kind": "ServiceAccount", "name": "s", "namespace": "kube-system" }]);
    let mut expected = stored.clone();
    expected["subjects"] = json!([stored["subjects"][0], stored["subjects"][1], group("g")]);
    assert_eq!(
        reconcile(Some(&stored), &standard),
        Reconciled::Update(expected.clone())
    );
    assert_eq!(reconcile(Some(&expected), &standard), Reconciled::Unchanged);
    stored.as_object_mut().unwrap().remove("subjects");
    assert_eq!(
        reconcile(Some(&stored), &standard),
        Reconciled::Update(standard.clone())
    );
    let mut elsewhere = standard.clone();
    elsewhere["roleRef"]["name"] = "other".into();
    elsewhere["subjects"] = json!([user("added")]);
    let mut expected = standard.clone();
    expected["subjects"] = json!([group("g"), system_account("s"), user("added")]);
    assert_eq!(
        reconcile(Some(&elsewhere), &standard),
        Reconciled::Recreate(expected)
    );
}

/// Who scrapes finds the targets and reads metrics; it cannot read what applications keep, and may change nothing. Who lists
/// for `/metrics/state` may only list.
#[test]
fn metrics_take_no_more_than_they_need() {
    let roles = cluster_roles();
    let rules = |name: &str| {
        let role = roles.iter().find(|r| r["metadata"]["name"] == name);
        role.unwrap()["rules"].as_array().unwrap().clone()
    };
    let words = |rule: &Value, key: &str| rule[key].to_string();
    for rule in rules("system:minicloud-metrics") {
        assert!(!words(&rule, "resources").contains("secrets"), "{rule}");
        assert!(!words(&rule, "resources").contains("configmaps"), "{rule}");
        for verb in rule["verbs"].as_array().unwrap() {
            assert!(["get", "list", "watch"].contains(&verb.as_str().unwrap()));
        }
    }
    for rule in rules("system:minicloud-state") {
        assert_eq!(rule["verbs"], json!(["list"]), "{rule}");
        assert!(!words(&rule, "resources").contains('*'), "{rule}");
    }
    for rule in rules("system:minicloud-listener") {
        assert!(!words(&rule, "resources").contains("secrets"), "{rule}");
    }
}
