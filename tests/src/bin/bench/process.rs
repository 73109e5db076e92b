//! What the kernel counts about processes.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use minicloud_tests::Cluster;
use minicloud_tests::processes::dns;

/// Kernel ticks in a second (USER_HZ, fixed on Linux).
const TICKS: f64 = 100.0;

/// A number of a file in /proc whose lines are `key: number`.
fn number(file: PathBuf, key: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(&file)?;
    text.lines()
        .find_map(|l| l.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {key} in {}", file.display()))
}

/// Memory in MB; pages that several processes share are divided among them.
///
/// # Errors
/// When the process is gone.
pub fn pss_mb(pid: u32) -> anyhow::Result<f64> {
    Ok(number(format!("/proc/{pid}/smaps_rollup").into(), "Pss:")? * 1024.0 / 1e6)
}

/// Memory in MB, with the whole of what is shared with others.
///
/// # Errors
/// When the process is gone.
pub fn rss_mb(pid: u32) -> anyhow::Result<f64> {
    Ok(number(format!("/proc/{pid}/smaps_rollup").into(), "Rss:")? * 1024.0 / 1e6)
}

/// Seconds of CPU so far.
///
/// # Errors
/// When the process is gone.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything but ends with the last parenthesis.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2);
    Ok(ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / TICKS)
}

/// Bytes that the process caused to be written to a disk.
///
/// # Errors
/// When the process is gone.
pub fn written_bytes(pid: u32) -> anyhow::Result<f64> {
    number(format!("/proc/{pid}/io").into(), "write_bytes:")
}

/// The cluster's containerd.
///
/// # Errors
/// When it was not started.
pub fn containerd(cluster: &Cluster) -> anyhow::Result<u32> {
    let file = cluster.run_dir().join("containerd/containerd.pid");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(text.trim().parse()?)
}

/// A figure of a cluster's own processes together: the server, and cluster DNS, which is a process of its own.
///
/// # Errors
/// When one is gone.
pub fn of_server(cluster: &Cluster, figure: fn(u32) -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let dns = dns(cluster);
    ensure!(dns.len() == 1, "{} processes of cluster DNS", dns.len());
    Ok(figure(cluster.server_pid())? + figure(dns[0].cast_unsigned())?)
}
