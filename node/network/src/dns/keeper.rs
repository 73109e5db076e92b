//! Keeps the DNS process: writes the state it answers from, tells it by a line on its standard input, starts it again when it ends.
//!
//! The process outlives this one on purpose. A new server ends the one it finds and starts its own: that takes a moment in
//! which a client asks again, and leaves no old program running after an upgrade.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context;
use minicloud_api::part::Shutdown;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use super::DnsConfig;
use crate::Config;
use crate::model::State;

/// Changes that come together are told together.
const SETTLE: Duration = Duration::from_millis(20);
/// How long a process that ended waits for its successor.
const RETRY: Duration = Duration::from_secs(2);

/// The process. Its input is held apart, since waiting for a child closes what the child still holds.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

fn config_file(config: &Config) -> PathBuf {
    config.run_dir.join("dns.json")
}

fn pid_file(config: &Config) -> PathBuf {
    config.run_dir.join("dns.pid")
}

/// Keeps the process until shutdown, and leaves it running then.
pub async fn run(
    config: Arc<Config>,
    state: Arc<RwLock<State>>,
    mut changes: watch::Receiver<u64>,
    mut shutdown: Shutdown,
) {
    let dns = DnsConfig::new(&config);
    let mut process = start(&config, &dns).await;
    loop {
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(SETTLE).await;
                changes.mark_unchanged();
                if let Err(error) = tell(&dns, &state, process.as_mut().and_then(|p| p.input.as_mut())).await {
                    tracing::error!(error = format!("{error:#}"), "cluster DNS does not know of changed Services");
                }
            }
            () = ended(process.as_mut().map(|p| &mut p.child)) => {
                tracing::warn!("cluster DNS ended; it is started again");
                tokio::time::sleep(RETRY).await;
                process = start(&config, &dns).await;
            }
            () = shutdown.wait() => return,
        }
    }
}

async fn ended(process: Option<&mut Child>) {
    match process {
        Some(child) => drop(child.wait().await),
        // It could not be started.
        None => tokio::time::sleep(RETRY).await,
    }
}

async fn start(config: &Config, dns: &DnsConfig) -> Option<Process> {
    match try_start(config, dns).await {
        Ok(process) => Some(process),
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "cluster DNS cannot be started"
            );
            None
        }
    }
}

async fn try_start(config: &Config, dns: &DnsConfig) -> anyhow::Result<Process> {
    stop(config).await;
    let file = config_file(config);
    write_whole(&file, &serde_json::to_vec(dns)?)?;
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let mut child = Command::new(program)
        .arg("dns")
        .arg("--file")
        .arg(&file)
        // A session of its own: what ends the server does not end it.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start cluster DNS")?;
    if let Some(pid) = child.id() {
        write_whole(&pid_file(config), pid.to_string().as_bytes())?;
    }
    let input = child.stdin.take();
    Ok(Process { child, input })
}

async fn tell(
    dns: &DnsConfig,
    state: &RwLock<State>,
    input: Option<&mut ChildStdin>,
) -> anyhow::Result<()> {
    let text = {
        let state = state
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        serde_json::to_vec(&*state)?
    };
    write_whole(&dns.state, &text)?;
    if let Some(input) = input {
        input
            .write_all(b"\n")
            .await
            .context("cannot tell cluster DNS")?;
    }
    Ok(())
}

/// Writes a file whole or not at all. What is in the run folder need not survive a power cut.
fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, content)
        .and_then(|()| std::fs::rename(&draft, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Ends the process that an earlier server left, if there is one, and waits for its end.
pub async fn stop(config: &Config) {
    let Some(pid) = left_behind(config) else {
        return;
    };
    let _ = kill_process(pid, Signal::TERM);
    let deadline = tokio::time::Instant::now() + RETRY;
    while left_behind(config).is_some() {
        if tokio::time::Instant::now() > deadline {
            let _ = kill_process(pid, Signal::KILL);
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _ = std::fs::remove_file(pid_file(config));
}

/// The process that the file names, if it is ours: ids are used again.
fn left_behind(config: &Config) -> Option<Pid> {
    let pid = std::fs::read_to_string(pid_file(config))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let file = config_file(config);
    let ours = words
        .split(|b| *b == 0)
        .any(|word| word == file.as_os_str().as_encoded_bytes());
    if ours { Pid::from_raw(pid) } else { None }
}
