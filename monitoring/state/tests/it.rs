//! `/metrics/state` from a real API server, listed by the identity that does it in a cluster; and from one that misbehaves.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::api::{DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use minicloud_api::part::Shutdown;
use minicloud_apiserver::ApiServer;
use minicloud_auth::pki::{self, CertSpec, Pki, ServerNames, ServingCert};
use minicloud_auth::token::{ServiceAccountTokens, default_issuer};
use minicloud_store::{Options, Store};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Status and body; an error is a body that was broken off.
async fn scrape(client: Client) -> (StatusCode, Result<String, String>) {
    let request = Request::get("/metrics/state").body(Body::empty()).unwrap();
    let routes = minicloud_state::part::part(client).routes;
    let answer = routes.oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await;
    let body = body.map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap());
    (status, body.map_err(|e| e.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_told_page_by_page_and_no_secret() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let pki = Pki::open(dir.path().join("pki"), now).unwrap();
    let serving = CertSpec::api_server(&ServerNames::default());
    let serving = ServingCert::new(&pki.ensure("server", &serving, now).unwrap()).unwrap();
    let issuer = default_issuer("cluster.local");
    let tokens = ServiceAccountTokens::open(&dir.path().join("sa"), issuer, &[]).unwrap();
    let config = minicloud_apiserver::Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: "192.0.2.1:6443".parse().unwrap(),
        tls: pki::server_config(serving, &pki.ca_pem(), false, &["h2"]).unwrap(),
        agent_tls: None,
        client_ca_pem: pki.ca_pem(),
        tokens: Arc::new(tokens),
        service_range: "10.43.0.0/16".parse().unwrap(),
        node_ports: 30000..=32767,
        cluster_domain: "cluster.local".to_owned(),
        extensions: Vec::new(),
        limits: minicloud_apiserver::Limits::default(),
    };
    let store = Store::open(dir.path().join("store"), Options::default()).unwrap();
    let (trigger, shutdown) = Shutdown::new();
    let running = ApiServer::start(config, store.clone(), shutdown)
        .await
        .unwrap();
    let url = format!("https://127.0.0.1:{}", running.address().port());
    let client = async |spec: &CertSpec| {
        let identity = pki.issue(spec, now).unwrap();
        let text = pki::kubeconfig("test", &url, &pki.ca_pem(), "user", &identity);
        let config = Kubeconfig::from_yaml(&text).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    };
    let admin = client(&CertSpec::admin()).await;
    let create = async |kind: &str, object: Value| {
        let (group, kind) = kind.rsplit_once('/').unwrap_or(("", kind));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        let api: Api<DynamicObject> = match object.pointer("/metadata/namespace") {
            Some(_) => Api::namespaced_with(admin.clone(), "web", &resource),
            None => Api::all_with(admin.clone(), &resource),
        };
        let object = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object)
            .await
            .unwrap_or_else(|e| panic!("{kind}: {e}"));
    };
    create("Namespace", json!({ "metadata": { "name": "web" } })).await;
    create("Node", json!({ "metadata": { "name": "edge-1" } })).await;
    create(
        "Secret",
        json!({ "metadata": { "name": "db", "namespace": "web" }, "type": "example.org/db",
            "stringData": { "password": "hunter2" } }),
    )
    .await;
    create(
        "Service",
        json!({ "metadata": { "name": "web", "namespace": "web" }, "spec": { "ports": [{ "port": 80 }] } }),
    )
    .await;
    create(
        "coordination.k8s.io/Lease",
        json!({ "metadata": { "name": "leader", "namespace": "web" }, "spec": { "holderIdentity": "a" } }),
    )
    .await;
    let template = json!({ "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    create(
        "apps/Deployment",
        json!({ "metadata": { "name": "web", "namespace": "web" }, "spec": {
            "selector": { "matchLabels": { "app": "web" } }, "template": template } }),
    )
    .await;
    // More than two pages.
    for number in 0..250 {
        let name = format!("map-{number}");
        let metadata = json!({ "name": name, "namespace": "web" });
        create(
            "ConfigMap",
            json!({ "metadata": metadata, "data": { "k": "hunter3" } }),
        )
        .await;
    }

    let state = client(&CertSpec::state_metrics()).await;
    let (status, text) = scrape(state.clone()).await;
    let text = text.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    for line in [
        "kube_namespace_status_phase{namespace=\"web\",phase=\"Active\"} 1",
        "kube_secret_type{namespace=\"web\",secret=\"db\",type=\"example.org/db\"} 1",
        "kube_deployment_spec_replicas{namespace=\"web\",deployment=\"web\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}: {text:.3000}");
    }
    for start in [
        "kube_node_info{node=\"edge-1\"",
        "kube_service_info{namespace=\"web\",service=\"web\"",
        "kube_lease_owner{lease=\"leader\"",
        "kube_secret_metadata_resource_version{namespace=\"web\",secret=\"db\"} ",
    ] {
        assert!(
            text.lines().any(|l| l.starts_with(start)),
            "{start}: {text:.3000}"
        );
    }
    let maps = |l: &&str| l.starts_with("kube_configmap_info{namespace=\"web\",configmap=\"map-");
    assert_eq!(text.lines().filter(maps).count(), 250);
    assert!(!text.contains("hunter"), "{text:.3000}");
    // One scrape is one exposition: a family is in one place.
    let types = text.lines().filter(|l| l.starts_with("# TYPE"));
    let mut names: Vec<_> = types.map(|l| l.split(' ').nth(2).unwrap()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);

    // Somebody without the right is told which one is missing.
    let (status, text) = scrape(client(&CertSpec::listener()).await).await;
    let text = text.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("configmaps may not be listed"), "{text}");
    assert!(text.contains("system:minicloud-state"), "{text}");

    trigger.shut_down();
    running.wait().await;
    let (status, text) = scrape(state).await;
    let text = text.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("did not answer"), "{text}");
    store.close().await.unwrap();
}

/// Requests that an API answered: path, and what was accepted.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A client of an API that answers every list with `answer`.
async fn misbehaving(answer: fn(&str) -> (StatusCode, Value)) -> (Client, Asked) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let asked = Asked::default();
    let recorded = asked.clone();
    let routes = Router::new().fallback(async move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        let accept = request.headers().get(header::ACCEPT);
        let accept = accept.map_or("", |a| a.to_str().unwrap()).to_owned();
        let (status, body) = answer(&path);
        recorded.lock().unwrap().push((path, accept));
        (status, axum::Json(body)).into_response()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let config = kube::Config::new(url.parse().unwrap());
    (Client::try_from(config).unwrap(), asked)
}

/// Content of Secrets and ConfigMaps is not even asked for; a scrape that cannot be finished does not look finished.
#[tokio::test]
async fn what_is_secret_is_not_asked_for_and_half_an_answer_is_broken_off() {
    let (client, asked) = misbehaving(|path| match path {
        "/api/v1/services" => (StatusCode::INTERNAL_SERVER_ERROR, json!({})),
        "/api/v1/secrets" => (
            StatusCode::OK,
            json!({ "columnDefinitions": [{ "name": "Name" }, { "name": "Type" }], "rows": [] }),
        ),
        _ => (
            StatusCode::OK,
            json!({ "items": [{ "metadata": { "name": "a", "namespace": "b" } }] }),
        ),
    })
    .await;
    let (status, body) = scrape(client).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.unwrap_err().contains("services were not listed"));
    for (path, form) in [
        ("/api/v1/secrets", "as=Table;"),
        ("/api/v1/configmaps", "as=PartialObjectMetadataList;"),
    ] {
        let asked = asked.lock().unwrap();
        let (_, accept) = asked.iter().find(|(p, _)| p == path).unwrap();
        assert!(accept.contains(form), "{path}: {accept}");
    }

    let (client, _) = misbehaving(|_| (StatusCode::OK, json!({ "hello": "world" }))).await;
    let (status, body) = scrape(client).await;
    let body = body.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert!(body.contains("is it a Kubernetes API?"), "{body}");
}
