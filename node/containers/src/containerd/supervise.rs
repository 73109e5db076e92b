//! Keeping a containerd running: adopt or start, then start again with growing pauses whenever it ends.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use minicloud_cri::{Client, ErrorKind};
use tokio::task::AbortHandle;

use super::hang::Silence;
use super::process::{self, Process};
use super::settings::{HostTraits, settings};
use super::{ContainerdError, write_error};
use crate::config::Containerd;

/// A slow disk after a power cut makes for a slow start.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause before a restart and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));
/// One that ran this long had started well: pauses begin anew.
const SOUND: Duration = Duration::from_secs(300);
const LOG_LOOK: Duration = Duration::from_secs(60);
/// Between questions whether it answers, and between those to one of which that is not known.
const ASK: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));
/// How long one answer may take before it counts as missing.
const ANSWER: Duration = Duration::from_secs(5);

/// Watches over containerd for as long as it lives. Dropping it leaves containerd and its containers alone.
#[derive(Debug)]
pub struct Supervisor {
    task: AbortHandle,
}

impl Supervisor {
    /// Writes the configuration, adopts a running containerd or starts one, and waits until it answers.
    ///
    /// One that runs with another configuration or from a program that was since replaced is restarted: containers do not
    /// notice.
    pub async fn start(config: Containerd) -> Result<Self, ContainerdError> {
        let changed = write_configuration(&config)?;
        let mut found = process::find(&config).await;
        if let Some(process) = found.take_if(|process| changed || process.is_outdated()) {
            tracing::info!(
                pid = process.pid(),
                "restarting containerd for its new configuration or program"
            );
            process.stop().await?;
        }
        let process = match found {
            Some(process) => {
                tracing::info!(pid = process.pid(), "containerd runs already");
                process
            }
            None => process::spawn(&config).await?,
        };
        let process = match process::ready(&config, &process, PATIENCE).await {
            Ok(()) => process,
            // A hung one from an earlier life would stay hung.
            Err(ContainerdError::Silent { pid, .. }) => {
                tracing::warn!(pid, "containerd does not answer and is restarted");
                process.stop().await?;
                let process = process::spawn(&config).await?;
                process::ready(&config, &process, PATIENCE).await?;
                process
            }
            Err(error) => return Err(error),
        };
        let task = tokio::spawn(watch(config, process)).abort_handle();
        Ok(Supervisor { task })
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(config: Containerd, mut process: Process) {
    let client = Client::new(&config.socket());
    let mut pause = PAUSE.0;
    loop {
        let since = Instant::now();
        let end = until_over(&config, &client, &process).await;
        if since.elapsed() >= SOUND {
            pause = PAUSE.0;
        }
        let (pid, pause_ms) = (process.pid(), pause.as_millis());
        match end {
            End::Ended => tracing::warn!(pid, pause_ms, "containerd ended and is restarted"),
            End::Hangs(silent) => {
                let seconds = silent.as_secs();
                tracing::warn!(
                    pid,
                    seconds,
                    pause_ms,
                    "containerd does not answer and is restarted"
                );
                if let Err(error) = process.end_hung().await {
                    tracing::error!(%error, "a containerd that hangs stays");
                    continue;
                }
            }
        }
        process = loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
            match process::spawn(&config).await {
                Ok(process) => break process,
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "containerd cannot be restarted"
                ),
            }
        };
    }
}

enum End {
    Ended,
    Hangs(Duration),
}

/// Returns when containerd has ended, or must be ended. Its log is kept small meanwhile.
async fn until_over(config: &Containerd, client: &Client, process: &Process) -> End {
    let mut silence = Silence::new(Instant::now(), process.pulse());
    let mut log_looked = Instant::now();
    loop {
        let pause = if silence.sure() { ASK.0 } else { ASK.1 };
        let ask = async {
            tokio::time::sleep(pause).await;
            match tokio::time::timeout(ANSWER, client.version()).await {
                Ok(Ok(_)) => true,
                // It answers, though not well; that is not for a restart to mend.
                Ok(Err(error)) => {
                    !matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
                }
                Err(_) => false,
            }
        };
        let answered = tokio::select! {
            () = process.ended() => return End::Ended,
            answered = ask => answered,
        };
        let now = Instant::now();
        if answered {
            silence.answered(now, process.pulse());
        } else if let Some(silent) = silence.missed(now, process.pulse()) {
            return End::Hangs(silent);
        }
        if log_looked.elapsed() >= LOG_LOOK {
            log_looked = now;
            if let Err(error) = process::trim_log(&config.log_file) {
                tracing::warn!(file = %config.log_file.display(), %error, "containerd's log cannot be cut");
            }
        }
    }
}

/// Writes the folders and the configuration; says whether a configuration was there and differed.
fn write_configuration(config: &Containerd) -> Result<bool, ContainerdError> {
    for dir in [&config.root, &config.state] {
        // Images and snapshots hold other people's files with their rights.
        private_dir(dir).map_err(write_error(dir))?;
    }
    fs::create_dir_all(&config.cni_conf_dir).map_err(write_error(&config.cni_conf_dir))?;
    let file = config.config_file();
    let text = settings(config, HostTraits::detect())
        .map_err(|error| write_error(&file)(io::Error::other(error)))?;
    let before = fs::read_to_string(&file).ok();
    if before.as_deref() == Some(text.as_str()) {
        return Ok(false);
    }
    // Renamed into place: a containerd that starts meanwhile reads one or the other.
    let new = file.with_extension("toml.new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, &file))
        .map_err(write_error(&file))?;
    Ok(before.is_some())
}

fn private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(dir)
}
