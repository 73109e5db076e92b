//! Keeps the DNS process: writes the state it answers from, tells it by a line on its standard input, starts it again when it ends or
//! hangs.
//!
//! The process outlives this one on purpose. A new server ends the one it finds and starts its own: that takes a moment in
//! which a client asks again, and leaves no old program running after an upgrade.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use minicloud_api::part::Shutdown;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use super::{DnsConfig, USER, pulse};
use crate::Config;
use crate::model::State;

/// Changes that come together are told together.
const SETTLE: Duration = Duration::from_millis(20);
/// How long a process that ended waits for its successor: after a while of service, and after less.
const RESTART: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// A process that ran this long had started well.
const SOUND: Duration = Duration::from_secs(10);
/// How long a process that is to end may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process. Its input is held apart, since waiting for a child closes what the child still holds.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

fn config_file(config: &Config) -> PathBuf {
    config.run_dir.join("dns.json")
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
    let mut since = Instant::now();
    let mut silent = Box::pin(pulse::stopped(&dns));
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
                tokio::time::sleep(if since.elapsed() >= SOUND { RESTART.0 } else { RESTART.1 }).await;
                process = start(&config, &dns).await;
                since = Instant::now();
                silent = Box::pin(pulse::stopped(&dns));
            }
            () = &mut silent => {
                tracing::warn!("cluster DNS does not answer; it is ended");
                if let Some(process) = &mut process {
                    let _ = process.child.start_kill();
                }
                silent = Box::pin(pulse::stopped(&dns));
            }
            () = shutdown.wait() => return,
        }
    }
}

async fn ended(process: Option<&mut Child>) {
    match process {
        Some(child) => drop(child.wait().await),
        // It could not be started.
        None => tokio::time::sleep(RESTART.1).await,
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
    if let Ok(text) = std::fs::read(&dns.state) {
        // One that an earlier release wrote has its rights.
        write_whole(&dns.state, &text)?;
    }
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

/// Writes a file whole or not at all, for root and the DNS process. What is in the run folder need not survive a power cut.
fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let draft = path.with_extension("draft");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&draft)?;
        std::os::unix::fs::fchown(&file, None, Some(USER))?;
        file.set_permissions(Permissions::from_mode(0o640))?;
        file.write_all(content)?;
        std::fs::rename(&draft, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Ends the processes that an earlier server left, and waits for their end.
pub async fn stop(config: &Config) {
    let file = config_file(config);
    let mut left = left_behind(&file);
    for signal in [Signal::TERM, Signal::KILL] {
        for pid in &left {
            let _ = kill_process(*pid, signal);
        }
        let deadline = Instant::now() + PATIENCE;
        while !left.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
            left.retain(|pid| is_ours(*pid, &file));
        }
    }
}

/// DNS processes of this run folder, whoever started them: a number that was written down might be missing or another's.
fn left_behind(file: &Path) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter(|pid| is_ours(*pid, file))
        .collect()
}

fn is_ours(pid: Pid, file: &Path) -> bool {
    let command = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
    command.is_ok_and(|command| is_dns(&command, file))
}

/// Whether a command line, its words ended by NUL, is `PROGRAM dns --file FILE`.
fn is_dns(command: &[u8], file: &Path) -> bool {
    let words: Vec<&[u8]> = command.split(|b| *b == 0).skip(1).take(3).collect();
    words == [b"dns", &b"--file"[..], file.as_os_str().as_encoded_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_by_their_file() {
        let file = Path::new("/run/m/dns.json");
        assert!(is_dns(
            b"/bin/minicloud\0dns\0--file\0/run/m/dns.json\0",
            file
        ));
        assert!(!is_dns(
            b"/bin/minicloud\0dns\0--file\0/run/n/dns.json\0",
            file
        ));
        assert!(!is_dns(b"vi\0/run/m/dns.json\0", file));
        assert!(!is_dns(b"", file));
    }
}
