//! CustomResourceDefinitions and what they define.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Server, call, eventually, send};

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
            const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
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
