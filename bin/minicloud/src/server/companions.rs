//! What goes with the managed Prometheus: the blackbox exporter for Probes, Alertmanager, and the site's own rules.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minicloud_alertmanager::choice::{Choice, Sending};
use minicloud_alertmanager::managed::Managed;
use minicloud_alertmanager::proxy::Upstream;
use minicloud_alertmanager::{config as alerting, managed as alertmanager};
use minicloud_auth::pki::CertSpec;
use minicloud_daemon::Loopback;
use minicloud_listener::status::Check;
use minicloud_probes::managed::{self as probes, Probing, TARGETS_FILE};
use minicloud_prometheus::config::{Extra, loopback_tls};
use minicloud_prometheus::{managed as prometheus, own_rules};
use minicloud_prometheus_client::Prometheus;
use tokio::sync::watch;

use super::Parts;
use crate::identities::Identities;
use crate::settings::Settings;

/// The companions that run, as Prometheus needs them.
pub struct Companions {
    /// What `minicloud status` shows of them.
    pub checks: Vec<Check>,
    /// How `/alertmanager` on port 3000 gets to Alertmanager.
    pub alertmanager: Upstream,
    /// What Prometheus reads because of them; changes for the first time when the site's own rules have been read.
    pub extra: watch::Receiver<Extra>,
}

/// Starts them. `answers` tells what came of the Probes.
///
/// # Errors
/// When a key or an identity cannot be had.
pub fn start(
    settings: &Settings,
    identities: &Identities,
    loopback: &Loopback,
    answers: Prometheus,
    parts: &mut Parts,
) -> anyhow::Result<Companions> {
    let probing = Probing::new(&probes_config(settings), loopback)?;
    let mut checks = vec![Check {
        name: "blackbox-exporter",
        trouble: Arc::new(probing.trouble()),
    }];
    let (targets, asked) = watch::channel(targets_before(&settings.run_dir));
    let client = identities.client(&CertSpec::probes())?;
    parts.spawn("probes", |shutdown| async move {
        probing.run(client, answers, targets, shutdown).await;
        Ok(())
    });
    let upstream = match &settings.alertmanager {
        Choice::Managed(sending) => {
            let alertmanager = Managed::new(alertmanager_config(settings, sending), loopback)?;
            checks.push(Check {
                name: "alertmanager",
                trouble: Arc::new(alertmanager.trouble()),
            });
            let upstream = alertmanager.upstream();
            parts.spawn("alertmanager", |shutdown| async move {
                alertmanager.run(shutdown).await;
                Ok(())
            });
            upstream
        }
        other => {
            // One that ran by earlier settings.
            let run_dir = settings.run_dir.clone();
            parts.spawn("alertmanager", |mut shutdown| async move {
                alertmanager::stop(&run_dir).await;
                shutdown.wait().await;
                Ok(())
            });
            match other {
                Choice::Url(_) => Upstream::Elsewhere,
                _ => Upstream::Off,
            }
        }
    };
    let (told, extra) = watch::channel(extra(settings));
    let (problems, seen) = watch::channel(None);
    let rules_dir = settings.alert_rules_dir.clone();
    if rules_dir.is_some() {
        checks.push(Check {
            name: "alert-rules",
            trouble: Arc::new(move || seen.borrow().clone()),
        });
    }
    parts.spawn("alert rules", |mut shutdown| async move {
        tokio::select! {
            () = tell(rules_dir, asked, &told, &problems) => {}
            () = shutdown.wait() => {}
        }
        Ok(())
    });
    Ok(Companions {
        checks,
        alertmanager: upstream,
        extra,
    })
}

/// The Probes' targets as the server before left them, until the Probes have been listed: a series must not end because a server starts.
fn targets_before(run_dir: &Path) -> String {
    let file = prometheus::dir(run_dir).join("targets").join(TARGETS_FILE);
    std::fs::read_to_string(file).unwrap_or_else(|_| "[]".to_owned())
}

fn probes_config(settings: &Settings) -> probes::Config {
    probes::Config {
        program: PathBuf::from(probes::PROGRAM),
        run_dir: settings.run_dir.clone(),
        data_dir: settings.data_dir.clone(),
        port: settings.blackbox_exporter_port,
    }
}

fn alertmanager_config(settings: &Settings, sending: &Sending) -> alertmanager::Config {
    alertmanager::Config {
        program: PathBuf::from(alertmanager::PROGRAM),
        run_dir: settings.run_dir.clone(),
        data_dir: settings.data_dir.clone(),
        port: settings.alertmanager_port,
        node_name: settings.node_name.clone(),
        external_url: format!(
            "https://{}:{}/console/alerts",
            settings.node_name, settings.listener_port
        ),
        sending: sending.clone(),
    }
}

/// What Prometheus reads from the start, beyond the cluster's own targets.
fn extra(settings: &Settings) -> Extra {
    let tls = loopback_tls();
    let mut extra = Extra {
        rules: product_rules(),
        scrape_configs: vec![Probing::scrape_config(&tls)],
        targets: vec![(TARGETS_FILE.to_owned(), targets_before(&settings.run_dir))],
        ..Extra::default()
    };
    match &settings.alertmanager {
        Choice::Off => {}
        Choice::Managed(_) => {
            let port = settings.alertmanager_port;
            extra.alerting = alerting::alerting(port, &tls);
            let own = alerting::scrape_config(port, &tls, &settings.node_name);
            extra.scrape_configs.push(own);
        }
        Choice::Url(url) => extra.alerting = alerting::alerting_at(url),
    }
    extra
}

/// The product's own alert rules.
fn product_rules() -> Vec<(String, String)> {
    let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    minicloud_alerts::FILES.iter().map(own).collect()
}

/// Adds the site's own rules, and passes on the Probes' targets whenever they change.
async fn tell(
    rules_dir: Option<PathBuf>,
    mut asked: watch::Receiver<String>,
    told: &watch::Sender<Extra>,
    problems: &watch::Sender<Option<String>>,
) {
    if let Some(dir) = rules_dir {
        let own = own_rules::read(&dir, Path::new(own_rules::PROMTOOL)).await;
        for problem in &own.problems {
            tracing::error!("alert rules are left out: {problem}");
        }
        if !own.problems.is_empty() {
            problems.send_replace(Some(own.problems.join("; ")));
        }
        told.send_modify(|extra| extra.rules.extend(own.rules));
    }
    loop {
        let targets = asked.borrow_and_update().clone();
        told.send_modify(|extra| extra.targets = vec![(TARGETS_FILE.to_owned(), targets)]);
        if asked.changed().await.is_err() {
            // The server is ending.
            return std::future::pending().await;
        }
    }
}

/// Ends those that a server with this run folder left running.
pub async fn stop(run_dir: &Path) {
    probes::stop(run_dir).await;
    alertmanager::stop(run_dir).await;
}
