//! Keeping a containerd running: adopt or start, then start again with growing pauses whenever it ends.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

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
    let mut pause = PAUSE.0;
    loop {
        let since = Instant::now();
        loop {
            tokio::select! {
                () = process.ended() => break,
                () = tokio::time::sleep(LOG_LOOK) => {
                    if let Err(error) = process::trim_log(&config.log_file) {
                        tracing::warn!(file = %config.log_file.display(), %error, "containerd's log cannot be cut");
                    }
                }
            }
        }
        if since.elapsed() >= SOUND {
            pause = PAUSE.0;
        }
        tracing::warn!(
            pid = process.pid(),
            pause_ms = pause.as_millis(),
            "containerd ended and is restarted"
        );
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
