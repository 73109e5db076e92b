//! The blackbox exporter that we run while there are Probes: settings, command line, and when it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minicloud_api::part::Shutdown;
use minicloud_daemon::{Daemon, Files, Loopback, LoopbackError, State, User};
use minicloud_prometheus_client::Prometheus;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::sync::watch;

use crate::follow;
use crate::modules::scrape_config;
use crate::rounds::{Asking, Rounds};

/// Where Debian's package puts it.
pub const PROGRAM: &str = "/usr/bin/prometheus-blackbox-exporter";
/// The Debian package.
pub const PACKAGE: &str = "prometheus-blackbox-exporter";
/// The configuration, in its folder.
pub(crate) const CONFIG_FILE: &str = "blackbox.yml";
/// The file of targets, below Prometheus' folder of them.
pub const TARGETS_FILE: &str = "probes.json";

/// Nobody else's number, not even Prometheus': this one talks to strangers and must not read what others keep.
pub(crate) const USER: User = User {
    uid: 65_531,
    gid: 65_531,
};

/// Which groups may send an ICMP echo without a raw socket (icmp(7)).
const PING_GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";

/// The settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The program.
    pub program: PathBuf,
    /// The server's folder for what a reboot may lose.
    pub run_dir: PathBuf,
    /// The server's folder for data.
    pub data_dir: PathBuf,
    /// The port on 127.0.0.1.
    pub port: u16,
}

/// The folder of what the process of a server with this run folder reads: by it a reset finds the process.
pub fn dir(run_dir: &Path) -> PathBuf {
    run_dir.join("blackbox-exporter")
}

/// What shall run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wanted {
    /// Not known yet: what an earlier server left goes on.
    Unknown,
    /// There is no Probe.
    Nothing,
    /// It, with these files.
    Running(Files),
}

/// A blackbox exporter that is yet to be run.
pub struct Probing {
    daemon: Daemon,
    tls: Arc<ClientConfig>,
    /// What the TLS of its own port needs.
    fixed: Files,
    state: watch::Sender<State>,
    wanted: watch::Sender<Wanted>,
}

impl Probing {
    /// Decides how it is run; nothing is started yet.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn new(config: &Config, loopback: &Loopback) -> Result<Self, LoopbackError> {
        Ok(Self {
            daemon: daemon(config),
            tls: loopback.client(),
            fixed: loopback.serving(Files::default())?,
            state: watch::channel(State::Starting).0,
            wanted: watch::channel(Wanted::Unknown).0,
        })
    }

    /// What is wrong with it now, if anything.
    pub fn trouble(&self) -> impl Fn() -> Option<String> + Send + Sync + 'static {
        let (state, wanted) = (self.state.subscribe(), self.wanted.subscribe());
        let daemon = self.daemon.clone();
        move || {
            let runs = matches!(*wanted.borrow(), Wanted::Running(_));
            runs.then(|| state.borrow().trouble(&daemon)).flatten()
        }
    }

    /// The entry of Prometheus' `scrape_configs`. `tls_config` is how Prometheus talks to a daemon on loopback.
    pub fn scrape_config(tls_config: &Value) -> Value {
        scrape_config(&format!("targets/{TARGETS_FILE}"), tls_config)
    }

    /// Keeps it running while there are Probes, until shutdown, and leaves it running then. `client` is the identity that reads Probes
    /// and writes their status; `targets` gets the text of Prometheus' file of targets.
    pub async fn run(
        self,
        client: kube::Client,
        prometheus: Prometheus,
        targets: watch::Sender<String>,
        shutdown: Shutdown,
    ) {
        let known = watch::channel(None).0;
        let asking = Asking {
            program: self.daemon.program.clone(),
            dir: self.daemon.dir.clone(),
            port: self.daemon.port,
            tls: self.tls.clone(),
            fixed: self.fixed.clone(),
        };
        let rounds = Rounds::new(asking, client.clone(), prometheus, known.subscribe());
        let wanted = self.wanted.subscribe();
        tokio::select! {
            () = keep(&self.daemon, wanted, &self.tls, &self.state, shutdown) => {}
            () = follow::run(client, known) => {}
            () = rounds.run(&self.wanted, &targets) => {}
        }
    }
}

/// Runs it while it is wanted. Returns at shutdown.
async fn keep(
    daemon: &Daemon,
    mut wanted: watch::Receiver<Wanted>,
    tls: &Arc<ClientConfig>,
    state: &watch::Sender<State>,
    mut shutdown: Shutdown,
) {
    loop {
        let now = wanted.borrow_and_update().clone();
        if let Wanted::Running(files) = now {
            let (files, told) = watch::channel(files);
            tokio::select! {
                () = minicloud_daemon::run(daemon.clone(), told, tls.clone(), state.clone(), shutdown.clone()) => return,
                () = pass_on(&mut wanted, &files) => {}
            }
            continue;
        }
        if now == Wanted::Nothing {
            minicloud_daemon::stop(&daemon.dir).await;
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = shutdown.wait() => return,
        }
    }
}

/// Returns when it is no longer wanted.
async fn pass_on(wanted: &mut watch::Receiver<Wanted>, files: &watch::Sender<Files>) {
    while wanted.changed().await.is_ok() {
        match &*wanted.borrow_and_update() {
            Wanted::Running(new) => drop(files.send_replace(new.clone())),
            Wanted::Nothing | Wanted::Unknown => return,
        }
    }
    std::future::pending().await
}

fn daemon(config: &Config) -> Daemon {
    let dir = dir(&config.run_dir);
    Daemon {
        name: "blackbox-exporter",
        program: config.program.clone(),
        package: PACKAGE,
        arguments: vec![
            format!("--config.file={}", dir.join(CONFIG_FILE).display()),
            // What it remembers of failures nobody reads.
            "--history.limit=1".to_owned(),
            "--log.level=warn".to_owned(),
        ],
        environment: vec![
            ("GOGC", "50".to_owned()),
            ("GOMEMLIMIT", "64MiB".to_owned()),
            ("GOMAXPROCS", "2".to_owned()),
        ],
        dir,
        log_file: config.data_dir.join("logs/blackbox-exporter.log"),
        data_dir: None,
        port: config.port,
        user: || USER,
        // Debian's package marks the file in a way that takes inherited capabilities away; see `allow_ping`.
        capabilities: &[],
        health: "/-/healthy",
        mend: Arc::new(|_| {}),
    }
}

/// Lets the exporter send ICMP echoes where nobody may. Most systems let everybody (systemd does); another setting is the
/// administrator's and stays.
pub(crate) fn allow_ping() {
    let Ok(range) = fs::read_to_string(PING_GROUPS) else {
        return;
    };
    let numbers: Vec<u32> = range.split_whitespace().flat_map(str::parse).collect();
    let &[from, to] = &numbers[..] else {
        return;
    };
    let gid = USER.gid;
    if (from..=to).contains(&gid) {
        return;
    }
    if from <= to {
        tracing::warn!(
            "{PING_GROUPS} is {from} to {to}: ICMP probes fail; a range with group {gid} would let them"
        );
        return;
    }
    match fs::write(PING_GROUPS, format!("{gid} {gid}")) {
        Ok(()) => tracing::info!("the group of the blackbox exporter may now send ICMP echoes"),
        Err(error) => {
            tracing::warn!(%error, "{PING_GROUPS} cannot be written: ICMP probes may fail")
        }
    }
}

/// Ends what a server with this run folder left running, and takes back what it allowed.
pub async fn stop(run_dir: &Path) {
    minicloud_daemon::stop(&dir(run_dir)).await;
    let gid = USER.gid.to_string();
    let range = fs::read_to_string(PING_GROUPS).unwrap_or_default();
    if range.split_whitespace().all(|number| number == gid) && !range.trim().is_empty() {
        // Only a wish; the kernel's own default.
        let _ = fs::write(PING_GROUPS, "1 0");
    }
}
