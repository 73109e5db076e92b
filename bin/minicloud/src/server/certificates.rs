//! When the certificates that the server works with end: a metric, for an alert when one was not renewed.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use minicloud_api::part::{Need, Part};
use minicloud_auth::pki::Pki;
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
