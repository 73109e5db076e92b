//! A real API server, a listener in front of it, and a client that speaks plain HTTP over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use futures::FutureExt;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use minicloud_api::part::{Need, Part, Permission, Shutdown, ShutdownTrigger};
use minicloud_api::user::UserInfo;
use minicloud_apiserver::{ApiServer, Running};
use minicloud_auth::pki::{self, CertSpec, Identity, Pki, ServerNames, ServingCert};
use minicloud_auth::token::{ServiceAccountTokens, default_issuer};
use minicloud_listener::{Config, Limits};
use minicloud_store::{Options, Store};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// Everything that a test needs; ends when dropped.
pub(crate) struct Cluster {
    _dir: tempfile::TempDir,
    pub(crate) pki: Pki,
    pub(crate) admin: kube::Client,
    api_url: String,
    pub(crate) address: SocketAddr,
    /// How often the part `test` was started.
    pub(crate) starts: Arc<AtomicU32>,
    api: ShutdownTrigger,
    api_running: Option<Running>,
    listener: ShutdownTrigger,
    serving: JoinHandle<()>,
    store: Store,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }

    /// A problem body with this status; `detail` is part of its detail.
    pub(crate) fn is_problem(&self, status: u16, detail: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(
            problem["detail"].as_str().unwrap().contains(detail),
            "{problem}"
        );
        assert_eq!(
            problem["request_id"].as_str().unwrap(),
            self.header("x-request-id")
        );
    }
}

/// A part that shows what a handler sees and does what a handler may do wrong.
fn test_part(starts: Arc<AtomicU32>) -> Part {
    let whoami = |user: axum::Extension<UserInfo>, headers: HeaderMap| async move {
        axum::Json(
            json!({ "user": user.0.username, "groups": user.0.groups, "credentials": headers.contains_key("authorization") }),
        )
    };
    /// The credentials that a part sees.
    async fn credentials(headers: http::HeaderMap) -> String {
        let header = headers.get(http::header::AUTHORIZATION);
        header.map_or("none".into(), |value| format!("{value:?}"))
    }

    async fn panics() {
        panic!("a bug");
    }
    Part {
        name: "test",
        routes: Router::new()
            .route("/v1/whoami", get(whoami))
            .route("/v1/web/maps/{name}", get(async || "a map"))
            .route("/v1/open", get(credentials))
            .route("/v1/passed-on", get(credentials))
            .route("/v1/panic", get(panics))
            .route(
                "/v1/slow",
                get(async || tokio::time::sleep(Duration::from_secs(60)).await),
            )
            .route("/v1/echo", post(async |body: axum::body::Bytes| body))
            .route("/v1/json", post(async |_: axum::Json<Value>| "ok")),
        permit: Arc::new(|request| {
            match request.uri.path() {
                "/v1/open" => return Need::Nothing,
                "/v1/passed-on" => return Need::Credentials,
                _ => {}
            }
            let map = request.uri.path().strip_prefix("/v1/web/maps/");
            map.map_or(Need::cluster("get", "", "namespaces"), |name| {
                Need::Resource(Permission {
                    namespace: Some("web".into()),
                    name: Some(name.into()),
                    ..Permission::cluster("get", "", "configmaps")
                })
            })
        }),
        openapi: json!({ "paths": { "/v1/whoami": { "get": { "responses": { "200": { "description": "you" } } } } } }),
        metrics: Arc::new(|| "test_metric 1\n".to_owned()),
        run: Some(Arc::new(move |mut shutdown| {
            let start = starts.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(start > 0, "fails once");
                shutdown.wait().await;
            }
            .boxed()
        })),
    }
}

async fn client(url: &str, pki: &Pki, spec: &CertSpec) -> kube::Client {
    let identity = pki.issue(spec, Timestamp::now()).unwrap();
    let text = pki::kubeconfig("test", url, &pki.ca_pem(), "user", &identity);
    let config = Kubeconfig::from_yaml(&text).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    let mut config = config.unwrap();
    // Refusals are to be seen.
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::with(Limits {
            grace: Duration::from_secs(2),
            ..Limits::default()
        })
        .await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let pki = Pki::open(dir.path().join("pki"), now).unwrap();
        let serving = pki
            .ensure(
                "server",
                &CertSpec::api_server(&ServerNames::default()),
                now,
            )
            .unwrap();
        let serving = ServingCert::new(&serving).unwrap();
        let tls = pki::server_config(serving, &pki.ca_pem(), false, &["h2", "http/1.1"]).unwrap();
        let tokens = ServiceAccountTokens::open(
            &dir.path().join("sa"),
            default_issuer("cluster.local"),
            &[],
        )
        .unwrap();
        // The API server is told where the listener will be.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let aggregator = pki.issue(&CertSpec::aggregator(), now).unwrap();
        let to_listener = pki::client_config(&pki.ca_pem(), Some(&aggregator), &[]).unwrap();
        let extensions = crate::extensions::groups().map(|group| minicloud_apiserver::Extension {
            group,
            authority: address.to_string().parse().unwrap(),
            tls: to_listener.clone(),
        });
        let config = minicloud_apiserver::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: "192.0.2.1:6443".parse().unwrap(),
            tls: tls.clone(),
            agent_tls: None,
            client_ca_pem: pki.ca_pem(),
            tokens: Arc::new(tokens),
            service_range: "10.43.0.0/16".parse().unwrap(),
            node_ports: 30000..=32767,
            cluster_domain: "cluster.local".to_owned(),
            extensions: extensions.into(),
            limits: minicloud_apiserver::Limits::default(),
        };
        let store = Store::open(dir.path().join("store"), Options::default()).unwrap();
        let (api, shutdown) = Shutdown::new();
        let running = ApiServer::start(config, store.clone(), shutdown)
            .await
            .unwrap();
        let api_url = format!("https://127.0.0.1:{}", running.address().port());
        let admin = client(&api_url, &pki, &CertSpec::admin()).await;
        let own = client(&api_url, &pki, &CertSpec::listener()).await;
        let starts = Arc::new(AtomicU32::new(0));
        let parts = vec![
            minicloud_listener::status::part(own.clone(), "0.0.0-test", Vec::new()),
            test_part(starts.clone()),
            crate::extensions::part(),
        ];
        let config = Config {
            addresses: vec![address],
            tls,
            version: "0.0.0-test".to_owned(),
            limits,
        };
        let bound = minicloud_listener::bind(config, own, parts).await.unwrap();
        let (listener, shutdown) = Shutdown::new();
        let serving = tokio::spawn(bound.run(shutdown));
        Self {
            _dir: dir,
            pki,
            admin,
            api_url,
            address,
            starts,
            api,
            api_running: Some(running),
            listener,
            serving,
            store,
        }
    }

    pub(crate) fn identity(&self, user: &str, groups: &[&str]) -> Identity {
        self.pki
            .issue(&CertSpec::client(user, groups.to_vec()), Timestamp::now())
            .unwrap()
    }

    /// The certificate of an administrator.
    pub(crate) fn root(&self) -> Identity {
        self.identity("root", &["system:masters"])
    }

    /// One request over a connection of its own.
    pub(crate) async fn send(
        &self,
        identity: Option<&Identity>,
        request: Request<String>,
    ) -> Answer {
        self.try_send(identity, request, &["http/1.1"])
            .await
            .unwrap_or_else(|e| panic!("no answer: {e}"))
    }

    pub(crate) async fn try_send(
        &self,
        identity: Option<&Identity>,
        request: Request<String>,
        alpn: &[&str],
    ) -> Result<Answer, Box<dyn std::error::Error>> {
        let tls = pki::client_config(&self.pki.ca_pem(), identity, alpn)?;
        let stream = TcpStream::connect(self.address).await?;
        let stream = TlsConnector::from(tls)
            .connect("localhost".try_into()?, stream)
            .await?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let request = request.map(|body| Full::new(axum::body::Bytes::from(body)));
        let io = TokioIo::new(stream);
        let answer = if h2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        };
        let (head, body) = answer.into_parts();
        let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    pub(crate) async fn get(&self, identity: Option<&Identity>, path: &str) -> Answer {
        self.send(identity, request("GET", path, "", &[])).await
    }

    pub(crate) async fn with_token(&self, token: &str, path: &str) -> Answer {
        self.send(
            None,
            request(
                "GET",
                path,
                "",
                &[("authorization", &format!("Bearer {token}"))],
            ),
        )
        .await
    }

    pub(crate) async fn stop_api(&mut self) {
        self.api.shut_down();
        if let Some(running) = self.api_running.take() {
            running.wait().await;
        }
    }

    /// A kube client for a user.
    pub(crate) async fn client(&self, user: &str, groups: &[&str]) -> kube::Client {
        client(
            &self.api_url,
            &self.pki,
            &CertSpec::client(user, groups.to_vec()),
        )
        .await
    }

    /// Ends the listener alone.
    pub(crate) async fn stop_listener(&mut self) {
        self.listener.shut_down();
        let serving = std::mem::replace(&mut self.serving, tokio::spawn(async {}));
        serving.await.unwrap();
    }

    /// Shuts the listener down; how long it took.
    pub(crate) async fn stop(mut self) -> Duration {
        let start = std::time::Instant::now();
        self.listener.shut_down();
        self.serving.await.unwrap();
        let took = start.elapsed();
        self.api.shut_down();
        if let Some(running) = self.api_running.take() {
            running.wait().await;
        }
        self.store.close().await.unwrap();
        took
    }
}

/// A request; `host` is set.
pub(crate) fn request(
    method: &str,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Request<String> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.to_owned()).unwrap()
}

/// Polls until `check` holds, for at most 20 seconds.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !check().await {
        assert!(
            std::time::Instant::now() < deadline,
            "{what} did not come about"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
