//! Debian's daemons of the Prometheus family (Prometheus, Alertmanager, the blackbox exporter) as processes of their own: started
//! without root's rights, reachable on loopback only, by TLS and only with a client certificate, and started again when they end.
//!
//! What a daemon reads is a value, [`Files`]: who changes it sends the next one, and the daemon is told to reload when it must be.
//! The processes outlive this one on purpose: a new server takes over those that run as it wants them.

mod check;
mod files;
mod health;
mod log;
mod loopback;
mod process;
mod supervise;
mod user;

use std::path::PathBuf;
use std::sync::Arc;

pub use check::{CHECKED_FILE, CheckError, check};
pub use files::Files;
pub use health::{Silence, get, send};
pub use loopback::{CA_FILE, CLIENT_FILE, Loopback, LoopbackError};
pub use process::{runs, stop};
pub use supervise::run;
pub use user::User;

/// One daemon: what is run and how.
#[derive(Clone)]
pub struct Daemon {
    /// Its name, in logs and as its folder, e.g. `prometheus`.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// The Debian package that brings the program.
    pub package: &'static str,
    /// Arguments beyond address and TLS, which are added. No secrets: everybody on the machine sees them.
    pub arguments: Vec<String>,
    /// Environment variables, beyond which it gets none.
    pub environment: Vec<(&'static str, String)>,
    /// The folder of its [`Files`], made for it: root writes, it may read.
    pub dir: PathBuf,
    /// The folder of its data, made for it.
    pub data_dir: Option<PathBuf>,
    /// Where its log goes, kept below 10 MiB.
    pub log_file: PathBuf,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// Whom it runs as; asked at each start, since the package that makes a user may come later.
    pub user: fn() -> User,
    /// Capabilities that it keeps, as capabilities(7) names them in lower case without `cap_`, e.g. `net_raw`.
    pub capabilities: &'static [&'static str],
    /// The path that answers 200 when it is ready for work, e.g. `/-/ready`.
    pub health: &'static str,
    /// Called when it has ended, in a thread that may block, before it is started again.
    pub mend: Arc<dyn Fn(&Failure) + Send + Sync>,
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon")
            .field("name", &self.name)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

/// An end that nobody wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How many in a row came before it was ready: 0 when it was.
    pub in_a_row: u32,
    /// The end of what the daemon logged since.
    pub said: String,
}

/// How a daemon is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It has been started and is not ready yet.
    Starting,
    /// It answers.
    Ready,
    /// The program is not installed.
    Missing,
    /// It ended, hangs or could not be started; why. It is tried again.
    Failed(String),
}

impl State {
    /// What is wrong and what to do, when it does not answer.
    pub fn trouble(&self, daemon: &Daemon) -> Option<String> {
        let Daemon { name, package, .. } = daemon;
        match self {
            Self::Ready => None,
            Self::Starting => Some(format!("{name} is starting")),
            Self::Missing => Some(format!(
                "{} is not installed: `apt-get install {package}`",
                daemon.program.display()
            )),
            Self::Failed(why) => Some(format!("{name} does not run: {why}")),
        }
    }
}
