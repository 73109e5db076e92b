//! What went wrong with nodes and drives in the last hours: the rules' own history, as Prometheus remembers it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use minicloud_prometheus_client::{Prometheus, QueryError, Series};
use serde::Serialize;

use super::rules::{self, RULES, Resource, Rule};
use super::{STEP_SECONDS, now, written};
use crate::queries;

/// How far back is looked.
const BACK_SECONDS: f64 = 6.0 * 3600.0;
const BACK: &str = "6h";
/// Of one node; the newest are kept.
const MOST: usize = 100;

/// Something that was wrong with a node or one of its drives, interfaces or file systems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct HealthEvent {
    /// As in `/v1/impact`.
    kind: &'static str,
    /// Which drive, file system, interface or sensor.
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    severity: &'static str,
    summary: &'static str,
    since: String,
    /// Absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// The rules about the health of machines: not how busy they are, and nothing about pods.
fn is_health(rule: &Rule) -> bool {
    match rule.resource {
        Resource::Disk => rule.kind != "disk_pressure",
        Resource::FileSystem | Resource::Network | Resource::Machine => true,
        Resource::Cpu => rule.kind == "thermal_throttling",
        Resource::Memory | Resource::Limit => false,
    }
}

/// The events of all nodes by node, newest first.
///
/// # Errors
/// When there is no Prometheus.
pub(crate) async fn history(
    prometheus: &Prometheus,
) -> Result<BTreeMap<String, Vec<HealthEvent>>, QueryError> {
    let rules = RULES.iter().filter(|rule| is_health(rule));
    // What is gone is missed for as long as is looked back, or it would seem to have come again.
    let violation = |rule| written(&rules::violation(rule).replace("$back", BACK));
    let text = queries::join(rules.map(|rule| (rule.kind, violation(rule))));
    let end = now();
    let range = (end - BACK_SECONDS, end);
    let found = prometheus.query_range(&text, range, STEP_SECONDS).await?;
    Ok(events(&found, end))
}

fn events(found: &[Series], end: f64) -> BTreeMap<String, Vec<HealthEvent>> {
    let mut by_node: BTreeMap<String, Vec<(Run, HealthEvent)>> = BTreeMap::new();
    for series in found {
        let label = |name: &str| series.labels.get(name).map_or("", String::as_str);
        let Some(rule) = RULES.iter().find(|rule| rule.kind == label("measure")) else {
            continue;
        };
        let subject: Vec<_> = rule.subject.iter().map(|name| label(name)).collect();
        for run in runs(series, end) {
            let is_critical = rule.beyond.holds(run.worst(rule), rule.critical);
            let event = HealthEvent {
                kind: rule.kind,
                subject: subject.join(" "),
                severity: if is_critical { "critical" } else { "warning" },
                summary: rule.summary,
                since: time(run.since),
                until: (!run.goes_on).then(|| time(run.until)),
            };
            by_node
                .entry(label("node").to_owned())
                .or_default()
                .push((run, event));
        }
    }
    let newest = |mut events: Vec<(Run, HealthEvent)>| {
        events.sort_by(|(a, x), (b, y)| b.since.total_cmp(&a.since).then(x.kind.cmp(y.kind)));
        events.truncate(MOST);
        events.into_iter().map(|(_, event)| event).collect()
    };
    by_node
        .into_iter()
        .map(|(node, events)| (node, newest(events)))
        .collect()
}

/// Points that follow one another without a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    /// The first and the last, Unix time in seconds.
    pub(super) since: f64,
    until: f64,
    least: f64,
    most: f64,
    pub(super) goes_on: bool,
}

impl Run {
    fn worst(&self, rule: &Rule) -> f64 {
        match rule.beyond {
            rules::Beyond::AtLeast => self.most,
            rules::Beyond::AtMost => self.least,
        }
    }
}

/// The runs of a series that was asked for up to `end`, in their order.
pub(super) fn runs(series: &Series, end: f64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for point in &series.points {
        match runs.last_mut() {
            Some(run) if point.time - run.until <= 1.5 * STEP_SECONDS => {
                run.until = point.time;
                run.least = run.least.min(point.value);
                run.most = run.most.max(point.value);
            }
            _ => runs.push(Run {
                since: point.time,
                until: point.time,
                least: point.value,
                most: point.value,
                goes_on: false,
            }),
        }
    }
    if let Some(last) = runs.last_mut() {
        last.goes_on = end - last.until <= 1.5 * STEP_SECONDS;
    }
    runs
}

/// A time as JSON has it; empty for one that no calendar knows.
pub(super) fn time(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let seconds = seconds as i64;
    Timestamp::from_second(seconds).map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use minicloud_prometheus_client::Point;

    use super::*;

    fn series(labels: &[(&str, &str)], points: &[(f64, f64)]) -> Series {
        Series {
            labels: labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            points: points
                .iter()
                .map(|(minute, value)| Point {
                    time: 60.0 * minute,
                    value: *value,
                })
                .collect(),
        }
    }

    #[test]
    fn what_goes_and_comes_back_is_two_events() {
        let silent = [("measure", "silent_node"), ("node", "edge-1")];
        let full = [
            ("measure", "full_file_system"),
            ("node", "edge-1"),
            ("mountpoint", "/data"),
        ];
        let found = [
            series(&silent, &[(1.0, 1.0), (2.0, 1.0), (9.0, 1.0), (10.0, 1.0)]),
            series(&full, &[(3.0, 0.08), (4.0, 0.01), (5.0, 0.09)]),
            series(
                &[("measure", "unheard_of"), ("node", "edge-1")],
                &[(1.0, 1.0)],
            ),
        ];
        let events = events(&found, 600.0);
        let told = serde_json::to_value(&events["edge-1"]).unwrap();
        assert_eq!(
            told,
            serde_json::json!([
                {"kind": "silent_node", "severity": "critical", "summary": "the node does not tell how it is doing",
                    "since": "1970-01-01T00:09:00Z"},
                {"kind": "full_file_system", "subject": "/data", "severity": "critical",
                    "summary": "hardly any space is left",
                    "since": "1970-01-01T00:03:00Z", "until": "1970-01-01T00:05:00Z"},
                {"kind": "silent_node", "severity": "critical", "summary": "the node does not tell how it is doing",
                    "since": "1970-01-01T00:01:00Z", "until": "1970-01-01T00:02:00Z"},
            ])
        );
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn the_newest_are_kept() {
        let points: Vec<_> = (0..300).map(|n| (f64::from(n) * 3.0, 1.0)).collect();
        let found = [series(
            &[("measure", "silent_node"), ("node", "a")],
            &points,
        )];
        let events = events(&found, 1e9);
        assert_eq!(events["a"].len(), MOST);
        assert_eq!(events["a"][0].since, time(60.0 * 3.0 * 299.0));
    }

    #[test]
    fn health_is_not_how_busy_a_machine_is() {
        let health: Vec<_> = RULES
            .iter()
            .filter(|r| is_health(r))
            .map(|r| r.kind)
            .collect();
        for kind in [
            "silent_node",
            "disk_gone",
            "read_only_file_system",
            "overheating",
        ] {
            assert!(health.contains(&kind), "{kind}");
        }
        for kind in [
            "cpu_pressure",
            "memory_pressure",
            "disk_pressure",
            "cpu_limit",
            "out_of_memory",
        ] {
            assert!(!health.contains(&kind), "{kind}");
        }
    }
}
