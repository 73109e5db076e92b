//! A server of its own for each test: temporary folder, free port, own CA.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request};
use jiff::Timestamp;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use minicloud_api::part::{Shutdown, ShutdownTrigger};
use minicloud_apiserver::{ApiServer, Config, Limits, Running};
use minicloud_auth::pki::{self, CertSpec, Identity, Pki, ServerNames, ServingCert};
use minicloud_auth::token::{ServiceAccountTokens, default_issuer};
use minicloud_store::{Options, Store};
use serde_json::{Value, json};

/// The ConfigMaps that most tests are about.
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A ConfigMap of this name.
pub(crate) fn map(name: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"a": "b"}})
}

/// A running server with its keys.
pub(crate) struct Server {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) pki: Pki,
    pub(crate) store: Store,
    trigger: ShutdownTrigger,
    running: Option<Running>,
}

impl Server {
    /// Starts with the default limits.
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    /// Starts with these limits.
    pub(crate) async fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let pki = Pki::open(dir.path().join("pki"), Timestamp::now()).expect("a CA");
        let (store, running, trigger) = launch(dir.path(), &pki, limits).await;
        Self {
            dir,
            address: running.address(),
            pki,
            store,
            trigger,
            running: Some(running),
        }
    }

    /// Stops the server and starts it again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.trigger.shut_down();
        if let Some(running) = self.running.take() {
            running.wait().await;
        }
        self.store.close().await.expect("the store closes");
        let (store, running, trigger) = launch(self.dir.path(), &self.pki, Limits::default()).await;
        self.address = running.address();
        self.store = store;
        self.trigger = trigger;
        self.running = Some(running);
    }

    /// An identity of the cluster's CA.
    pub(crate) fn identity(&self, user: &str, groups: &[&str]) -> Identity {
        self.pki
            .issue(&CertSpec::client(user, groups.to_vec()), Timestamp::now())
            .expect("a certificate")
    }

    /// A kubeconfig for a user.
    pub(crate) fn kubeconfig(&self, user: &str, groups: &[&str]) -> String {
        let url = format!("https://127.0.0.1:{}", self.address.port());
        pki::kubeconfig(
            "test",
            &url,
            &self.pki.ca_pem(),
            user,
            &self.identity(user, groups),
        )
    }

    /// A kube client for an administrator.
    pub(crate) async fn admin(&self) -> kube::Client {
        self.client("admin", &["system:masters"]).await
    }

    /// A kube client for a user.
    pub(crate) async fn client(&self, user: &str, groups: &[&str]) -> kube::Client {
        let config = Kubeconfig::from_yaml(&self.kubeconfig(user, groups)).expect("a kubeconfig");
        client_of(config).await
    }

    /// A kube client with a token instead of a certificate, or with nothing.
    pub(crate) async fn with_token(&self, token: Option<&str>) -> kube::Client {
        let mut config =
            Kubeconfig::from_yaml(&self.kubeconfig("nobody", &[])).expect("a kubeconfig");
        for user in &mut config.auth_infos {
            user.auth_info = Some(AuthInfo {
                token: token.map(|t| t.to_owned().into()),
                ..AuthInfo::default()
            });
        }
        client_of(config).await
    }

    /// Shuts down and waits.
    pub(crate) async fn stop(mut self) {
        self.trigger.shut_down();
        if let Some(running) = self.running.take() {
            running.wait().await;
        }
        let _ = self.store.close().await;
    }
}

async fn client_of(config: Kubeconfig) -> kube::Client {
    let mut config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
        .await
        .expect("a client configuration");
    config.read_timeout = Some(Duration::from_secs(60));
    kube::Client::try_from(config).expect("a client")
}

async fn launch(dir: &Path, pki: &Pki, limits: Limits) -> (Store, Running, ShutdownTrigger) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let names = ServerNames {
        hostname: "test".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        service_ip: None,
        advertise_addresses: vec!["127.0.0.1".parse().expect("an address")],
        extra_names: Vec::new(),
    };
    let now = Timestamp::now();
    let serving = pki
        .ensure("apiserver", &CertSpec::api_server(&names), now)
        .expect("a certificate");
    let serving = ServingCert::new(&serving).expect("a serving certificate");
    let agent = pki.ensure(
        "agent-client",
        &CertSpec::client("system:apiserver-kubelet-client", ["system:masters"]),
        now,
    );
    let tokens = ServiceAccountTokens::open(&dir.join("sa"), default_issuer("cluster.local"), &[])
        .expect("keys");
    let ca = pki.ca_pem();
    let config = Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        advertise: "192.0.2.1:6443".parse().expect("an address"),
        tls: pki::server_config(serving, &ca, false, &["h2", "http/1.1"]).expect("TLS"),
        agent_tls: Some(
            pki::client_config(&ca, Some(&agent.expect("a certificate")), &[]).expect("TLS"),
        ),
        client_ca_pem: ca,
        tokens: Arc::new(tokens),
        service_range: "10.43.0.0/16".parse().expect("a range"),
        node_ports: 30000..=32767,
        cluster_domain: "cluster.local".to_owned(),
        extensions: Vec::new(),
        limits,
    };
    let store = Store::open(dir.join("store"), Options::default()).expect("a store");
    let (trigger, shutdown) = Shutdown::new();
    let running = ApiServer::start(config, store.clone(), shutdown)
        .await
        .expect("the server starts");
    (store, running, trigger)
}

/// One request; status code, headers and body.
pub(crate) async fn send(
    client: &kube::Client,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<String>,
) -> (u16, http::HeaderMap, String) {
    use http_body_util::BodyExt;
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(kube::client::Body::from(body.into().into_bytes()))
        .expect("a request");
    let answer = tokio::time::timeout(Duration::from_secs(20), client.send(request)).await;
    let answer = answer
        .unwrap_or_else(|_| panic!("no answer for {path}"))
        .expect("an answer");
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (
        parts.status.as_u16(),
        parts.headers,
        String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// One request with JSON both ways.
pub(crate) async fn call(
    client: &kube::Client,
    method: Method,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let patch = method == Method::PATCH;
    let kind = if patch {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let (code, _, body) = send(client, method, path, &[("content-type", kind)], text).await;
    (
        code,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    )
}

/// Polls until `check` gives something, for at most ten seconds.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "{what} did not come about in time"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
