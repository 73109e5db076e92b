//! What the API promises, by raw requests.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Server, call, eventually, send};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"a": "b"}})
}

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
async fn lists_are_paged_and_selected() {
    let server = Server::start().await;
    let c = server.admin().await;
    for i in 0..7 {
        let mut object = map(&format!("m{i}"));
        object["metadata"]["labels"] = json!({"parity": if i % 2 == 0 { "even" } else { "odd" }});
        assert_eq!(call(&c, Method::POST, MAPS, &object).await.0, 201);
    }
    let names = |list: &Value| -> Vec<String> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let (_, first) = call(&c, Method::GET, &format!("{MAPS}?limit=3"), &Value::Null).await;
    assert_eq!(names(&first), ["m0", "m1", "m2"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    // What is written between the pages does not show up in them.
    assert_eq!(call(&c, Method::POST, MAPS, &map("m35")).await.0, 201);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = call(
        &c,
        Method::GET,
        &format!("{MAPS}?limit=10&continue={token}"),
        &Value::Null,
    )
    .await;
    assert_eq!(names(&second), ["m3", "m4", "m5", "m6"]);
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let (_, odd) = call(
        &c,
        Method::GET,
        &format!("{MAPS}?labelSelector=parity%3Dodd&limit=2"),
        &Value::Null,
    )
    .await;
    assert_eq!(names(&odd), ["m1", "m3"]);
    let token = odd["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = call(
        &c,
        Method::GET,
        &format!("{MAPS}?labelSelector=parity%3Dodd&limit=2&continue={token}"),
        &Value::Null,
    )
    .await;
    assert_eq!(names(&rest), ["m5"]);
    let (_, one) = call(
        &c,
        Method::GET,
        &format!("{MAPS}?fieldSelector=metadata.name%3Dm4"),
        &Value::Null,
    )
    .await;
    assert_eq!(names(&one), ["m4"]);
    let (code, _) = call(
        &c,
        Method::GET,
        &format!("{MAPS}?fieldSelector=spec.x%3Dm4"),
        &Value::Null,
    )
    .await;
    assert_eq!(code, 400);
    let future = crate::hostile::get(&server, &format!("{MAPS}?resourceVersion=999999")).await;
    assert!(
        future.starts_with("HTTP/1.1 504 ") && future.contains("ResourceVersionTooLarge"),
        "{future}"
    );
    let accept = [(
        "accept",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    )];
    let (_, _, body) = send(&c, Method::GET, MAPS, &accept, "").await;
    let partial: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert!(
        partial["items"][0]["metadata"]["name"].is_string()
            && partial["items"][0].get("data").is_none()
    );
    // A delete of the collection takes what is selected.
    let (code, _) = call(
        &c,
        Method::DELETE,
        &format!("{MAPS}?labelSelector=parity%3Dodd"),
        &Value::Null,
    )
    .await;
    assert_eq!(code, 200);
    let (_, left) = call(&c, Method::GET, MAPS, &Value::Null).await;
    assert_eq!(names(&left), ["m0", "m2", "m35", "m4", "m6"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_is_gone_is_said_to_be() {
    let server = Server::start().await;
    let c = server.admin().await;
    for i in 0..4 {
        assert_eq!(
            call(&c, Method::POST, MAPS, &map(&format!("m{i}"))).await.0,
            201
        );
    }
    let (_, first) = call(&c, Method::GET, &format!("{MAPS}?limit=2"), &Value::Null).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let old = first["metadata"]["resourceVersion"].as_str().unwrap();
    for _ in 0..3 {
        assert_eq!(
            call(&c, Method::PUT, &format!("{MAPS}/m0"), &map("m0"))
                .await
                .0,
            200
        );
        assert_eq!(
            call(
                &c,
                Method::PATCH,
                &format!("{MAPS}/m0"),
                &json!({"data": {"a": "z"}})
            )
            .await
            .0,
            200
        );
    }
    server.store.compact(server.store.revision()).await.unwrap();
    let (code, gone) = call(
        &c,
        Method::GET,
        &format!("{MAPS}?limit=2&continue={token}"),
        &Value::Null,
    )
    .await;
    assert_eq!(
        (code, gone["reason"].as_str()),
        (410, Some("Expired")),
        "{gone}"
    );
    // The client may go on with what is there now.
    let token = gone["metadata"]["continue"].as_str().unwrap();
    let (code, rest) = call(
        &c,
        Method::GET,
        &format!("{MAPS}?limit=2&continue={token}"),
        &Value::Null,
    )
    .await;
    assert_eq!(
        (code, rest["items"][0]["metadata"]["name"].as_str()),
        (200, Some("m2")),
        "{rest}"
    );
    let exact = format!("{MAPS}?resourceVersion={old}&resourceVersionMatch=Exact");
    assert_eq!(call(&c, Method::GET, &exact, &Value::Null).await.0, 410);
    let (code, _, body) = send(
        &c,
        Method::GET,
        &format!("{MAPS}?watch=1&timeoutSeconds=1&resourceVersion={old}"),
        &[],
        "",
    )
    .await;
    let event: Value = serde_json::from_str(body.lines().next().unwrap()).unwrap();
    assert_eq!(
        (
            code,
            event["type"].as_str(),
            event["object"]["code"].as_u64()
        ),
        (200, Some("ERROR"), Some(410)),
        "{event}"
    );
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

/// The lines of a watch that ends by itself.
async fn watch(c: &kube::Client, query: &str) -> Vec<(String, String)> {
    let (code, _, body) = send(c, Method::GET, &format!("{MAPS}?watch=1&{query}"), &[], "").await;
    assert_eq!(code, 200, "{body}");
    body.lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            let text = |p: &str| {
                event
                    .pointer(p)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            (text("/type"), text("/object/metadata/name"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_show_what_is_selected() {
    let server = Server::start().await;
    let c = server.admin().await;
    let label = |value: &str| json!({"metadata": {"labels": {"app": value}}});
    let (_, made) = call(&c, Method::POST, MAPS, &map("w")).await;
    let version = made["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("{MAPS}/w");
    for value in ["x", "y", "x"] {
        assert_eq!(call(&c, Method::PATCH, &path, &label(value)).await.0, 200);
    }
    assert_eq!(call(&c, Method::DELETE, &path, &Value::Null).await.0, 200);
    let words = |events: Vec<(String, String)>| {
        events.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    let all = watch(&c, &format!("resourceVersion={version}&timeoutSeconds=1")).await;
    assert_eq!(words(all), ["MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]);
    let x = watch(
        &c,
        &format!("resourceVersion={version}&timeoutSeconds=1&labelSelector=app%3Dx"),
    )
    .await;
    assert_eq!(words(x), ["ADDED", "DELETED", "ADDED", "DELETED"]);
    assert_eq!(call(&c, Method::POST, MAPS, &map("v")).await.0, 201);
    let list = watch(&c, "timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true").await;
    assert_eq!(list[0], ("ADDED".to_owned(), "v".to_owned()));
    assert_eq!(list[1].0, "BOOKMARK");
    let (_, _, old) = send(
        &c,
        Method::GET,
        &format!("{MAPS}?watch=1&timeoutSeconds=1&resourceVersion=1"),
        &[],
        "",
    )
    .await;
    // Revision 1 is still kept in a young store: either events or 410, never silence.
    assert!(!old.is_empty());
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
async fn pods_are_admitted_bound_and_deleted_gracefully() {
    let server = Server::start().await;
    let c = server.admin().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str| json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let (code, refused) = call(&c, Method::POST, pods, &pod("p")).await;
    assert_eq!(code, 403, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("serviceaccount \"default\" not found"),
        "{refused}"
    );
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(
        call(
            &c,
            Method::POST,
            accounts,
            &json!({"metadata": {"name": "default"}})
        )
        .await
        .0,
        201
    );
    let (code, made) = call(&c, Method::POST, pods, &pod("p")).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(
        made["spec"]["volumes"][0]["projected"]["sources"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(made["status"]["phase"], "Pending");
    assert_eq!(made["spec"]["tolerations"].as_array().unwrap().len(), 2);
    let bind = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    let (code, bound) = call(&c, Method::POST, &format!("{pods}/p/binding"), &bind).await;
    assert_eq!(code, 201, "{bound}");
    assert_eq!(
        call(&c, Method::POST, &format!("{pods}/p/binding"), &bind)
            .await
            .0,
        409
    );
    let (_, on_node) = call(
        &c,
        Method::GET,
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1",
        &Value::Null,
    )
    .await;
    assert_eq!(on_node["items"].as_array().unwrap().len(), 1);
    let status = json!({"status": {"phase": "Running"}, "spec": {"nodeName": "n2"}});
    let (code, running) = call(&c, Method::PATCH, &format!("{pods}/p/status"), &status).await;
    assert_eq!(
        (
            code,
            running["spec"]["nodeName"].as_str(),
            running["status"]["phase"].as_str()
        ),
        (200, Some("n1"), Some("Running")),
        "{running}"
    );
    let (code, going) = call(&c, Method::DELETE, &format!("{pods}/p"), &Value::Null).await;
    assert_eq!(
        (
            code,
            going["metadata"]["deletionGracePeriodSeconds"].as_i64()
        ),
        (200, Some(30)),
        "{going}"
    );
    assert_eq!(
        call(&c, Method::GET, &format!("{pods}/p"), &Value::Null)
            .await
            .0,
        200
    );
    let now = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0});
    assert_eq!(
        call(&c, Method::DELETE, &format!("{pods}/p"), &now).await.0,
        200
    );
    assert_eq!(
        call(&c, Method::GET, &format!("{pods}/p"), &Value::Null)
            .await
            .0,
        404
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_live_and_end_with_their_definition() {
    let mut server = Server::start().await;
    let c = server.admin().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["color"], "properties": {
                        "color": {"type": "string", "enum": ["red", "blue"]},
                        "size": {"type": "integer", "default": 3, "minimum": 0},
                    }},
                    "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                }}},
            }],
        },
    });
    const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, made) = call(&c, Method::POST, CRDS, &definition).await;
    assert_eq!(code, 201, "{made}");
    let conditions = made["status"]["conditions"].to_string();
    assert!(
        conditions.contains("Established") && conditions.contains("NamesAccepted"),
        "{made}"
    );
    // Served as soon as the write is answered.
    let widgets = "/apis/example.org/v1/namespaces/default/widgets";
    let widget = |color: &str| json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"color": color, "odd": 1}, "status": {"size": 9}});
    let (code, refused) = call(&c, Method::POST, widgets, &widget("green")).await;
    assert_eq!(code, 422, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("spec.color: Unsupported value: \"green\""),
        "{refused}"
    );
    let (code, w) = call(&c, Method::POST, widgets, &widget("red")).await;
    assert_eq!(code, 201, "{w}");
    assert_eq!(
        (w["spec"].clone(), w.get("status")),
        (json!({"color": "red", "size": 3}), None)
    );
    assert_eq!(w["metadata"]["generation"], 1);
    let path = format!("{widgets}/w");
    let (code, w) = call(
        &c,
        Method::PATCH,
        &path,
        &json!({"spec": {"size": 5}, "status": {"size": 1}}),
    )
    .await;
    assert_eq!(
        (code, w["metadata"]["generation"].as_i64(), w.get("status")),
        (200, Some(2), None),
        "{w}"
    );
    let (code, w) = call(
        &c,
        Method::PATCH,
        &format!("{path}/status"),
        &json!({"spec": {"size": 7}, "status": {"size": 4}}),
    )
    .await;
    assert_eq!(
        (
            code,
            w["spec"]["size"].as_i64(),
            w["status"]["size"].as_i64()
        ),
        (200, Some(5), Some(4)),
        "{w}"
    );
    let (code, scale) = call(
        &c,
        Method::PATCH,
        &format!("{path}/scale"),
        &json!({"spec": {"replicas": 8}}),
    )
    .await;
    assert_eq!(
        (
            code,
            scale["spec"]["replicas"].as_i64(),
            scale["status"]["replicas"].as_i64()
        ),
        (200, Some(8), Some(4)),
        "{scale}"
    );
    let (code, _, body) = send(
        &c,
        Method::PATCH,
        &path,
        &[("content-type", "application/strategic-merge-patch+json")],
        "{}",
    )
    .await;
    assert_eq!(code, 415, "{body}");
    server.restart().await;
    let c = server.admin().await;
    let (code, w) = call(&c, Method::GET, &path, &Value::Null).await;
    assert_eq!(
        (code, w["spec"]["size"].as_i64(), w["apiVersion"].as_str()),
        (200, Some(8), Some("example.org/v1")),
        "{w}"
    );
    // A default that the definition gets later shows in objects that were there before.
    let columns = json!([{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/shape",
        "value": {"type": "string", "default": "round"}}]);
    let crd = format!("{CRDS}/widgets.example.org");
    let (code, _, body) = send(
        &c,
        Method::PATCH,
        &crd,
        &[("content-type", "application/json-patch+json")],
        columns.to_string(),
    )
    .await;
    assert_eq!(code, 200, "{body}");
    let (_, w) = call(&c, Method::GET, &path, &Value::Null).await;
    assert_eq!(w["spec"]["shape"], "round", "{w}");
    let (_, list) = call(&c, Method::GET, widgets, &Value::Null).await;
    assert_eq!(
        (
            list["items"][0]["spec"]["shape"].as_str(),
            list["kind"].as_str()
        ),
        (Some("round"), Some("WidgetList"))
    );
    let hold = json!({"metadata": {"finalizers": ["example.org/hold"]}});
    assert_eq!(call(&c, Method::PATCH, &path, &hold).await.0, 200);
    let (code, going) = call(
        &c,
        Method::DELETE,
        &format!("{CRDS}/widgets.example.org"),
        &Value::Null,
    )
    .await;
    assert_eq!(code, 200, "{going}");
    assert_eq!(
        call(&c, Method::POST, widgets, &widget("blue")).await.0,
        405
    );
    eventually("the widget is marked", async || {
        let (_, w) = call(&c, Method::GET, &path, &Value::Null).await;
        w["metadata"]["deletionTimestamp"].is_string().then_some(())
    })
    .await;
    assert_eq!(
        call(
            &c,
            Method::PATCH,
            &path,
            &json!({"metadata": {"finalizers": null}})
        )
        .await
        .0,
        200
    );
    eventually("the definition is gone", async || {
        (call(
            &c,
            Method::GET,
            &format!("{CRDS}/widgets.example.org"),
            &Value::Null,
        )
        .await
        .0 == 404)
            .then_some(())
    })
    .await;
    assert_eq!(call(&c, Method::GET, widgets, &Value::Null).await.0, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_get_addresses_and_namespaces_end() {
    let mut server = Server::start().await;
    let c = server.admin().await;
    let (_, kubernetes) = call(
        &c,
        Method::GET,
        "/api/v1/namespaces/default/services/kubernetes",
        &Value::Null,
    )
    .await;
    assert_eq!(kubernetes["spec"]["clusterIP"], "10.43.0.1", "{kubernetes}");
    let (_, slice) = call(
        &c,
        Method::GET,
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
        &Value::Null,
    )
    .await;
    assert_eq!(
        slice["endpoints"][0]["addresses"][0], "192.0.2.1",
        "{slice}"
    );
    let services = "/api/v1/namespaces/default/services";
    let web =
        json!({"metadata": {"name": "web"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let (code, made) = call(&c, Method::POST, services, &web).await;
    assert_eq!(code, 201, "{made}");
    let port = made["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30000..=32767).contains(&port));
    server.restart().await;
    let c = server.admin().await;
    let mut same = web.clone();
    same["metadata"]["name"] = "other".into();
    same["spec"]["ports"][0]["nodePort"] = port.into();
    let (code, refused) = call(&c, Method::POST, services, &same).await;
    assert_eq!(code, 422, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("provided port is already allocated"),
        "{refused}"
    );
    assert_eq!(
        call(&c, Method::DELETE, &format!("{services}/web"), &Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(call(&c, Method::POST, services, &same).await.0, 201);

    assert_eq!(
        call(
            &c,
            Method::POST,
            "/api/v1/namespaces",
            &json!({"metadata": {"name": "temp"}})
        )
        .await
        .0,
        201
    );
    let (code, going) = call(&c, Method::DELETE, "/api/v1/namespaces/temp", &Value::Null).await;
    assert_eq!(
        (code, going["status"]["phase"].as_str()),
        (200, Some("Terminating")),
        "{going}"
    );
    let (code, refused) = call(
        &c,
        Method::POST,
        "/api/v1/namespaces/temp/configmaps",
        &map("x"),
    )
    .await;
    assert_eq!(code, 403);
    assert_eq!(
        refused["details"]["causes"][0]["reason"], "NamespaceTerminating",
        "{refused}"
    );
    assert_eq!(
        call(&c, Method::DELETE, "/api/v1/namespaces/temp", &Value::Null)
            .await
            .0,
        409
    );
    let mut done = going.clone();
    done["spec"]["finalizers"] = json!([]);
    let (code, gone) = call(&c, Method::PUT, "/api/v1/namespaces/temp/finalize", &done).await;
    assert_eq!(code, 200, "{gone}");
    assert_eq!(
        call(&c, Method::GET, "/api/v1/namespaces/temp", &Value::Null)
            .await
            .0,
        404
    );
    server.stop().await;
}
