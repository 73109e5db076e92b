//! What is open to everyone (`/livez`, `/readyz`, `/healthz`, `/version`), and `/metrics`.

use http::Method;
use serde_json::json;

use crate::api::Api;
use crate::http::limits::Lane;
use crate::http::respond::{self, Answer};
use crate::query::Query;

/// The version that clients see: Kubernetes' for what is served, ours behind the plus.
pub(crate) const GIT_VERSION: &str = concat!("v1.36.0+minicloud.", env!("CARGO_PKG_VERSION"));

/// Answers the paths that need no credentials; `None` for all others.
pub(crate) fn open(api: &Api, path: &str, method: &Method, query: &Query) -> Option<Answer> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let (endpoint, check) = match path.trim_matches('/').split_once('/') {
        None => (path.trim_matches('/'), ""),
        Some((endpoint, check)) => (endpoint, check),
    };
    match endpoint {
        "version" if check.is_empty() => Some(version()),
        "livez" | "readyz" | "healthz" => Some(checks(api, endpoint, check, query)),
        _ => None,
    }
}

fn version() -> Answer {
    respond::json(
        200,
        &json!({
            "major": "1",
            "minor": "36",
            "emulationMajor": "1",
            "emulationMinor": "36",
            "minCompatibilityMajor": "1",
            "minCompatibilityMinor": "35",
            "gitVersion": GIT_VERSION,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "rustc",
            "platform": format!("{}/{}", std::env::consts::OS, platform()),
        }),
    )
}

/// The architecture under the name that Go and so Kubernetes gives it.
fn platform() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn checks(api: &Api, endpoint: &str, check: &str, query: &Query) -> Answer {
    // The listener starts after everything is loaded, so a server that answers is ready until it shuts down.
    let ending = *api.ending().borrow();
    let all = [
        ("ping", true),
        ("store", api.store.is_open()),
        ("shutdown", !ending || endpoint == "livez"),
    ];
    let excluded: Vec<&str> = query.all("exclude").collect();
    let chosen: Vec<&(&str, bool)> = all
        .iter()
        .filter(|(name, _)| (check.is_empty() || *name == check) && !excluded.contains(name))
        .collect();
    if chosen.is_empty() && !check.is_empty() {
        return respond::no_page();
    }
    let good = chosen.iter().all(|(_, good)| *good);
    if good && !query.flag("verbose") && query.get("verbose").is_none() {
        return respond::text(200, "ok");
    }
    let mut text: String = chosen
        .iter()
        .map(|(name, good)| {
            format!(
                "[{}]{name} {}\n",
                if *good { '+' } else { '-' },
                if *good { "ok" } else { "failed" }
            )
        })
        .collect();
    text.push_str(&format!(
        "{endpoint} check {}\n",
        if good { "passed" } else { "failed" }
    ));
    respond::text(if good { 200 } else { 500 }, text)
}

/// `/metrics`, behind RBAC as any other path.
pub(crate) fn metrics(api: &Api) -> Answer {
    let mut extra: Vec<(&str, String, &str, f64)> = Vec::new();
    for (kind, lane) in [
        ("readOnly", Lane::Read),
        ("mutating", Lane::Write),
        ("longRunning", Lane::Long),
    ] {
        extra.push((
            "apiserver_current_inflight_requests",
            format!("{{request_kind=\"{kind}\"}}"),
            "Requests that are being handled now.",
            api.in_flight.used(lane) as f64,
        ));
    }
    let snapshot = api.registry.snapshot();
    for row in snapshot
        .rows()
        .filter(|r| !r.prefix.is_empty() && !r.converts_events)
    {
        let name = if row.group.is_empty() {
            row.plural.clone()
        } else {
            format!("{}.{}", row.plural, row.group)
        };
        extra.push((
            "apiserver_storage_objects",
            format!("{{resource=\"{name}\"}}"),
            "Number of stored objects by resource.",
            api.store.count(&row.prefix) as f64,
        ));
    }
    extra.push((
        "minicloud_store_revision",
        String::new(),
        "Revision of the store.",
        api.store.revision() as f64,
    ));
    extra.push((
        "minicloud_store_compacted_revision",
        String::new(),
        "Oldest revision that lists and watches can still ask for.",
        api.store.compacted_revision() as f64,
    ));
    respond::text(200, api.metrics.text(&extra))
}
