//! `cargo xtask bench [SECONDS]`: our figures beside those to beat, against a release build in a network namespace of its own.
//! SECONDS is how long the server idles (60).
//!
//! The clients are in this process and share the machine with the server: what is printed is a lower bound of the server.
//! The table is also written as JSON, to `target/bench.json`.

mod load;
mod monitoring;
mod pods;
mod process;
mod start;
mod table;

use std::path::PathBuf;

use anyhow::Context;
use minicloud_tests::{Cluster, programs};
use table::{PUBLISHED, Row, Table};

fn main() -> anyhow::Result<()> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(60.0), |s| s.parse())?;
    let mut table = Table::default();
    binary(&mut table)?;
    let mut cluster = Cluster::prepare(&[])?;
    cluster.netns().enter()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (api, node, credentials) = runtime.block_on(start::start(&mut cluster))?;
    table.add(Row {
        what: "first start to /readyz, to node Ready",
        measured: format!("{api:.2} s, {node:.2} s"),
        figures: vec![("api_s", api), ("node_s", node)],
        anchor: "K3s: tens of seconds".into(),
        source: PUBLISHED,
        aim: "<= 1 s".into(),
        met: Some(node <= 1.0),
    });
    start::idle(&cluster, seconds, &mut table)?;
    runtime.block_on(monitoring::exporter(&cluster, &credentials, &mut table))?;
    runtime.block_on(pods::run(&cluster, &credentials, &mut table))?;
    runtime.block_on(load::run(&cluster, &credentials, &mut table))?;
    runtime.block_on(load::fill(&credentials))?;
    cluster.stop_server();
    let (api, node, _) = runtime.block_on(start::start(&mut cluster))?;
    table.add(Row {
        what: "start with 10,000 objects to /readyz, to node Ready",
        measured: format!("{api:.2} s, {node:.2} s"),
        figures: vec![("api_s", api), ("node_s", node)],
        anchor: "K3s: tens of seconds".into(),
        source: PUBLISHED,
        aim: "<= 1 s".into(),
        met: Some(node <= 1.0),
    });
    table.print();
    let file = json_file().context("this program is in no target folder")?;
    table.write(&file)?;
    println!("\nalso in {}", file.display());
    Ok(())
}

fn binary(table: &mut Table) -> anyhow::Result<()> {
    let size = std::fs::metadata(programs::minicloud())?.len() as f64 / 1e6;
    table.add(Row {
        what: "binary, stripped",
        measured: format!("{size:.1} MB"),
        figures: vec![("mb", size)],
        anchor: "K3s 64.5 MB".into(),
        source: PUBLISHED,
        aim: "<= 30 MB".into(),
        met: Some(size <= 30.0),
    });
    Ok(())
}

/// Beside the folder of the profile that this program was built in.
fn json_file() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    Some(exe.parent()?.parent()?.join("bench.json"))
}
