//! The Alertmanager that we run: settings, command line, and its files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minicloud_api::part::Shutdown;
use minicloud_daemon::{
    CHECKED_FILE, CheckError, Daemon, Files, Loopback, LoopbackError, State, User, check,
};
use rustls::ClientConfig;
use tokio::sync::watch;

use crate::choice::{Mail, Sending};
use crate::config::{PASSWORD_FILE, mail_yml};
use crate::proxy::Upstream;

/// Where Debian's package puts it.
pub const PROGRAM: &str = "/usr/bin/prometheus-alertmanager";
/// The Debian package.
pub const PACKAGE: &str = "prometheus-alertmanager";
/// The program that checks its configuration.
pub const AMTOOL: &str = "/usr/bin/amtool";

const CONFIG_FILE: &str = "alertmanager.yml";
/// The largest configuration and password that are read, in bytes.
const MAX_FILE: u64 = 1 << 20;

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
    /// This node's name.
    pub node_name: String,
    /// Where people look at alerts, for links in messages, e.g. `https://edge-1:3000/console/alerts`.
    pub external_url: String,
    /// How people are told.
    pub sending: Sending,
}

/// The folder of what the process of a server with this run folder reads: by it a reset finds the process.
pub fn dir(run_dir: &Path) -> PathBuf {
    run_dir.join("alertmanager")
}

/// An Alertmanager that is yet to be run.
pub struct Managed {
    daemon: Daemon,
    config: Config,
    tls: Arc<ClientConfig>,
    fixed: Files,
    state: watch::Sender<State>,
}

impl Managed {
    /// Decides how it is run; nothing is started yet.
    ///
    /// # Errors
    /// When keys cannot be made.
    pub fn new(config: Config, loopback: &Loopback) -> Result<Self, LoopbackError> {
        Ok(Self {
            daemon: daemon(&config),
            tls: loopback.client(),
            fixed: loopback.serving(Files::default())?,
            config,
            state: watch::channel(State::Starting).0,
        })
    }

    /// How `/alertmanager` on port 3000 gets there.
    pub fn upstream(&self) -> Upstream {
        Upstream::Managed {
            port: self.daemon.port,
            tls: self.tls.clone(),
        }
    }

    /// What is wrong with it now, if anything.
    pub fn trouble(&self) -> impl Fn() -> Option<String> + Send + Sync + 'static {
        let (state, daemon) = (self.state.subscribe(), self.daemon.clone());
        move || state.borrow().trouble(&daemon)
    }

    /// Keeps it running until shutdown, and leaves it running then. With settings that it would refuse it is not started: the log and
    /// `minicloud status` say why.
    pub async fn run(self, mut shutdown: Shutdown) {
        let files = match self.files().await {
            Ok(files) => files,
            Err(why) => {
                tracing::error!("alertmanager is not started, nobody is told of alerts: {why}");
                self.state.send_replace(State::Failed(why));
                return shutdown.wait().await;
            }
        };
        let (_files, told) = watch::channel(files);
        minicloud_daemon::run(self.daemon, told, self.tls, self.state, shutdown).await;
    }

    async fn files(&self) -> Result<Files, String> {
        let files = self.fixed.clone();
        match &self.config.sending {
            Sending::Mail(mail) => {
                let text = mail_yml(mail, &self.daemon.dir, &self.config.node_name);
                with_password(files.configuration(CONFIG_FILE, text), mail)
            }
            Sending::File(path) => {
                let text = read(path)?;
                let arguments = ["check-config", CHECKED_FILE];
                match check(Path::new(AMTOOL), &arguments, &text, (self.daemon.user)()).await {
                    // It will say itself what is wrong with it.
                    Ok(()) | Err(CheckError::Unable { .. }) => {
                        Ok(files.configuration(CONFIG_FILE, text))
                    }
                    Err(CheckError::Refused(said)) => Err(format!("{}: {said}", path.display())),
                }
            }
        }
    }
}

fn with_password(files: Files, mail: &Mail) -> Result<Files, String> {
    let Some((_, path)) = &mail.auth else {
        return Ok(files);
    };
    let password = read(path)?;
    let password = password.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(format!(
            "smtp-auth-password-file {} is empty",
            path.display()
        ));
    }
    Ok(files.watched(PASSWORD_FILE, password))
}

fn read(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let read = || {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(MAX_FILE).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    read().map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn daemon(config: &Config) -> Daemon {
    let dir = dir(&config.run_dir);
    let data_dir = config.data_dir.join("alertmanager");
    Daemon {
        name: "alertmanager",
        program: config.program.clone(),
        package: PACKAGE,
        arguments: vec![
            format!("--config.file={}", dir.join(CONFIG_FILE).display()),
            format!("--storage.path={}", data_dir.display()),
            // What messages link to is not its own port, which nobody gets into.
            format!("--web.external-url={}", config.external_url),
            "--web.route-prefix=/".to_owned(),
            // No second one to agree with.
            "--cluster.listen-address=".to_owned(),
            "--log.level=info".to_owned(),
        ],
        environment: vec![
            ("GOGC", "50".to_owned()),
            ("GOMEMLIMIT", "96MiB".to_owned()),
            ("GOMAXPROCS", "2".to_owned()),
        ],
        dir,
        log_file: config.data_dir.join("logs/alertmanager.log"),
        data_dir: Some(data_dir),
        port: config.port,
        // Not Prometheus' user: what each keeps is none of the other's.
        user: || User {
            uid: 65_530,
            gid: 65_530,
        },
        capabilities: &[],
        health: "/-/ready",
        mend: Arc::new(|_| {}),
    }
}

/// Ends what a server with this run folder left running.
pub async fn stop(run_dir: &Path) {
    minicloud_daemon::stop(&dir(run_dir)).await;
}
