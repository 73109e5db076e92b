use minicloud_api::user::GROUP_NODES;
use serde_json::json;

use super::*;
use crate::bootstrap;

fn user(name: &str) -> UserInfo {
    UserInfo::new(name, ["system:authenticated"])
}

fn role(kind: &str, namespace: &str, name: &str, rules: Value) -> Value {
    json!({ "kind": kind, "metadata": { "name": name, "namespace": namespace }, "rules": rules })
}

fn binding(namespace: &str, name: &str, role: (&str, &str), subjects: Value) -> Value {
    json!({
        "metadata": { "name": name, "namespace": namespace },
        "roleRef": { "kind": role.0, "name": role.1 },
        "subjects": subjects,
    })
}

/// The standard roles and bindings.
pub(crate) fn standard() -> Authorizer {
    let authorizer = Authorizer::new();
    for role in bootstrap::cluster_roles() {
        authorizer.upsert(RbacKind::ClusterRole, &role);
    }
    for binding in bootstrap::cluster_role_bindings() {
        authorizer.upsert(RbacKind::ClusterRoleBinding, &binding);
    }
    authorizer
}

#[test]
fn one_rule() {
    let someone = user("x");
    // `verb group/resource[/subresource] [name]` or `verb :path`.
    let check = |rule: &Value, request: &str, expected: bool| {
        let rule = PolicyRule::from_value(rule);
        let words: Vec<&str> = request.split(' ').collect();
        let attributes = match words[1].strip_prefix(':') {
            Some(path) => Attributes::path(&someone, words[0], path),
            None => {
                let place: Vec<&str> = words[1].split('/').collect();
                Attributes::resource(&someone, words[0], place[0], place[1])
                    .subresource(place.get(2).unwrap_or(&""))
                    .named(words.get(2).unwrap_or(&""))
            }
        };
        assert_eq!(rule.allows(&attributes), expected, "{request} by {rule:?}");
    };
    let pods =
        json!({ "verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"] });
    for (request, expected) in [
        ("get /pods", true),
        ("get /pods a", true),
        ("watch /pods", false),
        ("get apps/pods", false),
        ("get /pods/log a", true),
        ("get /pods/status a", false),
        ("get /podss", false),
        ("get :/pods", false),
    ] {
        check(&pods, request, expected);
    }
    let named = json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["secrets"], "resourceNames": ["a", "b"] });
    for (request, expected) in [
        ("get /secrets a", true),
        ("get x/secrets b", true),
        ("get /secrets c", false),
        ("list /secrets", false),
    ] {
        check(&named, request, expected);
    }
    let scale = json!({ "verbs": ["get"], "apiGroups": ["apps"], "resources": ["*/scale"] });
    for (request, expected) in [
        ("get apps/deployments/scale a", true),
        ("get apps/deployments a", false),
        ("get apps/deployments/myscale a", false),
        ("get apps/deployments/status a", false),
    ] {
        check(&scale, request, expected);
    }
    let all = json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] });
    check(&all, "delete apps/deployments/scale a", true);
    check(&all, "get :/healthz", false);
    let paths = json!({ "verbs": ["get"], "nonResourceURLs": ["/healthz", "/apis/*"] });
    for (request, expected) in [
        ("get :/healthz", true),
        ("post :/healthz", false),
        ("get :/healthz/etcd", false),
        ("get :/apis/", true),
        ("get :/apis/apps/v1", true),
        ("get :/apis", false),
        ("get /healthz", false),
    ] {
        check(&paths, request, expected);
    }
    check(
        &json!({ "verbs": ["get"], "nonResourceURLs": ["*"] }),
        "get :/anything",
        true,
    );
    // What cannot be read grants nothing.
    for broken in [
        json!(null),
        json!([]),
        json!({ "verbs": "*" }),
        json!({ "verbs": ["*"], "resources": [7] }),
    ] {
        check(&broken, "get /pods", false);
    }
}

#[test]
fn bindings_apply_where_they_should() {
    let authorizer = Authorizer::new();
    let read = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }]);
    authorizer.upsert(
        RbacKind::ClusterRole,
        &role("ClusterRole", "", "reader", read.clone()),
    );
    authorizer.upsert(RbacKind::Role, &role("Role", "web", "local", read));
    authorizer.upsert(
        RbacKind::RoleBinding,
        &binding(
            "web",
            "b1",
            ("ClusterRole", "reader"),
            json!([{ "kind": "User", "name": "ann" }, { "kind": "Group", "name": "dev" }]),
        ),
    );
    authorizer.upsert(
        RbacKind::RoleBinding,
        &binding(
            "db",
            "b2",
            ("Role", "local"),
            json!([{ "kind": "User", "name": "ann" }]),
        ),
    );
    authorizer.upsert(
        RbacKind::ClusterRoleBinding,
        &binding(
            "",
            "b3",
            ("ClusterRole", "reader"),
            json!([{ "kind": "ServiceAccount", "name": "app", "namespace": "web" }, { "kind": "ServiceAccount", "name": "lost" }]),
        ),
    );
    authorizer.upsert(
        RbacKind::RoleBinding,
        &binding(
            "web",
            "b4",
            ("Role", "local"),
            json!([{ "kind": "ServiceAccount", "name": "here" }]),
        ),
    );
    let ask = |user: &UserInfo, namespace: &str| {
        authorizer.authorize(&Attributes::resource(user, "get", "", "pods").in_namespace(namespace))
    };
    let allowed = |user: &UserInfo, namespace: &str, reason: &str| {
        assert_eq!(ask(user, namespace), Decision::Allow(reason.into()));
    };
    let refused = |user: &UserInfo, namespace: &str, reason: &str| {
        assert_eq!(ask(user, namespace), Decision::NoOpinion(reason.into()));
    };
    let ann = user("ann");
    allowed(
        &ann,
        "web",
        r#"RBAC: allowed by RoleBinding "b1/web" of ClusterRole "reader" to User "ann""#,
    );
    refused(&ann, "", "");
    refused(&ann, "other", "");
    // The Role of the same name is in another namespace.
    refused(
        &ann,
        "db",
        r#"RBAC: role.rbac.authorization.k8s.io "local" not found"#,
    );
    let dev = UserInfo::new("bob", ["dev"]);
    allowed(
        &dev,
        "web",
        r#"RBAC: allowed by RoleBinding "b1/web" of ClusterRole "reader" to Group "dev""#,
    );
    let app = user("system:serviceaccount:web:app");
    let reason = r#"RBAC: allowed by ClusterRoleBinding "b3" of ClusterRole "reader" to ServiceAccount "app/web""#;
    for namespace in ["", "web", "db"] {
        allowed(&app, namespace, reason);
    }
    let here = user("system:serviceaccount:web:here");
    allowed(
        &here,
        "web",
        r#"RBAC: allowed by RoleBinding "b4/web" of Role "local" to ServiceAccount "here/web""#,
    );
    refused(&user("here"), "web", "");
    refused(&user("dev"), "web", "");
    refused(&user("system:serviceaccount::lost"), "web", "");
    // A change takes the old subjects away.
    authorizer.upsert(
        RbacKind::RoleBinding,
        &binding(
            "web",
            "b1",
            ("ClusterRole", "reader"),
            json!([{ "kind": "User", "name": "carl" }]),
        ),
    );
    refused(&ann, "web", "");
    refused(&dev, "web", "");
    allowed(
        &user("carl"),
        "web",
        r#"RBAC: allowed by RoleBinding "b1/web" of ClusterRole "reader" to User "carl""#,
    );
    authorizer.remove(RbacKind::ClusterRole, "", "reader");
    refused(
        &app,
        "web",
        r#"RBAC: clusterrole.rbac.authorization.k8s.io "reader" not found"#,
    );
    authorizer.remove(RbacKind::ClusterRoleBinding, "", "b3");
    authorizer.remove(RbacKind::ClusterRoleBinding, "", "never there");
    refused(&app, "web", "");
    let masters = UserInfo::new("root", [GROUP_MASTERS]);
    allowed(&masters, "anywhere", "");
}

#[test]
fn aggregated_roles_follow_their_parts() {
    let authorizer = standard();
    authorizer.upsert(
        RbacKind::RoleBinding,
        &binding(
            "web",
            "b",
            ("ClusterRole", "admin"),
            json!([{ "kind": "User", "name": "ann" }]),
        ),
    );
    let ann = user("ann");
    let may = |verb, group, resource| {
        authorizer
            .authorize(&Attributes::resource(&ann, verb, group, resource).in_namespace("web"))
            .is_allowed()
    };
    // admin gathers edit, which gathers view.
    assert!(may("create", "rbac.authorization.k8s.io", "roles"));
    assert!(
        may("delete", "", "secrets")
            && may("get", "", "pods")
            && may("list", "discovery.k8s.io", "endpointslices")
    );
    assert!(!may("create", "example.org", "widgets"));
    let mut widgets = role(
        "ClusterRole",
        "",
        "widgets",
        json!([{ "verbs": ["create"], "apiGroups": ["example.org"], "resources": ["widgets"] }]),
    );
    widgets["metadata"]["labels"] =
        json!({ "rbac.authorization.k8s.io/aggregate-to-edit": "true" });
    authorizer.upsert(RbacKind::ClusterRole, &widgets);
    assert!(may("create", "example.org", "widgets"), "by way of edit");
    let outdated: Vec<String> = authorizer
        .outdated_aggregates()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(outdated.len(), 3, "{outdated:?}");
    // Written back, they are no longer outdated; deleted parts go.
    for (name, rules) in authorizer.outdated_aggregates() {
        let mut role = bootstrap::cluster_roles()
            .into_iter()
            .find(|r| r["metadata"]["name"] == name.as_str())
            .unwrap();
        role["rules"] = json!(&*rules);
        authorizer.upsert(RbacKind::ClusterRole, &role);
    }
    assert!(authorizer.outdated_aggregates().is_empty());
    authorizer.remove(RbacKind::ClusterRole, "", "widgets");
    assert!(!may("create", "example.org", "widgets"));
    // Two roles that gather each other come to an end.
    for (name, gathers) in [("a", "b"), ("b", "a")] {
        authorizer.upsert(
            RbacKind::ClusterRole,
            &json!({
                "metadata": { "name": name, "labels": { "is": name } },
                "aggregationRule": { "clusterRoleSelectors": [{ "matchExpressions": [
                    { "key": "is", "operator": "In", "values": [gathers] },
                ] }] },
            }),
        );
    }
    assert_eq!(
        authorizer
            .role_rules(true, "", "a")
            .map(|rules| rules.len()),
        Some(0)
    );
}

#[test]
fn standard_roles_say_what_kubernetes_does() {
    let authorizer = standard();
    let check = |user: &UserInfo, request: &str, expected: bool| {
        let (verb, path) = request.split_once(' ').unwrap();
        let attributes = if let Some(place) = path.strip_prefix("res:") {
            let (group, resource) = place.split_once('/').unwrap();
            Attributes::resource(user, verb, group, resource)
        } else {
            Attributes::path(user, verb, path)
        };
        assert_eq!(
            authorizer.authorize(&attributes).is_allowed(),
            expected,
            "{} {request}",
            user.username
        );
    };
    let anonymous = UserInfo::anonymous();
    for (request, expected) in [
        ("get /livez", true),
        ("get /readyz", true),
        ("get /healthz", true),
        ("get /version", true),
        ("get /metrics", false),
        ("get /api", false),
        ("get /openapi/v3", false),
        ("get /", false),
        ("list res:/pods", false),
        (
            "create res:authorization.k8s.io/selfsubjectaccessreviews",
            false,
        ),
    ] {
        check(&anonymous, request, expected);
    }
    let someone = user("ann");
    for (request, expected) in [
        ("get /apis/apps/v1", true),
        (
            "create res:authorization.k8s.io/selfsubjectrulesreviews",
            true,
        ),
        ("create res:authentication.k8s.io/selfsubjectreviews", true),
        ("list res:/namespaces", false),
        ("get /metrics", false),
    ] {
        check(&someone, request, expected);
    }
    check(
        &UserInfo::new("p", ["system:monitoring"]),
        "get /metrics",
        true,
    );
    check(
        &UserInfo::new("a", ["system:serviceaccounts"]),
        "get /openid/v1/jwks",
        true,
    );
    let scheduler = user("system:kube-scheduler");
    let binding = Attributes::resource(&scheduler, "create", "", "pods")
        .subresource("binding")
        .in_namespace("web");
    assert!(authorizer.authorize(&binding).is_allowed());
    check(&scheduler, "create res:/pods", false);
    check(
        &user("system:kube-controller-manager"),
        "watch res:example.org/widgets",
        true,
    );
    check(
        &user("system:kube-controller-manager"),
        "delete res:/pods",
        false,
    );
    let deployment = user("system:serviceaccount:kube-system:deployment-controller");
    check(&deployment, "create res:apps/replicasets", true);
    check(&deployment, "create res:/pods", false);
    check(
        &user("system:kube-proxy"),
        "watch res:discovery.k8s.io/endpointslices",
        true,
    );
    check(&user("system:kube-proxy"), "get res:/secrets", false);
    check(
        &user("system:serviceaccount:kube-system:kube-dns"),
        "watch res:/services",
        true,
    );
    // The ClusterRole system:node is bound to nobody.
    check(
        &UserInfo::new("mallory", [GROUP_NODES]),
        "list res:/services",
        false,
    );
}

#[test]
fn denials_in_kubernetes_words() {
    let ann = user("ann");
    let check = |attributes: Attributes<'_>, reason: &str, expected: &str| {
        let status = forbidden(&attributes, reason);
        assert_eq!(
            (status.code, status.reason, status.message.as_str()),
            (403, "Forbidden", expected)
        );
    };
    check(
        Attributes::resource(&ann, "list", "", "pods").in_namespace("y"),
        "",
        r#"pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace "y""#,
    );
    check(
        Attributes::resource(&ann, "patch", "apps", "deployments")
            .subresource("scale")
            .in_namespace("y")
            .named("web"),
        "RBAC: x",
        r#"deployments.apps "web" is forbidden: User "ann" cannot patch resource "deployments/scale" in API group "apps" in the namespace "y": RBAC: x"#,
    );
    check(
        Attributes::resource(&ann, "create", "", "nodes"),
        "",
        r#"nodes is forbidden: User "ann" cannot create resource "nodes" in API group "" at the cluster scope"#,
    );
    check(
        Attributes::path(&ann, "get", "/metrics"),
        "",
        r#"forbidden: User "ann" cannot get path "/metrics""#,
    );
}

#[test]
fn rules_of_a_user() {
    let authorizer = standard();
    authorizer.upsert(
        RbacKind::RoleBinding,
        &binding(
            "web",
            "b",
            ("ClusterRole", "view"),
            json!([{ "kind": "User", "name": "ann" }]),
        ),
    );
    let rules = |user: &UserInfo, namespace| authorizer.rules_for(user, namespace);
    let reads_pods = |r: &UserRules| {
        r.rules
            .iter()
            .any(|r| r.resources.contains(&"pods".to_owned()))
    };
    assert!(reads_pods(&rules(&user("ann"), "web")) && !reads_pods(&rules(&user("ann"), "db")));
    assert!(!rules(&user("ann"), "web").incomplete);
    assert_eq!(
        rules(&UserInfo::new("r", [GROUP_MASTERS]), "web").rules,
        everything()
    );
    assert!(rules(&UserInfo::new("system:node:a", [GROUP_NODES]), "web").incomplete);
    authorizer.upsert(
        RbacKind::ClusterRoleBinding,
        &binding(
            "",
            "c",
            ("ClusterRole", "gone"),
            json!([{ "kind": "User", "name": "ann" }]),
        ),
    );
    let answer = rules(&user("ann"), "web");
    assert!(answer.incomplete);
    assert_eq!(
        answer.evaluation_error,
        r#"clusterrole.rbac.authorization.k8s.io "gone" not found"#
    );
}

/// A decision with many users, roles and bindings around takes microseconds; run with `--ignored` for the figure.
#[test]
#[ignore = "prints a figure"]
fn how_long_a_decision_takes() {
    let authorizer = standard();
    let rules = json!([{ "verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"] }]);
    for i in 0..10_000 {
        let (namespace, name) = (format!("ns{}", i % 500), format!("r{i}"));
        authorizer.upsert(
            RbacKind::Role,
            &role("Role", &namespace, &name, rules.clone()),
        );
        let subjects = json!([{ "kind": "ServiceAccount", "name": "app", "namespace": namespace }]);
        authorizer.upsert(
            RbacKind::RoleBinding,
            &binding(&namespace, &name, ("Role", &name), subjects),
        );
    }
    let app = UserInfo::new(
        "system:serviceaccount:ns7:app",
        [
            "system:serviceaccounts",
            "system:serviceaccounts:ns7",
            "system:authenticated",
        ],
    );
    for (what, request) in [
        (
            "allowed",
            Attributes::resource(&app, "get", "", "pods").in_namespace("ns7"),
        ),
        (
            "refused",
            Attributes::resource(&app, "delete", "", "pods").in_namespace("ns7"),
        ),
    ] {
        let mut times: Vec<_> = (0..10_000)
            .map(|_| {
                let start = std::time::Instant::now();
                std::hint::black_box(authorizer.authorize(&request));
                start.elapsed()
            })
            .collect();
        times.sort();
        println!("{what}: p50 {:?}, p99 {:?}", times[5000], times[9900]);
    }
}
