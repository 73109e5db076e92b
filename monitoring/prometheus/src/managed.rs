//! The Prometheus that we run: settings, command line, and the files that follow the cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use minicloud_api::part::Shutdown;
use minicloud_daemon::{Daemon, Failure, Files, Loopback, LoopbackError, State, User};
use minicloud_prometheus_client::{Endpoint, Prometheus};
use tokio::sync::watch;

use crate::config::{
    CLUSTER_CA_FILE, CONFIG_FILE, Extra, NODES_FILE, PODS_FILE, RULES_DIR, SCRAPER_FILE,
    SERVICES_FILE, Scraping, prometheus_yml,
};
use crate::storage::{self, Remedy};
use crate::targets::{self, Known};

/// Where Debian's package puts it.
pub const PROGRAM: &str = "/usr/bin/prometheus";

/// Changes of targets that come together are written together.
const SETTLE: Duration = Duration::from_millis(500);

const MIB: u64 = 1 << 20;

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
    /// Between scrapes, e.g. `15s`.
    pub scrape_interval: String,
    /// How long samples are kept, e.g. `15d`.
    pub retention_time: String,
    /// How much disk samples may take, in bytes; less where the disk is small.
    pub retention_size_bytes: u64,
    /// Where this machine's API server is reached.
    pub api_server: SocketAddr,
    /// Where this machine's port 3000 is reached.
    pub listener: SocketAddr,
    /// The port of nodes' metrics.
    pub metrics_port: u16,
    /// This node's name.
    pub node_name: String,
}

/// What changes while it runs.
#[derive(Debug, Clone)]
pub struct Changing {
    /// The cluster's CA, PEM.
    pub ca_pem: String,
    /// Certificate and key of the identity that scrapes, PEM.
    pub scraper_pem: String,
}

/// The folder of what the process of a server with this run folder reads: by it a reset finds the process.
pub fn dir(run_dir: &Path) -> PathBuf {
    run_dir.join("prometheus")
}

/// A Prometheus that is yet to be run.
pub struct Managed {
    daemon: Daemon,
    config: Config,
    loopback: Arc<Loopback>,
    /// What the TLS of its own port needs.
    fixed: Files,
    state: watch::Sender<State>,
    /// Set before it is ended because its store is ahead of the clock.
    is_ahead: Arc<AtomicBool>,
}

impl Managed {
    /// Decides how it is run; nothing is started yet.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn new(config: Config, loopback: Arc<Loopback>) -> Result<Self, LoopbackError> {
        let fixed = loopback.serving(Files::default())?;
        let fixed = loopback.calling(fixed, "prometheus")?;
        let is_ahead = Arc::<AtomicBool>::default();
        let daemon = daemon(&config, is_ahead.clone());
        Ok(Self {
            daemon,
            is_ahead,
            config,
            loopback,
            fixed,
            state: watch::channel(State::Starting).0,
        })
    }

    /// A client of it.
    pub fn client(&self) -> Prometheus {
        let url = format!("https://127.0.0.1:{}", self.config.port);
        match url.parse() {
            Ok(url) => Prometheus::new(Endpoint {
                url,
                tls: self.loopback.client(),
                token_file: None,
            }),
            Err(_) => Prometheus::away(format!("{url} is no URL")),
        }
    }

    /// How it is doing, from now on.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// What is wrong with it now, if anything.
    pub fn trouble(&self) -> impl Fn() -> Option<String> + Send + Sync + 'static {
        let (state, daemon) = (self.state.subscribe(), self.daemon.clone());
        move || state.borrow().trouble(&daemon)
    }

    /// Keeps it running until shutdown, and leaves it running then. `client` is the identity that finds targets.
    pub async fn run(
        self,
        client: kube::Client,
        changing: watch::Receiver<Changing>,
        extra: watch::Receiver<Extra>,
        shutdown: Shutdown,
    ) {
        let known = watch::channel(None).0;
        let gathered = Gathered {
            config: self.config,
            fixed: self.fixed,
            changing,
            extra,
            known: known.subscribe(),
        };
        let (files, told) = watch::channel(gathered.files());
        let tls = self.loopback.client();
        let clock = Clock {
            state: self.state.subscribe(),
            dir: self.daemon.dir.clone(),
            port: self.daemon.port,
            tls: tls.clone(),
            is_ahead: self.is_ahead,
        };
        tokio::select! {
            () = minicloud_daemon::run(self.daemon, told, tls, self.state, shutdown) => {}
            () = clock.run() => {}
            () = targets::follow::run(client, known) => {}
            () = gathered.run(files) => {}
        }
    }
}

/// How often the store is compared with the clock, and how often in a row it has to be ahead: after a start without a network the clock
/// may be behind for a while.
const LOOK: Duration = Duration::from_secs(600);
const LOOKS: u32 = 4;
const MAX_STATUS_BYTES: usize = 1 << 20;
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

/// Looks whether the clock was wrong once. Prometheus is well then and says nothing, and keeps nothing that is measured until the clock
/// has caught up.
struct Clock {
    state: watch::Receiver<State>,
    dir: PathBuf,
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    is_ahead: Arc<AtomicBool>,
}

impl Clock {
    async fn run(mut self) {
        let mut in_a_row = 0;
        loop {
            if self.state.wait_for(|s| *s == State::Ready).await.is_err() {
                // The server is ending.
                return std::future::pending().await;
            }
            let status = minicloud_daemon::get(
                self.port,
                "/api/v1/status/tsdb",
                &self.tls,
                MAX_STATUS_BYTES,
                STATUS_PATIENCE,
            );
            let now_ms = k8s_openapi::jiff::Timestamp::now().as_millisecond();
            let is_ahead = status.await.is_ok_and(|s| storage::is_ahead(&s, now_ms));
            in_a_row = if is_ahead { in_a_row + 1 } else { 0 };
            if in_a_row == LOOKS {
                tracing::error!(
                    "the store of Prometheus is ahead of the clock, which was wrong once: nothing measured now would be kept"
                );
                self.is_ahead.store(true, Ordering::Relaxed);
                minicloud_daemon::stop(&self.dir).await;
                in_a_row = 0;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// All that its files are made from.
struct Gathered {
    config: Config,
    fixed: Files,
    changing: watch::Receiver<Changing>,
    extra: watch::Receiver<Extra>,
    known: watch::Receiver<Option<Known>>,
}

impl Gathered {
    fn files(&self) -> Files {
        let (changing, extra) = (self.changing.borrow(), self.extra.borrow());
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let scraping = Scraping {
            interval: self.config.scrape_interval.clone(),
            api_server: self.config.api_server,
            listener: self.config.listener,
            own: loopback(self.config.port),
            node_name: self.config.node_name.clone(),
        };
        let mut files = self
            .fixed
            .clone()
            .configuration(CONFIG_FILE, prometheus_yml(&scraping, &extra))
            .watched(CLUSTER_CA_FILE, changing.ca_pem.clone())
            .watched(SCRAPER_FILE, changing.scraper_pem.clone());
        for (name, text) in &extra.rules {
            files = files.configuration(format!("{RULES_DIR}/{name}"), text.clone());
        }
        for (name, text) in &extra.targets {
            files = files.watched(format!("targets/{name}"), text.clone());
        }
        match &*self.known.borrow() {
            Some(known) => targets::files(known, self.config.metrics_port, files),
            // One that is taken over goes on with the targets it has.
            None => self.targets_before(files),
        }
    }

    fn targets_before(&self, mut files: Files) -> Files {
        for name in [NODES_FILE, PODS_FILE, SERVICES_FILE] {
            let before = std::fs::read_to_string(dir(&self.config.run_dir).join(name));
            // Never without the file: Prometheus cannot watch a folder that is not there when it starts.
            files = files.watched(name, before.unwrap_or_else(|_| "[]".to_owned()));
        }
        files
    }

    async fn run(mut self, files: watch::Sender<Files>) {
        loop {
            let changed = tokio::select! {
                changed = self.changing.changed() => changed,
                changed = self.extra.changed() => changed,
                changed = self.known.changed() => changed,
            };
            if changed.is_err() {
                // The server is ending.
                return std::future::pending().await;
            }
            tokio::time::sleep(SETTLE).await;
            let new = self.files();
            files.send_if_modified(|old| {
                let differs = *old != new;
                *old = new;
                differs
            });
        }
    }
}

fn daemon(config: &Config, is_ahead: Arc<AtomicBool>) -> Daemon {
    let data_dir = config.data_dir.join("prometheus");
    let size = storage::size_limit(
        config.retention_size_bytes,
        storage::free(&data_dir),
        storage::used(&data_dir),
    );
    let dir = dir(&config.run_dir);
    let memory = memory_limit(total_memory());
    let mend = {
        let data_dir = data_dir.clone();
        move |failure: &Failure| {
            let remedy = if is_ahead.swap(false, Ordering::Relaxed) {
                Remedy::MoveAside
            } else {
                storage::remedy(failure)
            };
            if let Err(error) = storage::mend(&data_dir, remedy) {
                tracing::error!(%error, dir = %data_dir.display(), "the store of Prometheus cannot be moved aside");
            }
        }
    };
    Daemon {
        name: "prometheus",
        program: config.program.clone(),
        package: "prometheus",
        arguments: arguments(
            &dir.join(CONFIG_FILE),
            &data_dir,
            &config.retention_time,
            size,
        ),
        environment: vec![
            ("GOGC", "50".to_owned()),
            ("GOMEMLIMIT", format!("{}MiB", memory / MIB)),
            // Two processors at most: a small machine has other things to do.
            ("GOMAXPROCS", "2".to_owned()),
        ],
        dir,
        log_file: config.data_dir.join("logs/prometheus.log"),
        data_dir: Some(data_dir),
        port: config.port,
        user: || User::named("prometheus"),
        capabilities: &[],
        health: "/-/ready",
        mend: Arc::new(mend),
    }
}

/// Beyond address and TLS. Measured on one node of 2,000 series: docs/monitoring.md has the figures.
fn arguments(config: &Path, data: &Path, time: &str, size_bytes: u64) -> Vec<String> {
    vec![
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", data.display()),
        format!("--storage.tsdb.retention.time={time}"),
        format!("--storage.tsdb.retention.size={size_bytes}B"),
        "--storage.tsdb.wal-compression".to_owned(),
        "--web.max-connections=64".to_owned(),
        "--query.max-concurrency=4".to_owned(),
        "--query.timeout=30s".to_owned(),
        "--query.max-samples=5000000".to_owned(),
        "--log.level=info".to_owned(),
    ]
}

/// What Go tries to stay below: an eighth of the machine's memory, within bounds. It is no hard limit.
fn memory_limit(total: u64) -> u64 {
    (total / 8).clamp(128 * MIB, 1024 * MIB)
}

fn total_memory() -> u64 {
    let info = rustix::system::sysinfo();
    u64::from(info.mem_unit).saturating_mul(info.totalram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_the_machine() {
        assert_eq!(memory_limit(512 * MIB), 128 * MIB);
        assert_eq!(memory_limit(4096 * MIB), 512 * MIB);
        assert_eq!(memory_limit(1 << 40), 1024 * MIB);
        assert!(total_memory() > 64 * MIB);
    }
}
