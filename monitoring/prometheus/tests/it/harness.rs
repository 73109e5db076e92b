//! One supervised Prometheus on loopback that scrapes itself each second.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use minicloud_api::part::{Shutdown, ShutdownTrigger};
use minicloud_daemon::{Loopback, State};
use minicloud_prometheus::config::Extra;
use minicloud_prometheus::managed::{self, Changing, Config, Managed};
use minicloud_prometheus_client::Prometheus;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The folders, and the port.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    pub(crate) config: Config,
}

impl Place {
    pub(crate) fn new() -> Self {
        // Below a folder that others may pass through.
        let dir = tempfile::Builder::new().prefix("mcp-").tempdir().unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let nobody = "127.0.0.1:1".parse().unwrap();
        let config = Config {
            program: managed::PROGRAM.into(),
            run_dir: dir.path().join("run"),
            data_dir: dir.path().join("data"),
            port: port.local_addr().unwrap().port(),
            scrape_interval: "1s".into(),
            retention_time: "1d".into(),
            retention_size_bytes: 64 << 20,
            api_server: nobody,
            listener: nobody,
            metrics_port: 1,
            node_name: "edge-1".into(),
        };
        Self { dir, config }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the samples are.
    pub(crate) fn store(&self) -> PathBuf {
        self.config.data_dir.join("prometheus")
    }

    /// Begins to supervise.
    pub(crate) fn start(&self) -> Supervised {
        let managed =
            Managed::new(self.config.clone(), Arc::new(Loopback::new().unwrap())).unwrap();
        let (client, state) = (managed.client(), managed.state());
        let trouble = Box::new(managed.trouble());
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let kubernetes = kube::Client::try_from(nowhere).unwrap();
        let changing = Changing {
            ca_pem: String::new(),
            scraper_pem: String::new(),
        };
        let (trigger, shutdown) = Shutdown::new();
        let (changing, extra) = (
            watch::channel(changing).0,
            watch::channel(Extra::default()).0,
        );
        let (told, more) = (changing.subscribe(), extra.subscribe());
        let task = tokio::spawn(managed.run(kubernetes, told, more, shutdown));
        Supervised {
            client,
            state,
            trouble,
            extra,
            _changing: changing,
            trigger,
            task,
        }
    }

    /// The process, by its command line.
    pub(crate) fn pid(&self) -> Option<u32> {
        let mark = format!(
            "--web.config.file={}",
            managed::dir(&self.config.run_dir).join("web.yml").display()
        );
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut ours = pids.filter(|pid: &u32| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(managed::PROGRAM) && line.split('\0').any(|word| word == mark)
        });
        let first = ours.next();
        assert_eq!(ours.next(), None, "two of them");
        first
    }

    /// Ends the process and waits for its end.
    pub(crate) async fn stop(&self) {
        minicloud_daemon::stop(&managed::dir(&self.config.run_dir)).await;
        assert_eq!(self.pid(), None);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.config.data_dir.join("logs/prometheus.log"));
            eprintln!("--- its log ---\n{}", log.unwrap_or_default());
        }
        if let Some(pid) = self.pid() {
            let _ = std::process::Command::new("kill")
                .args(["-9", &pid.to_string()])
                .status();
        }
    }
}

/// A supervisor and its Prometheus.
pub(crate) struct Supervised {
    pub(crate) client: Prometheus,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) trouble: Box<dyn Fn() -> Option<String>>,
    pub(crate) extra: watch::Sender<Extra>,
    _changing: watch::Sender<Changing>,
    trigger: ShutdownTrigger,
    task: JoinHandle<()>,
}

impl Supervised {
    pub(crate) async fn ready(&mut self) {
        self.becomes(|state| *state == State::Ready).await;
    }

    pub(crate) async fn becomes(&mut self, wanted: impl FnMut(&State) -> bool) {
        let waiting = tokio::time::timeout(Duration::from_secs(60), self.state.wait_for(wanted));
        let reached = waiting.await.is_ok();
        assert!(reached, "it is {:?}", *self.state.borrow());
    }

    /// How many scrapes of itself are stored.
    pub(crate) async fn scrapes(&self) -> f64 {
        let asked = "count_over_time(up{job=\"prometheus\"}[1h])";
        let answer = self.client.query(asked).await.unwrap_or_default();
        answer.first().map_or(0.0, |sample| sample.value())
    }

    /// Waits until there are this many.
    pub(crate) async fn has_scraped(&self, count: f64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.scrapes().await < count {
            assert!(
                Instant::now() < deadline,
                "{} scrapes",
                self.scrapes().await
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends the supervisor; Prometheus goes on.
    pub(crate) async fn leave(self) {
        self.trigger.shut_down();
        self.task.await.unwrap();
    }
}
