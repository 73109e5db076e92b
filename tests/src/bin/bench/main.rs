//! `cargo xtask bench`: our figures beside those to beat, against a release build in a network namespace of its own.
//!
//! The clients are in this process and share the machine with the server: what is printed is a lower bound of the server.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use hyper::Method;
use minicloud_tests::api::{Connection, Credentials};
use minicloud_tests::{Cluster, programs};
use serde_json::json;

const OBJECTS: usize = 10_000;
const CLIENTS: usize = 32;
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Kernel ticks in a second (USER_HZ, fixed on Linux).
const TICKS: f64 = 100.0;

/// One line of the table: what, measured, anchor, aim and whether it is met.
struct Row(
    &'static str,
    String,
    &'static str,
    &'static str,
    Option<bool>,
);

fn main() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let size = std::fs::metadata(programs::minicloud())?.len() as f64 / 1e6;
    rows.push(Row(
        "binary",
        format!("{size:.1} MB"),
        "K3s 64.5 MB",
        "<= 30 MB",
        Some(size <= 30.0),
    ));
    let mut cluster = Cluster::prepare(&[])?;
    cluster.netns().enter()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let started = Instant::now();
    cluster.start_server();
    let credentials = runtime.block_on(ready(&cluster.kubeconfig()))?;
    let first = started.elapsed().as_secs_f64();
    cluster.wait_ready();
    let node = started.elapsed().as_secs_f64();
    rows.push(Row(
        "first start to /readyz; node Ready",
        format!("{first:.2} s; {node:.2} s"),
        "K3s: tens of seconds",
        "<= 1 s",
        Some(first <= 1.0),
    ));
    idle(&cluster, &mut rows)?;
    runtime.block_on(load(&cluster, &credentials, &mut rows))?;
    for Row(what, measured, anchor, aim, met) in rows {
        let met = met.map_or("", |met| if met { "yes" } else { "NO" });
        println!("{what:44} | {measured:44} | {anchor:50} | {aim:18} | {met}");
    }
    Ok(())
}

async fn ready(kubeconfig: &Path) -> anyhow::Result<Credentials> {
    let deadline = Instant::now() + Duration::from_secs(60);
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

/// A number of a file in /proc whose lines are `key: number`.
fn number(file: PathBuf, key: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(&file)?;
    text.lines()
        .find_map(|l| l.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {key} in {}", file.display()))
}

fn pss_mb(pid: u32) -> anyhow::Result<f64> {
    Ok(number(format!("/proc/{pid}/smaps_rollup").into(), "Pss:")? / 1000.0)
}

fn ticks(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    Ok(after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse::<f64>().ok())
        .sum())
}

fn idle(cluster: &Cluster, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let pid = cluster.server_pid();
    // `bench 10` idles for 10 s instead of 60, for a quick look.
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(60.0), |s| s.parse())?;
    std::thread::sleep(Duration::from_secs(15));
    let io = || number(format!("/proc/{pid}/io").into(), "write_bytes:");
    let (before, written) = (ticks(pid)?, io()?);
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let cpu = (ticks(pid)? - before) / TICKS / seconds * 100.0;
    let writes = (io()? - written) / seconds / 1024.0;
    let memory = pss_mb(pid)?;
    rows.push(Row(
        "idle memory (PSS of the server)",
        format!("{memory:.1} MB"),
        "upstream 505 MB, K3s 535-565 MB",
        "<= 60 MB",
        Some(memory <= 60.0),
    ));
    rows.push(Row(
        "idle CPU",
        format!("{cpu:.2} %"),
        "K3s 5-6 % of a core",
        "<= 0.5 %",
        Some(cpu <= 0.5),
    ));
    rows.push(Row(
        "idle writes (write_bytes)",
        format!("{writes:.2} KiB/s"),
        "K3s SQLite 500 KiB/s, etcd 250 KiB/s",
        "<= 1 KiB/s",
        Some(writes <= 1.0),
    ));
    Ok(())
}

/// Runs `request` for every object, by all clients; returns the rate and the sorted times in milliseconds.
async fn all<F>(credentials: &Credentials, request: F) -> anyhow::Result<(f64, Vec<f64>)>
where
    F: Fn(usize) -> (Method, String, Bytes) + Copy + Send + 'static,
{
    let mut connections: Vec<Connection> = Vec::new();
    for _ in 0..CLIENTS {
        connections.push(credentials.connect().await?);
    }
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (client, mut connection) in connections.into_iter().enumerate() {
        tasks.spawn(async move {
            let mut times = Vec::new();
            for object in (client..OBJECTS).step_by(CLIENTS) {
                let (method, path, body) = request(object);
                let sent = Instant::now();
                connection.ok(method, &path, body).await?;
                times.push(sent.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(one) = tasks.join_next().await {
        times.extend(one??);
    }
    let rate = OBJECTS as f64 / started.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Ok((rate, times))
}

fn at(times: &[f64], percent: usize) -> f64 {
    times
        .get(times.len() * percent / 100)
        .copied()
        .unwrap_or_default()
}

fn config_map(object: usize) -> (Method, String, Bytes) {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("object-{object}"), "labels": {"tenth": (object % 10).to_string()}},
        "data": {"text": "x".repeat(600)}});
    (Method::POST, CONFIG_MAPS.into(), body.to_string().into())
}

async fn load(
    cluster: &Cluster,
    credentials: &Credentials,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let (rate, times) = all(credentials, config_map).await?;
    rows.push(Row(
        "durable creates, 32 clients: /s, p50, p99",
        format!(
            "{rate:.0}/s, {:.1} ms, {:.1} ms",
            at(&times, 50),
            at(&times, 99)
        ),
        "upstream 1,538/s, 19 ms, 51 ms (Python client)",
        "4,614/s, 20 ms",
        Some(rate >= 4614.0 && at(&times, 99) <= 20.0),
    ));
    let (rate, times) = all(credentials, |o| {
        (
            Method::GET,
            format!("{CONFIG_MAPS}/object-{o}"),
            Bytes::new(),
        )
    })
    .await?;
    rows.push(Row(
        "gets, 32 clients: /s, p50, p99",
        format!(
            "{rate:.0}/s, {:.1} ms, {:.1} ms",
            at(&times, 50),
            at(&times, 99)
        ),
        "upstream 2,884/s, p99 29 ms (Python client)",
        "p99 <= 5 ms",
        Some(at(&times, 99) <= 5.0),
    ));
    let mut connection = credentials.connect().await?;
    for (what, query, anchor, aim, limit) in [
        ("list of 10,000", "", "138 ms", "<= 69 ms", 69.0),
        (
            "list of 1,000 of 10,000 by label",
            "?labelSelector=tenth%3D3",
            "78 ms",
            "<= 39 ms",
            39.0,
        ),
    ] {
        // A list that lacks items would be fast and worth nothing.
        let items = connection.get(&format!("{CONFIG_MAPS}{query}")).await?;
        let items = items["items"].as_array().map_or(0, Vec::len);
        let expect = if query.is_empty() {
            OBJECTS
        } else {
            OBJECTS / 10
        };
        anyhow::ensure!(items >= expect, "{what}: only {items} items");
        let mut times = Vec::new();
        for _ in 0..10 {
            let sent = Instant::now();
            connection
                .ok(Method::GET, &format!("{CONFIG_MAPS}{query}"), Bytes::new())
                .await?;
            times.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let median = at(&times, 50);
        rows.push(Row(
            what,
            format!("{median:.0} ms (median of 10)"),
            anchor,
            aim,
            Some(median <= limit),
        ));
    }
    all(credentials, |o| {
        (
            Method::DELETE,
            format!("{CONFIG_MAPS}/object-{o}"),
            Bytes::new(),
        )
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let memory = pss_mb(cluster.server_pid())?;
    rows.push(Row(
        "memory after 10,000 objects came and went",
        format!("{memory:.1} MB"),
        "upstream API server 508 + etcd 90 MB",
        "<= 120 MB",
        Some(memory <= 120.0),
    ));
    Ok(())
}
