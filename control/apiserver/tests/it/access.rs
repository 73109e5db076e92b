//! Who gets in, and as whom.

use http::Method;
use jiff::Timestamp;
use minicloud_auth::token::{ObjectRef, ServiceAccountTokens, TokenSpec, default_issuer};
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

#[tokio::test(flavor = "multi_thread")]
async fn tokens_hold_for_their_time_their_audience_and_their_objects() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let pods = "/api/v1/namespaces/default/pods";
    let make = async |path: &str, object: Value| {
        let (code, made) = call(&admin, Method::POST, path, &object).await;
        assert_eq!(code, 201, "{made}");
        ObjectRef {
            name: made["metadata"]["name"].as_str().unwrap().to_owned(),
            uid: made["metadata"]["uid"].as_str().unwrap().to_owned(),
        }
    };
    let account = make(accounts, json!({"metadata": {"name": "default"}})).await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    let pod = make(pods, pod).await;
    // The server's own keys, with any claims and at any time.
    let tokens = ServiceAccountTokens::open(
        &server.dir.path().join("sa"),
        default_issuer("cluster.local"),
        &[],
    )
    .unwrap();
    let good = TokenSpec {
        namespace: "default".to_owned(),
        service_account: account.clone(),
        pod: Some(pod.clone()),
        secret: None,
        node: None,
        audiences: tokens.api_audiences().to_vec(),
        expiration_seconds: 600,
    };
    let now = Timestamp::now();
    let ago = |seconds: i64| now - jiff::SignedDuration::from_secs(seconds);
    let sign = |spec: TokenSpec, at: Timestamp| tokens.issue(&spec, at).unwrap().token;
    let token = sign(good.clone(), now);
    let (head, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let other_claims = sign(
        TokenSpec {
            expiration_seconds: 86_400,
            ..good.clone()
        },
        now,
    );
    let other_claims = other_claims.split('.').nth(1).unwrap();
    let other_object = |name: &str, uid: &str| ObjectRef {
        name: name.to_owned(),
        uid: uid.to_owned(),
    };
    let cases = [
        ("as it was issued", token.clone(), 201),
        ("expired", sign(good.clone(), ago(700)), 401),
        ("not valid yet", sign(good.clone(), ago(-3600)), 401),
        (
            "for another audience",
            sign(
                TokenSpec {
                    audiences: vec!["vault".to_owned()],
                    ..good.clone()
                },
                now,
            ),
            401,
        ),
        (
            "for no audience",
            sign(
                TokenSpec {
                    audiences: Vec::new(),
                    ..good.clone()
                },
                now,
            ),
            401,
        ),
        (
            "of an account of the same name, made anew",
            sign(
                TokenSpec {
                    service_account: other_object("default", "another"),
                    ..good.clone()
                },
                now,
            ),
            401,
        ),
        (
            "of an account of another namespace",
            sign(
                TokenSpec {
                    namespace: "kube-system".to_owned(),
                    ..good.clone()
                },
                now,
            ),
            401,
        ),
        (
            "of a pod of the same name, made anew",
            sign(
                TokenSpec {
                    pod: Some(other_object("p", "another")),
                    ..good.clone()
                },
                now,
            ),
            401,
        ),
        (
            "of a pod that never was",
            sign(
                TokenSpec {
                    pod: Some(other_object("q", "q")),
                    ..good.clone()
                },
                now,
            ),
            401,
        ),
        (
            "with another's claims",
            format!("{head}.{other_claims}.{signature}"),
            401,
        ),
        ("without a signature", format!("{head}.{claims}."), 401),
        (
            // {"alg":"none","typ":"JWT"}
            "that says it needs none",
            format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."),
            401,
        ),
        ("of letters", "a.b.c".to_owned(), 401),
        ("too long", format!("{token}{}", "A".repeat(20_000)), 401),
    ];
    const REVIEW: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    const TOKEN_REVIEW: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
    for (what, token, code) in &cases {
        let bearer = server.with_token(Some(token)).await;
        // A header that is too long is refused before anyone looks at it.
        let (got, _, answer) = send(&bearer, Method::POST, REVIEW, &[], "{}").await;
        let fits = got == *code || (*what == "too long" && (got == 431 || got == 400));
        assert!(fits, "a token {what}: {got} {answer}");
        // Whoever asks about it gets the same answer, and never the token back in an error.
        let review = json!({"spec": {"token": token}});
        let (_, reviewed) = call(&admin, Method::POST, TOKEN_REVIEW, &review).await;
        let holds = reviewed["status"]["authenticated"] == true;
        assert_eq!(holds, *code == 201, "a token {what}: {reviewed}");
        let said = reviewed["status"]["error"].as_str().unwrap_or_default();
        assert!(holds || !said.is_empty(), "a token {what}: {reviewed}");
        assert!(!said.contains(token.as_str()), "{said}");
    }
    for header in ["Basic YTpi", "Bearer", "Bearer ", "bearer", "Token x", ""] {
        let nobody = server.with_token(None).await;
        let headers = [("authorization", header)];
        let (code, _, answer) = send(&nobody, Method::POST, REVIEW, &headers, "{}").await;
        assert_eq!(code, 401, "{header:?}: {answer}");
    }
    // A token ends with its pod.
    let now = json!({"gracePeriodSeconds": 0});
    let path = format!("{pods}/{}", pod.name);
    assert_eq!(call(&admin, Method::DELETE, &path, &now).await.0, 200);
    let bearer = server.with_token(Some(&token)).await;
    assert_eq!(send(&bearer, Method::POST, REVIEW, &[], "{}").await.0, 401);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gains_rights_by_labels() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let editor = json!({"metadata": {"name": "editor"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["get", "patch"]}]});
    assert_eq!(
        call(
            &admin,
            Method::PUT,
            &format!("{rbac}/clusterroles/editor"),
            &editor
        )
        .await
        .0,
        201
    );
    for role in ["editor", "view"] {
        let binding = json!({"metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
        let path = format!("{rbac}/clusterrolebindings/{role}");
        assert_eq!(call(&admin, Method::PUT, &path, &binding).await.0, 201);
    }
    let jane = server.client("jane", &[]).await;
    let secrets = "/api/v1/namespaces/default/secrets";
    // A label by which the rights of all would be gathered into the role that she has.
    let label =
        json!({"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}});
    for role in ["cluster-admin", "admin"] {
        let (code, refused) = call(
            &jane,
            Method::PATCH,
            &format!("{rbac}/clusterroles/{role}"),
            &label,
        )
        .await;
        assert_eq!(code, 403, "{refused}");
    }
    assert_eq!(call(&jane, Method::GET, secrets, &Value::Null).await.0, 403);
    // A role of which she has every right may be labelled; a collecting one may not be touched.
    assert_eq!(
        call(
            &jane,
            Method::PATCH,
            &format!("{rbac}/clusterroles/editor"),
            &json!({"metadata": {"labels": {"a": "b"}}})
        )
        .await
        .0,
        200
    );
    let (code, refused) = call(
        &jane,
        Method::PATCH,
        &format!("{rbac}/clusterroles/view"),
        &json!({"metadata": {"labels": {"a": "b"}}}),
    )
    .await;
    assert_eq!(code, 403, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .ends_with("must have cluster-admin privileges to use the aggregationRule"),
        "{refused}"
    );
    // What garbage collection does is let through.
    let finalizer = json!({"metadata": {"finalizers": ["example.org/x"]}});
    assert_eq!(
        call(
            &jane,
            Method::PATCH,
            &format!("{rbac}/clusterroles/cluster-admin"),
            &finalizer
        )
        .await
        .0,
        200
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_are_read_strictly() {
    let server = Server::start().await;
    let c = server.admin().await;
    let own = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let others = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    let resource = json!({"verb": "get", "resource": "pods", "namespace": "default"});
    let path = json!({"verb": "get", "path": "/metrics"});
    for (url, spec, code, text) in [
        (
            own,
            json!({"resourceAttributes": resource}),
            201,
            "\"allowed\":true",
        ),
        (
            own,
            json!({"nonResourceAttributes": path}),
            201,
            "\"allowed\":true",
        ),
        (
            own,
            json!({}),
            422,
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes",
        ),
        (
            own,
            json!({"resourceAttributes": resource, "nonResourceAttributes": path}),
            422,
            "cannot be specified in combination with resourceAttributes",
        ),
        (
            own,
            json!({"resourceAttributes": {"verb": 5}}),
            400,
            "cannot be handled as a SelfSubjectAccessReview",
        ),
        (
            others,
            json!({"resourceAttributes": resource}),
            422,
            "spec.user: Invalid value: \\\"\\\": at least one of user or group must be specified",
        ),
        (
            others,
            json!({"resourceAttributes": resource, "user": "jane"}),
            201,
            "\"allowed\":false",
        ),
        (
            local,
            json!({"resourceAttributes": resource, "user": "jane"}),
            201,
            "\"allowed\":false",
        ),
        (
            local,
            json!({"resourceAttributes": {"verb": "get", "namespace": "other"}, "user": "jane"}),
            422,
            "must match metadata.namespace",
        ),
        (
            local,
            json!({"nonResourceAttributes": path, "user": "jane"}),
            422,
            "disallowed on this kind of request",
        ),
    ] {
        let (got, answer) = call(&c, Method::POST, url, &json!({"spec": spec})).await;
        assert_eq!(got, code, "{url} {spec}: {answer}");
        assert!(answer.to_string().contains(text), "{url} {spec}: {answer}");
    }
    let named = json!({"metadata": {"name": "x"}, "spec": {"resourceAttributes": resource}});
    let (code, refused) = call(&c, Method::POST, own, &named).await;
    assert_eq!(code, 422, "{refused}");
    let odd = json!({"spec": {"resourceAttributes": resource, "who": "me"}});
    let strict = format!("{own}?fieldValidation=Strict");
    let (code, refused) = call(&c, Method::POST, &strict, &odd).await;
    assert_eq!(code, 400, "{refused}");
    assert!(refused.to_string().contains("unknown field"), "{refused}");
    server.stop().await;
}
