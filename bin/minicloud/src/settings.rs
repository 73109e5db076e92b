//! Settings: one TOML file; every setting also has a flag and an environment variable (`MINICLOUD_` and the flag's name).
//! A flag wins over the environment, the environment over the file, the file over the default.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use ipnet::Ipv4Net;
use minicloud_alertmanager::choice::Given as Alerting;
use minicloud_console::Origin;
use minicloud_prometheus::engine::Choice;
use serde::Deserialize;

/// Where the settings file is looked for when none is named.
pub const DEFAULT_FILE: &str = "/etc/minicloud/config.toml";

/// Where data is kept when no folder is named.
const DEFAULT_DATA_DIR: &str = "/var/lib/minicloud";

/// Settings as they may be given; all optional.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Flags {
    /// The settings file.
    #[arg(long, env = "MINICLOUD_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where state, images, volumes and keys are kept [default: /var/lib/minicloud].
    #[arg(long, env = "MINICLOUD_DATA_DIR", value_name = "DIR", hide_env = true)]
    pub data_dir: Option<PathBuf>,
    /// Where sockets and what a reboot may lose are kept [default: /run/minicloud].
    #[arg(long, env = "MINICLOUD_RUN_DIR", value_name = "DIR", hide_env = true)]
    pub run_dir: Option<PathBuf>,
    /// This node's name [default: the host's name].
    #[arg(
        long,
        env = "MINICLOUD_NODE_NAME",
        value_name = "NAME",
        hide_env = true
    )]
    pub node_name: Option<String>,
    /// This node's address [default: that of the default route].
    #[arg(long, env = "MINICLOUD_NODE_IP", value_name = "IP", hide_env = true)]
    pub node_ip: Option<Ipv4Addr>,
    /// The address that the server listens on [default: 0.0.0.0].
    #[arg(
        long,
        env = "MINICLOUD_BIND_ADDRESS",
        value_name = "IP",
        hide_env = true
    )]
    pub bind_address: Option<IpAddr>,
    /// The port of the Kubernetes API [default: 6443].
    #[arg(long, env = "MINICLOUD_API_PORT", value_name = "PORT", hide_env = true)]
    pub api_port: Option<u16>,
    /// The port of Minicloud's own API [default: 3000].
    #[arg(
        long,
        env = "MINICLOUD_LISTENER_PORT",
        value_name = "PORT",
        hide_env = true
    )]
    pub listener_port: Option<u16>,
    /// The port of the node agent [default: 10250].
    #[arg(
        long,
        env = "MINICLOUD_AGENT_PORT",
        value_name = "PORT",
        hide_env = true
    )]
    pub agent_port: Option<u16>,
    /// The port of the node's metrics [default: 9100].
    #[arg(
        long,
        env = "MINICLOUD_METRICS_PORT",
        value_name = "PORT",
        hide_env = true
    )]
    pub metrics_port: Option<u16>,
    /// Which Prometheus: `managed` (Debian's, run by the server), `off`, or the URL of one [default: managed].
    #[arg(
        long,
        env = "MINICLOUD_PROMETHEUS",
        value_name = "managed|off|URL",
        hide_env = true
    )]
    pub prometheus: Option<String>,
    /// A file with the bearer token for the Prometheus at a URL.
    #[arg(
        long,
        env = "MINICLOUD_PROMETHEUS_TOKEN_FILE",
        value_name = "FILE",
        hide_env = true
    )]
    pub prometheus_token_file: Option<PathBuf>,
    /// Whom to trust for the Prometheus at a URL [default: whom Debian trusts].
    #[arg(
        long,
        env = "MINICLOUD_PROMETHEUS_CA_FILE",
        value_name = "FILE",
        hide_env = true
    )]
    pub prometheus_ca_file: Option<PathBuf>,
    /// The port on 127.0.0.1 of the managed Prometheus [default: 9090].
    #[arg(
        long,
        env = "MINICLOUD_PROMETHEUS_PORT",
        value_name = "PORT",
        hide_env = true
    )]
    pub prometheus_port: Option<u16>,
    /// How often metrics are collected [default: 15s].
    #[arg(
        long,
        env = "MINICLOUD_PROMETHEUS_SCRAPE_INTERVAL",
        value_name = "DURATION",
        hide_env = true
    )]
    pub prometheus_scrape_interval: Option<String>,
    /// How long the managed Prometheus keeps metrics [default: 15d].
    #[arg(
        long,
        env = "MINICLOUD_PROMETHEUS_RETENTION_TIME",
        value_name = "DURATION",
        hide_env = true
    )]
    pub prometheus_retention_time: Option<String>,
    /// How much disk they may take; at most a fifth of what is free [default: 512Mi].
    #[arg(
        long,
        env = "MINICLOUD_PROMETHEUS_RETENTION_SIZE",
        value_name = "QUANTITY",
        hide_env = true
    )]
    pub prometheus_retention_size: Option<String>,
    /// A folder of alert and recording rules of one's own, `*.yml`, which join the managed Prometheus' [default: none].
    #[arg(
        long,
        env = "MINICLOUD_ALERT_RULES_DIR",
        value_name = "DIR",
        hide_env = true
    )]
    pub alert_rules_dir: Option<PathBuf>,
    /// Which Alertmanager tells of alerts: `off`, `managed` (Debian's, run by the server), or the URL of one [default: off].
    #[arg(
        long,
        env = "MINICLOUD_ALERTMANAGER",
        value_name = "off|managed|URL",
        hide_env = true
    )]
    pub alertmanager: Option<String>,
    /// The port on 127.0.0.1 of the managed Alertmanager [default: 9093].
    #[arg(
        long,
        env = "MINICLOUD_ALERTMANAGER_PORT",
        value_name = "PORT",
        hide_env = true
    )]
    pub alertmanager_port: Option<u16>,
    /// An alertmanager.yml of one's own, instead of mail by the settings `smtp-…`.
    #[arg(
        long,
        env = "MINICLOUD_ALERTMANAGER_CONFIG_FILE",
        value_name = "FILE",
        hide_env = true
    )]
    pub alertmanager_config_file: Option<PathBuf>,
    /// The mail server for alerts.
    #[arg(
        long,
        env = "MINICLOUD_SMTP_SMARTHOST",
        value_name = "HOST:PORT",
        hide_env = true
    )]
    pub smtp_smarthost: Option<String>,
    /// Whom mail about alerts is from.
    #[arg(
        long,
        env = "MINICLOUD_SMTP_FROM",
        value_name = "ADDRESS",
        hide_env = true
    )]
    pub smtp_from: Option<String>,
    /// Who gets mail about alerts; may be repeated.
    #[arg(
        long,
        env = "MINICLOUD_SMTP_TO",
        value_name = "ADDRESS",
        value_delimiter = ',',
        hide_env = true
    )]
    pub smtp_to: Vec<String>,
    /// Who signs in at the mail server [default: nobody].
    #[arg(
        long,
        env = "MINICLOUD_SMTP_AUTH_USERNAME",
        value_name = "NAME",
        hide_env = true
    )]
    pub smtp_auth_username: Option<String>,
    /// A file with the password for the mail server.
    #[arg(
        long,
        env = "MINICLOUD_SMTP_AUTH_PASSWORD_FILE",
        value_name = "FILE",
        hide_env = true
    )]
    pub smtp_auth_password_file: Option<PathBuf>,
    /// Whether the mail server has to speak TLS [default: true].
    #[arg(
        long,
        env = "MINICLOUD_SMTP_REQUIRE_TLS",
        value_name = "true|false",
        hide_env = true
    )]
    pub smtp_require_tls: Option<bool>,
    /// The port on 127.0.0.1 of the blackbox exporter, which runs while there are Probes [default: 9115].
    #[arg(
        long,
        env = "MINICLOUD_BLACKBOX_EXPORTER_PORT",
        value_name = "PORT",
        hide_env = true
    )]
    pub blackbox_exporter_port: Option<u16>,
    /// A further name or address in the server's certificate; may be repeated.
    #[arg(
        long = "tls-san",
        env = "MINICLOUD_TLS_SAN",
        value_name = "NAME",
        value_delimiter = ',',
        hide_env = true
    )]
    pub tls_san: Vec<String>,
    /// A Debian package whose version the Device tells, instead of the usual ones; may be repeated.
    #[arg(
        long,
        env = "MINICLOUD_SOFTWARE",
        value_name = "PACKAGE",
        value_delimiter = ',',
        hide_env = true
    )]
    pub software: Vec<String>,
    /// The addresses of pods [default: 10.42.0.0/16].
    #[arg(long, env = "MINICLOUD_POD_CIDR", value_name = "CIDR", hide_env = true)]
    pub pod_cidr: Option<Ipv4Net>,
    /// The addresses of Services [default: 10.43.0.0/16].
    #[arg(
        long,
        env = "MINICLOUD_SERVICE_CIDR",
        value_name = "CIDR",
        hide_env = true
    )]
    pub service_cidr: Option<Ipv4Net>,
    /// The address of cluster DNS [default: the tenth of the Services' addresses].
    #[arg(
        long,
        env = "MINICLOUD_CLUSTER_DNS",
        value_name = "IP",
        hide_env = true
    )]
    pub cluster_dns: Option<Ipv4Addr>,
    /// The cluster's DNS domain [default: cluster.local].
    #[arg(
        long,
        env = "MINICLOUD_CLUSTER_DOMAIN",
        value_name = "DOMAIN",
        hide_env = true
    )]
    pub cluster_domain: Option<String>,
    /// The ports that NodePort Services may have [default: 30000-32767].
    #[arg(
        long,
        env = "MINICLOUD_NODE_PORT_RANGE",
        value_name = "FROM-TO",
        hide_env = true
    )]
    pub node_port_range: Option<String>,
    /// The resolver configuration that names outside the cluster are looked up by [default: /etc/resolv.conf].
    #[arg(
        long,
        env = "MINICLOUD_RESOLV_CONF",
        value_name = "FILE",
        hide_env = true
    )]
    pub resolv_conf: Option<PathBuf>,
    /// The socket of a container runtime that is already there [default: an own containerd].
    #[arg(
        long,
        env = "MINICLOUD_CONTAINER_RUNTIME_ENDPOINT",
        value_name = "SOCKET",
        hide_env = true
    )]
    pub container_runtime_endpoint: Option<PathBuf>,
    /// How many pods this node takes [default: 110].
    #[arg(long, env = "MINICLOUD_MAX_PODS", value_name = "N", hide_env = true)]
    pub max_pods: Option<u32>,
    /// An origin whose pages may show the console in a frame, such as https://portal.example.org; may be repeated
    /// [default: none].
    #[arg(
        long,
        env = "MINICLOUD_CONSOLE_EMBED_ORIGINS",
        value_name = "ORIGIN",
        value_delimiter = ',',
        hide_env = true
    )]
    pub console_embed_origins: Vec<String>,
    /// What is logged: error, warn, info, debug, or a filter such as `info,minicloud_agent=debug` [default: info].
    #[arg(long, env = "MINICLOUD_LOG", value_name = "FILTER", hide_env = true)]
    pub log: Option<String>,
}

/// Settings that hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub run_dir: PathBuf,
    pub node_name: String,
    pub node_ip: Option<Ipv4Addr>,
    pub bind_address: IpAddr,
    pub api_port: u16,
    pub listener_port: u16,
    pub agent_port: u16,
    pub metrics_port: u16,
    pub prometheus: Choice,
    pub prometheus_port: u16,
    pub prometheus_scrape_interval: String,
    pub prometheus_retention_time: String,
    pub prometheus_retention_size_bytes: u64,
    pub alert_rules_dir: Option<PathBuf>,
    pub alertmanager: minicloud_alertmanager::choice::Choice,
    pub alertmanager_port: u16,
    pub blackbox_exporter_port: u16,
    pub tls_san: Vec<String>,
    pub software: Vec<String>,
    pub pod_cidr: Ipv4Net,
    pub service_cidr: Ipv4Net,
    pub cluster_dns: Ipv4Addr,
    pub cluster_domain: String,
    pub node_port_range: (u16, u16),
    pub resolv_conf: PathBuf,
    pub container_runtime_endpoint: Option<PathBuf>,
    pub max_pods: u32,
    pub console_embed_origins: Vec<Origin>,
    pub log: String,
}

impl Flags {
    /// The settings that hold: flags and environment, then the file, then the defaults.
    ///
    /// # Errors
    /// When the file cannot be read or a setting cannot be used; the error names it.
    pub fn resolve(self) -> anyhow::Result<Settings> {
        let file = match &self.config {
            Some(path) => Self::read(path)?,
            None if Path::new(DEFAULT_FILE).exists() => Self::read(Path::new(DEFAULT_FILE))?,
            None => Self::default(),
        };
        self.over(file).finish(&hostname())
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} cannot be used", path.display()))
    }

    /// These settings, and those of `file` where these say nothing.
    fn over(self, file: Self) -> Self {
        Self {
            config: self.config,
            data_dir: self.data_dir.or(file.data_dir),
            run_dir: self.run_dir.or(file.run_dir),
            node_name: self.node_name.or(file.node_name),
            node_ip: self.node_ip.or(file.node_ip),
            bind_address: self.bind_address.or(file.bind_address),
            api_port: self.api_port.or(file.api_port),
            listener_port: self.listener_port.or(file.listener_port),
            agent_port: self.agent_port.or(file.agent_port),
            metrics_port: self.metrics_port.or(file.metrics_port),
            prometheus: self.prometheus.or(file.prometheus),
            prometheus_token_file: self.prometheus_token_file.or(file.prometheus_token_file),
            prometheus_ca_file: self.prometheus_ca_file.or(file.prometheus_ca_file),
            prometheus_port: self.prometheus_port.or(file.prometheus_port),
            prometheus_scrape_interval: self
                .prometheus_scrape_interval
                .or(file.prometheus_scrape_interval),
            prometheus_retention_time: self
                .prometheus_retention_time
                .or(file.prometheus_retention_time),
            prometheus_retention_size: self
                .prometheus_retention_size
                .or(file.prometheus_retention_size),
            alert_rules_dir: self.alert_rules_dir.or(file.alert_rules_dir),
            alertmanager: self.alertmanager.or(file.alertmanager),
            alertmanager_port: self.alertmanager_port.or(file.alertmanager_port),
            alertmanager_config_file: self
                .alertmanager_config_file
                .or(file.alertmanager_config_file),
            smtp_smarthost: self.smtp_smarthost.or(file.smtp_smarthost),
            smtp_from: self.smtp_from.or(file.smtp_from),
            smtp_to: if self.smtp_to.is_empty() {
                file.smtp_to
            } else {
                self.smtp_to
            },
            smtp_auth_username: self.smtp_auth_username.or(file.smtp_auth_username),
            smtp_auth_password_file: self
                .smtp_auth_password_file
                .or(file.smtp_auth_password_file),
            smtp_require_tls: self.smtp_require_tls.or(file.smtp_require_tls),
            blackbox_exporter_port: self.blackbox_exporter_port.or(file.blackbox_exporter_port),
            tls_san: if self.tls_san.is_empty() {
                file.tls_san
            } else {
                self.tls_san
            },
            software: if self.software.is_empty() {
                file.software
            } else {
                self.software
            },
            pod_cidr: self.pod_cidr.or(file.pod_cidr),
            service_cidr: self.service_cidr.or(file.service_cidr),
            cluster_dns: self.cluster_dns.or(file.cluster_dns),
            cluster_domain: self.cluster_domain.or(file.cluster_domain),
            node_port_range: self.node_port_range.or(file.node_port_range),
            resolv_conf: self.resolv_conf.or(file.resolv_conf),
            container_runtime_endpoint: self
                .container_runtime_endpoint
                .or(file.container_runtime_endpoint),
            max_pods: self.max_pods.or(file.max_pods),
            console_embed_origins: if self.console_embed_origins.is_empty() {
                file.console_embed_origins
            } else {
                self.console_embed_origins
            },
            log: self.log.or(file.log),
        }
    }

    fn finish(self, hostname: &str) -> anyhow::Result<Settings> {
        let node_name = self
            .node_name
            .unwrap_or_else(|| hostname.to_ascii_lowercase());
        if let Some(problem) = minicloud_api::names::dns1123_subdomain(&node_name)
            .into_iter()
            .next()
        {
            bail!(
                "node-name {node_name:?} cannot name a node: {problem}; give another with --node-name"
            );
        }
        let pod_cidr = self
            .pod_cidr
            .unwrap_or(Ipv4Net::new_assert(Ipv4Addr::new(10, 42, 0, 0), 16))
            .trunc();
        let service_cidr = self
            .service_cidr
            .unwrap_or(Ipv4Net::new_assert(Ipv4Addr::new(10, 43, 0, 0), 16))
            .trunc();
        ensure!(
            !pod_cidr.contains(&service_cidr) && !service_cidr.contains(&pod_cidr),
            "pod-cidr {pod_cidr} and service-cidr {service_cidr} overlap: give ranges that do not"
        );
        ensure!(
            pod_cidr.prefix_len() <= 24,
            "pod-cidr {pod_cidr} is too small: a node alone takes a /24 of it"
        );
        ensure!(
            (12..=27).contains(&service_cidr.prefix_len()),
            "service-cidr {service_cidr} must have a length from /12 to /27"
        );
        let tenth = Ipv4Addr::from(u32::from(service_cidr.network()) + 10);
        let cluster_dns = self.cluster_dns.unwrap_or(tenth);
        ensure!(
            service_cidr.contains(&cluster_dns),
            "cluster-dns {cluster_dns} is outside service-cidr {service_cidr}"
        );
        let cluster_domain = self
            .cluster_domain
            .unwrap_or_else(|| "cluster.local".into());
        if let Some(problem) = minicloud_api::names::dns1123_subdomain(&cluster_domain)
            .into_iter()
            .next()
        {
            bail!("cluster-domain {cluster_domain:?}: {problem}");
        }
        let prometheus = self.prometheus.as_deref().unwrap_or("managed");
        let prometheus = Choice::parse(
            prometheus,
            self.prometheus_token_file,
            self.prometheus_ca_file,
        )?;
        let alertmanager = Alerting {
            alertmanager: self.alertmanager,
            config_file: self.alertmanager_config_file,
            smarthost: self.smtp_smarthost,
            from: self.smtp_from,
            to: self.smtp_to,
            username: self.smtp_auth_username,
            password_file: self.smtp_auth_password_file,
            require_tls: self.smtp_require_tls,
        }
        .choose()?;
        let managed = prometheus == Choice::Managed;
        ensure!(
            managed || alertmanager == minicloud_alertmanager::choice::Choice::Off,
            "alertmanager is for the managed Prometheus: name it in the configuration of the one that the setting prometheus names"
        );
        ensure!(
            managed || self.alert_rules_dir.is_none(),
            "alert-rules-dir is for the managed Prometheus: load the rules into the one that the setting prometheus names"
        );
        let range = self.node_port_range.unwrap_or_else(|| "30000-32767".into());
        Ok(Settings {
            data_dir: absolute(self.data_dir, DEFAULT_DATA_DIR)?,
            run_dir: absolute(self.run_dir, "/run/minicloud")?,
            node_name,
            node_ip: self.node_ip,
            bind_address: self
                .bind_address
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            api_port: self.api_port.unwrap_or(6443),
            listener_port: self.listener_port.unwrap_or(3000),
            agent_port: self.agent_port.unwrap_or(10250),
            metrics_port: self.metrics_port.unwrap_or(9100),
            prometheus,
            prometheus_port: self.prometheus_port.unwrap_or(9090),
            prometheus_scrape_interval: duration(
                "prometheus-scrape-interval",
                self.prometheus_scrape_interval,
                "15s",
                // Rates are over two minutes, and want four scrapes of them.
                1..=30,
            )?,
            prometheus_retention_time: duration(
                "prometheus-retention-time",
                self.prometheus_retention_time,
                "15d",
                2 * 3600..=10 * 365 * 86_400,
            )?,
            prometheus_retention_size_bytes: match &self.prometheus_retention_size {
                Some(text) => size("prometheus-retention-size", text)?,
                None => minicloud_prometheus::storage::DEFAULT_SIZE_BYTES,
            },
            alert_rules_dir: self.alert_rules_dir,
            alertmanager,
            alertmanager_port: self.alertmanager_port.unwrap_or(9093),
            blackbox_exporter_port: self.blackbox_exporter_port.unwrap_or(9115),
            tls_san: self.tls_san,
            software: self.software,
            pod_cidr,
            service_cidr,
            cluster_dns,
            cluster_domain,
            node_port_range: port_range(&range)?,
            resolv_conf: self
                .resolv_conf
                .unwrap_or_else(|| "/etc/resolv.conf".into()),
            container_runtime_endpoint: self.container_runtime_endpoint,
            max_pods: self.max_pods.unwrap_or(110),
            console_embed_origins: self
                .console_embed_origins
                .iter()
                .map(|text| text.parse())
                .collect::<Result<_, _>>()
                .context("console-embed-origins")?,
            log: self.log.unwrap_or_else(|| "info".into()),
        })
    }
}

fn absolute(path: Option<PathBuf>, default: &str) -> anyhow::Result<PathBuf> {
    let path = path.unwrap_or_else(|| default.into());
    std::path::absolute(&path).with_context(|| format!("{} is no path", path.display()))
}

/// A duration with one unit, as Prometheus writes it, within `bounds` of seconds.
fn duration(
    name: &str,
    text: Option<String>,
    default: &str,
    bounds: std::ops::RangeInclusive<u64>,
) -> anyhow::Result<String> {
    let text = text.unwrap_or_else(|| default.to_owned());
    let seconds = minicloud_prometheus::config::seconds(&text);
    ensure!(
        seconds.is_some_and(|seconds| bounds.contains(&seconds)),
        "{name} {text:?} is no duration from {} s to {} s, such as {default}",
        bounds.start(),
        bounds.end()
    );
    Ok(text)
}

/// A number of bytes, as Kubernetes writes it.
fn size(name: &str, text: &str) -> anyhow::Result<u64> {
    const LEAST: u64 = 64 << 20;
    let bytes = text
        .parse::<minicloud_api::quantity::Quantity>()
        .ok()
        .and_then(|quantity| u64::try_from(quantity.units()).ok());
    bytes
        .filter(|bytes| *bytes >= LEAST)
        .with_context(|| format!("{name} {text:?} is no size of 64Mi or more, such as 512Mi"))
}

fn port_range(text: &str) -> anyhow::Result<(u16, u16)> {
    text.split_once('-')
        .and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)))
        .filter(|(from, to)| *from > 0 && from <= to)
        .with_context(|| format!("node-port-range {text:?} is not of the form 30000-32767"))
}

/// The host's name, without its domain.
pub fn hostname() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}

impl Settings {
    /// Where keys and certificates are.
    pub fn pki_dir(&self) -> PathBuf {
        self.data_dir.join("pki")
    }

    /// Where the state is.
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Where CNI configuration is, for the runtime that the server starts.
    pub fn cni_conf_dir(&self) -> PathBuf {
        self.data_dir.join("cni/net.d")
    }

    /// Where local-path volumes are.
    pub fn volumes_dir(&self) -> PathBuf {
        self.data_dir.join("volumes")
    }

    /// Where containers log.
    pub fn pod_logs_dir(&self) -> PathBuf {
        self.data_dir.join("logs/pods")
    }

    /// The administrator's credentials.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.data_dir.join("admin.kubeconfig")
    }

    /// The cgroup below which this server's pods are. A server with data of its own elsewhere, as in a test, gets a cgroup of
    /// its own: resetting one must not end the pods of another.
    pub fn cgroup_parent(&self) -> String {
        use sha2::{Digest, Sha256};
        use std::os::unix::ffi::OsStrExt;
        if self.data_dir == Path::new(DEFAULT_DATA_DIR) {
            return "/minicloud".into();
        }
        let digest = Sha256::digest(self.data_dir.as_os_str().as_bytes());
        format!(
            "/minicloud-{:02x}{:02x}{:02x}{:02x}",
            digest[0], digest[1], digest[2], digest[3]
        )
    }

    /// The server's process id, while it runs.
    pub fn pid_file(&self) -> PathBuf {
        self.run_dir.join("server.pid")
    }

    /// The range of pods that this node gives out. The first of the cluster's range: the embedded server's own node.
    pub fn node_pod_cidr(&self) -> Ipv4Net {
        Ipv4Net::new_assert(self.pod_cidr.network(), 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file: Flags =
            toml::from_str("api-port = 7443\nnode-name = 'file'\ntls-san = ['a']").unwrap();
        let flags = Flags {
            node_name: Some("flag".into()),
            ..Flags::default()
        };
        let settings = flags.over(file).finish("host").unwrap();
        assert_eq!(
            (
                settings.node_name.as_str(),
                settings.api_port,
                settings.agent_port
            ),
            ("flag", 7443, 10250)
        );
        assert_eq!(settings.tls_san, ["a"]);
        assert_eq!(settings.cluster_dns, Ipv4Addr::new(10, 43, 0, 10));
        assert_eq!(Flags::default().finish("Host").unwrap().node_name, "host");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let check = |text: &str, expect: &str| {
            let flags: Flags = toml::from_str(text).unwrap();
            let error = flags.finish("host").unwrap_err().to_string();
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("node-name = 'A_b'", "node-name");
        check("pod-cidr = '10.43.0.0/16'", "overlap");
        check("pod-cidr = '10.42.0.0/25'", "too small");
        check("service-cidr = '10.43.0.0/30'", "/27");
        check("cluster-dns = '10.44.0.10'", "outside");
        check("node-port-range = '5'", "node-port-range");
        check("console-embed-origins = ['*']", "console-embed-origins");
        check("prometheus = 'on'", "managed, off");
        check("prometheus-scrape-interval = '10m'", "30 s");
        check("alertmanager = 'managed'", "smtp-smarthost");
        check("smtp-smarthost = 'a:25'", "not managed");
        let off = "prometheus = 'off'\n";
        check(
            &format!("{off}alertmanager = 'http://a'"),
            "managed Prometheus",
        );
        check(
            &format!("{off}alert-rules-dir = '/a'"),
            "managed Prometheus",
        );
        check("prometheus-retention-time = '5'", "such as 15d");
        check("prometheus-retention-size = '1Mi'", "64Mi or more");
        assert!(
            toml::from_str::<Flags>("api-prot = 1")
                .unwrap_err()
                .to_string()
                .contains("api-prot")
        );
    }
}
