//! API groups that a part answers behind the Kubernetes API: who may ask, what is passed on, and what discovery says.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use http::{HeaderMap, Request, Uri};
use http_body_util::BodyExt;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use minicloud_api::extension::{ExtensionGroup, ExtensionResource, ExtensionVersion, PERMISSION};
use minicloud_api::part::{Need, Part};
use minicloud_api::status::ApiStatus;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::{Cluster, eventually, request};

const fn resource(
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> ExtensionResource {
    ExtensionResource {
        plural,
        singular,
        kind,
        namespaced,
        verbs: &["get", "list"],
    }
}

pub(crate) fn groups() -> [ExtensionGroup; 2] {
    const FIXED: &[ExtensionResource] = &[
        resource("nodes", "", "NodeThing", false),
        resource("pods", "", "PodThing", true),
    ];
    let group = |name, version, resources| ExtensionGroup {
        name,
        versions: vec![ExtensionVersion {
            name: version,
            resources,
        }],
    };
    [
        group("fixed.k8s.io", "v1beta1", FIXED),
        group("lists.k8s.io", "v2", &[]),
    ]
}

/// Answers with what it sees.
pub(crate) fn part() -> Part {
    async fn seen(uri: Uri, headers: HeaderMap, body: String) -> axum::Json<Value> {
        let names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
        axum::Json(json!({ "uri": uri.to_string(), "headers": names, "body": body }))
    }
    async fn refused() -> impl IntoResponse {
        ApiStatus::not_found("lists.k8s.io", "metrics", "m")
    }
    async fn listed() -> axum::Json<Value> {
        axum::Json(
            json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "lists.k8s.io/v2", "resources": [
            { "name": "pods/m", "singularName": "", "namespaced": true, "kind": "MetricValueList", "verbs": ["get"] }] }),
        )
    }
    Part {
        name: "extensions",
        routes: Router::new()
            .route("/apis/fixed.k8s.io/{*rest}", any(seen))
            .route("/apis/lists.k8s.io/v2", get(listed))
            .route("/apis/lists.k8s.io/v2/refused/{name}", get(refused))
            .route("/apis/lists.k8s.io/v2/{*rest}", any(seen)),
        permit: Arc::new(|_| Need::Resource(PERMISSION)),
        openapi: json!({}),
        metrics: Arc::new(String::new),
        run: None,
    }
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

async fn ask(client: &kube::Client, method: &str, path: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request
        .header("x-secret", "s")
        .header("accept", "application/json");
    let answer = client
        .send(request.body(kube::client::Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (
        parts.status.as_u16(),
        serde_json::from_slice(&bytes).unwrap_or(Value::String(text)),
    )
}

const FIXED: &str = "/apis/fixed.k8s.io/v1beta1";

#[tokio::test(flavor = "multi_thread")]
async fn the_kubernetes_api_asks_who_it_is_and_passes_on() {
    let cluster = Cluster::start().await;
    let admin = &cluster.admin;
    let (code, seen) = ask(
        admin,
        "GET",
        &format!("{FIXED}/namespaces/a/pods?labelSelector=x%3Dy"),
    )
    .await;
    assert_eq!(code, 200, "{seen}");
    assert_eq!(
        seen["uri"],
        format!("{FIXED}/namespaces/a/pods?labelSelector=x%3Dy")
    );
    // Neither credentials nor what nobody needs.
    let headers = seen["headers"].as_array().unwrap();
    assert!(headers.contains(&json!("accept")), "{seen}");
    assert!(
        !headers.contains(&json!("authorization")) && !headers.contains(&json!("x-secret")),
        "{seen}"
    );
    // One reading of a path only: what was authorized is what is asked for.
    let (_, seen) = ask(admin, "GET", &format!("{FIXED}/namespaces/a%2Fpods%2Fp")).await;
    assert_eq!(seen["uri"], format!("{FIXED}/namespaces/a/pods/p"));
    // What discovery does not list is not passed on.
    for (method, path, expect) in [
        ("GET", "/nodes/n", 200),
        ("GET", "/pods", 200),
        ("GET", "/pods/p", 404),
        ("GET", "/namespaces/a/nodes", 404),
        ("GET", "/others", 404),
        ("GET", "/nodes?watch=true", 405),
        ("DELETE", "/nodes/n", 405),
        ("POST", "/namespaces/a/pods", 405),
    ] {
        let (code, answer) = ask(admin, method, &format!("{FIXED}{path}")).await;
        assert_eq!(code, expect, "{method} {path}: {answer}");
    }
    assert_eq!(
        ask(admin, "GET", "/apis/fixed.k8s.io/v2/nodes").await.0,
        404
    );
    // The part's own refusals arrive in its words; a path that it does not have is a Status too.
    let (code, status) = ask(admin, "GET", "/apis/lists.k8s.io/v2/refused/m").await;
    assert_eq!(
        (code, status["message"].as_str()),
        (404, Some("metrics.lists.k8s.io \"m\" not found"))
    );
    let (code, seen) = ask(admin, "GET", "/apis/lists.k8s.io/v2/namespaces/a/pods/*/m").await;
    assert_eq!(
        (code, seen["uri"].as_str()),
        (200, Some("/apis/lists.k8s.io/v2/namespaces/a/pods/*/m"))
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_those_of_the_resource() {
    let cluster = Cluster::start().await;
    let ann = cluster.client("ann", &[]).await;
    let pods = format!("{FIXED}/namespaces/web/pods");
    let (code, status) = ask(&ann, "GET", &pods).await;
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        r#"pods.fixed.k8s.io is forbidden: User "ann" cannot list resource "pods" in API group "fixed.k8s.io" in the namespace "web""#
    );
    let roles: Api<Role> = Api::namespaced(cluster.admin.clone(), "default");
    let role = json!({"metadata": {"name": "r"}, "rules": [{"apiGroups": ["fixed.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["list"]},
        {"apiGroups": ["lists.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]}]});
    roles
        .create(&PostParams::default(), &object(role))
        .await
        .unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.admin.clone(), "default");
    let binding = json!({"metadata": {"name": "r"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"}]});
    bindings
        .create(&PostParams::default(), &object(binding))
        .await
        .unwrap();
    for (path, expect) in [
        ("/namespaces/default/pods", 200),
        ("/namespaces/default/pods/p", 403),
        ("/pods", 403),
        ("/namespaces/default%2Fpods%2Fp", 403),
        ("/namespaces/web/pods", 403),
        // A right in a namespace is none to what has none.
        ("/namespaces/default/nodes", 404),
        ("/nodes", 403),
    ] {
        let (code, answer) = ask(&ann, "GET", &format!("{FIXED}{path}")).await;
        assert_eq!(code, expect, "{path}: {answer}");
    }
    // Nor is it one to another namespace, by whatever path that is named.
    for (path, expect) in [
        ("/namespaces/default/queue", 200),
        ("/namespaces/web/queue", 403),
        ("/namespaces/default/namespaces/web/queue", 404),
        ("/namespaces/default/namespaces/web/pods/*/queue", 404),
        ("/namespaces/default/namespaces/web/metrics/queue", 404),
        ("/namespaces/default/namespaces/default/pods/*/queue", 404),
    ] {
        let path = format!("/apis/lists.k8s.io/v2{path}");
        let (code, answer) = ask(&ann, "GET", &path).await;
        assert_eq!(code, expect, "{path}: {answer}");
    }
    // On port 3000 only the API server is believed that it has asked.
    let own = cluster.identity("ann", &[]);
    let answer = cluster
        .get(Some(&own), &format!("{FIXED}/namespaces/default/pods"))
        .await;
    answer.is_problem(
        403,
        r#"cannot proxy resource "extensions" in API group "minicloud.io""#,
    );
    let own = cluster.identity("system:minicloud-aggregator", &[]);
    let answer = cluster.get(Some(&own), &format!("{FIXED}/nodes")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // And it may do nothing else there.
    cluster
        .get(Some(&own), "/v1/status")
        .await
        .is_problem(403, "cannot list resource \"nodes\"");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn view_edit_and_admin_may_read_the_metrics_of_pods() {
    let cluster = Cluster::start().await;
    let roles: Api<ClusterRole> = Api::all(cluster.admin.clone());
    for name in ["view", "edit", "admin"] {
        // Gathered a moment after the roles are there.
        eventually(name, async || {
            let role = roles.get(name).await.unwrap();
            let rules = serde_json::to_value(role.rules).unwrap();
            let rules = rules.as_array().cloned().unwrap_or_default();
            rules
                .iter()
                .any(|r| r["apiGroups"] == json!(["metrics.k8s.io"]))
        })
        .await;
    }
    let bindings: Api<ClusterRoleBinding> = Api::all(cluster.admin.clone());
    let binding = bindings.get("system:minicloud-aggregator").await.unwrap();
    assert_eq!(binding.subjects.unwrap().len(), 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_tells_of_them_also_when_port_3000_is_away() {
    let mut cluster = Cluster::start().await;
    let admin = cluster.admin.clone();
    let (_, list) = ask(&admin, "GET", FIXED).await;
    let names: Vec<&str> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|r| r["name"].as_str())
        .collect();
    assert_eq!(
        (list["groupVersion"].as_str(), names),
        (Some("fixed.k8s.io/v1beta1"), vec!["nodes", "pods"])
    );
    let (_, list) = ask(&admin, "GET", "/apis/lists.k8s.io/v2").await;
    assert_eq!(list["resources"][0]["name"], "pods/m", "{list}");
    let (_, group) = ask(&admin, "GET", "/apis/lists.k8s.io").await;
    assert_eq!(
        group["preferredVersion"]["groupVersion"], "lists.k8s.io/v2",
        "{group}"
    );

    // A definition would take the group away from who answers it.
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.fixed.k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved, test"}},
        "spec": {"group": "fixed.k8s.io", "scope": "Cluster", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let request = Request::post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        .header("content-type", "application/json");
    let answer = admin
        .request::<Value>(request.body(definition.to_string().into_bytes()).unwrap())
        .await;
    let refusal = answer.unwrap_err().to_string();
    assert!(
        refusal.contains("the server itself serves the group fixed.k8s.io"),
        "{refusal}"
    );

    cluster.stop_listener().await;
    let aggregated = admin.list_api_groups_aggregated().await.unwrap();
    let group = |name: &str| {
        let found = aggregated
            .items
            .iter()
            .find(|g| g.metadata.as_ref().and_then(|m| m.name.as_deref()) == Some(name));
        found.unwrap_or_else(|| panic!("{name} is not listed"))
    };
    let fixed = &group("fixed.k8s.io").versions[0];
    assert_eq!(
        (fixed.freshness.as_deref(), fixed.resources.len()),
        (Some("Current"), 2)
    );
    assert_eq!(group("lists.k8s.io").versions[0].resources.len(), 0);
    assert_eq!(ask(&admin, "GET", FIXED).await.0, 200);
    for path in ["/apis/lists.k8s.io/v2", "/apis/fixed.k8s.io/v1beta1/nodes"] {
        let (code, status) = ask(&admin, "GET", path).await;
        assert_eq!(
            (code, status["reason"].as_str()),
            (503, Some("ServiceUnavailable")),
            "{status}"
        );
        let message = status["message"].as_str().unwrap();
        assert!(
            message.starts_with("the server is currently unable to handle the request"),
            "{message}"
        );
    }
    // All else goes on.
    assert_eq!(ask(&admin, "GET", "/api/v1/namespaces").await.0, 200);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_passed_on_within_the_limits() {
    let cluster = Cluster::start().await;
    let post = |body: Vec<u8>| {
        let request = Request::post("/apis/lists.k8s.io/v2/namespaces/a/things");
        cluster.admin.request_text(request.body(body).unwrap())
    };
    let large = "x".repeat(1 << 20);
    let seen: Value =
        serde_json::from_str(&post(large.clone().into_bytes()).await.unwrap()).unwrap();
    assert_eq!(seen["body"], large);
    let refusal = post(vec![b'x'; 4 << 20]).await.unwrap_err().to_string();
    assert!(refusal.contains("Request entity too large"), "{refusal}");
    // A part's limits are none of the caller's business, and a path that it does not have is no page.
    let answer = cluster
        .send(
            Some(&cluster.root()),
            request("GET", "/apis/none.k8s.io/v1", "", &[]),
        )
        .await;
    answer.is_problem(404, "nothing is served at");
    cluster.stop().await;
}
