//! Which metrics there are, for discovery. It never fails: a client that lists all groups would see none because of ours, so
//! where Prometheus is away only the rules are listed.

use std::time::Duration;

use minicloud_prometheus_client::Prometheus;
use serde_json::{Value, json};

/// How long Prometheus may take; discovery is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most metrics that are listed. All can be asked for.
const LISTED_MAX: usize = 2_000;

/// The names of the metrics whose series have these labels, as they are asked for.
pub(crate) async fn metrics(prometheus: &Prometheus, matchers: &str) -> Vec<String> {
    let expression = format!("group by (__name__) ({{{matchers},__name__!=\"\"}})");
    let answer = tokio::time::timeout(PATIENCE, prometheus.query(&expression)).await;
    let samples = match answer {
        Ok(Ok(samples)) => samples,
        Ok(Err(error)) => {
            tracing::debug!(%error, "metrics are not listed");
            return Vec::new();
        }
        Err(_) => {
            tracing::debug!("metrics are not listed: Prometheus takes too long");
            return Vec::new();
        }
    };
    let mut names: Vec<String> = samples
        .iter()
        .map(|sample| asked_as(sample.label("__name__")).to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(LISTED_MAX);
    names
}

/// A counter's growth is asked for by its name without what makes it a counter.
fn asked_as(name: &str) -> &str {
    let base = name.strip_suffix("_total").unwrap_or(name);
    match base.strip_suffix("_seconds") {
        Some(shorter) if base.len() < name.len() => shorter,
        _ => base,
    }
}

/// An APIResourceList; `of` says of a name whether it is namespaced, and its kind.
pub(crate) fn resource_list(
    group_version: &str,
    mut names: Vec<String>,
    of: fn(&str) -> (bool, &'static str),
) -> Value {
    names.sort_unstable();
    names.dedup();
    let resources: Vec<Value> = names
        .iter()
        .map(|name| {
            let (namespaced, kind) = of(name);
            json!({ "name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get"] })
        })
        .collect();
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_can_be_asked_for() {
        for (name, expect) in [
            ("http_requests_total", "http_requests"),
            ("container_cpu_usage_seconds_total", "container_cpu_usage"),
            ("latency_seconds", "latency_seconds"),
            ("queue", "queue"),
        ] {
            assert_eq!(asked_as(name), expect);
        }
    }
}
