//! What monitoring costs, and how old its answers are: with 110 pods, as many as a node takes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hyper::Method;
use minicloud_tests::Cluster;
use minicloud_tests::api::{Connection, Credentials};
use serde_json::Value;

use crate::process::{cpu_seconds, rss_mb};
use crate::table::{Row, THIS_RUN, Table, at, sorted};

const SCRAPES: u32 = 200;
const CALLS: usize = 300;
/// Pods whose measurements must be there before anybody asks for them: rates need a few scrapes of 15 s.
const PATIENCE: Duration = Duration::from_secs(180);
const NODE_EXPORTER: &str = "/usr/bin/prometheus-node-exporter";
const NODE_EXPORTER_PORT: u16 = 19100;
const MONITORING: &str = "/monitoring?metric=virtual_metrics&namespace=default";
/// Enough for a line of the live stream on any machine that runs this.
const MEMORY: usize = 512 << 20;

/// All of it, while `pods` pods run.
///
/// # Errors
/// When a request fails.
pub async fn run(
    cluster: &Cluster,
    credentials: &Credentials,
    pods: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let site = credentials.clone().at(([127, 0, 0, 1], 3000).into());
    let node = credentials.clone().at(([127, 0, 0, 1], 9100).into());
    let mut node = node.connect().await?;
    containers(cluster, &mut node, pods, table).await?;
    let mut site_connection = site.connect().await?;
    measured(&mut site_connection, pods).await?;
    answers(&mut site_connection, pods, table).await?;
    freshness(&site, table).await
}

/// CPU of the whole server per request, the mean of many.
async fn cost(
    cluster: &Cluster,
    node: &mut Connection,
    path: &str,
) -> anyhow::Result<(f64, usize)> {
    let before = cpu_seconds(cluster.server_pid())?;
    let mut bytes = 0;
    for _ in 0..SCRAPES {
        bytes = node.ok(Method::GET, path, Bytes::new()).await?.len();
    }
    let after = cpu_seconds(cluster.server_pid())?;
    Ok(((after - before) * 1e3 / f64::from(SCRAPES), bytes))
}

/// Debian's node_exporter with its own choice of collectors, asked as often as ours; without pods, each of which has an interface that
/// both tell of.
///
/// # Errors
/// When one does not answer.
pub async fn exporter(
    cluster: &Cluster,
    credentials: &Credentials,
    table: &mut Table,
) -> anyhow::Result<()> {
    let node = credentials.clone().at(([127, 0, 0, 1], 9100).into());
    let mut node = node.connect().await?;
    let (ours, bytes) = cost(cluster, &mut node, "/metrics").await?;
    let child = Command::new(NODE_EXPORTER)
        .arg(format!(
            "--web.listen-address=127.0.0.1:{NODE_EXPORTER_PORT}"
        ))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(NODE_EXPORTER)?;
    let theirs = Ended(child);
    let deadline = Instant::now() + Duration::from_secs(10);
    while plain_scrape().is_err() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = cpu_seconds(theirs.0.id())?;
    let mut their_bytes = 0;
    for _ in 0..SCRAPES {
        their_bytes = plain_scrape()?;
    }
    let cpu = (cpu_seconds(theirs.0.id())? - before) * 1e3 / f64::from(SCRAPES);
    let memory = rss_mb(theirs.0.id())?;
    table.add(Row {
        what: "node metrics, CPU of a scrape (ours with TLS and authorization)",
        measured: format!("{ours:.2} ms for {bytes} bytes"),
        figures: vec![
            ("ms", ours),
            ("node_exporter_ms", cpu),
            ("node_exporter_rss_mb", memory),
        ],
        anchor: format!(
            "node_exporter {cpu:.2} ms for {their_bytes} bytes, {memory:.1} MB resident"
        ),
        source: THIS_RUN,
        aim: "<= 3 ms".into(),
        met: Some(ours <= 3.0),
    });
    Ok(())
}

/// A process that is ended whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn plain_scrape() -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(("127.0.0.1", NODE_EXPORTER_PORT))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new())
}

async fn containers(
    cluster: &Cluster,
    node: &mut Connection,
    pods: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let (cpu, bytes) = cost(cluster, node, "/metrics/cadvisor").await?;
    table.add(Row {
        what: "container metrics, CPU of a scrape with 110 pods",
        measured: format!("{cpu:.2} ms for {bytes} bytes ({pods} pods)"),
        figures: vec![("ms", cpu)],
        aim: "<= 10 ms".into(),
        met: Some(cpu <= 10.0),
        ..Row::default()
    });
    Ok(())
}

/// Waits until Prometheus knows what each pod takes.
async fn measured(site: &mut Connection, pods: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = site.get("/v1/pods?namespace=default").await?;
        let known = answer["pods"].as_array().into_iter().flatten();
        let known = known
            .filter(|p| p["measurements"]["cpu_used_cores"].is_number())
            .count();
        if known >= pods {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{known} of {pods} pods are measured"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// One question after the other over one connection.
async fn answers(site: &mut Connection, pods: usize, table: &mut Table) -> anyhow::Result<()> {
    for (what, path) in [
        ("/monitoring of 110 pods, time of a call", MONITORING),
        (
            "/monitoring of the machine, time of a call",
            "/monitoring?metric=physical_metrics",
        ),
        (
            "/v1/pods of 110 pods, time of a call",
            "/v1/pods?namespace=default",
        ),
        ("/v1/impact, time of a call", "/v1/impact"),
    ] {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..CALLS {
            let started = Instant::now();
            bytes = site.ok(Method::GET, path, Bytes::new()).await?.len();
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let times = sorted(times);
        let (p50, p99) = (at(&times, 50), at(&times, 99));
        table.add(Row {
            what,
            measured: format!("p50 {p50:.1} ms, p99 {p99:.1} ms for {bytes} bytes ({pods} pods)"),
            figures: vec![("p50_ms", p50), ("p99_ms", p99)],
            aim: "p99 <= 50 ms".into(),
            met: Some(p99 <= 50.0),
            ..Row::default()
        });
    }
    Ok(())
}

/// How old what is told is: as Prometheus has it, and on the live stream.
async fn freshness(site: &Credentials, table: &mut Table) -> anyhow::Result<()> {
    let mut connection = site.connect().await?;
    let mut ages = Vec::new();
    for _ in 0..30 {
        let answer = connection
            .get("/prometheus/api/v1/query?query=time()-timestamp(node_load1)")
            .await?;
        let age = answer["data"]["result"][0]["value"][1].as_str();
        ages.push(age.context("no node_load1")?.parse::<f64>()?);
        tokio::time::sleep(Duration::from_millis(970)).await;
    }
    let ages = sorted(ages);
    let (p50, most) = (at(&ages, 50), at(&ages, 100));
    let live = live(site).await?;
    table.add(Row {
        what: "freshness: age of a measurement in Prometheus; memory taken until the live stream says so",
        measured: format!("median {p50:.1} s, at most {most:.1} s; {live:.1} s"),
        figures: vec![("age_p50_s", p50), ("age_max_s", most), ("live_s", live)],
        anchor: "Prometheus is asked to scrape every 15 s".into(),
        ..Row::default()
    });
    Ok(())
}

async fn live(site: &Credentials) -> anyhow::Result<f64> {
    let mut stream = site.connect().await?.watch("/v1/nodes?watch=true").await?;
    let available = |line: &Value| line["memory"]["available_bytes"].as_f64();
    let before = loop {
        if let Some(bytes) = available(&stream.event().await?) {
            break bytes;
        }
    };
    let started = Instant::now();
    let taken = vec![1_u8; MEMORY];
    let seen = async {
        loop {
            let line = stream.event().await?;
            if available(&line).is_some_and(|b| b < before - MEMORY as f64 / 2.0) {
                return anyhow::Ok(started.elapsed().as_secs_f64());
            }
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(60), seen)
        .await
        .context("the live stream does not tell of memory that was taken")?;
    drop(std::hint::black_box(taken));
    seen
}
