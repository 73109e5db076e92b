//! One server per data folder: a lock that the kernel releases when the process ends, however it ends.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

use crate::settings::Settings;

/// The claim to the data folder, held while the server runs.
pub struct Single {
    _lock: File,
    pid_file: PathBuf,
}

fn lock_file(settings: &Settings) -> PathBuf {
    settings.data_dir.join("server.lock")
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

impl Single {
    /// Claims the data folder.
    ///
    /// # Errors
    /// When another server has it.
    pub fn claim(settings: &Settings) -> anyhow::Result<Self> {
        let path = lock_file(settings);
        let lock = open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let who = running(settings).map_or(String::new(), |pid| format!(" (process {pid})"));
            bail!(
                "a server runs already with {}{who}",
                settings.data_dir.display()
            );
        }
        let pid_file = settings.pid_file();
        std::fs::write(&pid_file, format!("{}\n", std::process::id()))
            .with_context(|| format!("cannot write {}", pid_file.display()))?;
        Ok(Self {
            _lock: lock,
            pid_file,
        })
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.pid_file);
    }
}

/// The process id of the server that holds the data folder, if one does.
pub fn running(settings: &Settings) -> Option<i32> {
    let lock = open(&lock_file(settings)).ok()?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return None;
    }
    std::fs::read_to_string(settings.pid_file())
        .ok()?
        .trim()
        .parse()
        .ok()
}
