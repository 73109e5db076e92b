//! An agent on its bench.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use minicloud_agent::runtime::PodRuntime;
use minicloud_agent::{Agent, AgentError, Config, ServerTls};
use minicloud_api::part::{Shutdown, ShutdownTrigger};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::sim::Sim;

/// How long anything may take: a busy machine, a debug build.
pub const LONGEST: Duration = Duration::from_secs(30);

pub struct Bench {
    pub api: Arc<Api>,
    pub sim: Arc<Sim>,
    pub pki: Pki,
    /// On a tmpfs, so that nothing has to be mounted.
    dir: tempfile::TempDir,
    agent: Option<Running>,
}

impl Bench {
    /// With a running agent.
    pub async fn new() -> Self {
        let mut bench = Self {
            api: Api::new(),
            sim: Sim::new(),
            pki: Pki::new(),
            dir: tempfile::Builder::new()
                .prefix("mct-")
                .tempdir_in("/dev/shm")
                .expect("a tmpfs"),
            agent: None,
        };
        bench.start();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn start(&mut self) {
        self.agent = Some(start(
            self.dir.path(),
            &self.pki,
            self.sim.clone(),
            &self.api,
        ));
    }

    pub async fn stop(&mut self) {
        stop(self.agent.take().expect("an agent runs")).await;
    }

    /// Waits until `look` gives something.
    #[track_caller]
    pub fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> Option<T>,
    ) -> impl Future<Output = T> {
        let until = tokio::time::Instant::now() + LONGEST;
        async move {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                assert!(tokio::time::Instant::now() < until, "never: {what}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Waits until a pod's object passes `test`; gives the object.
    pub async fn pod(&self, name: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        self.api.until_pod(name, what, test).await
    }

    pub async fn ready(&self, name: &str) -> Value {
        self.pod(name, "ready", |p| condition(p, "Ready") == "True")
            .await
    }

    pub async fn waiting(&self, name: &str, reason: &str) -> Value {
        self.pod(name, reason, |p| waiting(p) == reason).await
    }

    pub async fn gone(&self, name: &str) {
        self.pod(name, "gone", Value::is_null).await;
    }
}

/// An agent at work.
pub type Running = (ShutdownTrigger, JoinHandle<Result<(), AgentError>>);

/// Starts an agent with its folders beneath `dir`.
pub fn start(dir: &Path, pki: &Pki, runtime: Arc<dyn PodRuntime>, api: &Arc<Api>) -> Running {
    let mut config = Config::new("node-1", pki.server());
    config.addresses = vec![[127, 0, 0, 1].into()];
    config.data_dir = dir.join("data");
    config.run_dir = dir.join("run");
    config.log_dir = dir.join("logs");
    config.listen = ([127, 0, 0, 1], 0).into();
    config.pod_cidr = Some("10.42.0.0/24".into());
    config.offline_after = Duration::from_millis(300);
    let (trigger, shutdown) = Shutdown::new();
    let agent = Agent::new(config, runtime, api.client());
    (trigger, tokio::spawn(agent.run(shutdown)))
}

/// Ends an agent; what it runs goes on.
pub async fn stop((trigger, running): Running) {
    trigger.shut_down();
    tokio::time::timeout(LONGEST, running)
        .await
        .expect("stops")
        .expect("runs")
        .expect("well");
}

pub fn condition(pod: &Value, kind: &str) -> String {
    let all = pod["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found = all.iter().find(|c| c["type"] == kind);
    found
        .and_then(|c| c["status"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// Why the first container waits.
pub fn waiting(pod: &Value) -> String {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A cluster's certificates.
pub struct Pki {
    ca: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub ca_pem: String,
}

impl Pki {
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let ca_pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            ca: rcgen::Issuer::new(params, key),
            ca_pem,
        }
    }

    /// Certificate and key.
    pub fn issue(&self, name: &str, usage: rcgen::ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params =
            rcgen::CertificateParams::new(vec!["localhost".into()]).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = params
            .signed_by(&key, &self.ca)
            .expect("a certificate")
            .pem();
        (pem, key.serialize_pem())
    }

    fn server(&self) -> ServerTls {
        let (certificate, key) = self.issue("node-1", rcgen::ExtendedKeyUsagePurpose::ServerAuth);
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).expect("they fit");
        ServerTls {
            serving: Arc::new(SingleCertAndKey::from(key)),
            client_ca: self.ca_pem.clone(),
            allowed_names: vec!["kube-apiserver".into()],
            allowed_groups: Vec::new(),
        }
    }
}
