use minicloud_api::user::{GROUP_NODES, UserInfo};
use serde_json::{Value, json};

use super::escalation;
use super::node::{self, Operation, Write};
use crate::authz::{Authorizer, RbacKind};
use crate::bootstrap;

#[test]
fn nobody_grants_what_they_do_not_hold() {
    let authorizer = Authorizer::new();
    for role in bootstrap::cluster_roles() {
        authorizer.upsert(RbacKind::ClusterRole, &role);
    }
    let bind = |kind, namespace: &str, name: &str, role: &str, user: &str| {
        authorizer.upsert(
            kind,
            &json!({
                "metadata": { "name": name, "namespace": namespace },
                "roleRef": { "kind": "ClusterRole", "name": role },
                "subjects": [{ "kind": "User", "name": user }],
            }),
        );
    };
    bind(RbacKind::RoleBinding, "web", "a", "admin", "ann");
    authorizer.upsert(
        RbacKind::ClusterRole,
        &json!({ "metadata": { "name": "granter" }, "rules": [
            { "verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"] },
            { "verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "resourceNames": ["view"] },
        ] }),
    );
    bind(RbacKind::ClusterRoleBinding, "", "g", "granter", "gus");
    let ann = UserInfo::new("ann", ["dev", "system:authenticated"]);
    let gus = UserInfo::new("gus", [] as [&str; 0]);
    let root = UserInfo::new("root", ["system:masters"]);
    let role =
        |rules: Value| json!({ "metadata": { "name": "r", "namespace": "web" }, "rules": rules });
    let binding = |kind: &str, name: &str| json!({ "metadata": { "name": "b" }, "roleRef": { "kind": kind, "name": name }, "subjects": [{ "kind": "User", "name": "eve" }] });
    let check = |user: &UserInfo, kind, namespace: &str, object: &Value, old: Option<&Value>| {
        escalation::check(&authorizer, user, kind, namespace, object, old).map_err(|e| e.message)
    };
    let pods =
        role(json!([{ "verbs": ["get", "create"], "apiGroups": [""], "resources": ["pods"] }]));
    let more = role(json!([
        { "verbs": ["get", "frob"], "apiGroups": [""], "resources": ["pods", "nodes"] },
        { "verbs": ["get"], "nonResourceURLs": ["/metrics"] },
    ]));
    assert_eq!(check(&ann, RbacKind::Role, "web", &pods, None), Ok(()));
    expect_test::expect![[r#"
        roles.rbac.authorization.k8s.io "r" is forbidden: user "ann" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
        {APIGroups:[""], Resources:["nodes"], Verbs:["get" "frob"]}
        {APIGroups:[""], Resources:["pods"], Verbs:["frob"]}
        {NonResourceURLs:["/metrics"], Verbs:["get"]}"#]]
    .assert_eq(&check(&ann, RbacKind::Role, "web", &more, None).unwrap_err());
    // In another namespace, and for the whole cluster, she holds nothing.
    assert!(check(&ann, RbacKind::Role, "db", &pods, None).is_err());
    assert!(check(&ann, RbacKind::ClusterRole, "", &pods, None).is_err());
    // By a label a role's rules may become another's; by a finalizer they do not.
    let mut changed = more.clone();
    changed["metadata"]["labels"] = json!({ "a": "b" });
    assert!(check(&ann, RbacKind::Role, "web", &changed, Some(&more)).is_err());
    let mut changed = more.clone();
    changed["metadata"]["finalizers"] = json!(["example.org/x"]);
    changed["metadata"]["resourceVersion"] = "2".into();
    assert_eq!(
        check(&ann, RbacKind::Role, "web", &changed, Some(&more)),
        Ok(())
    );
    assert!(check(&ann, RbacKind::Role, "web", &more, Some(&pods)).is_err());
    assert_eq!(check(&root, RbacKind::Role, "web", &more, None), Ok(()));
    assert_eq!(
        check(&gus, RbacKind::Role, "web", &more, None),
        Ok(()),
        "escalate"
    );
    assert!(check(&gus, RbacKind::ClusterRole, "", &more, None).is_err());
    // Bindings.
    assert_eq!(
        check(
            &ann,
            RbacKind::RoleBinding,
            "web",
            &binding("ClusterRole", "edit"),
            None
        ),
        Ok(())
    );
    assert!(
        check(
            &ann,
            RbacKind::RoleBinding,
            "web",
            &binding("ClusterRole", "cluster-admin"),
            None
        )
        .is_err()
    );
    assert!(
        check(
            &ann,
            RbacKind::ClusterRoleBinding,
            "",
            &binding("ClusterRole", "view"),
            None
        )
        .is_err()
    );
    assert_eq!(
        check(
            &gus,
            RbacKind::ClusterRoleBinding,
            "",
            &binding("ClusterRole", "view"),
            None
        ),
        Ok(()),
        "bind"
    );
    assert!(
        check(
            &gus,
            RbacKind::ClusterRoleBinding,
            "",
            &binding("ClusterRole", "edit"),
            None
        )
        .is_err()
    );
    assert_eq!(
        check(
            &ann,
            RbacKind::RoleBinding,
            "web",
            &binding("Role", "gone"),
            None
        ),
        Err(r#"roles.rbac.authorization.k8s.io "gone" not found"#.to_owned())
    );
    let gathering = |selectors: Value| {
        let role = json!({ "metadata": { "name": "r" }, "aggregationRule": { "clusterRoleSelectors": selectors } });
        check(&ann, RbacKind::ClusterRole, "", &role, None)
    };
    assert_eq!(gathering(json!([])), Ok(()), "it gathers nothing");
    let refused = gathering(json!([{ "matchLabels": { "a": "b" } }])).unwrap_err();
    assert!(
        refused.ends_with("must have cluster-admin privileges to use the aggregationRule"),
        "{refused}"
    );
}

const EDGE: &str = "edge";

fn pod(node: &str) -> Value {
    let sources = json!([{ "serviceAccountToken": { "path": "token" } }, { "serviceAccountToken": { "audience": "vault" } }]);
    let volumes = json!([{ "name": "v", "projected": { "sources": sources } }]);
    json!({ "metadata": { "name": "p", "namespace": "web", "uid": "u1" }, "spec": { "nodeName": node, "volumes": volumes } })
}

fn mirror(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({
        "metadata": {
            "name": "p",
            "annotations": { "kubernetes.io/config.mirror": "x" },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": EDGE, "uid": "n", "controller": true }],
        },
        "spec": { "nodeName": EDGE, "containers": [{ "name": "c", "env": [{ "name": "A", "value": "b" }] }], "volumes": [{ "name": "v", "hostPath": { "path": "/x" } }] },
    });
    change(&mut pod);
    pod
}

fn check(operation: Operation, place: &str, object: &Value, old: &Value, expected: &str) {
    let agent = UserInfo::new("system:node:edge", [GROUP_NODES]);
    // `group/resource/subresource namespace name`
    let words: Vec<&str> = place.split(' ').collect();
    let parts: Vec<&str> = words[0].split('/').collect();
    let write = Write {
        operation,
        group: parts[0],
        resource: parts[1],
        subresource: parts.get(2).unwrap_or(&""),
        namespace: words.get(1).unwrap_or(&""),
        name: words.get(2).unwrap_or(&""),
        object,
        old,
    };
    let find = |resource: &str, _: &str, name: &str| match (resource, name) {
        ("pods", "mine") => Some(pod(EDGE)),
        ("pods", "other") => Some(pod("b")),
        ("nodes", EDGE) => Some(json!({ "metadata": { "name": EDGE, "uid": "n" } })),
        _ => None,
    };
    let got = match node::check(&agent, &write, &find) {
        Ok(()) => "ok".to_owned(),
        Err(status) => {
            assert_eq!(status.code, 403);
            status
                .message
                .split_once(" is forbidden: ")
                .map(|(_, why)| why.to_owned())
                .unwrap_or(status.message)
        }
    };
    assert!(
        if expected == "ok" {
            got == "ok"
        } else {
            got.contains(expected)
        },
        "{place}: {got:?}, not {expected:?}"
    );
    // Anyone else is none of this rule's business.
    assert!(node::check(&UserInfo::new("ann", ["dev"]), &write, &find).is_ok());
}

#[test]
fn a_node_writes_its_own_pods_only() {
    use Operation::{Create, Delete, Update};
    let none = Value::Null;
    check(Delete, "/pods web p", &none, &pod(EDGE), "ok");
    check(
        Delete,
        "/pods web p",
        &none,
        &pod("b"),
        "can only delete pods with spec.nodeName set to itself",
    );
    check(
        Update,
        "/pods web p",
        &pod(EDGE),
        &pod(EDGE),
        "unexpected operation",
    );
    check(Create, "/pods web", &mirror(|_| {}), &none, "ok");
    check(
        Create,
        "/pods web",
        &pod(EDGE),
        &none,
        "can only create mirror pods",
    );
    let bad = |change: fn(&mut Value), expected: &str| {
        check(Create, "/pods web", &mirror(change), &none, expected)
    };
    bad(
        |p| p["spec"]["nodeName"] = "b".into(),
        "spec.nodeName set to itself",
    );
    bad(
        |p| p["metadata"]["ownerReferences"][0]["name"] = "b".into(),
        "owner reference set to itself",
    );
    bad(
        |p| p["metadata"]["ownerReferences"] = json!([]),
        "can only create pods with an owner reference set to itself",
    );
    bad(
        |p| {
            let owners = p["metadata"]["ownerReferences"].as_array_mut().unwrap();
            owners.push(owners[0].clone());
        },
        "single owner reference",
    );
    bad(
        |p| p["metadata"]["ownerReferences"][0]["controller"] = false.into(),
        "controller owner reference",
    );
    bad(
        |p| p["metadata"]["ownerReferences"][0]["uid"] = "of another life".into(),
        "UID mismatch: expected n got of another life",
    );
    bad(
        |p| p["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = true.into(),
        "blockOwnerDeletion",
    );
    bad(
        |p| p["spec"]["serviceAccountName"] = "admin".into(),
        "reference a service account",
    );
    for volume in [
        json!({ "secret": { "secretName": "s" } }),
        json!({ "configMap": { "name": "s" } }),
        json!({ "persistentVolumeClaim": { "claimName": "s" } }),
        json!({ "projected": { "sources": [{ "serviceAccountToken": {} }] } }),
        json!({ "csi": { "nodePublishSecretRef": { "name": "s" } } }),
        json!({ "ephemeral": { "volumeClaimTemplate": {} } }),
    ] {
        let object = mirror(|p| p["spec"]["volumes"] = json!([volume]));
        check(
            Create,
            "/pods web",
            &object,
            &none,
            "reference secrets, configmaps",
        );
    }
    bad(
        |p| p["spec"]["containers"][0]["envFrom"] = json!([{ "secretRef": { "name": "s" } }]),
        "reference secrets",
    );
    check(Update, "/pods/status web p", &pod(EDGE), &pod(EDGE), "ok");
    check(
        Update,
        "/pods/status web p",
        &pod("b"),
        &pod("b"),
        "can only update pod status",
    );
    let mut labelled = pod(EDGE);
    labelled["metadata"]["labels"] = json!({ "a": "b" });
    check(
        Update,
        "/pods/status web p",
        &labelled,
        &pod(EDGE),
        "cannot update labels",
    );
    check(Create, "/pods/eviction web mine", &none, &none, "ok");
    check(
        Create,
        "/pods/eviction web other",
        &none,
        &none,
        "can only evict pods",
    );
    check(
        Create,
        "/pods/exec web mine",
        &none,
        &none,
        "unexpected pod subresource",
    );
}

#[test]
fn a_node_writes_itself_and_what_it_uses() {
    use Operation::{Create, Delete, Update};
    let none = Value::Null;
    let node = |labels: Value| json!({ "metadata": { "name": EDGE, "labels": labels } });
    let plain = node(
        json!({ "kubernetes.io/hostname": EDGE, "node.kubernetes.io/x": "1", "example.org/x": "1" }),
    );
    check(Create, "/nodes", &plain, &none, "ok");
    check(Update, "/nodes/status  edge", &plain, &plain, "ok");
    check(
        Create,
        "/nodes",
        &json!({ "metadata": { "name": "b" } }),
        &none,
        r#"is not allowed to modify node "b""#,
    );
    check(
        Update,
        "/nodes/status  b",
        &plain,
        &plain,
        r#"is not allowed to modify node "b""#,
    );
    check(
        Delete,
        "/nodes  edge",
        &none,
        &plain,
        "is not allowed to delete",
    );
    for label in [
        "node-restriction.kubernetes.io/x",
        "x.node-restriction.kubernetes.io/x",
        "node-role.kubernetes.io/control-plane",
        "kubernetes.io/x",
        "k8s.io/x",
        "deep.k8s.io/x",
    ] {
        check(Create, "/nodes", &node(json!({ label: "1" })), &none, label);
        check(
            Update,
            "/nodes  edge",
            &node(json!({ label: "1" })),
            &plain,
            label,
        );
        check(
            Update,
            "/nodes  edge",
            &node(json!({})),
            &node(json!({ label: "1" })),
            label,
        );
        // What an administrator set may stay.
        check(
            Update,
            "/nodes  edge",
            &node(json!({ label: "1", "a": "2" })),
            &node(json!({ label: "1" })),
            "ok",
        );
    }
    let mut tainted = plain.clone();
    tainted["spec"]["taints"] = json!([{ "key": "a", "effect": "NoSchedule" }]);
    check(Update, "/nodes  edge", &tainted, &plain, "modify taints");
    check(Update, "/nodes  edge", &plain, &tainted, "modify taints");
    check(Create, "/nodes", &tainted, &none, "ok");
    let mut owned = plain.clone();
    owned["metadata"]["ownerReferences"] = json!([{ "name": "x" }]);
    check(
        Update,
        "/nodes  edge",
        &owned,
        &plain,
        "modify ownerReferences",
    );
    let lease = |name: &str| json!({ "metadata": { "name": name } });
    let device = |name: &str| json!({ "metadata": { "name": name } });
    let other = "can only write the device with the same name as the requesting node";
    check(Create, "minicloud.io/devices", &device(EDGE), &none, "ok");
    check(Create, "minicloud.io/devices", &device("b"), &none, other);
    let status = "minicloud.io/devices/status  ";
    check(
        Update,
        &format!("{status}{EDGE}"),
        &device(EDGE),
        &device(EDGE),
        "ok",
    );
    check(
        Update,
        &format!("{status}b"),
        &device("b"),
        &device("b"),
        other,
    );
    check(
        Create,
        "coordination.k8s.io/leases kube-node-lease",
        &lease(EDGE),
        &none,
        "ok",
    );
    check(
        Create,
        "coordination.k8s.io/leases kube-node-lease",
        &lease("b"),
        &none,
        "same name",
    );
    check(
        Update,
        "coordination.k8s.io/leases kube-node-lease b",
        &lease(EDGE),
        &none,
        "same name",
    );
    check(
        Create,
        "coordination.k8s.io/leases kube-system",
        &lease(EDGE),
        &none,
        "system namespace",
    );
    let token = |name: &str, uid: &str| json!({ "spec": { "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid } } });
    let for_audiences = |audiences: Value| {
        let mut request = token("mine", "u1");
        request["spec"]["audiences"] = audiences;
        request
    };
    for (request, expected) in [
        (token("mine", "u1"), "ok"),
        (token("mine", "u2"), "does not match"),
        (token("mine", ""), "without a uid"),
        (token("other", "u1"), "different node"),
        (token("gone", "u1"), "not found"),
        (json!({}), "not bound to a pod"),
        (for_audiences(json!([])), "ok"),
        (for_audiences(json!(["vault"])), "ok"),
        (
            for_audiences(json!(["other"])),
            r#"audience "other" not found in pod spec volume"#,
        ),
        (
            for_audiences(json!(["vault", ""])),
            "only request 0 or 1 audiences",
        ),
    ] {
        check(
            Create,
            "/serviceaccounts/token web app",
            &request,
            &none,
            expected,
        );
    }
    let claim = |size: &str, phase: &str| json!({ "metadata": { "name": "c" }, "spec": { "size": size }, "status": { "phase": phase } });
    check(
        Update,
        "/persistentvolumeclaims/status web c",
        &claim("1", "b"),
        &claim("1", "a"),
        "ok",
    );
    check(
        Update,
        "/persistentvolumeclaims/status web c",
        &claim("2", "b"),
        &claim("1", "a"),
        "other than status",
    );
    check(
        Update,
        "/persistentvolumeclaims web c",
        &claim("1", "b"),
        &claim("1", "a"),
        "only 'status' is allowed",
    );
    // An agent without a name of its own gets nothing.
    let nameless = UserInfo::new("edge", [GROUP_NODES]);
    let write = Write {
        operation: Create,
        group: "",
        resource: "nodes",
        subresource: "",
        namespace: "",
        name: "",
        object: &plain,
        old: &none,
    };
    assert!(node::check(&nameless, &write, &|_, _, _| None).is_err());
}
