//! The API under load: 32 clients, 10,000 objects, 100 watchers.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hyper::Method;
use minicloud_tests::Cluster;
use minicloud_tests::api::{Connection, Credentials};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::process::{of_server, pss_mb};
use crate::table::{Row, SUCH_A_HOST, THIS_RUN, Table, at, sorted};

const OBJECTS: usize = 10_000;
const CLIENTS: usize = 32;
const WATCHERS: usize = 100;
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PYTHON: &str = "measured on such a host, by a Python client";

/// Everything with 10,000 objects, and what is left when they are gone.
///
/// # Errors
/// When a request fails.
pub async fn run(
    cluster: &Cluster,
    credentials: &Credentials,
    table: &mut Table,
) -> anyhow::Result<()> {
    create_all(credentials, table).await?;
    get_all(credentials, table).await?;
    lists(credentials, table).await?;
    one_at_a_time(cluster, credentials, table).await?;
    watchers(credentials, table).await?;
    delete_all(credentials).await?;
    // What the deletion left to do is over by then.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let memory = of_server(cluster, pss_mb)?;
    table.add(Row {
        what: "server memory after 10,000 objects of 0.9 kB came and went (PSS)",
        measured: format!("{memory:.1} MB"),
        figures: vec![("pss_mb", memory)],
        anchor: "upstream API server 508 + etcd 90 MB".into(),
        source: SUCH_A_HOST,
        aim: "<= 120 MB".into(),
        met: Some(memory <= 120.0),
    });
    Ok(())
}

/// Makes 10,000 objects.
///
/// # Errors
/// When a request fails.
pub async fn fill(credentials: &Credentials) -> anyhow::Result<(f64, Vec<f64>)> {
    all(credentials, |object| {
        (Method::POST, CONFIG_MAPS.into(), config_map(object))
    })
    .await
}

fn config_map(object: usize) -> Bytes {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("object-{object}"), "labels": {"tenth": (object % 10).to_string()}},
        "data": {"text": "x".repeat(600)}});
    body.to_string().into()
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
    let mut tasks = JoinSet::new();
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
    Ok((rate, sorted(times)))
}

async fn create_all(credentials: &Credentials, table: &mut Table) -> anyhow::Result<()> {
    let (rate, times) = fill(credentials).await?;
    let (p50, p99) = (at(&times, 50), at(&times, 99));
    table.add(Row {
        what: "durable creates, 32 clients",
        measured: format!("{rate:.0}/s, p50 {p50:.1} ms, p99 {p99:.1} ms"),
        figures: vec![("per_s", rate), ("p50_ms", p50), ("p99_ms", p99)],
        anchor: "upstream 1,538/s, p50 19 ms, p99 51 ms".into(),
        source: PYTHON,
        aim: ">= 4,614/s, p99 <= 20 ms".into(),
        met: Some(rate >= 4614.0 && p99 <= 20.0),
    });
    Ok(())
}

async fn get_all(credentials: &Credentials, table: &mut Table) -> anyhow::Result<()> {
    let get = |o| {
        (
            Method::GET,
            format!("{CONFIG_MAPS}/object-{o}"),
            Bytes::new(),
        )
    };
    let (rate, times) = all(credentials, get).await?;
    let (p50, p99) = (at(&times, 50), at(&times, 99));
    table.add(Row {
        what: "gets, 32 clients",
        measured: format!("{rate:.0}/s, p50 {p50:.1} ms, p99 {p99:.1} ms"),
        figures: vec![("per_s", rate), ("p50_ms", p50), ("p99_ms", p99)],
        anchor: "upstream 2,884/s, p99 29 ms".into(),
        source: PYTHON,
        aim: "p99 <= 5 ms".into(),
        met: Some(p99 <= 5.0),
    });
    Ok(())
}

async fn lists(credentials: &Credentials, table: &mut Table) -> anyhow::Result<()> {
    let mut connection = credentials.connect().await?;
    for (what, query, expect, anchor, limit) in [
        ("list of 10,000", "", OBJECTS, "138 ms", 69.0),
        (
            "list of 1,000 of 10,000 by label",
            "?labelSelector=tenth%3D3",
            OBJECTS / 10,
            "78 ms",
            39.0,
        ),
    ] {
        let path = format!("{CONFIG_MAPS}{query}");
        // A list that lacks items would be fast and worth nothing.
        let items = connection.get(&path).await?;
        let items = items["items"].as_array().map_or(0, Vec::len);
        ensure!(items >= expect, "{what}: only {items} items");
        let mut times = Vec::new();
        for _ in 0..10 {
            let sent = Instant::now();
            connection.ok(Method::GET, &path, Bytes::new()).await?;
            times.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        let median = at(&sorted(times), 50);
        table.add(Row {
            what,
            measured: format!("{median:.0} ms (median of 10)"),
            figures: vec![("p50_ms", median)],
            anchor: format!("upstream {anchor}"),
            source: PYTHON,
            aim: format!("<= {limit:.0} ms"),
            met: Some(median <= limit),
        });
    }
    Ok(())
}

/// What one client waits for a durable write, beside what the disk itself takes to keep as much.
async fn one_at_a_time(
    cluster: &Cluster,
    credentials: &Credentials,
    table: &mut Table,
) -> anyhow::Result<()> {
    const WRITES: usize = 200;
    let mut connection = credentials.connect().await?;
    let mut times = Vec::new();
    for object in 0..WRITES {
        let path = format!("{CONFIG_MAPS}/object-{object}");
        let body = json!({"metadata": {"labels": {"changed": "yes"}}}).to_string();
        let sent = Instant::now();
        connection.ok(Method::PATCH, &path, body.into()).await?;
        times.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    let times = sorted(times);
    let disk = disk(&cluster.data_dir(), WRITES).context("the disk's own times")?;
    let (p50, p99) = (at(&times, 50), at(&times, 99));
    let (disk_p50, disk_p99) = (at(&disk, 50), at(&disk, 99));
    table.add(Row {
        what: "one durable write at a time (patch, 10,000 objects there)",
        measured: format!("p50 {p50:.2} ms, p99 {p99:.2} ms"),
        figures: vec![
            ("p50_ms", p50),
            ("p99_ms", p99),
            ("disk_p50_ms", disk_p50),
            ("disk_p99_ms", disk_p99),
        ],
        anchor: format!("write and fdatasync of 4 KiB: p50 {disk_p50:.2} ms, p99 {disk_p99:.2} ms"),
        source: THIS_RUN,
        ..Row::default()
    });
    Ok(())
}

fn disk(dir: &Path, writes: usize) -> anyhow::Result<Vec<f64>> {
    let path = dir.join("bench.tmp");
    let mut file = File::create(&path)?;
    let block = [b'x'; 4096];
    let mut times = Vec::new();
    for _ in 0..writes {
        let sent = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(path)?;
    Ok(sorted(times))
}

/// From the sending of a create to its event at each of 100 watchers.
async fn watchers(credentials: &Credentials, table: &mut Table) -> anyhow::Result<()> {
    const EVENTS: usize = 50;
    let mut connection = credentials.connect().await?;
    let list = connection.get(&format!("{CONFIG_MAPS}?limit=1")).await?;
    let revision = list["metadata"]["resourceVersion"].as_str();
    let revision = revision.context("a list without a revision")?;
    let (seen, mut sightings) = mpsc::channel(WATCHERS);
    let mut tasks = JoinSet::new();
    for _ in 0..WATCHERS {
        let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion={revision}");
        let mut watch = credentials.connect().await?.watch(&path).await?;
        let seen = seen.clone();
        tasks.spawn(async move {
            while watch.line().await.is_ok() {
                if seen.send(Instant::now()).await.is_err() {
                    return;
                }
            }
        });
    }
    let mut times = Vec::new();
    for event in 0..EVENTS {
        let body = config_map(OBJECTS + event);
        let sent = Instant::now();
        connection.ok(Method::POST, CONFIG_MAPS, body).await?;
        for _ in 0..WATCHERS {
            let at = tokio::time::timeout(Duration::from_secs(10), sightings.recv()).await;
            let at = at.context("an event was not seen")?.context("no watcher")?;
            times.push(at.duration_since(sent).as_secs_f64() * 1e3);
        }
    }
    tasks.shutdown().await;
    for event in 0..EVENTS {
        let path = format!("{CONFIG_MAPS}/object-{}", OBJECTS + event);
        connection.ok(Method::DELETE, &path, Bytes::new()).await?;
    }
    let times = sorted(times);
    let (p50, p99) = (at(&times, 50), at(&times, 99));
    table.add(Row {
        what: "create sent to event at 100 watchers",
        measured: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        figures: vec![("p50_ms", p50), ("p99_ms", p99)],
        anchor: "upstream p50 7 ms, p99 11 ms".into(),
        source: PYTHON,
        aim: "p50 <= 3.5 ms, p99 <= 5.5 ms".into(),
        met: Some(p50 <= 3.5 && p99 <= 5.5),
    });
    Ok(())
}

async fn delete_all(credentials: &Credentials) -> anyhow::Result<()> {
    let delete = |o| {
        (
            Method::DELETE,
            format!("{CONFIG_MAPS}/object-{o}"),
            Bytes::new(),
        )
    };
    all(credentials, delete).await.map(drop)
}
