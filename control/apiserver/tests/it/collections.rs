//! Lists, pages, selectors and watches, by raw requests.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{MAPS, Server, call, map, send};

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
    let (code, refused) = call(
        &c,
        Method::GET,
        &format!("{MAPS}?fieldSelector=spec.x%3Dm4"),
        &Value::Null,
    )
    .await;
    let why =
        r#""spec.x" is not a known field selector: only "metadata.name", "metadata.namespace""#;
    assert_eq!((code, refused["message"].as_str()), (400, Some(why)));
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
