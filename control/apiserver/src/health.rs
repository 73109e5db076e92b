//! What is open to everyone (`/livez`, `/readyz`, `/healthz`, `/version`), and `/metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Method;
use serde_json::json;

use crate::api::Api;
use crate::http::limits::Lane;
use crate::http::respond::{self, Answer};
use crate::query::Query;
use crate::registry::{Resource, Snapshot};

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

/// One thing that health depends on.
#[derive(Debug, Clone, Copy)]
struct Check {
    name: &'static str,
    /// The name that Kubernetes has for it, by which it can be asked for and excluded too.
    alias: &'static str,
    /// What is wrong; `None` when nothing is.
    problem: Option<&'static str>,
}

impl Check {
    fn new(name: &'static str, alias: &'static str, good: bool, problem: &'static str) -> Self {
        Self {
            name,
            alias,
            problem: (!good).then_some(problem),
        }
    }

    fn is(&self, name: &str) -> bool {
        name == self.name || name == self.alias
    }
}

fn checks(api: &Api, endpoint: &str, check: &str, query: &Query) -> Answer {
    // The listener starts after everything is loaded, so a server that answers is ready until it shuts down.
    let mut checks = vec![
        Check::new("ping", "ping", true, ""),
        Check::new("store", "etcd", api.store.is_open(), "the store is closed"),
    ];
    if endpoint == "readyz" {
        let ending = *api.ending().borrow();
        let problem = "the server is shutting down";
        checks.push(Check::new("shutdown", "shutdown", !ending, problem));
    }
    let report = if check.is_empty() {
        let excluded = query.all("exclude").collect();
        all(endpoint, &checks, excluded, query.get("verbose").is_some())
    } else {
        match checks.iter().find(|c| c.is(check)) {
            Some(check) => one(check),
            None => return respond::no_page(),
        }
    };
    match report {
        Ok(text) => respond::text(200, text),
        Err(text) => respond::text(500, text),
    }
}

/// What the answer to `/livez/CHECK` says.
fn one(check: &Check) -> Result<String, String> {
    match check.problem {
        None => Ok("ok".to_owned()),
        Some(problem) => Err(format!("internal server error: {problem}\n")),
    }
}

/// What the answer to `/livez` says. This is for everyone, so it does not say what is wrong.
fn all(
    endpoint: &str,
    checks: &[Check],
    excluded: BTreeSet<&str>,
    verbose: bool,
) -> Result<String, String> {
    let mut text = String::new();
    let mut failed = false;
    for check in checks {
        let (sign, state) = if excluded.iter().any(|name| check.is(name)) {
            ('+', "excluded: ok")
        } else if check.problem.is_none() {
            ('+', "ok")
        } else {
            failed = true;
            ('-', "failed: reason withheld")
        };
        text.push_str(&format!("[{sign}]{} {state}\n", check.name));
    }
    let unknown: Vec<String> = excluded
        .iter()
        .filter(|name| !checks.iter().any(|c| c.is(name)))
        .map(|name| format!("{name:?}"))
        .collect();
    if !unknown.is_empty() {
        let names = unknown.join(",");
        text.push_str(&format!(
            "warn: some health checks cannot be excluded: no matches for {names}\n"
        ));
    }
    if failed {
        Err(format!("{text}{endpoint} check failed\n"))
    } else if verbose {
        Ok(format!("{text}{endpoint} check passed\n"))
    } else {
        Ok("ok".to_owned())
    }
}

/// `/metrics`, behind RBAC as any other path.
pub(crate) fn metrics(api: &Api) -> Answer {
    let mut extra: Vec<(&str, String, &str, f64)> = Vec::new();
    for (kind, lane) in [("readOnly", Lane::Read), ("mutating", Lane::Write)] {
        extra.push((
            "apiserver_current_inflight_requests",
            format!("{{request_kind=\"{kind}\"}}"),
            "Requests that are being handled now.",
            api.in_flight.used(lane) as f64,
        ));
    }
    let stored = stored(&api.registry.snapshot());
    for (prefix, row) in &stored {
        let name = if row.group.is_empty() {
            row.plural.clone()
        } else {
            format!("{}.{}", row.plural, row.group)
        };
        extra.push((
            "apiserver_storage_objects",
            format!("{{resource=\"{name}\"}}"),
            "Number of stored objects by resource.",
            api.store.count(prefix) as f64,
        ));
    }
    // The name since Kubernetes 1.34.
    for (prefix, row) in &stored {
        extra.push((
            "apiserver_resource_objects",
            format!("{{group=\"{}\",resource=\"{}\"}}", row.group, row.plural),
            "Number of stored objects by resource.",
            api.store.count(prefix) as f64,
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
    respond::text(200, api.metrics.text(&api.registry, &extra))
}

/// A row for each place where objects are stored: versions of a resource share theirs, and so do the events of both groups.
fn stored(snapshot: &Snapshot) -> BTreeMap<String, Arc<Resource>> {
    snapshot
        .rows()
        .filter(|row| !row.prefix.is_empty() && !row.converts_events)
        .map(|row| (row.prefix.clone(), Arc::clone(row)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_told_as_kubernetes_tells_it() {
        let checks = [
            Check::new("ping", "ping", true, ""),
            Check::new("store", "etcd", false, "it is closed"),
        ];
        let check = |excluded: &[&str], verbose, expect: Result<&str, &str>| {
            let excluded = excluded.iter().copied().collect();
            let report = all("livez", &checks, excluded, verbose);
            let report = report.as_deref().map_err(String::as_str);
            assert_eq!(report, expect);
        };
        // A failure is told whole even when nobody asked for it.
        let failed = "[+]ping ok\n[-]store failed: reason withheld\nlivez check failed\n";
        check(&[], false, Err(failed));
        check(&["etcd"], false, Ok("ok"));
        check(
            &["store"],
            true,
            Ok("[+]ping ok\n[+]store excluded: ok\nlivez check passed\n"),
        );
        check(
            &["z", "a\"", "etcd", "z"],
            true,
            Ok("[+]ping ok\n[+]store excluded: ok\n\
                warn: some health checks cannot be excluded: no matches for \"a\\\"\",\"z\"\nlivez check passed\n"),
        );
        assert_eq!(one(&checks[0]), Ok("ok".to_owned()));
        assert_eq!(
            one(&checks[1]),
            Err("internal server error: it is closed\n".to_owned())
        );
    }
}
