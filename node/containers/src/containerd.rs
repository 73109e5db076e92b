//! The engine: a containerd that this process starts, adopts, watches and restarts, and that outlives it.
//!
//! Know before changing: containerd gets a session of its own and no parent-death signal, and a restart of the server
//! adopts it by its socket (whose peer is its process). Containers survive the death of either. Only [`reset`] ends them.

mod hang;
mod process;
mod reset;
mod settings;
mod supervise;

pub use reset::{ResetReport, reset};
pub use settings::{HostTraits, settings};
pub use supervise::Supervisor;

use std::io;
use std::path::PathBuf;

/// Why containerd does not run.
#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    /// A file or folder of ours cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("cannot start {}; install the packages containerd and runc, or name the program", program.display())]
    Spawn {
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was started and ended again.
    #[error("containerd ended at once: {log}")]
    Ended {
        /// The end of its log.
        log: String,
    },
    /// It runs without its CRI plugin.
    #[error("containerd runs, but its CRI plugin did not load: {log}")]
    NoCri {
        /// The end of its log.
        log: String,
    },
    /// It runs and does not answer.
    #[error("containerd (process {pid}) does not answer on {} within {seconds} s: {log}", socket.display())]
    Silent {
        /// Its process.
        pid: u32,
        /// Its socket.
        socket: PathBuf,
        /// How long was waited.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// A process of ours does not end.
    #[error("process {pid} of containerd does not end")]
    Stubborn {
        /// Which.
        pid: u32,
    },
}

pub(crate) fn write_error(path: &std::path::Path) -> impl FnOnce(io::Error) -> ContainerdError {
    let path = path.to_owned();
    move |source| ContainerdError::Write { path, source }
}
