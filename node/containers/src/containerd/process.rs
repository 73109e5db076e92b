//! containerd's process: finding, starting and ending it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use minicloud_cri::ErrorKind;
use minicloud_process::Pidfd;
use rustix::process::{Pid, Signal};
use tokio::net::UnixStream;

use super::hang::Pulse;
use super::{ContainerdError, write_error};
use crate::config::Containerd;
use crate::proc;

/// Its log is cut when it is larger; one older piece is kept.
const MAX_LOG_BYTES: u64 = 10 << 20;
/// How much of its log an error quotes.
const QUOTE_BYTES: u64 = 600;

/// A running containerd, ours or adopted.
#[derive(Debug)]
pub(super) struct Process(Pidfd);

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&self) {
        self.0.ended().await;
    }

    /// Whether its program was replaced on disk (an upgrade of the package) since it was started.
    pub(super) fn is_outdated(&self) -> bool {
        fs::read_link(format!("/proc/{}/exe", self.pid()))
            .is_ok_and(|exe| exe.to_string_lossy().ends_with(" (deleted)"))
    }

    /// What it has used and done until now.
    pub(super) fn pulse(&self) -> Pulse {
        let text = |name| proc::text(self.pid(), name);
        Pulse::parse(&text("stat"), &text("io"))
    }

    /// Ends it; containers and their shims go on.
    pub(super) async fn stop(&self) -> Result<(), ContainerdError> {
        self.end(&[(Signal::TERM, 10), (Signal::KILL, 5)]).await
    }

    /// Ends one that hangs: it is not expected to hear what it is asked.
    pub(super) async fn end_hung(&self) -> Result<(), ContainerdError> {
        self.end(&[(Signal::TERM, 2), (Signal::KILL, 30)]).await
    }

    async fn end(&self, signals: &[(Signal, u64)]) -> Result<(), ContainerdError> {
        for &(signal, patience) in signals {
            self.0.send(signal);
            if tokio::time::timeout(Duration::from_secs(patience), self.ended())
                .await
                .is_ok()
            {
                return Ok(());
            }
        }
        Err(ContainerdError::Stubborn { pid: self.pid() })
    }
}

/// The containerd that serves the socket, or else the one that the pid file names and that was started for this
/// configuration.
pub(super) async fn find(config: &Containerd) -> Option<Process> {
    let by_socket = match UnixStream::connect(config.socket()).await {
        Ok(stream) => stream.peer_cred().ok().and_then(|peer| peer.pid()),
        Err(_) => None,
    };
    let pid = by_socket
        .or_else(|| by_pid_file(config))
        .and_then(Pid::from_raw)?;
    Pidfd::open(pid).ok().map(Process)
}

fn by_pid_file(config: &Containerd) -> Option<i32> {
    let pid: i32 = fs::read_to_string(config.pid_file())
        .ok()?
        .trim()
        .parse()
        .ok()?;
    // After a reboot the number may be another's.
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let file = config.config_file();
    let ours = command
        .split(|b| *b == 0)
        .any(|word| word == file.as_os_str().as_encoded_bytes());
    ours.then_some(pid)
}

/// Starts containerd apart from this process: own session, no inherited streams, log to its file.
pub(super) async fn spawn(config: &Containerd) -> Result<Process, ContainerdError> {
    let log = open_log(&config.log_file).map_err(write_error(&config.log_file))?;
    let errors = log.try_clone().map_err(write_error(&config.log_file))?;
    let spawn_error = |source| ContainerdError::Spawn {
        program: config.binary.clone(),
        source,
    };
    // `setsid` replaces itself by what it starts, so the process id stays; so must the launcher's.
    let mut child = tokio::process::Command::new("setsid")
        .args(&config.launcher)
        .arg(&config.binary)
        .arg("--config")
        .arg(config.config_file())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .current_dir("/")
        // It would report readiness of ours to systemd in our place.
        .env_remove("NOTIFY_SOCKET")
        .kill_on_drop(false)
        .spawn()
        .map_err(spawn_error)?;
    let process = child
        .id()
        .and_then(|pid| Pid::from_raw(pid.cast_signed()))
        .ok_or_else(|| io::Error::other("it ended at once"))
        .and_then(Pidfd::open)
        .map(Process)
        .map_err(spawn_error)?;
    fs::write(config.pid_file(), process.pid().to_string())
        .map_err(write_error(&config.pid_file()))?;
    // Somebody must fetch its exit status, or it stays as a zombie.
    tokio::spawn(async move {
        let _ = child.wait().await;
    });
    Ok(process)
}

/// Waits until the socket answers.
pub(super) async fn ready(
    config: &Containerd,
    process: &Process,
    patience: Duration,
) -> Result<(), ContainerdError> {
    let client = minicloud_cri::Client::new(&config.socket());
    let deadline = Instant::now() + patience;
    let answers = async {
        loop {
            // The file appears before CRI answers; asking earlier only costs.
            if config.socket().exists() {
                match client.version().await {
                    Ok(_) => return Ok(()),
                    // All services are there before the first answer: this one did not load, and will not.
                    Err(error) if error.kind == ErrorKind::Unimplemented => {
                        return Err(ContainerdError::NoCri {
                            log: end_of_log(&config.log_file),
                        });
                    }
                    Err(_) => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        answered = answers => answered,
        () = process.ended() => Err(ContainerdError::Ended { log: end_of_log(&config.log_file) }),
        () = tokio::time::sleep_until(deadline.into()) => Err(ContainerdError::Silent {
            pid: process.pid(),
            socket: config.socket(),
            seconds: patience.as_secs(),
            log: end_of_log(&config.log_file),
        }),
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Keeps the log small. containerd holds it open for appending, so it is copied and emptied, not renamed.
pub(super) fn trim_log(path: &Path) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|file| file.len() > MAX_LOG_BYTES) {
        fs::copy(path, path.with_extension("log.1"))?;
        OpenOptions::new().write(true).open(path)?.set_len(0)?;
    }
    Ok(())
}

fn end_of_log(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(QUOTE_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(QUOTE_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    match read() {
        Ok(text) if text.is_empty() => format!("its log {} is empty", path.display()),
        Ok(text) => format!("its log {} ends with: {text}", path.display()),
        Err(error) => format!("its log {} cannot be read: {error}", path.display()),
    }
}
