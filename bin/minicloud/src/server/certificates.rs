//! The certificates that the server shows: renewed while it runs, and when they end as a metric, for an alert when one was not.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use minicloud_api::part::{Need, Part, Shutdown};
use minicloud_auth::pki::{CertSpec, Pki, ServingCert};
use serde_json::json;

const NAME: &str = "minicloud_certificate_expiry_timestamp_seconds";

/// The part. It has no routes.
pub fn part(pki: Arc<Pki>) -> Part {
    Part {
        name: "certificates",
        routes: Router::new(),
        permit: Arc::new(|_| Need::path("/metrics")),
        openapi: json!({}),
        metrics: Arc::new(move || text(&pki)),
        run: None,
    }
}

fn text(pki: &Pki) -> String {
    let mut text = format!(
        "# HELP {NAME} When a certificate of the server's ends, in seconds since 1970.\n# TYPE {NAME} gauge\n"
    );
    for (name, end) in pki.ends() {
        // Names are those of files of ours: nothing to escape. Writing to a String cannot fail.
        let _ = writeln!(text, "{NAME}{{name=\"{name}\"}} {}", end.as_second());
    }
    text
}

/// How often it is looked whether a certificate is due.
pub const RENEWAL: Duration = Duration::from_secs(3600);

/// Renews a certificate on disk and swaps it in without a restart.
pub struct Renewal {
    /// Who issues it.
    pub pki: Arc<Pki>,
    /// Its file's name.
    pub name: &'static str,
    /// What it says.
    pub spec: CertSpec,
    /// Who shows it.
    pub serving: Arc<ServingCert>,
}

impl Renewal {
    /// Looks after it until shutdown; `also` renews what goes with it.
    ///
    /// # Errors
    /// None: what fails is logged and tried again.
    pub async fn run(
        self,
        also: impl Fn() -> anyhow::Result<()>,
        mut shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(RENEWAL) => {}
                () = shutdown.wait() => return Ok(()),
            }
            if let Err(error) = self.renew().and_then(|()| also()) {
                let (name, error) = (self.name, format!("{error:#}"));
                tracing::error!(
                    name,
                    error,
                    "certificates could not be renewed; tried again in an hour"
                );
            }
        }
    }

    fn renew(&self) -> anyhow::Result<()> {
        let identity = self.pki.ensure(self.name, &self.spec, Timestamp::now())?;
        Ok(self.serving.replace(&identity)?)
    }
}
