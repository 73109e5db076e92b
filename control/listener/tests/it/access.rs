//! Who gets in and who may do what, decided by the API server.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::{Cluster, eventually, request};

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_tokens() {
    let cluster = Cluster::start().await;
    let root = cluster.root();
    // Certificates.
    let answer = cluster.get(Some(&root), "/v1/whoami").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let groups = json!(["system:masters", "system:authenticated"]);
    assert_eq!(
        answer.json(),
        json!({ "user": "root", "groups": groups, "credentials": false })
    );
    let ann = cluster.identity("ann", &["dev", "ops"]);
    let answer = cluster.get(Some(&ann), "/v1/whoami").await;
    answer.is_problem(
        403,
        r#"User "ann" cannot get resource "namespaces" in API group "" at the cluster scope"#,
    );
    assert!(
        answer.json()["hint"]
            .as_str()
            .unwrap()
            .contains("kubectl auth can-i get namespaces")
    );
    let other_dir = tempfile::tempdir().unwrap();
    let other = minicloud_auth::pki::Pki::open(other_dir.path(), jiff::Timestamp::now()).unwrap();
    let stranger = other
        .issue(
            &minicloud_auth::pki::CertSpec::admin(),
            jiff::Timestamp::now(),
        )
        .unwrap();
    assert!(
        cluster
            .try_send(Some(&stranger), request("GET", "/livez", "", &[]), &[])
            .await
            .is_err()
    );
    // Nothing, and nonsense.
    let answer = cluster.get(None, "/v1/whoami").await;
    answer.is_problem(401, "this path needs credentials");
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"minicloud\""
    );
    cluster
        .get(None, "/nowhere")
        .await
        .is_problem(401, "credentials");
    cluster
        .get(Some(&ann), "/nowhere")
        .await
        .is_problem(404, "nothing is served at /nowhere");
    cluster
        .with_token("nonsense", "/v1/whoami")
        .await
        .is_problem(401, "the bearer token is not valid");
    let basic = request("GET", "/v1/whoami", "", &[("authorization", "Basic eDp5")]);
    cluster
        .send(None, basic)
        .await
        .is_problem(401, "Bearer TOKEN");
    // What needs none is for everyone, but not with bad ones; what passes them on sees them once they hold.
    let answer = cluster.get(None, "/v1/open").await;
    assert_eq!((answer.status, &*answer.body), (200, "none"));
    let answer = cluster.get(Some(&ann), "/v1/open").await;
    assert_eq!((answer.status, &*answer.body), (200, "none"));
    let answer = cluster.with_token("nonsense", "/v1/open").await;
    answer.is_problem(401, "the bearer token is not valid");
    let answer = cluster.get(None, "/v1/passed-on").await;
    answer.is_problem(401, "this path needs credentials");
    let answer = cluster.get(Some(&ann), "/v1/passed-on").await;
    assert_eq!((answer.status, &*answer.body), (200, "none"));
    // Health is for everyone.
    for path in ["/livez", "/readyz"] {
        eventually("readiness", async || {
            cluster.get(None, path).await.status == 200
        })
        .await;
    }
    // A service account's token, and a role that comes later.
    let namespaces: Api<Namespace> = Api::all(cluster.admin.clone());
    namespaces
        .create(
            &PostParams::default(),
            &object(json!({ "metadata": { "name": "web" } })),
        )
        .await
        .unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.admin.clone(), "web");
    accounts
        .create(
            &PostParams::default(),
            &object(json!({ "metadata": { "name": "app" } })),
        )
        .await
        .unwrap();
    let wish = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![]),
            ..Default::default()
        }),
        ..TokenRequest::default()
    };
    let issued = accounts
        .create_token_request("app", &PostParams::default(), &wish)
        .await
        .unwrap();
    let token = issued.status.unwrap().token.unwrap_or_default();
    let answer = cluster.with_token(&token, "/v1/passed-on").await;
    assert_eq!(answer.body, format!("{:?}", format!("Bearer {token}")));
    let answer = cluster.with_token(&token, "/v1/open").await;
    assert_eq!((answer.status, &*answer.body), (200, "none"));
    let refused = cluster.with_token(&token, "/v1/web/maps/a").await;
    refused.is_problem(
        403,
        r#"User "system:serviceaccount:web:app" cannot get resource "configmaps" in API group "" in the namespace "web""#,
    );
    let roles: Api<Role> = Api::namespaced(cluster.admin.clone(), "web");
    let rules = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["b"] }]);
    roles
        .create(
            &PostParams::default(),
            &object(json!({ "metadata": { "name": "r" }, "rules": rules })),
        )
        .await
        .unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.admin.clone(), "web");
    let binding = json!({
        "metadata": { "name": "b" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r" },
        "subjects": [{ "kind": "ServiceAccount", "name": "app", "namespace": "web" }],
    });
    bindings
        .create(&PostParams::default(), &object(binding))
        .await
        .unwrap();
    let answer = cluster.with_token(&token, "/v1/web/maps/b").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "a map"));
    // The refusal is remembered for a while only.
    cluster
        .with_token(&token, "/v1/web/maps/a")
        .await
        .is_problem(403, "configmaps");
    // The token ends with its account, as soon as the answer has aged.
    accounts
        .delete("app", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the end of the token", async || {
        cluster.with_token(&token, "/v1/web/maps/b").await.status == 401
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_part() {
    let mut cluster = Cluster::start().await;
    let root = cluster.root();
    let nodes: Api<Node> = Api::all(cluster.admin.clone());
    nodes
        .create(
            &PostParams::default(),
            &object(json!({ "metadata": { "name": "edge" } })),
        )
        .await
        .unwrap();
    let answer = cluster.get(Some(&root), "/v1/status").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let status: minicloud_listener::status::Status = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(status.version, "0.0.0-test");
    assert!(
        status
            .kubernetes_version
            .as_ref()
            .is_some_and(|v| v.starts_with("v1.36")),
        "{status:?}"
    );
    assert_eq!(
        status.nodes.as_ref().map(|n| (n.len(), n[0].ready)),
        Some((1, false))
    );
    assert_eq!(status.pods.map(|p| p.total), Some(0));
    assert!(
        !status.components.is_empty() && status.components.iter().all(|c| c.healthy),
        "{status:?}"
    );
    assert!(!status.ready && status.missing.is_empty(), "{status:?}");
    let monitor = cluster.identity("grafana", &["system:monitoring"]);
    cluster
        .get(Some(&monitor), "/v1/status")
        .await
        .is_problem(403, "cannot list resource \"nodes\"");
    // With the API gone, whoever was let in a moment ago gets an answer that says what it lacks.
    cluster.stop_api().await;
    eventually("an answer without nodes", async || {
        let answer = cluster.get(Some(&root), "/v1/status").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let status: minicloud_listener::status::Status =
            serde_json::from_str(&answer.body).unwrap();
        status.nodes.is_none() && !status.ready && status.missing.len() == 4
    })
    .await;
    // A new caller cannot be judged: that is no refusal.
    cluster
        .get(Some(&monitor), "/metrics")
        .await
        .is_problem(503, "the Kubernetes API did not say whether you may");
    assert_eq!(cluster.get(None, "/livez").await.status, 200);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_description() {
    let cluster = Cluster::start().await;
    let ann = cluster.identity("ann", &["dev"]);
    let document = cluster.get(Some(&ann), "/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(
        document["paths"]["/v1/status"].is_object() && document["paths"]["/v1/whoami"].is_object()
    );
    cluster
        .get(Some(&ann), "/metrics")
        .await
        .is_problem(403, "cannot get path \"/metrics\"");
    let bindings: Api<ClusterRoleBinding> = Api::all(cluster.admin.clone());
    let binding = json!({
        "metadata": { "name": "ann" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:monitoring" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve" }],
    });
    bindings
        .create(&PostParams::default(), &object(binding))
        .await
        .unwrap();
    let eve = cluster.identity("eve", &[]);
    let metrics = cluster.get(Some(&eve), "/metrics").await;
    assert_eq!(metrics.status, 200, "{metrics:?}");
    for line in [
        "test_metric 1\n",
        "minicloud_start_time_seconds ",
        r#"requests_total{part="listener",code="403"} 1"#,
    ] {
        assert!(metrics.body.contains(line), "{line}: {}", metrics.body);
    }
    cluster.stop().await;
}
