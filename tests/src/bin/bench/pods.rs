//! Pod start beside the same container by bare CRI: the same containerd, image and network, in turns.
//!
//! Sandboxes without the agent's labels are none of its business, so both live side by side.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use hyper::Method;
use minicloud_cri::Client;
use minicloud_cri::v1::{
    ContainerConfig, ContainerMetadata, ImageSpec, LinuxContainerConfig,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
};
use minicloud_tests::Cluster;
use minicloud_tests::api::{Connection, Credentials, Watch};
use minicloud_tests::images::{self, BUSYBOX};
use minicloud_tests::processes::shims;
use serde_json::json;

use crate::monitoring;
use crate::process::{containerd, of_server, pss_mb};
use crate::table::{Row, THIS_RUN, Table, at, sorted};

const PODS: &str = "/api/v1/namespaces/default/pods";
/// Pods in a row, and pods at once.
const COUNT: usize = 20;
/// How many bare starts run at once; the agent allows itself as many.
const CLIENTS: usize = 8;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(180);
/// Between measurements, so that one's remains do not burden the next.
const PAUSE: Duration = Duration::from_millis(300);

/// As many as a node takes.
const FULL: usize = 110;

/// Both measurements, and those of monitoring with all the pods that a node takes.
///
/// # Errors
/// When a pod does not start.
pub async fn run(
    cluster: &Cluster,
    credentials: &Credentials,
    table: &mut Table,
) -> anyhow::Result<()> {
    cluster.import(&images::busybox(cluster.scratch()));
    let bench = Bench {
        credentials: credentials.clone(),
        cri: Client::new(&cluster.run_dir().join("containerd/containerd.sock")),
        logs: cluster.scratch().join("bare"),
    };
    in_a_row(&bench, table).await?;
    at_once(cluster, &bench, table).await?;
    bench.pods("full", FULL).await?;
    monitoring::run(cluster, credentials, FULL, table).await?;
    bench.remove_pods().await
}

struct Bench {
    credentials: Credentials,
    cri: Client,
    logs: std::path::PathBuf,
}

async fn in_a_row(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let (mut ours, mut bare, mut sandboxes) = (Vec::new(), Vec::new(), Vec::new());
    // The first of each warms up: programs and image come into memory.
    for pod in 0..=COUNT {
        ours.push(bench.pods(&format!("row-{pod}"), 1).await?);
        tokio::time::sleep(PAUSE).await;
        let started = Instant::now();
        sandboxes.push(bench.bare(format!("row-{pod}")).await?);
        bare.push(started.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(PAUSE).await;
    }
    bench.remove_bare(sandboxes).await?;
    bench.remove_pods().await?;
    let (ours, bare) = (sorted(ours.split_off(1)), sorted(bare.split_off(1)));
    let (p50, p99) = (at(&ours, 50), at(&ours, 99));
    let (bare_p50, bare_p99) = (at(&bare, 50), at(&bare, 99));
    table.add(Row {
        what: "pod start, image present, 20 in a row (create sent to Running at a watcher)",
        measured: format!(
            "p50 {p50:.0} ms, p99 {p99:.0} ms ({:.2} x bare p50)",
            p50 / bare_p50
        ),
        figures: vec![
            ("p50_ms", p50),
            ("p99_ms", p99),
            ("bare_p50_ms", bare_p50),
            ("bare_p99_ms", bare_p99),
            ("ratio", p50 / bare_p50),
        ],
        anchor: format!(
            "bare CRI p50 {bare_p50:.0} ms, p99 {bare_p99:.0} ms; Kubernetes' objective 5 s p99"
        ),
        source: THIS_RUN,
        aim: "p50 <= 1.5 x bare CRI, p99 <= 1 s".into(),
        met: Some(p50 <= 1.5 * bare_p50 && p99 <= 1000.0),
    });
    Ok(())
}

async fn at_once(cluster: &Cluster, bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        ours.push(bench.pods(&format!("once-{round}"), COUNT).await?);
        if round + 1 == ROUNDS {
            memory(cluster, table)?;
        }
        bench.remove_pods().await?;
        let started = Instant::now();
        let sandboxes = stream::iter(0..COUNT)
            .map(|pod| bench.bare(format!("once-{round}-{pod}")))
            .buffer_unordered(CLIENTS)
            .try_collect()
            .await?;
        bare.push(started.elapsed().as_secs_f64() * 1e3);
        bench.remove_bare(sandboxes).await?;
        tokio::time::sleep(PAUSE).await;
    }
    let (ours, bare) = (at(&sorted(ours), 50) / 1e3, at(&sorted(bare), 50) / 1e3);
    table.add(Row {
        what: "20 pods at once, all Running (median of 3)",
        measured: format!("{ours:.2} s ({:.2} x bare)", ours / bare),
        figures: vec![("s", ours), ("bare_s", bare), ("ratio", ours / bare)],
        anchor: format!("bare CRI with 8 clients {bare:.2} s"),
        source: THIS_RUN,
        aim: "<= 1.2 x bare CRI".into(),
        met: Some(ours <= 1.2 * bare),
    });
    Ok(())
}

fn memory(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let server = of_server(cluster, pss_mb)?;
    let engine = pss_mb(containerd(cluster)?)?;
    let pids = shims(cluster);
    ensure!(pids.len() == COUNT, "{} shims for {COUNT} pods", pids.len());
    let shims = pids
        .iter()
        .map(|pid| pss_mb(pid.cast_unsigned()))
        .sum::<anyhow::Result<f64>>()?;
    let all = server + engine + shims;
    table.add(Row {
        what: "whole site with 20 pods (PSS, without the pods' own)",
        measured: format!(
            "{all:.1} MB (server {server:.1}, containerd {engine:.1}, 20 shims {shims:.1})"
        ),
        figures: vec![
            ("pss_mb", all),
            ("server_pss_mb", server),
            ("containerd_pss_mb", engine),
            ("shims_pss_mb", shims),
        ],
        ..Row::default()
    });
    Ok(())
}

impl Bench {
    /// Creates pods at once; milliseconds until a watch has seen all of them run.
    async fn pods(&self, name: &str, count: usize) -> anyhow::Result<f64> {
        let mut connections: Vec<Connection> = Vec::new();
        for _ in 0..count {
            connections.push(self.credentials.connect().await?);
        }
        let list = connections[0].get(&format!("{PODS}?limit=1")).await?;
        let revision = list["metadata"]["resourceVersion"].as_str();
        let revision = revision.context("a list without a revision")?;
        let path = format!("{PODS}?watch=true&resourceVersion={revision}");
        let watch = self.credentials.connect().await?.watch(&path).await?;
        let started = Instant::now();
        let creates = connections
            .iter_mut()
            .enumerate()
            .map(async |(pod, connection)| {
                let body = pod_body(&format!("{name}-{pod}"));
                connection.ok(Method::POST, PODS, body).await
            });
        let creates = futures::future::try_join_all(creates);
        let running = tokio::time::timeout(PATIENCE, running(watch, count));
        let (_, running) = futures::join!(creates, running);
        let seen = running.with_context(|| format!("{name}: the pods do not run"))??;
        Ok(seen.duration_since(started).as_secs_f64() * 1e3)
    }

    /// Starts the same container with nothing between; returns its sandbox.
    async fn bare(&self, name: String) -> anyhow::Result<String> {
        let namespaces = NamespaceOption {
            pid: NamespaceMode::Container.into(),
            ..NamespaceOption::default()
        };
        let sandbox = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                uid: format!("bare-{name}"),
                name: name.clone(),
                namespace: "bare".into(),
                attempt: 0,
            }),
            hostname: name.clone(),
            log_directory: self.logs.join(&name).display().to_string(),
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(namespaces.clone()),
                    ..LinuxSandboxSecurityContext::default()
                }),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        };
        let container = ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: "main".into(),
                attempt: 0,
            }),
            image: Some(ImageSpec {
                image: BUSYBOX.into(),
                ..ImageSpec::default()
            }),
            command: vec!["sleep".into()],
            args: vec!["3600".into()],
            log_path: "main.log".into(),
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(namespaces),
                    ..LinuxContainerSecurityContext::default()
                }),
                ..LinuxContainerConfig::default()
            }),
            ..ContainerConfig::default()
        };
        make_dir(Path::new(&sandbox.log_directory))?;
        let id = self.cri.run_pod_sandbox(sandbox.clone(), "").await?;
        let container = self.cri.create_container(&id, container, sandbox).await?;
        self.cri.start_container(&container).await?;
        Ok(id)
    }

    async fn remove_bare(&self, sandboxes: Vec<String>) -> anyhow::Result<()> {
        stream::iter(sandboxes)
            .map(async |id| {
                self.cri.stop_pod_sandbox(&id).await?;
                self.cri.remove_pod_sandbox(&id).await
            })
            .buffer_unordered(CLIENTS)
            .try_collect::<()>()
            .await?;
        Ok(())
    }

    /// Deletes all pods and waits until the agent has given everything back.
    async fn remove_pods(&self) -> anyhow::Result<()> {
        let mut connection = self.credentials.connect().await?;
        connection.ok(Method::DELETE, PODS, Bytes::new()).await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = connection.get(PODS).await?;
            let sandboxes = self.cri.list_pod_sandbox(Default::default()).await?;
            if left["items"].as_array().is_some_and(Vec::is_empty) && sandboxes.is_empty() {
                tokio::time::sleep(PAUSE).await;
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{} sandboxes do not go",
                sandboxes.len()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn make_dir(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())
}

fn pod_body(name: &str) -> Bytes {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent",
            "command": ["sleep"], "args": ["3600"]}]}});
    pod.to_string().into()
}

/// Follows until so many different pods run; when the last was seen.
async fn running(mut watch: Watch, count: usize) -> anyhow::Result<Instant> {
    let mut names = std::collections::BTreeSet::new();
    loop {
        let event = watch.event().await?;
        let pod = &event["object"];
        if pod["status"]["phase"] == "Running"
            && let Some(name) = pod["metadata"]["name"].as_str()
        {
            names.insert(name.to_owned());
        }
        if names.len() == count {
            return Ok(Instant::now());
        }
    }
}
