//! CustomResourceDefinitions and what they define.

use std::time::Duration;

use futures::io::AsyncBufReadExt;
use futures::stream::{BoxStream, StreamExt};
use http::{Method, Request};
use serde_json::{Value, json};

use crate::harness::{Server, call, eventually, send};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

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
async fn what_is_built_in_cannot_be_defined_again() {
    let server = Server::start().await;
    let c = server.admin().await;
    let version = |name: &str| {
        json!({"name": name, "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    for (group, plural, kind) in [
        ("rbac.authorization.k8s.io", "roles", "Role"),
        ("discovery.k8s.io", "endpointslices", "EndpointSlice"),
    ] {
        for served in ["v1", "v2"] {
            let definition = json!({
                "metadata": {
                    "name": format!("{plural}.{group}"),
                    "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
                },
                "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                    "versions": [version(served)]},
            });
            let (code, answer) = call(&c, Method::POST, CRDS, &definition).await;
            assert_eq!(code, 422, "{answer}");
            let message = answer["message"].as_str().unwrap();
            assert!(message.contains("the server itself serves"), "{message}");
        }
    }
    // A role is still one: its rules are checked.
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    let odd = json!({"metadata": {"name": "odd"}, "rules": [{"verbs": []}]});
    assert_eq!(call(&c, Method::POST, roles, &odd).await.0, 422);
    server.stop().await;
}

/// A definition of `kind` in `example.org` with these versions, of which the first is stored.
fn definition(plural: &str, kind: &str, versions: &[&str]) -> Value {
    let version = |name: &&str| {
        json!({"name": name, "served": true, "storage": name == &versions[0], "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {"color": {"type": "string"}}}}}}})
    };
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({
        "metadata": {"name": format!("{plural}.example.org")},
        "spec": {"group": "example.org", "scope": "Namespaced", "names": {"plural": plural, "kind": kind}, "versions": versions},
    })
}

/// The events of a watch, from its begin on.
async fn watch(c: &kube::Client, path: &str) -> BoxStream<'static, Value> {
    let request = Request::get(format!("{path}?watch=1&timeoutSeconds=300"));
    let answer = c.request_stream(request.body(Vec::new()).unwrap()).await;
    let lines = answer.unwrap().lines();
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .boxed()
}

/// The next event as `TYPE name`; empty at the end of the watch.
async fn next(watch: &mut BoxStream<'static, Value>) -> String {
    let next = tokio::time::timeout(Duration::from_secs(10), watch.next());
    match next.await.expect("an event, or the end of the watch") {
        Some(event) => {
            let (kind, name) = (&event["type"], &event["object"]["metadata"]["name"]);
            format!("{} {}", kind.as_str().unwrap(), name.as_str().unwrap())
        }
        None => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_end_when_the_definition_changes_or_goes() {
    let server = Server::start().await;
    let c = server.admin().await;
    let cars = definition("cars", "Car", &["v1", "v2"]);
    assert_eq!(call(&c, Method::POST, CRDS, &cars).await.0, 201);
    let crd = format!("{CRDS}/cars.example.org");
    let path = "/apis/example.org/v2/namespaces/default/cars";
    let car = |name: &str| json!({"apiVersion": "example.org/v2", "kind": "Car", "metadata": {"name": name}, "spec": {"color": "red", "size": 1}});
    let mut before = watch(&c, path).await;
    // Another definition, labels and status are none of the watch's business.
    let bikes = definition("bikes", "Bike", &["v1"]);
    assert_eq!(call(&c, Method::POST, CRDS, &bikes).await.0, 201);
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    assert_eq!(call(&c, Method::PATCH, &crd, &label).await.0, 200);
    let (_, mut seen) = call(&c, Method::GET, &crd, &Value::Null).await;
    let more =
        json!({"type": "NonStructuralSchema", "status": "False", "reason": "Test", "message": ""});
    seen["status"]["conditions"]
        .as_array_mut()
        .unwrap()
        .push(more);
    assert_eq!(
        call(&c, Method::PUT, &format!("{crd}/status"), &seen)
            .await
            .0,
        200
    );
    assert_eq!(call(&c, Method::POST, path, &car("a")).await.0, 201);
    assert_eq!(next(&mut before).await, "ADDED a");
    // A new field: who watches again sees it.
    let mut wider = cars.clone();
    for version in wider["spec"]["versions"].as_array_mut().unwrap() {
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"] =
            json!({"type": "integer"});
    }
    let versions = json!({"spec": {"versions": wider["spec"]["versions"]}});
    assert_eq!(call(&c, Method::PATCH, &crd, &versions).await.0, 200);
    assert_eq!(call(&c, Method::POST, path, &car("b")).await.0, 201);
    assert_eq!(next(&mut before).await, "");
    let mut after = watch(&c, path).await;
    assert_eq!(next(&mut after).await, "ADDED a");
    let b = after.next().await.unwrap();
    assert_eq!(
        b["object"]["spec"],
        json!({"color": "red", "size": 1}),
        "{b}"
    );
    // The definition goes: so do its objects, then the watch ends.
    assert_eq!(call(&c, Method::DELETE, &crd, &Value::Null).await.0, 200);
    let mut gone = [next(&mut after).await, next(&mut after).await];
    gone.sort();
    assert_eq!(gone, ["DELETED a", "DELETED b"]);
    assert_eq!(next(&mut after).await, "");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_go_with_their_definition_when_no_version_is_served() {
    let server = Server::start().await;
    let c = server.admin().await;
    let cars = definition("cars", "Car", &["v1"]);
    let crd = format!("{CRDS}/cars.example.org");
    let path = "/apis/example.org/v1/namespaces/default/cars";
    assert_eq!(call(&c, Method::POST, CRDS, &cars).await.0, 201);
    let car = json!({"apiVersion": "example.org/v1", "kind": "Car", "metadata": {"name": "a"}});
    assert_eq!(call(&c, Method::POST, path, &car).await.0, 201);
    let mut hidden = cars.clone();
    hidden["spec"]["versions"][0]["served"] = false.into();
    let hide = json!({"spec": {"versions": hidden["spec"]["versions"]}});
    assert_eq!(call(&c, Method::PATCH, &crd, &hide).await.0, 200);
    assert_eq!(call(&c, Method::GET, path, &Value::Null).await.0, 404);
    assert_eq!(call(&c, Method::DELETE, &crd, &Value::Null).await.0, 200);
    eventually("the definition is gone", async || {
        (call(&c, Method::GET, &crd, &Value::Null).await.0 == 404).then_some(())
    })
    .await;
    assert_eq!(call(&c, Method::POST, CRDS, &cars).await.0, 201);
    let (code, list) = call(&c, Method::GET, path, &Value::Null).await;
    assert_eq!((code, &list["items"]), (200, &json!([])));
    server.stop().await;
}

/// True when a definition of `example.org` has this condition.
async fn has(c: &kube::Client, plural: &str, condition: &str) -> bool {
    let path = format!("{CRDS}/{plural}.example.org");
    let (_, crd) = call(c, Method::GET, &path, &Value::Null).await;
    let mut conditions = crd["status"]["conditions"].as_array().unwrap().iter();
    conditions.any(|c| c["type"] == condition && c["status"] == "True")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_definitions_made_at_once_one_gets_the_kind() {
    let server = Server::start().await;
    let c = server.admin().await;
    let plurals = ["a", "b", "c", "d", "e", "f"];
    let made = plurals.map(async |plural| {
        let car = definition(plural, "Car", &["v1"]);
        call(&c, Method::POST, CRDS, &car).await.0
    });
    assert_eq!(futures::future::join_all(made).await, [201; 6]);
    let mut named = 0;
    for plural in plurals {
        named += u32::from(has(&c, plural, "NamesAccepted").await);
    }
    assert_eq!(named, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_come_free_go_to_the_definition_that_waits_for_them() {
    let server = Server::start().await;
    let c = server.admin().await;
    for (plural, kind, short, named) in [
        ("cars", "Car", "wheels", true),
        ("bikes", "Bike", "wheels", false),
        ("autos", "Car", "au", false),
        // A definition that waits for one name has the others.
        ("vans", "Van", "au", false),
    ] {
        let mut made = definition(plural, kind, &["v1"]);
        made["spec"]["names"]["shortNames"] = json!([short]);
        assert_eq!(call(&c, Method::POST, CRDS, &made).await.0, 201);
        assert_eq!(has(&c, plural, "NamesAccepted").await, named, "{plural}");
        assert_eq!(has(&c, plural, "Established").await, named, "{plural}");
    }
    let established = async |plural: &str| {
        eventually(plural, async || {
            has(&c, plural, "Established").await.then_some(())
        })
        .await;
        assert!(has(&c, plural, "NamesAccepted").await);
        // What is stored is seen a moment before it is served.
        let path = format!("/apis/example.org/v1/{plural}");
        eventually(&path, async || {
            let (code, _) = call(&c, Method::GET, &path, &Value::Null).await;
            (code == 200).then_some(())
        })
        .await;
    };
    let cars = format!("{CRDS}/cars.example.org");
    let release = json!({"spec": {"names": {"shortNames": []}}});
    assert_eq!(call(&c, Method::PATCH, &cars, &release).await.0, 200);
    established("bikes").await;
    assert!(!has(&c, "autos", "Established").await);
    assert_eq!(call(&c, Method::DELETE, &cars, &Value::Null).await.0, 200);
    established("autos").await;
    assert!(!has(&c, "vans", "Established").await);
    server.stop().await;
}
