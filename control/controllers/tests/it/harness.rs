//! A cluster of its own for each test: temporary folder, free port, own CA; controllers and scheduler as they run for real.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use minicloud_api::part::{Shutdown, ShutdownTrigger};
use minicloud_apiserver::{ApiServer, Limits, Running};
use minicloud_auth::pki::{self, CertSpec, Pki, ServerNames, ServingCert};
use minicloud_auth::token::{ServiceAccountTokens, default_issuer};
use minicloud_store::{Options, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json};

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running cluster.
pub(crate) struct Cluster {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) admin: Client,
    pki: Arc<Pki>,
    url: String,
    shutdown: Shutdown,
    trigger: ShutdownTrigger,
    running: Running,
    store: Store,
}

impl Cluster {
    /// Starts API server, controllers, scheduler and the stand-in for kubelets.
    pub(crate) async fn start() -> Self {
        let filter =
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_test_writer()
            .try_init();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().expect("a temporary folder");
        let pki = Arc::new(Pki::open(dir.path().join("pki"), Timestamp::now()).expect("a CA"));
        let (trigger, shutdown) = Shutdown::new();
        let store = Store::open(dir.path().join("store"), Options::default()).expect("a store");
        let running = api_server(dir.path(), &pki, store.clone(), shutdown.clone()).await;
        let url = format!("https://127.0.0.1:{}", running.address().port());
        let admin = client(&pki, &url, &CertSpec::admin()).await;
        let scheduler = minicloud_scheduler::Config {
            client: client(&pki, &url, &CertSpec::scheduler()).await,
            scheduler_name: "default-scheduler".into(),
        };
        tokio::spawn(minicloud_scheduler::run(scheduler, shutdown.clone()));
        let controllers = minicloud_controllers::Config {
            client: identities(pki.clone(), url.clone()),
            root_ca_pem: pki.ca_pem(),
            storage_dir: dir.path().join("storage"),
        };
        tokio::spawn(minicloud_controllers::run(controllers, shutdown.clone()));
        tokio::spawn(crate::kubelet::run(admin.clone()));
        let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "default");
        until(&accounts, "default", "pods can be made", |account| {
            !account.is_null()
        })
        .await;
        Self {
            dir,
            admin,
            pki,
            url,
            shutdown,
            trigger,
            running,
            store,
        }
    }

    /// Stops everything.
    pub(crate) async fn stop(self) {
        self.trigger.shut_down();
        self.running.wait().await;
        let _ = self.store.close().await;
    }

    /// An API as administrator, in the namespace `default`.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin.clone(), "default")
    }

    /// An API as administrator, of everything.
    pub(crate) fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.admin.clone())
    }

    /// A client with the identity of a node.
    pub(crate) async fn node_client(&self, name: &str) -> Client {
        client(&self.pki, &self.url, &CertSpec::node(name)).await
    }

    /// The signal that everything should end.
    pub(crate) fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Makes a ready node.
    pub(crate) async fn node(&self, name: &str, cpu: &str) {
        let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
        create::<Node>(&self.all(), node).await;
        let room = json!({"cpu": cpu, "memory": "64Gi", "pods": "2000"});
        let status = json!({"status": {"capacity": room, "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                "lastHeartbeatTime": Timestamp::now().to_string(), "lastTransitionTime": Timestamp::now().to_string()}]}});
        let nodes: Api<Node> = self.all();
        nodes
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .expect("a status");
    }
}

async fn api_server(dir: &Path, pki: &Pki, store: Store, shutdown: Shutdown) -> Running {
    let names = ServerNames {
        hostname: "test".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        service_ip: None,
        advertise_addresses: vec!["127.0.0.1".parse().expect("an address")],
        extra_names: Vec::new(),
    };
    let serving = pki
        .ensure(
            "api-server",
            &CertSpec::api_server(&names),
            Timestamp::now(),
        )
        .expect("a certificate");
    let serving = ServingCert::new(&serving).expect("a serving certificate");
    let tokens = ServiceAccountTokens::open(&dir.join("sa"), default_issuer("cluster.local"), &[])
        .expect("keys");
    let config = minicloud_apiserver::Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        advertise: "192.0.2.1:6443".parse().expect("an address"),
        tls: pki::server_config(serving, &pki.ca_pem(), false, &["h2", "http/1.1"]).expect("TLS"),
        agent_tls: None,
        client_ca_pem: pki.ca_pem(),
        tokens: Arc::new(tokens),
        service_range: "10.43.0.0/16".parse().expect("a range"),
        node_ports: 30000..=32767,
        cluster_domain: "cluster.local".to_owned(),
        extensions: Vec::new(),
        limits: Limits::default(),
    };
    ApiServer::start(config, store, shutdown)
        .await
        .expect("the server starts")
}

fn kubeconfig(pki: &Pki, url: &str, spec: &CertSpec) -> Kubeconfig {
    let identity = pki
        .issue(&spec.clone().in_memory(), Timestamp::now())
        .expect("a certificate");
    Kubeconfig::from_yaml(&pki::kubeconfig(
        "test",
        url,
        &pki.ca_pem(),
        "user",
        &identity,
    ))
    .expect("a kubeconfig")
}

async fn client(pki: &Pki, url: &str, spec: &CertSpec) -> Client {
    let config = kubeconfig(pki, url, spec);
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a configuration")).expect("a client")
}

fn identities(pki: Arc<Pki>, url: String) -> minicloud_controllers::ClientFor {
    Arc::new(move |name| {
        let spec = match name {
            "system:kube-controller-manager" => CertSpec::controller_manager(),
            name => CertSpec::controller(name),
        };
        // The configuration reads no files and asks nobody, so this does not wait.
        client(&pki, &url, &spec)
            .now_or_never()
            .expect("a client without waiting")
    })
}

/// Creates an object given as JSON.
pub(crate) async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let object: K = from_value(object).expect("an object of its kind");
    api.create(&PostParams::default(), &object)
        .await
        .expect("created")
}

/// Merges a patch.
pub(crate) async fn patch<K>(api: &Api<K>, name: &str, patch: Value) -> K
where
    K: Clone + Debug + DeserializeOwned,
{
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .expect("patched")
}

/// Deletes.
pub(crate) async fn delete<K>(api: &Api<K>, name: &str, options: &DeleteParams)
where
    K: Clone + Debug + DeserializeOwned,
{
    api.delete(name, options).await.expect("deleted");
}

/// All objects that an API shows.
pub(crate) async fn list<K>(api: &Api<K>) -> Vec<K>
where
    K: Clone + Debug + DeserializeOwned,
{
    api.list(&ListParams::default())
        .await
        .expect("a list")
        .items
}

/// Waits until `test` answers with something, or fails saying what was waited for and what there was last.
pub(crate) async fn eventually<T>(
    what: &str,
    mut test: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match test().await {
            Ok(value) => return value,
            Err(last) if start.elapsed() > DEADLINE => {
                panic!("waited in vain until {what}; last: {last}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Waits until an object, as JSON, satisfies `test`.
pub(crate) async fn until<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    test: impl Fn(&Value) -> bool,
) -> Value
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    eventually(what, async || {
        let object = api.get_opt(name).await.map_err(|e| e.to_string())?;
        let value = serde_json::to_value(object).map_err(|e| e.to_string())?;
        if test(&value) {
            Ok(value)
        } else {
            Err(value.to_string())
        }
    })
    .await
}

/// Waits until an object is gone.
pub(crate) async fn until_gone<K>(api: &Api<K>, name: &str)
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    until(api, name, &format!("{name} is gone"), Value::is_null).await;
}

/// A dynamic API, for custom resources.
pub(crate) fn dynamic(
    client: &Client,
    group: &str,
    kind: &str,
    plural: &str,
) -> Api<DynamicObject> {
    let gvk = kube::core::GroupVersionKind::gvk(group, "v1", kind);
    let resource = kube::api::ApiResource::from_gvk_with_plural(&gvk, plural);
    Api::namespaced_with(client.clone(), "default", &resource)
}
