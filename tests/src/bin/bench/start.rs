//! Start to ready, and what an idle server takes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use hyper::Method;
use k8s_openapi::jiff::Timestamp;
use minicloud_tests::Cluster;
use minicloud_tests::api::Credentials;
use minicloud_tests::processes::prometheus;
use serde_json::Value;

use crate::process::{containerd, cpu_seconds, of_server, pss_mb, rss_mb, written_bytes};
use crate::table::{PUBLISHED, Row, SUCH_A_HOST, Table};

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the server; seconds until `/readyz` says so, and until a watch shows its node ready.
///
/// # Errors
/// When it does not become ready.
pub async fn start(cluster: &mut Cluster) -> anyhow::Result<(f64, f64, Credentials)> {
    let (started, clock) = (Instant::now(), Timestamp::now());
    cluster.start_server();
    let credentials = ready(&cluster.kubeconfig()).await?;
    let api = started.elapsed().as_secs_f64();
    tokio::time::timeout(PATIENCE, node_ready(&credentials, clock)).await??;
    Ok((api, started.elapsed().as_secs_f64(), credentials))
}

async fn ready(kubeconfig: &Path) -> anyhow::Result<Credentials> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let attempt = async {
            let credentials = Credentials::read(kubeconfig)?;
            let mut connection = credentials.connect().await?;
            connection.ok(Method::GET, "/readyz", Bytes::new()).await?;
            anyhow::Ok(credentials)
        };
        match attempt.await {
            Ok(credentials) => return Ok(credentials),
            Err(error) if Instant::now() > deadline => return Err(error.context("not ready")),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// After a restart the node is ready from before; what counts is what the agent reported since `started`.
async fn node_ready(credentials: &Credentials, started: Timestamp) -> anyhow::Result<()> {
    let nodes = credentials.connect().await?;
    let mut nodes = nodes.watch("/api/v1/nodes?watch=true").await?;
    while !is_ready(&nodes.event().await?["object"], started) {}
    Ok(())
}

fn is_ready(node: &Value, since: Timestamp) -> bool {
    let heartbeat = |c: &Value| c["lastHeartbeatTime"].as_str()?.parse::<Timestamp>().ok();
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| {
        // Times in objects are whole seconds.
        let fresh = heartbeat(c).is_some_and(|at| at.as_second() >= since.as_second());
        c["type"] == "Ready" && c["status"] == "True" && fresh
    })
}

/// Waits `seconds` with nothing to do and reports what that cost.
///
/// # Errors
/// When the server is gone.
pub fn idle(cluster: &Cluster, seconds: f64, table: &mut Table) -> anyhow::Result<()> {
    // What the start left to do is over by then.
    std::thread::sleep(Duration::from_secs(15));
    let prometheus = prometheus(cluster)
        .context("Prometheus does not run")?
        .cast_unsigned();
    let cpu_before = (of_server(cluster, cpu_seconds)?, cpu_seconds(prometheus)?);
    let written_before = (
        of_server(cluster, written_bytes)?,
        written_bytes(prometheus)?,
    );
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let part = |after: f64, before: f64| (after - before) / seconds * 100.0;
    let cpu = part(of_server(cluster, cpu_seconds)?, cpu_before.0);
    let prometheus_cpu = part(cpu_seconds(prometheus)?, cpu_before.1);
    let rate = |after: f64, before: f64| (after - before) / seconds / 1024.0;
    let writes = rate(of_server(cluster, written_bytes)?, written_before.0);
    let prometheus_writes = rate(written_bytes(prometheus)?, written_before.1);
    let memory = of_server(cluster, pss_mb)?;
    let engine = containerd(cluster)?;
    let (engine, engine_rss) = (pss_mb(engine)?, rss_mb(engine)?);
    let measuring = pss_mb(prometheus)?;
    let all = memory + engine + measuring;
    table.add(Row {
        what: "server memory, no workload (control plane, agent and cluster DNS, PSS)",
        measured: format!("{memory:.1} MB"),
        figures: vec![("pss_mb", memory)],
        anchor: "upstream 505 MB without kubelet; K3s 535-565 MB".into(),
        source: SUCH_A_HOST,
        aim: "<= 60 MB".into(),
        met: Some(memory <= 60.0),
    });
    table.add(Row {
        what: "whole site, no workload (server + containerd + Prometheus)",
        measured: format!(
            "{all:.1} MB (containerd {engine:.1} PSS, {engine_rss:.1} RSS; Prometheus {measuring:.1} PSS)"
        ),
        figures: vec![
            ("pss_mb", all),
            ("prometheus_pss_mb", measuring),
            ("containerd_pss_mb", engine),
            ("containerd_rss_mb", engine_rss),
        ],
        anchor: "the seed's monitoring namespace alone 1,954 MB".into(),
        source: "ACCORDION D3.1",
        aim: "<= 200 MB".into(),
        met: Some(all <= 200.0),
    });
    table.add(Row {
        what: "idle CPU",
        measured: format!(
            "{cpu:.2} % of a core over {seconds:.0} s, scrapes answered; Prometheus {prometheus_cpu:.2} %"
        ),
        figures: vec![("percent", cpu), ("prometheus_percent", prometheus_cpu)],
        anchor: "K3s 5-6 %".into(),
        source: PUBLISHED,
        aim: "<= 0.5 %".into(),
        met: Some(cpu <= 0.5),
    });
    table.add(Row {
        what: "idle disk writes (write_bytes)",
        measured: format!(
            "{writes:.2} KiB/s over {seconds:.0} s; Prometheus {prometheus_writes:.2} KiB/s"
        ),
        figures: vec![
            ("kib_per_s", writes),
            ("prometheus_kib_per_s", prometheus_writes),
        ],
        anchor: "K3s with SQLite 500 KiB/s, with etcd 250 KiB/s".into(),
        source: PUBLISHED,
        aim: "<= 1 KiB/s".into(),
        met: Some(writes <= 1.0),
    });
    Ok(())
}
