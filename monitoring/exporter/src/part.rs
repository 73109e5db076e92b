//! The exporter as a part of a listener: its metrics are the listener's `/metrics`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use minicloud_api::part::{Need, Part};
use serde_json::json;

use crate::{Exporter, Settings};

/// The part, of the machine below `root`. It keeps one exporter: scrapes that come together wait for one another.
pub fn part(root: &Path) -> Part {
    let exporter = Mutex::new(Exporter::new(root, &Settings::default()));
    Part {
        name: "node-metrics",
        routes: Router::new(),
        // Asked for no route of its own.
        permit: Arc::new(|_| Need::cluster("get", "", "nodes")),
        openapi: json!({}),
        metrics: Arc::new(move || {
            let mut out = String::new();
            let mut exporter = exporter.lock().unwrap_or_else(PoisonError::into_inner);
            exporter.scrape(&mut out);
            for (collector, error) in exporter.failures() {
                tracing::debug!(collector, %error, "a collector of the node's metrics failed");
            }
            out
        }),
        run: None,
    }
}
