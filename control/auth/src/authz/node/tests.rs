use minicloud_api::user::{GROUP_NODES, UserInfo};
use serde_json::json;

use crate::authz::tests::standard;
use crate::authz::{Attributes, Decision};

#[test]
fn a_node_reads_what_its_pods_refer_to() {
    let authorizer = standard();
    let pod = |node: &str, name: &str| {
        json!({
            "metadata": { "namespace": "web", "name": name },
            "spec": {
                "nodeName": node,
                "serviceAccountName": "app",
                "imagePullSecrets": [{ "name": "pull" }],
                "initContainers": [{ "env": [{ "valueFrom": { "secretKeyRef": { "name": "env-secret" } } }] }],
                "containers": [{
                    "envFrom": [{ "secretRef": { "name": "from-secret" } }, { "configMapRef": { "name": "from-map" } }],
                    "env": [{ "valueFrom": { "configMapKeyRef": { "name": "env-map" } } }],
                }],
                "volumes": [
                    { "secret": { "secretName": "vol-secret" } },
                    { "configMap": { "name": "vol-map" } },
                    { "persistentVolumeClaim": { "claimName": "data" } },
                    { "name": "scratch", "ephemeral": { "volumeClaimTemplate": {} } },
                    { "projected": { "sources": [{ "secret": { "name": "pro-secret" } }, { "configMap": { "name": "pro-map" } }] } },
                ],
            },
        })
    };
    let a = UserInfo::new("system:node:a", [GROUP_NODES, "system:authenticated"]);
    // `verb resource[/subresource] name`, in the namespace `web`.
    let ask = |request: &str, namespace: &str, fields: &[(&str, &str)]| {
        let words: Vec<&str> = request.split(' ').collect();
        let (resource, subresource) = words[1].split_once('/').unwrap_or((words[1], ""));
        let group = match resource {
            "leases" => "coordination.k8s.io",
            "devices" => "minicloud.io",
            _ => "",
        };
        let mut attributes = Attributes::resource(&a, words[0], group, resource)
            .subresource(subresource)
            .in_namespace(namespace)
            .named(words.get(2).unwrap_or(&""));
        attributes.field_selector = fields;
        match authorizer.authorize(&attributes) {
            Decision::Allow(_) => "ok".to_owned(),
            Decision::NoOpinion(reason) => reason,
        }
    };
    let check =
        |request: &str, expected: &str| assert_eq!(ask(request, "web", &[]), expected, "{request}");
    const STRANGE: &str = "no relationship found between node 'a' and this object";
    check("get secrets pull", STRANGE);
    authorizer.upsert_pod(&pod("a", "p1"));
    authorizer.upsert_pod(&pod("a", "p2"));
    authorizer.upsert_persistent_volume(&json!({
        "metadata": { "name": "pv1" },
        "spec": { "claimRef": { "namespace": "web", "name": "data" },
                  "csi": { "nodePublishSecretRef": { "namespace": "kube-system", "name": "csi" } } },
    }));
    for secret in [
        "pull",
        "env-secret",
        "from-secret",
        "vol-secret",
        "pro-secret",
    ] {
        for verb in ["get", "list", "watch"] {
            check(&format!("{verb} secrets {secret}"), "ok");
        }
    }
    for map in ["from-map", "env-map", "vol-map", "pro-map"] {
        check(&format!("get configmaps {map}"), "ok");
    }
    check("get secrets other", STRANGE);
    check("get configmaps pull", STRANGE);
    check("list secrets", "No Object name found");
    check(
        "update secrets pull",
        "can only read resources of this type",
    );
    assert_eq!(ask("get secrets pull", "other", &[]), STRANGE);
    assert_eq!(
        ask("list secrets pull", "", &[]),
        "can only read namespaced object of this type"
    );
    assert_eq!(ask("get secrets csi", "kube-system", &[]), "ok");
    check("get persistentvolumeclaims data", "ok");
    check("get persistentvolumeclaims p1-scratch", "ok");
    check(
        "list persistentvolumeclaims",
        "can only get individual resources of this type",
    );
    check("patch persistentvolumeclaims/status data", "ok");
    assert_eq!(ask("get persistentvolumes pv1", "", &[]), "ok");
    assert_eq!(ask("get persistentvolumes pv2", "", &[]), STRANGE);
    check("create serviceaccounts/token app", "ok");
    check("create serviceaccounts/token default", STRANGE);
    check(
        "get serviceaccounts app",
        "can only create tokens for individual service accounts",
    );
    check("get pods p1", "ok");
    check("get pods p3", STRANGE);
    check(
        "list pods",
        "can only list/watch pods with spec.nodeName field selector",
    );
    assert_eq!(ask("watch pods", "", &[("spec.nodeName", "a")]), "ok");
    assert_eq!(
        ask("watch pods", "", &[("spec.nodeName", "b")]),
        "can only list/watch pods with spec.nodeName field selector"
    );
    check("patch pods/status p1", "ok");
    check("create pods/exec p1", "");
    check("update pods p1", "");
    for (request, expected) in [
        ("get nodes a", "ok"),
        ("watch nodes a", "ok"),
        (
            "get nodes b",
            "node 'a' cannot read 'b', only its own Node object",
        ),
        (
            "list nodes",
            "node 'a' cannot read all nodes, only its own Node object",
        ),
        ("create nodes", "ok"),
        ("delete nodes a", ""),
        ("patch nodes/status a", "ok"),
    ] {
        assert_eq!(ask(request, "", &[]), expected, "{request}");
    }
    for (request, expected) in [
        ("get leases a", "ok"),
        ("create leases", "ok"),
        (
            "update leases b",
            "can only access node lease with the same name as the requesting node",
        ),
        (
            "list leases",
            "can only get, create, update, patch, or delete a node lease",
        ),
    ] {
        assert_eq!(ask(request, "kube-node-lease", &[]), expected, "{request}");
    }
    assert_eq!(
        ask("get leases a", "web", &[]),
        r#"can only access leases in the "kube-node-lease" system namespace"#
    );
    let other = "can only access the device with the same name as the requesting node";
    let listing = "can only get, create, update, or patch a device";
    for (request, expected) in [
        ("get devices a", "ok"),
        ("create devices", "ok"),
        ("patch devices/status a", "ok"),
        ("get devices b", other),
        ("patch devices/status b", other),
        ("list devices", listing),
        ("delete devices a", listing),
    ] {
        assert_eq!(ask(request, "", &[]), expected, "{request}");
    }
    check("list services", "ok");
    check("create services", "");
    // Two pods refer to it: the first to go changes nothing.
    authorizer.remove_pod("web", "p1");
    check("get secrets pull", "ok");
    authorizer.upsert_pod(&pod("b", "p2"));
    check("get secrets pull", STRANGE);
    check("get pods p2", STRANGE);
    assert_eq!(ask("get persistentvolumes pv1", "", &[]), STRANGE);
    // A mirror pod, which a node makes itself, gives it nothing.
    let mut mirror = pod("a", "m");
    mirror["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "x" });
    authorizer.upsert_pod(&mirror);
    check("get pods m", "ok");
    check("get secrets pull", STRANGE);
    authorizer.remove_persistent_volume("pv1");
    authorizer.remove_pod("web", "m");
    authorizer.remove_pod("web", "p2");
    let state = authorizer.read();
    assert_eq!(
        format!("{:?}", state.graph),
        "Graph { pods: {}, nodes: {}, volumes: {} }"
    );
}
