//! What Alertmanager reads, and what Prometheus reads of it.
//!
//! Source: <https://prometheus.io/docs/alerting/0.25/configuration/>.

use std::path::Path;

use http::Uri;
use serde_json::{Value, json};

use crate::choice::Mail;

/// The mail server's password, in Alertmanager's folder: neither arguments nor the configuration hold it.
pub const PASSWORD_FILE: &str = "tls/smtp-password";

/// The configuration that sends mail. `dir` is Alertmanager's folder, `name` this machine's.
pub fn mail_yml(mail: &Mail, dir: &Path, name: &str) -> String {
    let mut global = json!({
        "smtp_smarthost": mail.smarthost,
        "smtp_from": mail.from,
        "smtp_hello": name,
        "smtp_require_tls": mail.require_tls,
    });
    if let Some((username, _)) = &mail.auth {
        global["smtp_auth_username"] = json!(username);
        global["smtp_auth_password_file"] = json!(dir.join(PASSWORD_FILE));
    }
    let subject = format!(
        "[{name}] {{{{ .Status | toUpper }}}}{{{{ if eq .Status \"firing\" }}}} {{{{ .Alerts.Firing | len }}}}{{{{ end }}}} {{{{ .GroupLabels.alertname }}}}"
    );
    let config = json!({
        "global": global,
        "route": {
            "receiver": "mail",
            "group_by": ["alertname", "namespace", "node"],
            // What comes of one cause comes in one mail.
            "group_wait": "15s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            // Worth knowing when one looks, not worth a mail.
            "routes": [{ "receiver": "none", "matchers": ["severity=\"info\""] }],
        },
        // Of a node that is silent it is no news that this or that on it cannot be measured.
        "inhibit_rules": [{
            "source_matchers": ["alertname=\"NodeSilent\""],
            "target_matchers": ["alertname!=\"NodeSilent\"", "node!=\"\""],
            "equal": ["node"],
        }],
        "receivers": [
            {
                "name": "mail",
                "email_configs": [{
                    "to": mail.to.join(", "),
                    "send_resolved": true,
                    "headers": { "Subject": subject },
                }],
            },
            { "name": "none" },
        ],
    });
    // JSON is YAML.
    config.to_string()
}

/// Prometheus' section `alerting` for the one that we run. `tls_config` is how Prometheus talks to a daemon on loopback.
pub fn alerting(port: u16, tls_config: &Value) -> Value {
    json!({ "alertmanagers": [{
        "scheme": "https",
        "api_version": "v2",
        "tls_config": tls_config,
        "static_configs": [{ "targets": [format!("127.0.0.1:{port}")] }],
    }] })
}

/// Prometheus' section `alerting` for one somewhere else.
pub fn alerting_at(url: &Uri) -> Value {
    let scheme = url.scheme_str().unwrap_or("https");
    let host = url.authority().map_or("", |authority| authority.as_str());
    let path = url.path().trim_end_matches('/');
    json!({ "alertmanagers": [{
        "scheme": scheme,
        "api_version": "v2",
        "path_prefix": format!("{path}/"),
        "static_configs": [{ "targets": [host] }],
    }] })
}

/// Prometheus' entry of `scrape_configs`: what Alertmanager says of itself that somebody looks at.
pub fn scrape_config(port: u16, tls_config: &Value, node: &str) -> Value {
    const METRICS: &str = "up|process_(cpu_seconds_total|resident_memory_bytes|start_time_seconds)\
|alertmanager_(build_info|config_last_reload_successful|alerts|notifications_total|notifications_failed_total|silences)";
    json!({
        "job_name": "alertmanager",
        "scheme": "https",
        "tls_config": tls_config,
        "sample_limit": 5000,
        "body_size_limit": "8MB",
        "static_configs": [{
            "targets": [format!("127.0.0.1:{port}")],
            "labels": { "instance": format!("{node}:{port}") },
        }],
        "metric_relabel_configs": [{ "source_labels": ["__name__"], "regex": METRICS, "action": "keep" }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use minicloud_daemon::{CHECKED_FILE, User, check};

    /// Debian's own program takes it.
    #[tokio::test]
    async fn amtool_takes_the_configuration() {
        let mail = Mail {
            smarthost: "mail.example:587".into(),
            from: "site@example.net".into(),
            to: vec!["ann@example.net".into(), "bob@example.net".into()],
            auth: Some(("site".into(), "/etc/minicloud/smtp-password".into())),
            require_tls: true,
        };
        let text = mail_yml(&mail, Path::new("/run/minicloud/alertmanager"), "edge-1");
        assert!(
            !text.contains("/etc/minicloud"),
            "Alertmanager may not read there: {text}"
        );
        let amtool = Path::new(crate::managed::AMTOOL);
        let user = User {
            uid: 65_532,
            gid: 65_532,
        };
        let ask =
            async |text: &str| check(amtool, &["check-config", CHECKED_FILE], text, user).await;
        ask(&text).await.unwrap_or_else(|e| panic!("{e}: {text}"));
        let wrong = text.replace("\"receiver\":\"mail\"", "\"receiver\":\"male\"");
        assert!(ask(&wrong).await.is_err());
    }

    #[test]
    fn elsewhere_keeps_its_path() {
        let at = |url: &str| alerting_at(&url.parse().unwrap())["alertmanagers"][0].clone();
        assert_eq!(at("https://a.example:1/b/")["path_prefix"], "/b/");
        let plain = at("http://a.example");
        assert_eq!(plain["path_prefix"], "/");
        assert_eq!(plain["scheme"], "http");
        assert_eq!(plain["static_configs"][0]["targets"][0], "a.example");
    }
}
