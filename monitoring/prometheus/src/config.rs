//! What Prometheus reads, as a pure function of the settings: `prometheus.yml`, and the names of the files beside it.
//!
//! The one thing to know: job names are what queries, rules and dashboards go by: `node`, `kubelet` (containers), `kube-state-metrics`
//! (objects), `apiserver`, `minicloud`, `prometheus`, and `kubernetes-pods` and `kubernetes-services` by annotations.
//!
//! Source: <https://prometheus.io/docs/prometheus/2.42/configuration/configuration/>.

use std::net::SocketAddr;

use crate::storage::LATE;
use minicloud_daemon::{CA_FILE, CLIENT_FILE};
use serde_json::{Value, json};

/// The configuration.
pub const CONFIG_FILE: &str = "prometheus.yml";
/// Rules of ours and of other parts, each in a file of this folder.
pub const RULES_DIR: &str = "rules";
/// The cluster's CA.
pub const CLUSTER_CA_FILE: &str = "tls/cluster-ca.crt";
/// Certificate and key by which Prometheus scrapes.
pub const SCRAPER_FILE: &str = "tls/scraper.pem";

/// Targets of one job that a target follower finds, each in a file of its own.
pub const NODES_FILE: &str = "targets/nodes.json";
/// Annotated pods.
pub const PODS_FILE: &str = "targets/pods.json";
/// The endpoints of annotated Services.
pub const SERVICES_FILE: &str = "targets/services.json";

/// How often a file is read although nothing said that it changed.
const REFRESH: &str = "10m";

/// What of a target is taken. A target beyond counts as down, so a mistake in one program cannot fill memory and disk.
struct Limits {
    samples: u32,
    body: &'static str,
}

/// Of ours: 110 pods of two containers come to some 20,000 series.
const OWN: Limits = Limits {
    samples: 50_000,
    body: "32MB",
};
/// Of all objects of the cluster together: a pod of two containers has some sixty.
const OBJECTS: Limits = Limits {
    samples: 500_000,
    body: "128MB",
};
/// Of pods.
const FOREIGN: Limits = Limits {
    samples: 5_000,
    body: "8MB",
};
const LABELS: u32 = 64;
const LABEL_NAME_BYTES: u32 = 256;
const LABEL_VALUE_BYTES: u32 = 4096;

/// What Prometheus says about itself that somebody looks at; the rest are some hundred series.
const OWN_METRICS: &str = "up|process_(cpu_seconds_total|resident_memory_bytes|start_time_seconds|open_fds|max_fds)\
|prometheus_(build_info|config_last_reload_successful|config_last_reload_success_timestamp_seconds|ready)\
|prometheus_tsdb_(head_series|head_samples_appended_total|head_chunks|storage_blocks_bytes|wal_storage_size_bytes\
|compactions_failed_total|wal_corruptions_total|reloads_failures_total|lowest_timestamp_seconds|retention_limit_bytes)\
|prometheus_target_scrapes_(exceeded_sample_limit|exceeded_body_size_limit|exceeded_target_limit|sample_out_of_order|sample_duplicate_timestamp)_total\
|prometheus_target_scrape_pools_failed_total\
|prometheus_rule_(evaluation_failures|group_iterations_missed)_total\
|prometheus_notifications_(dropped|errors|sent|alertmanagers_discovered)(_total)?\
|prometheus_engine_(queries|queries_concurrent_max)";

/// What is scraped and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Scraping {
    /// Between scrapes, e.g. `15s`.
    pub interval: String,
    /// Where this machine's API server is reached.
    pub api_server: SocketAddr,
    /// Where this machine's port 3000 is reached.
    pub listener: SocketAddr,
    /// Where Prometheus itself listens.
    pub own: SocketAddr,
    /// What `instance` is called where the address is loopback's: this node's name.
    pub node_name: String,
}

/// What other parts add: rules, where alerts go, what else is scraped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extra {
    /// Rule files: name (without folder, with `.yml`) and text.
    pub rules: Vec<(String, String)>,
    /// The section `alerting`; null for none.
    pub alerting: Value,
    /// Further entries of `scrape_configs`.
    pub scrape_configs: Vec<Value>,
    /// Target files: name below `targets/` and text.
    pub targets: Vec<(String, String)>,
}

/// The text of `prometheus.yml`.
pub fn prometheus_yml(scraping: &Scraping, extra: &Extra) -> String {
    let mut config = json!({
        "global": {
            "scrape_interval": scraping.interval,
            "scrape_timeout": timeout(&scraping.interval),
            "evaluation_interval": scraping.interval,
        },
        // A clock that was ahead and is put right stops no measuring.
        "storage": { "tsdb": { "out_of_order_time_window": LATE } },
        "rule_files": [format!("{RULES_DIR}/*.yml")],
        "scrape_configs": scrape_configs(scraping, extra),
    });
    if !extra.alerting.is_null() {
        config["alerting"] = extra.alerting.clone();
    }
    // JSON is YAML. This cannot fail: there are only strings, numbers and lists.
    serde_saphyr::to_string(&config).unwrap_or_else(|_| config.to_string())
}

/// A scrape may take as long as the interval, ten seconds at most.
fn timeout(interval: &str) -> &str {
    match seconds(interval) {
        Some(..10) => interval,
        _ => "10s",
    }
}

/// A duration as Prometheus writes it with one unit: `15s`, `1m`, `2h`, `15d`, `4w`, `1y`; in seconds.
pub fn seconds(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "y" => 365 * 86_400,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn scrape_configs(scraping: &Scraping, extra: &Extra) -> Vec<Value> {
    let node = &scraping.node_name;
    let mut kubelet = own("kubelet", &OWN, found(NODES_FILE));
    kubelet["metrics_path"] = json!("/metrics/cadvisor");
    let mut state = own("kube-state-metrics", &OBJECTS, at(scraping.listener, node));
    state["metrics_path"] = json!("/metrics/state");
    // Its labels `namespace`, `pod` and `node` are those of what it tells about.
    state["honor_labels"] = json!(true);
    let mut configs = vec![
        own("node", &OWN, found(NODES_FILE)),
        kubelet,
        state,
        own("apiserver", &OWN, at(scraping.api_server, node)),
        own("minicloud", &OWN, at(scraping.listener, node)),
        itself(scraping),
        foreign("kubernetes-pods", found(PODS_FILE)),
        foreign("kubernetes-services", found(SERVICES_FILE)),
    ];
    configs.extend(extra.scrape_configs.iter().cloned());
    configs
}

/// `(key, value)` that say where targets come from.
type Targets = (&'static str, Value);

fn found(file: &str) -> Targets {
    let value = json!([{ "files": [file], "refresh_interval": REFRESH }]);
    ("file_sd_configs", value)
}

/// One target of this machine, which is reached on loopback and known by the node's name.
fn at(address: SocketAddr, node: &str) -> Targets {
    let instance = format!("{node}:{}", address.port());
    let value = json!([{ "targets": [address.to_string()], "labels": { "instance": instance } }]);
    ("static_configs", value)
}

fn job(name: &str, limits: &Limits, (key, targets): Targets) -> Value {
    json!({
        "job_name": name,
        "sample_limit": limits.samples,
        "body_size_limit": limits.body,
        "label_limit": LABELS,
        "label_name_length_limit": LABEL_NAME_BYTES,
        "label_value_length_limit": LABEL_VALUE_BYTES,
        key: targets,
    })
}

/// A target of ours: by TLS, with the certificate that may read metrics.
fn own(name: &str, limits: &Limits, targets: Targets) -> Value {
    let mut job = job(name, limits, targets);
    job["scheme"] = json!("https");
    job["tls_config"] = json!({
        "ca_file": CLUSTER_CA_FILE, "cert_file": SCRAPER_FILE, "key_file": SCRAPER_FILE,
    });
    job
}

/// Somebody's pod: it gets no credentials of ours, and a redirect is not followed, since it could lead anywhere. Where it asks
/// for TLS its certificate is not checked: nobody vouches for those of pods.
fn foreign(name: &str, targets: Targets) -> Value {
    let mut job = job(name, &FOREIGN, targets);
    job["tls_config"] = json!({ "insecure_skip_verify": true });
    job["follow_redirects"] = json!(false);
    // Names that the site's own answers, alerts and autoscaling go by: no pod may add to what machines say of themselves.
    job["metric_relabel_configs"] =
        json!([{ "source_labels": ["__name__"], "regex": OURS, "action": "drop" }]);
    job
}

/// Names of metrics that only the site's own exporters may give.
const OURS: &str = "(node|container|machine|kube|minicloud|apiserver|probe)_.+|ALERTS.*";

fn itself(scraping: &Scraping) -> Value {
    let mut job = job("prometheus", &OWN, at(scraping.own, &scraping.node_name));
    job["scheme"] = json!("https");
    job["tls_config"] = loopback_tls();
    job["metric_relabel_configs"] =
        json!([{ "source_labels": ["__name__"], "regex": OWN_METRICS, "action": "keep" }]);
    job
}

/// The section `tls_config` by which Prometheus talks to a daemon on loopback.
pub fn loopback_tls() -> Value {
    json!({ "ca_file": CA_FILE, "cert_file": CLIENT_FILE, "key_file": CLIENT_FILE })
}

#[cfg(test)]
mod tests;
