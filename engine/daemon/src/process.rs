//! A daemon's process: finding, starting and ending it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use minicloud_process::Pidfd;
use rustix::process::{Pid, Signal};
use tokio::process::Command;

use crate::log;
use crate::loopback::WEB_FILE;
use crate::{Daemon, User};

/// What the kernel shall end first when memory is short: these can be started again, workloads lose what they did.
const OOM_SCORE_ADJ: &str = "500";

/// A running daemon, ours or taken over.
#[derive(Debug)]
pub(crate) struct Process {
    pidfd: Pidfd,
    /// How long its log was when it was started.
    pub(crate) log_from: u64,
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.pidfd.pid()
    }

    /// Returns when it has ended.
    pub(crate) async fn ended(&self) {
        self.pidfd.ended().await;
    }

    pub(crate) fn reload(&self) {
        self.pidfd.send(Signal::HUP);
    }

    /// Ends it. Returns when it has ended, or will not.
    pub(crate) async fn end(&self) {
        end(&self.pidfd).await;
    }
}

async fn end(process: &Pidfd) {
    for (signal, patience) in [(Signal::TERM, 15), (Signal::KILL, 15)] {
        process.send(signal);
        let patience = Duration::from_secs(patience);
        if tokio::time::timeout(patience, process.ended())
            .await
            .is_ok()
        {
            return;
        }
    }
}

/// The one argument that tells a daemon of this folder from all other processes.
fn mark(dir: &Path) -> String {
    format!("--web.config.file={}", dir.join(WEB_FILE).display())
}

/// The command line as `/proc/PID/cmdline` has it: words ended by NUL.
fn command_line(daemon: &Daemon) -> Vec<u8> {
    let mut line = Vec::new();
    for word in words(daemon) {
        line.extend_from_slice(word.as_bytes());
        line.push(0);
    }
    line
}

fn words(daemon: &Daemon) -> Vec<String> {
    let mut words = vec![
        daemon.program.display().to_string(),
        mark(&daemon.dir),
        format!("--web.listen-address=127.0.0.1:{}", daemon.port),
    ];
    words.extend(daemon.arguments.iter().cloned());
    words
}

/// The daemon that runs as it should. Others of the same folder are ended: they were started with other settings, or from a
/// program that was replaced since.
pub(crate) async fn take_over(daemon: &Daemon, user: User) -> Option<Process> {
    let wanted = command_line(daemon);
    let mut found = None;
    for pid in of_folder(&daemon.dir) {
        let Ok(pidfd) = Pidfd::open(pid) else {
            continue;
        };
        let line = fs::read(proc(pid, "cmdline")).unwrap_or_default();
        let as_wanted = line == wanted
            && uid(pid) == Some(user.uid)
            && same_environment(daemon, pid)
            && !is_outdated(pid);
        if found.is_none() && as_wanted {
            tracing::info!(pid = pidfd.pid(), "{} runs already", daemon.name);
            let log_from = log::length(&daemon.log_file);
            found = Some(Process { pidfd, log_from });
        } else {
            tracing::info!(pid = pidfd.pid(), "ending an earlier {}", daemon.name);
            end(&pidfd).await;
        }
    }
    found
}

/// Ends the daemon of this folder, whoever started it. For the end of all, or of what was switched off.
pub async fn stop(dir: &Path) {
    for pid in of_folder(dir) {
        if let Ok(process) = Pidfd::open(pid) {
            end(&process).await;
        }
    }
}

/// Whether a daemon of this folder runs.
pub fn runs(dir: &Path) -> bool {
    !of_folder(dir).is_empty()
}

fn proc(pid: Pid, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{name}", pid.as_raw_nonzero()))
}

/// Processes with the folder's mark: a number that was written down might be missing or another's. A process in a container may have
/// any command line, but not this machine's root folder.
fn of_folder(dir: &Path) -> Vec<Pid> {
    let mark = mark(dir);
    let folder = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    let root = folder(Path::new("/"));
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter(|pid| fs::read(proc(*pid, "cmdline")).is_ok_and(|line| has_word(&line, &mark)))
        .filter(|pid| folder(&proc(*pid, "root")) == root)
        .collect()
}

/// Whom a process runs as.
fn uid(pid: Pid) -> Option<u32> {
    fs::metadata(proc(pid, "")).ok().map(|m| m.uid())
}

fn has_word(line: &[u8], word: &str) -> bool {
    line.split(|b| *b == 0).any(|w| w == word.as_bytes())
}

fn same_environment(daemon: &Daemon, pid: Pid) -> bool {
    let environment = fs::read(proc(pid, "environ")).unwrap_or_default();
    daemon
        .environment
        .iter()
        .all(|(name, value)| has_word(&environment, &format!("{name}={value}")))
}

/// Whether its program was replaced on disk (an upgrade of the package) since it was started.
fn is_outdated(pid: Pid) -> bool {
    fs::read_link(proc(pid, "exe")).is_ok_and(|exe| exe.to_string_lossy().ends_with(" (deleted)"))
}

/// Starts the daemon apart from this process: own process group, no inherited streams or environment, none of root's rights.
pub(crate) fn spawn(daemon: &Daemon, user: User) -> io::Result<Process> {
    let log = log::open(&daemon.log_file)?;
    let log_from = log.metadata()?.len();
    let errors = log.try_clone()?;
    let words = words(daemon);
    // `setpriv` replaces itself by what it starts, so the process id stays.
    let mut command = Command::new("setpriv");
    command.args(rights(daemon, user)).arg("--").args(&words);
    let mut child = command
        .env_clear()
        .envs(
            daemon
                .environment
                .iter()
                .map(|(name, value)| (*name, value)),
        )
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .current_dir("/")
        // What ends the server by its terminal does not end it.
        .process_group(0)
        .kill_on_drop(false)
        .spawn()?;
    let pid = child
        .id()
        .and_then(|pid| Pid::from_raw(pid.cast_signed()))
        .ok_or_else(|| io::Error::other("it ended at once"))?;
    let pidfd = Pidfd::open(pid)?;
    // Only a wish.
    let _ = fs::write(proc(pid, "oom_score_adj"), OOM_SCORE_ADJ);
    // Somebody must fetch its exit status, or it stays as a zombie.
    tokio::spawn(async move {
        let _ = child.wait().await;
    });
    Ok(Process { pidfd, log_from })
}

/// setpriv's words for the user without rights but the capabilities that the daemon keeps.
fn rights(daemon: &Daemon, user: User) -> Vec<String> {
    let kept: String = daemon
        .capabilities
        .iter()
        .map(|name| format!(",+{name}"))
        .collect();
    let mut words = vec![
        format!("--reuid={}", user.uid),
        format!("--regid={}", user.gid),
        "--clear-groups".to_owned(),
        "--no-new-privs".to_owned(),
        format!("--bounding-set=-all{kept}"),
        format!("--inh-caps=-all{kept}"),
    ];
    if !kept.is_empty() {
        words.push(format!("--ambient-caps=-all{kept}"));
    }
    words
}
