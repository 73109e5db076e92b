//! What the kernel counts about processes.

use std::path::PathBuf;

use anyhow::Context;
use minicloud_tests::Cluster;

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

/// The shims of the cluster's pods: those that were started for its containerd.
///
/// # Errors
/// When /proc cannot be read.
pub fn shims(cluster: &Cluster) -> anyhow::Result<Vec<u32>> {
    let socket = cluster.run_dir().join("containerd/containerd.sock");
    let socket = socket.as_os_str().as_encoded_bytes();
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = command.split(|b| *b == 0);
        let shim = words
            .next()
            .is_some_and(|w| w.ends_with(b"containerd-shim-runc-v2"));
        if shim && words.any(|w| w == socket) {
            pids.push(pid);
        }
    }
    Ok(pids)
}
