//! Prometheus: ours, somebody's, or none, as the settings say. The rest of the server has a client of it in every case.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use minicloud_alertmanager::proxy::Upstream;
use minicloud_auth::pki::{CertSpec, Pki};
use minicloud_daemon::Loopback;
use minicloud_listener::status::Check;
use minicloud_prometheus::engine::{Choice, at_url};
use minicloud_prometheus::managed::{self, Changing, Managed};
use minicloud_prometheus_client::Prometheus;
use tokio::sync::watch;

use super::Parts;
use super::companions::{self, Companions};
use crate::identities::Identities;
use crate::settings::Settings;

/// How long the site's own rules may take to be read before Prometheus goes without.
const RULES: Duration = Duration::from_secs(10);

/// Prometheus, as the other parts need it.
pub struct Engine {
    /// A client; where there is no Prometheus it says so.
    pub client: Prometheus,
    /// How `/alertmanager` on port 3000 gets to the Alertmanager that goes with it.
    pub alertmanager: Upstream,
    /// What `minicloud status` shows of it.
    pub checks: Vec<Check>,
}

/// Starts it, or what stands for it.
///
/// # Errors
/// When a key or an identity cannot be had, or the settings cannot be used.
pub(super) fn start(
    settings: &Settings,
    pki: &Arc<Pki>,
    identities: &Identities,
    parts: &mut Parts,
) -> anyhow::Result<Engine> {
    let client = match &settings.prometheus {
        Choice::Managed => return start_managed(settings, pki, identities, parts),
        Choice::Off => Prometheus::away("switched off by the setting prometheus"),
        Choice::Url {
            url,
            token_file,
            ca_file,
        } => at_url(url, token_file.clone(), ca_file.as_deref())?,
    };
    // One that ran by earlier settings.
    let run_dir = settings.run_dir.clone();
    parts.spawn("prometheus", |mut shutdown| async move {
        stop_below(&run_dir).await;
        shutdown.wait().await;
        Ok(())
    });
    Ok(Engine {
        client,
        alertmanager: Upstream::Off,
        checks: Vec::new(),
    })
}

fn start_managed(
    settings: &Settings,
    pki: &Arc<Pki>,
    identities: &Identities,
    parts: &mut Parts,
) -> anyhow::Result<Engine> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let config = managed::Config {
        program: PathBuf::from(managed::PROGRAM),
        run_dir: settings.run_dir.clone(),
        data_dir: settings.data_dir.clone(),
        port: settings.prometheus_port,
        scrape_interval: settings.prometheus_scrape_interval.clone(),
        retention_time: settings.prometheus_retention_time.clone(),
        retention_size_bytes: settings.prometheus_retention_size_bytes,
        api_server: loopback(settings.api_port),
        listener: loopback(settings.listener_port),
        metrics_port: settings.metrics_port,
        node_name: settings.node_name.clone(),
    };
    let loopback = Arc::new(Loopback::new()?);
    let prometheus = Managed::new(config, loopback.clone())?;
    let Companions {
        checks,
        alertmanager,
        mut extra,
    } = companions::start(settings, identities, &loopback, prometheus.client(), parts)?;
    let mut engine = Engine {
        client: prometheus.client(),
        alertmanager,
        checks: vec![Check {
            name: "prometheus",
            trouble: Arc::new(prometheus.trouble()),
        }],
    };
    engine.checks.extend(checks);
    let (changed, changing) = watch::channel(changing(pki)?);
    let client = identities.client(&CertSpec::prometheus())?;
    let pki = pki.clone();
    parts.spawn("prometheus", |shutdown| async move {
        // With all rules from the start: those that go and come again forget since when they hold.
        let _ = tokio::time::timeout(RULES, extra.changed()).await;
        tokio::select! {
            () = prometheus.run(client, changing, extra, shutdown) => {}
            () = renew(&pki, &changed) => {}
        }
        Ok(())
    });
    Ok(engine)
}

/// What is issued for it: the certificate on disk is renewed like the others.
fn changing(pki: &Pki) -> anyhow::Result<Changing> {
    let scraper = pki.ensure("prometheus", &CertSpec::prometheus(), Timestamp::now())?;
    Ok(Changing {
        ca_pem: pki.ca_pem(),
        scraper_pem: scraper.to_pem(),
    })
}

async fn renew(pki: &Pki, changed: &watch::Sender<Changing>) {
    loop {
        tokio::time::sleep(super::certificates::RENEWAL).await;
        match changing(pki) {
            Ok(new) => drop(changed.send_replace(new)),
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the certificate of Prometheus could not be renewed; tried again in an hour"
            ),
        }
    }
}

/// Ends what a server with these settings left running: Prometheus and its companions.
pub async fn stop(settings: &Settings) {
    stop_below(&settings.run_dir).await;
}

async fn stop_below(run_dir: &Path) {
    minicloud_daemon::stop(&managed::dir(run_dir)).await;
    companions::stop(run_dir).await;
}
