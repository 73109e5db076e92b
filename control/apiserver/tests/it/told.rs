//! What the server tells about itself: health checks and metrics.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{MAPS, Server, call, eventually, map, send};

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_one_by_one_and_together() {
    let server = Server::start().await;
    let c = server.admin().await;
    let check = async |path: &str, expect: (u16, &str)| {
        let (code, _, body) = send(&c, Method::GET, path, &[], "").await;
        assert_eq!((code, body.as_str()), expect, "{path}");
    };
    let all = "[+]ping ok\n[+]store ok\n";
    check("/livez", (200, "ok")).await;
    check(
        "/livez?verbose",
        (200, &format!("{all}livez check passed\n")),
    )
    .await;
    let ready = format!("{all}[+]shutdown ok\nreadyz check passed\n");
    check("/readyz?verbose", (200, &ready)).await;
    check("/livez/ping?verbose", (200, "ok")).await;
    check("/readyz/etcd", (200, "ok")).await;
    check("/livez/shutdown", (404, "404 page not found\n")).await;
    let excluded = "[+]ping excluded: ok\n[+]store ok\n\
        warn: some health checks cannot be excluded: no matches for \"x\"\nlivez check passed\n";
    check("/livez?verbose&exclude=ping&exclude=x", (200, excluded)).await;
    server.store.close().await.unwrap();
    let failed = "[+]ping ok\n[-]store failed: reason withheld\nlivez check failed\n";
    check("/livez", (500, failed)).await;
    check("/livez?exclude=etcd", (200, "ok")).await;
    check("/livez/ping", (200, "ok")).await;
    let reason = "internal server error: the store is closed\n";
    for path in ["/livez/store", "/livez/etcd", "/readyz/etcd"] {
        check(path, (500, reason)).await;
    }
    server.stop().await;
}

/// The value of a series; its labels may be given in any order and in part.
fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = text.lines().filter(|line| {
        line.starts_with(&format!("{name}{{"))
            && labels
                .iter()
                .all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
    });
    let line = found.next()?;
    assert_eq!(found.next(), None, "{name} {labels:?} is ambiguous");
    line.rsplit_once(' ')?.1.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_labels_of_kubernetes() {
    let server = Server::start().await;
    let c = server.admin().await;
    let metrics = async || send(&c, Method::GET, "/metrics", &[], "").await.2;
    assert_eq!(call(&c, Method::POST, MAPS, &map("m")).await.0, 201);
    assert_eq!(call(&c, Method::GET, MAPS, &Value::Null).await.0, 200);
    let odd = "/apis/odd.example.org/v1/things";
    assert_eq!(call(&c, Method::GET, odd, &Value::Null).await.0, 404);
    let watch = http::Request::builder()
        .uri(format!("{MAPS}?watch=1"))
        .body(kube::client::Body::empty())
        .unwrap();
    let watch = c.send(watch).await.unwrap();
    let text = metrics().await;
    let of_maps = [
        ("component", "apiserver"),
        ("group", ""),
        ("version", "v1"),
        ("resource", "configmaps"),
        ("subresource", ""),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&of_maps, more].concat();
    let count = |more: &[(&'static str, &'static str)]| {
        value(&text, "apiserver_request_total", &with(more))
    };
    let posted = [
        ("verb", "POST"),
        ("scope", "resource"),
        ("dry_run", ""),
        ("code", "201"),
    ];
    assert_eq!(count(&posted), Some(1.0), "{text}");
    let listed = [("verb", "LIST"), ("scope", "namespace"), ("code", "200")];
    assert_eq!(count(&listed), Some(1.0), "{text}");
    let watched = [("verb", "WATCH"), ("scope", "namespace")];
    assert_eq!(count(&watched), Some(1.0), "{text}");
    let took = with(&[("verb", "LIST"), ("le", "60")]);
    for name in ["request_duration_seconds", "request_sli_duration_seconds"] {
        let name = format!("apiserver_{name}_bucket");
        assert_eq!(value(&text, &name, &took), Some(1.0), "{text}");
    }
    let open = "apiserver_longrunning_requests";
    assert_eq!(value(&text, open, &with(&watched)), Some(1.0), "{text}");
    let kinds = text
        .lines()
        .filter(|l| l.starts_with("apiserver_current_inflight_requests{"));
    assert_eq!(kinds.count(), 2, "{text}");
    // This very request.
    let reading = [("request_kind", "readOnly")];
    let reading = value(&text, "apiserver_current_inflight_requests", &reading);
    assert_eq!(reading, Some(1.0), "{text}");
    assert!(!text.contains("odd.example.org"), "{text}");
    drop(watch);
    eventually("the watch's end", async || {
        let text = metrics().await;
        (value(&text, open, &with(&watched)) == Some(0.0)).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_counted_once_for_all_versions_of_their_resource() {
    let server = Server::start().await;
    let c = server.admin().await;
    let version = |name: &str| json!({"name": name, "served": true, "storage": name == "v1", "schema": {"openAPIV3Schema": {"type": "object"}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org", "scope": "Cluster", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version("v1"), version("v2")],
        },
    });
    const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, made) = call(&c, Method::POST, CRDS, &definition).await;
    assert_eq!(code, 201, "{made}");
    let widget =
        json!({"apiVersion": "example.org/v2", "kind": "Widget", "metadata": {"name": "w"}});
    let widgets = "/apis/example.org/v2/widgets";
    assert_eq!(call(&c, Method::POST, widgets, &widget).await.0, 201);
    let (_, _, text) = send(&c, Method::GET, "/metrics", &[], "").await;
    // Fails when there are two of them.
    let labels = [("resource", "widgets.example.org")];
    let objects = value(&text, "apiserver_storage_objects", &labels);
    assert_eq!(objects, Some(1.0), "{text}");
    let labels = [("group", "example.org"), ("resource", "widgets")];
    let objects = value(&text, "apiserver_resource_objects", &labels);
    assert_eq!(objects, Some(1.0), "{text}");
    server.stop().await;
}
