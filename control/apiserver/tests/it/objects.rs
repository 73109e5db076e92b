//! Single objects, by raw requests: what is written is there, what is refused is refused in Kubernetes' words.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{MAPS, Server, call, map, send};

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_change_and_go() {
    let server = Server::start().await;
    let c = server.admin().await;
    let (code, made) = call(&c, Method::POST, MAPS, &map("one")).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["metadata"]["namespace"], "default");
    assert!(
        made["metadata"]["uid"].is_string() && made["metadata"]["creationTimestamp"].is_string()
    );
    let version = made["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();

    let (code, again) = call(&c, Method::POST, MAPS, &map("one")).await;
    assert_eq!(
        (code, again["message"].as_str()),
        (409, Some("configmaps \"one\" already exists"))
    );
    let path = format!("{MAPS}/one");
    let (code, got) = call(&c, Method::GET, &path, &Value::Null).await;
    assert_eq!((code, &got), (200, &made));

    let mut changed = made.clone();
    changed["data"]["a"] = "c".into();
    let (code, updated) = call(&c, Method::PUT, &path, &changed).await;
    assert_eq!(code, 200, "{updated}");
    assert_ne!(updated["metadata"]["resourceVersion"], version.as_str());
    let (code, stale) = call(&c, Method::PUT, &path, &changed).await;
    assert_eq!(code, 409);
    assert!(
        stale["message"]
            .as_str()
            .unwrap()
            .contains("the object has been modified"),
        "{stale}"
    );
    // The same object again is no change: the version stays.
    let (_, same) = call(&c, Method::PUT, &path, &updated).await;
    assert_eq!(
        same["metadata"]["resourceVersion"],
        updated["metadata"]["resourceVersion"]
    );
    // Without a version the write is unconditional.
    let (code, forced) = call(&c, Method::PUT, &path, &map("one")).await;
    assert_eq!((code, forced["data"]["a"].as_str()), (200, Some("b")));

    let (code, patched) = call(
        &c,
        Method::PATCH,
        &path,
        &json!({"data": {"x": "y", "a": null}}),
    )
    .await;
    assert_eq!((code, &patched["data"]), (200, &json!({"x": "y"})));
    let json_patch = json!([{"op": "add", "path": "/data/z", "value": "1"}]).to_string();
    let (code, _, body) = send(
        &c,
        Method::PATCH,
        &path,
        &[("content-type", "application/json-patch+json")],
        json_patch,
    )
    .await;
    assert_eq!(code, 200, "{body}");
    let (code, _, body) = send(
        &c,
        Method::PATCH,
        &path,
        &[("content-type", "application/apply-patch+yaml")],
        "{}",
    )
    .await;
    assert_eq!(code, 415, "{body}");

    let wrong =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}});
    assert_eq!(call(&c, Method::DELETE, &path, &wrong).await.0, 409);
    let (code, gone) = call(&c, Method::DELETE, &path, &Value::Null).await;
    assert_eq!((code, gone["status"].as_str()), (200, Some("Success")));
    let (code, missing) = call(&c, Method::GET, &path, &Value::Null).await;
    assert_eq!(
        (code, missing["message"].as_str()),
        (404, Some("configmaps \"one\" not found"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_those_of_kubernetes() {
    let server = Server::start().await;
    let c = server.admin().await;
    let check = async |method: Method, path: &str, body: Value, code: u16, text: &str| {
        let (got, answer) = call(&c, method.clone(), path, &body).await;
        assert_eq!(got, code, "{method} {path}: {answer}");
        let answer = answer.to_string();
        assert!(answer.contains(text), "{method} {path}: {answer}");
    };
    check(Method::GET, "/nope", Value::Null, 404, "404 page not found").await;
    check(
        Method::GET,
        "/apis/nope/v1/things",
        Value::Null,
        404,
        "404 page not found",
    )
    .await;
    check(
        Method::GET,
        "/api/v1/nopes",
        Value::Null,
        404,
        "the server could not find the requested resource",
    )
    .await;
    check(Method::PUT, MAPS, map("x"), 405, "MethodNotAllowed").await;
    check(
        Method::POST,
        "/api/v1/configmaps",
        map("x"),
        405,
        "MethodNotAllowed",
    )
    .await;
    check(
        Method::POST,
        MAPS,
        json!({"kind": "Pod", "apiVersion": "v1"}),
        400,
        "cannot be handled as a ConfigMap",
    )
    .await;
    check(
        Method::POST,
        MAPS,
        json!({"kind": "ConfigMap", "apiVersion": "v2"}),
        400,
        "does not match the expected API version",
    )
    .await;
    check(Method::POST, MAPS, json!([]), 400, "BadRequest").await;
    check(
        Method::POST,
        MAPS,
        json!({"metadata": {"name": "A_B"}}),
        422,
        "metadata.name: Invalid value",
    )
    .await;
    check(
        Method::POST,
        MAPS,
        json!({"metadata": {"name": "x", "namespace": "other"}}),
        400,
        "does not match the namespace",
    )
    .await;
    check(
        Method::POST,
        "/api/v1/namespaces/none/configmaps",
        map("x"),
        404,
        "namespaces \\\"none\\\" not found",
    )
    .await;
    check(
        Method::DELETE,
        "/api/v1/namespaces/default",
        Value::Null,
        403,
        "this namespace may not be deleted",
    )
    .await;
    check(
        Method::DELETE,
        "/api/v1/namespaces",
        Value::Null,
        405,
        "MethodNotAllowed",
    )
    .await;
    let (code, _, body) = send(
        &c,
        Method::POST,
        MAPS,
        &[("content-type", "text/plain")],
        "x",
    )
    .await;
    assert_eq!(code, 415, "{body}");
    let (code, _, body) = send(&c, Method::GET, MAPS, &[("accept", "text/html")], "").await;
    assert_eq!(code, 406, "{body}");
    let typo = json!({"metadata": {"name": "t"}, "dataa": {}});
    let (code, headers, body) = send(
        &c,
        Method::POST,
        MAPS,
        &[("content-type", "application/json")],
        typo.to_string(),
    )
    .await;
    assert_eq!(code, 201, "{body}");
    assert!(
        headers
            .get("warning")
            .unwrap()
            .to_str()
            .unwrap()
            .contains("unknown field"),
        "{headers:?}"
    );
    check(
        Method::POST,
        &format!("{MAPS}?fieldValidation=Strict"),
        typo,
        400,
        "strict decoding error: unknown field",
    )
    .await;
    // A patch is read before it is wrong: what it makes is refused, not how it is written.
    check(
        Method::PATCH,
        &format!("{MAPS}/t?fieldValidation=Strict"),
        json!({"dataa": {}}),
        422,
        "\"field\":\"patch\"",
    )
    .await;
    check(
        Method::POST,
        &format!("{MAPS}?dryRun=All"),
        map("dry"),
        201,
        "\"name\":\"dry\"",
    )
    .await;
    check(
        Method::GET,
        &format!("{MAPS}/dry"),
        Value::Null,
        404,
        "NotFound",
    )
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_lose_nothing() {
    let server = Server::start().await;
    let c = server.admin().await;
    assert_eq!(call(&c, Method::POST, MAPS, &map("shared")).await.0, 201);
    let path = format!("{MAPS}/shared");
    let patches = (0..8).map(|i| {
        let (c, path) = (c.clone(), path.clone());
        async move {
            let mut data = serde_json::Map::new();
            data.insert(format!("k{i}"), "v".into());
            call(&c, Method::PATCH, &path, &json!({"data": data}))
                .await
                .0
        }
    });
    assert_eq!(futures::future::join_all(patches).await, [200; 8]);
    let (_, merged) = call(&c, Method::GET, &path, &Value::Null).await;
    assert_eq!(merged["data"].as_object().unwrap().len(), 9, "{merged}");
    // No address is given twice, however many ask at once.
    let services = (0..40).map(|i| {
        let c = c.clone();
        async move {
            let service = json!({"metadata": {"name": format!("s{i}")}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
            let (code, made) = call(&c, Method::POST, "/api/v1/namespaces/default/services", &service).await;
            assert_eq!(code, 201, "{made}");
            (made["spec"]["clusterIP"].to_string(), made["spec"]["ports"][0]["nodePort"].to_string())
        }
    });
    let given = futures::future::join_all(services).await;
    let addresses: std::collections::HashSet<&String> = given.iter().map(|(a, _)| a).collect();
    let ports: std::collections::HashSet<&String> = given.iter().map(|(_, p)| p).collect();
    assert_eq!((addresses.len(), ports.len()), (40, 40));
    // Made-up names, too.
    let named = (0..20).map(|_| {
        let c = c.clone();
        async move {
            call(
                &c,
                Method::POST,
                MAPS,
                &json!({"metadata": {"generateName": "g-"}}),
            )
            .await
            .0
        }
    });
    assert_eq!(futures::future::join_all(named).await, [201; 20]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn some_kinds_are_made_by_put() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = |name: &str| {
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
            "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}})
    };
    let path = format!("{leases}/one");
    let dry = format!("{path}?dryRun=All");
    assert_eq!(call(&admin, Method::PUT, &dry, &lease("one")).await.0, 201);
    assert_eq!(
        call(&admin, Method::GET, &path, &Value::Null).await.0,
        404,
        "a dry run makes nothing"
    );
    let (code, made) = call(&admin, Method::PUT, &path, &lease("one")).await;
    assert_eq!(code, 201, "{made}");
    assert!(made["metadata"]["uid"].is_string(), "{made}");
    let mut next = made.clone();
    next["spec"]["holderIdentity"] = "you".into();
    assert_eq!(call(&admin, Method::PUT, &path, &next).await.0, 200);

    // What the client knew is gone: it does not come back by its update.
    assert_eq!(
        call(&admin, Method::DELETE, &path, &Value::Null).await.0,
        200
    );
    let (code, gone) = call(&admin, Method::PUT, &path, &next).await;
    assert_eq!(
        (code, gone["reason"].as_str()),
        (409, Some("Conflict")),
        "{gone}"
    );
    let (code, other) = call(&admin, Method::PUT, &path, &lease("two")).await;
    assert_eq!(code, 400, "{other}");
    // A namespace that is not there is not made by the way.
    let nowhere = "/apis/coordination.k8s.io/v1/namespaces/nowhere/leases/one";
    assert_eq!(
        call(&admin, Method::PUT, nowhere, &lease("one")).await.0,
        404
    );

    // The right to update is not the right to create.
    let rules = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({"metadata": {"name": "renewer"}, "rules": [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]}]});
    let role_path = format!("{rules}/roles/renewer");
    assert_eq!(call(&admin, Method::PUT, &role_path, &role).await.0, 201);
    let binding = json!({"metadata": {"name": "renewer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "renewer"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    let binding_path = format!("{rules}/rolebindings/renewer");
    assert_eq!(
        call(&admin, Method::PUT, &binding_path, &binding).await.0,
        201
    );
    let jane = server.client("jane", &[]).await;
    let (code, refused) = call(&jane, Method::PUT, &path, &lease("one")).await;
    assert_eq!(code, 403, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("cannot create resource \"leases\""),
        "{refused}"
    );
    assert_eq!(call(&admin, Method::PUT, &path, &lease("one")).await.0, 201);
    let (_, present) = call(&jane, Method::GET, &path, &Value::Null).await;
    assert_eq!(call(&jane, Method::PUT, &path, &present).await.0, 200);
    // Nor does the way around give anyone a role that they do not have.
    let wide = json!({"metadata": {"name": "wide"}, "rules": [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]});
    let own = json!({"metadata": {"name": "own"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create", "get", "update"]}]});
    let own_path = format!("{rules}/roles/own");
    assert_eq!(call(&admin, Method::PUT, &own_path, &own).await.0, 201);
    let mut second = binding;
    second["metadata"]["name"] = "own".into();
    second["roleRef"]["name"] = "own".into();
    let second_path = format!("{rules}/rolebindings/own");
    assert_eq!(
        call(&admin, Method::PUT, &second_path, &second).await.0,
        201
    );
    let wide_path = format!("{rules}/roles/wide");
    let (code, refused) = call(&jane, Method::PUT, &wide_path, &wide).await;
    assert_eq!(code, 403, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("attempting to grant RBAC permissions"),
        "{refused}"
    );

    // Other kinds are not made so.
    let map_path = format!("{MAPS}/x");
    assert_eq!(call(&admin, Method::PUT, &map_path, &map("x")).await.0, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_indented_answers() {
    let server = Server::start().await;
    let c = server.admin().await;
    assert_eq!(call(&c, Method::POST, MAPS, &map("one")).await.0, 201);
    let curl = [("user-agent", "curl/8")];
    for path in [
        "/version",
        "/api",
        "/api/v1",
        MAPS,
        &format!("{MAPS}/one"),
        &format!("{MAPS}/none"),
    ] {
        for (query, headers, indented) in [
            ("", &[][..], false),
            ("?pretty=true", &[], true),
            ("?pretty=false", &curl, false),
            ("", &curl, true),
        ] {
            let (_, _, body) = send(&c, Method::GET, &format!("{path}{query}"), headers, "").await;
            assert_eq!(
                body.contains("{\n  \""),
                indented,
                "{path}{query} {headers:?}: {body:.200}"
            );
            let parsed: Result<Value, _> = serde_json::from_str(&body);
            assert!(parsed.is_ok(), "{body:.200}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_and_preconditions() {
    let server = Server::start().await;
    let c = server.admin().await;
    let path = format!("{MAPS}/one");
    let (_, made) = call(&c, Method::POST, MAPS, &map("one")).await;
    let (uid, version) = (
        made["metadata"]["uid"].as_str().unwrap(),
        made["metadata"]["resourceVersion"].as_str().unwrap(),
    );
    // A patch cannot make another object of it; a PUT means one that is gone.
    let (code, refused) = call(
        &c,
        Method::PATCH,
        &path,
        &json!({"metadata": {"uid": "other"}}),
    )
    .await;
    assert_eq!(
        (code, refused["message"].as_str()),
        (
            422,
            Some(
                "ConfigMap \"one\" is invalid: metadata.uid: Invalid value: \"other\": field is immutable"
            )
        )
    );
    let mut other = made.clone();
    other["metadata"]["uid"] = "other".into();
    assert_eq!(call(&c, Method::PUT, &path, &other).await.0, 409);
    for (preconditions, text) in [
        (
            json!({"uid": "x"}),
            format!("the UID in the precondition (x) does not match the UID in record ({uid})"),
        ),
        (
            json!({"resourceVersion": "1"}),
            format!(
                "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({version})"
            ),
        ),
    ] {
        let (code, refused) = call(
            &c,
            Method::DELETE,
            &path,
            &json!({"preconditions": preconditions}),
        )
        .await;
        assert_eq!(
            (code, refused["details"]["kind"].as_str()),
            (409, Some("ConfigMap")),
            "{refused}"
        );
        assert!(
            refused["message"].as_str().unwrap().contains(&text),
            "{refused}"
        );
    }
    let lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let body = json!({"metadata": {"name": "l"}});
    assert_eq!(call(&c, Method::PUT, lease, &body).await.0, 201);
    let (code, refused) = call(&c, Method::PUT, lease, &body).await;
    assert_eq!(
        (code, refused["message"].as_str()),
        (
            422,
            Some(
                "leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
            )
        )
    );
    // An owner that is named twice counts once, and the client is told.
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "one", "uid": uid});
    let owned =
        json!({"metadata": {"name": "owned", "ownerReferences": [owner, owner]}}).to_string();
    let json_type = [("content-type", "application/json")];
    let (code, headers, body) = send(&c, Method::POST, MAPS, &json_type, owned).await;
    assert_eq!(code, 201, "{body}");
    let warning = headers["warning"].to_str().unwrap();
    assert!(
        warning.contains("duplicate UID(s) observed") && warning.contains(uid),
        "{warning}"
    );
    let made: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        made["metadata"]["ownerReferences"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // So is a field.
    let twice = r#"{"metadata": {"name": "twice"}, "data": {"a": "1"}, "data": {"a": "2"}}"#;
    let (code, headers, body) = send(&c, Method::POST, MAPS, &json_type, twice).await;
    assert_eq!(code, 201, "{body}");
    assert!(
        headers["warning"]
            .to_str()
            .unwrap()
            .contains("duplicate field"),
        "{headers:?}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_new_group_say_who_and_when() {
    let server = Server::start().await;
    let c = server.admin().await;
    let events = "/apis/events.k8s.io/v1/namespaces/default/events";
    let whole = json!({"metadata": {"generateName": "e-"}, "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "test/it", "reportingInstance": "it-0", "action": "Testing", "reason": "Test",
        "type": "Normal", "regarding": {"kind": "ConfigMap", "name": "x", "namespace": "default"}});
    assert_eq!(call(&c, Method::POST, events, &whole).await.0, 201);
    for (field, text) in [
        ("eventTime", "eventTime: Required value"),
        ("reportingController", "reportingController: Required value"),
        ("action", "action: Required value"),
        ("reason", "reason: Required value"),
        ("type", "type: Invalid value"),
        ("regarding", "regarding.namespace"),
    ] {
        let mut event = whole.clone();
        event.as_object_mut().unwrap().remove(field);
        if field == "regarding" {
            event["regarding"] = json!({"kind": "ConfigMap", "name": "x", "namespace": "other"});
        }
        let (code, refused) = call(&c, Method::POST, events, &event).await;
        assert_eq!(code, 422, "{field}: {refused}");
        assert!(
            refused["message"].as_str().unwrap().contains(text),
            "{field}: {refused}"
        );
    }
    // The older style asks for less.
    let old =
        json!({"metadata": {"generateName": "e-"}, "involvedObject": {"namespace": "default"}});
    assert_eq!(
        call(&c, Method::POST, "/api/v1/namespaces/default/events", &old)
            .await
            .0,
        201
    );
    server.stop().await;
}
