//! What a node agent may do, by its certificate and over HTTP: its own node, its own pods and what they refer to.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{MAPS, Server, call, map};

const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/namespaces/default/pods";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// Makes what the test is about: nodes `a` and `b`, a pod on each, and a secret and a ConfigMap for each pod.
async fn site(server: &Server) -> kube::Client {
    let admin = server.admin().await;
    let make = async |path: &str, object: Value| {
        let (code, answer) = call(&admin, Method::POST, path, &object).await;
        assert_eq!(code, 201, "{answer}");
    };
    make(ACCOUNTS, json!({"metadata": {"name": "default"}})).await;
    for node in ["a", "b"] {
        make(NODES, json!({"metadata": {"name": node}})).await;
        make(
            SECRETS,
            json!({"metadata": {"name": format!("for-{node}")}}),
        )
        .await;
        make(MAPS, map(&format!("for-{node}"))).await;
        let pod = json!({"metadata": {"name": format!("on-{node}")}, "spec": {
            "nodeName": node,
            "containers": [{"name": "c", "image": "i",
                "envFrom": [{"configMapRef": {"name": format!("for-{node}")}}]}],
            "volumes": [{"name": "s", "secret": {"secretName": format!("for-{node}")}}]}});
        make(PODS, pod).await;
    }
    admin
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_reads_what_its_pods_refer_to() {
    let server = Server::start().await;
    let admin = site(&server).await;
    let a = server.client("system:node:a", &["system:nodes"]).await;
    let get = async |path: &str, code: u16, text: &str| {
        let (got, answer) = call(&a, Method::GET, path, &Value::Null).await;
        assert_eq!(got, code, "{path}: {answer}");
        assert!(answer.to_string().contains(text), "{path}: {answer}");
    };
    let relation = "no relationship found between node 'a' and this object";
    get(&format!("{SECRETS}/for-a"), 200, "for-a").await;
    get(&format!("{SECRETS}/for-b"), 403, relation).await;
    get(SECRETS, 403, "No Object name found").await;
    get("/api/v1/secrets", 403, "can only read namespaced object").await;
    let one = "fieldSelector=metadata.name%3Dfor-a";
    get(&format!("{SECRETS}?{one}"), 200, "for-a").await;
    get(
        &format!("{SECRETS}?fieldSelector=metadata.name%21%3Dfor-b"),
        403,
        "No Object name",
    )
    .await;
    get(&format!("{MAPS}/for-a"), 200, "for-a").await;
    get(&format!("{MAPS}/for-b"), 403, relation).await;
    get(&format!("{PODS}/on-a"), 200, "on-a").await;
    get(&format!("{PODS}/on-b"), 403, relation).await;
    get(PODS, 403, "spec.nodeName field selector").await;
    get("/api/v1/pods?fieldSelector=spec.nodeName%3Da", 200, "on-a").await;
    get(
        "/api/v1/pods?fieldSelector=spec.nodeName%3Db",
        403,
        "spec.nodeName field selector",
    )
    .await;
    get(&format!("{NODES}/a"), 200, "\"a\"").await;
    get(&format!("{NODES}/b"), 403, "only its own Node object").await;
    get(NODES, 403, "only its own Node object").await;

    // What a pod referred to is no longer readable once the pod is gone.
    let now = json!({"gracePeriodSeconds": 0});
    let gone = format!("{PODS}/on-a");
    assert_eq!(call(&admin, Method::DELETE, &gone, &now).await.0, 200);
    get(&format!("{SECRETS}/for-a"), 403, relation).await;

    // The name alone or the group alone makes no node.
    for (user, groups) in [("system:node:a", &[][..]), ("a", &["system:nodes"][..])] {
        let other = server.client(user, groups).await;
        let (code, answer) = call(&other, Method::GET, &format!("{NODES}/a"), &Value::Null).await;
        assert_eq!(code, 403, "{user} {groups:?}: {answer}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_writes_what_is_its_own() {
    let server = Server::start().await;
    let admin = site(&server).await;
    let a = server.client("system:node:a", &["system:nodes"]).await;
    let check = async |method: Method, path: &str, body: Value, code: u16, text: &str| {
        let (got, answer) = call(&a, method.clone(), path, &body).await;
        assert_eq!(got, code, "{method} {path} {body}: {answer}");
        assert!(
            answer.to_string().contains(text),
            "{method} {path}: {answer}"
        );
    };
    let patch = Method::PATCH;
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    check(
        patch.clone(),
        &format!("{NODES}/a/status"),
        ready.clone(),
        200,
        "Ready",
    )
    .await;
    check(
        patch.clone(),
        &format!("{NODES}/b/status"),
        ready,
        403,
        "not allowed to modify node",
    )
    .await;
    let label = |key: &str| json!({"metadata": {"labels": {key: "x"}}});
    let own = format!("{NODES}/a");
    check(patch.clone(), &own, label("example.com/rack"), 200, "rack").await;
    check(
        patch.clone(),
        &own,
        label("node-restriction.kubernetes.io/x"),
        403,
        "modify labels",
    )
    .await;
    let by_status = format!("{own}/status");
    check(
        patch.clone(),
        &by_status,
        label("node-restriction.kubernetes.io/x"),
        403,
        "modify labels",
    )
    .await;
    let taint = json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
    check(patch.clone(), &own, taint, 403, "modify taints").await;
    check(
        Method::DELETE,
        &own,
        Value::Null,
        403,
        "cannot delete resource",
    )
    .await;

    let running = json!({"status": {"phase": "Running"}});
    check(
        patch.clone(),
        &format!("{PODS}/on-a/status"),
        running.clone(),
        200,
        "Running",
    )
    .await;
    check(
        patch.clone(),
        &format!("{PODS}/on-b/status"),
        running,
        403,
        "can only update pod status",
    )
    .await;
    let image = json!({"spec": {"containers": [{"name": "c", "image": "other"}]}});
    check(
        patch.clone(),
        &format!("{PODS}/on-a"),
        image,
        403,
        "cannot patch resource",
    )
    .await;
    let now = json!({"gracePeriodSeconds": 0});
    check(
        Method::DELETE,
        &format!("{PODS}/on-b"),
        now.clone(),
        403,
        "can only delete pods",
    )
    .await;
    check(
        Method::DELETE,
        PODS,
        now.clone(),
        403,
        "cannot deletecollection",
    )
    .await;
    check(
        Method::POST,
        &format!("{PODS}/on-b/eviction"),
        json!({"metadata": {"name": "on-b"}}),
        403,
        "can only evict pods",
    )
    .await;
    check(
        Method::POST,
        &format!("{PODS}/on-a/binding"),
        json!({"metadata": {"name": "on-a"}, "target": {"name": "b"}}),
        403,
        "cannot create resource",
    )
    .await;
    check(
        Method::GET,
        &format!("{PODS}/on-a/exec?command=sh"),
        Value::Null,
        403,
        "cannot get resource",
    )
    .await;

    // Only the mirror of a static pod, of this very node.
    let (_, node) = call(&admin, Method::GET, &own, &Value::Null).await;
    let mirror = |uid: &Value, node: &str| {
        json!({"metadata": {"name": "static-a", "annotations": {"kubernetes.io/config.mirror": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid, "controller": true}]},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}})
    };
    let uid = &node["metadata"]["uid"];
    let plain = json!({"metadata": {"name": "x"}, "spec": {"nodeName": "a", "containers": [{"name": "c", "image": "i"}]}});
    check(
        Method::POST,
        PODS,
        plain,
        403,
        "can only create mirror pods",
    )
    .await;
    check(
        Method::POST,
        PODS,
        mirror(uid, "b"),
        403,
        "spec.nodeName set to itself",
    )
    .await;
    check(
        Method::POST,
        PODS,
        mirror(&"another".into(), "a"),
        403,
        "UID mismatch",
    )
    .await;
    check(Method::POST, PODS, mirror(uid, "a"), 201, "static-a").await;

    // Its own Lease in the one namespace, also when it is made by an update.
    let lease = |name: &str| json!({"metadata": {"name": name}, "spec": {"holderIdentity": name}});
    check(
        Method::PUT,
        &format!("{LEASES}/b"),
        lease("b"),
        403,
        "same name as the requesting node",
    )
    .await;
    check(
        Method::PUT,
        &format!("{LEASES}/a"),
        lease("a"),
        201,
        "holderIdentity",
    )
    .await;
    check(
        Method::POST,
        LEASES,
        lease("c"),
        403,
        "same name as the requesting node",
    )
    .await;
    let elsewhere = LEASES.replace("kube-node-lease", "default");
    check(
        Method::POST,
        &elsewhere,
        lease("a"),
        403,
        "system namespace",
    )
    .await;

    // Tokens of its pods' accounts, for what the pods mount and nothing else.
    let tokens = format!("{ACCOUNTS}/default/token");
    let token = |pod: &Value, audiences: Value| {
        json!({"spec": {"audiences": audiences, "boundObjectRef": {"apiVersion": "v1", "kind": "Pod",
            "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}}})
    };
    let (_, mine) = call(&admin, Method::GET, &format!("{PODS}/on-a"), &Value::Null).await;
    let (_, other) = call(&admin, Method::GET, &format!("{PODS}/on-b"), &Value::Null).await;
    check(
        Method::POST,
        &tokens,
        json!({"spec": {}}),
        403,
        "not bound to a pod",
    )
    .await;
    check(
        Method::POST,
        &tokens,
        token(&other, json!([])),
        403,
        "different node",
    )
    .await;
    check(
        Method::POST,
        &tokens,
        token(&mine, json!(["vault"])),
        403,
        "not found in pod spec",
    )
    .await;
    check(Method::POST, &tokens, token(&mine, json!([])), 201, "token").await;
    // Nobody's rights but its own.
    check(
        Method::POST,
        "/api/v1/namespaces",
        json!({"metadata": {"name": "x"}}),
        403,
        "cannot create resource",
    )
    .await;
    server.stop().await;
}
