//! Who gets in, and as whom.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{MAPS, Server, call, send};

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_belong_get_in() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let nobody = server.with_token(None).await;
    for (path, code) in [
        ("/livez", 200),
        ("/readyz", 200),
        ("/healthz", 200),
        ("/version", 200),
        ("/api", 401),
        ("/metrics", 401),
        (MAPS, 401),
    ] {
        assert_eq!(
            send(&nobody, Method::GET, path, &[], "").await.0,
            code,
            "{path}"
        );
    }
    assert_eq!(
        send(
            &server.with_token(Some("bad")).await,
            Method::GET,
            "/api",
            &[],
            ""
        )
        .await
        .0,
        401
    );
    let jane = server.client("jane", &["dev"]).await;
    let (code, refused) = call(&jane, Method::GET, MAPS, &Value::Null).await;
    assert_eq!(code, 403);
    assert!(refused["message"].as_str().unwrap().starts_with(
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    ), "{refused}");
    assert_eq!(send(&jane, Method::GET, "/apis", &[], "").await.0, 200);
    assert_eq!(send(&jane, Method::GET, "/metrics", &[], "").await.0, 403);
    let binding = json!({
        "metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}],
    });
    const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    assert_eq!(call(&admin, Method::POST, BINDINGS, &binding).await.0, 201);
    // A role counts as soon as the write is answered.
    assert_eq!(call(&jane, Method::GET, MAPS, &Value::Null).await.0, 200);
    assert_eq!(
        call(&jane, Method::GET, "/api/v1/nodes", &Value::Null)
            .await
            .0,
        403
    );
    // Nobody gives what they do not have.
    let mut more = binding.clone();
    more["metadata"]["name"] = "more".into();
    more["roleRef"]["name"] = "cluster-admin".into();
    assert_eq!(call(&jane, Method::POST, BINDINGS, &more).await.0, 403);
    // Impersonation is a right of its own.
    let as_bob = [("impersonate-user", "bob"), ("impersonate-group", "x")];
    assert_eq!(send(&jane, Method::GET, MAPS, &as_bob, "").await.0, 403);
    assert_eq!(send(&admin, Method::GET, MAPS, &as_bob, "").await.0, 403);
    let as_jane = [("impersonate-user", "jane")];
    assert_eq!(send(&admin, Method::GET, MAPS, &as_jane, "").await.0, 200);
    let (code, me) = call(
        &jane,
        Method::POST,
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        &json!({}),
    )
    .await;
    assert_eq!(
        (code, me["status"]["userInfo"]["username"].as_str()),
        (201, Some("jane"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_have_tokens() {
    let server = Server::start().await;
    let c = server.admin().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(
        call(
            &c,
            Method::POST,
            accounts,
            &json!({"metadata": {"name": "robot"}})
        )
        .await
        .0,
        201
    );
    let (code, answer) = call(
        &c,
        Method::POST,
        &format!("{accounts}/robot/token"),
        &json!({"spec": {}}),
    )
    .await;
    assert_eq!(code, 201, "{answer}");
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let robot = server.with_token(Some(&token)).await;
    let (code, me) = call(
        &robot,
        Method::POST,
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        &json!({}),
    )
    .await;
    assert_eq!(
        (code, me["status"]["userInfo"]["username"].as_str()),
        (201, Some("system:serviceaccount:default:robot"))
    );
    let review = json!({"spec": {"token": token}});
    let (_, reviewed) = call(
        &c,
        Method::POST,
        "/apis/authentication.k8s.io/v1/tokenreviews",
        &review,
    )
    .await;
    assert_eq!(reviewed["status"]["authenticated"], true, "{reviewed}");
    // The token dies with its account.
    assert_eq!(
        call(
            &c,
            Method::DELETE,
            &format!("{accounts}/robot"),
            &Value::Null
        )
        .await
        .0,
        200
    );
    assert_eq!(call(&robot, Method::GET, "/api", &Value::Null).await.0, 401);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_in_one_namespace_end_there() {
    let server = Server::start().await;
    let c = server.admin().await;
    for name in ["own", "other"] {
        let body = json!({"metadata": {"name": name}});
        assert_eq!(
            call(&c, Method::POST, "/api/v1/namespaces", &body).await.0,
            201
        );
    }
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/own";
    let role = json!({"metadata": {"name": "all"}, "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]});
    let (code, answer) = call(&c, Method::POST, &format!("{RBAC}/roles"), &role).await;
    assert_eq!(code, 201, "{answer}");
    let binding = json!({
        "metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}],
    });
    let (code, answer) = call(&c, Method::POST, &format!("{RBAC}/rolebindings"), &binding).await;
    assert_eq!(code, 201, "{answer}");
    let jane = server.client("jane", &[]).await;
    for (method, path, code) in [
        (Method::GET, "/api/v1/namespaces/own", 200),
        (Method::GET, "/api/v1/namespaces/other", 403),
        (Method::GET, "/api/v1/namespaces", 403),
        // Paths that Kubernetes does not have: the namespace asked for must not vouch for another.
        (Method::GET, "/api/v1/namespaces/own/namespaces", 404),
        (Method::GET, "/api/v1/namespaces/own/namespaces/other", 404),
        (
            Method::GET,
            "/api/v1/watch/namespaces/own/namespaces/other",
            404,
        ),
        (
            Method::DELETE,
            "/api/v1/namespaces/own/namespaces/other",
            404,
        ),
        (
            Method::PUT,
            "/api/v1/namespaces/own/namespaces/other/finalize",
            404,
        ),
        (
            Method::GET,
            "/api/v1/namespaces/own%2Fnamespaces%2Fother",
            404,
        ),
        (Method::GET, "/api/v1/namespaces/own/nodes", 404),
        (Method::GET, "/api/v1/namespaces/own/../other/pods", 404),
    ] {
        let (got, _, answer) = send(&jane, method.clone(), path, &[], "").await;
        assert_eq!(got, code, "{method} {path}: {answer}");
    }
    assert_eq!(
        call(
            &c,
            Method::GET,
            "/api/v1/namespaces/other",
            &serde_json::Value::Null
        )
        .await
        .0,
        200
    );
    server.stop().await;
}
