//! NodeMetrics and PodMetrics as the metrics server writes them. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use minicloud_api::quantity::Quantity;
use serde_json::{Value, json};

use super::usage::{Containers, Usage};
use crate::value;

type Labels = BTreeMap<String, String>;

fn metadata(name: &str, labels: Labels, now: Timestamp) -> Value {
    let mut metadata = json!({ "name": name, "creationTimestamp": value::rfc3339(now) });
    if !labels.is_empty() {
        metadata["labels"] = json!(labels);
    }
    metadata
}

/// A node's item.
pub(super) fn node(name: &str, labels: Labels, usage: &Usage, now: Timestamp) -> Value {
    json!({
        "metadata": metadata(name, labels, now),
        "timestamp": value::time(usage.time),
        "window": duration(usage.window),
        "usage": amounts(usage),
    })
}

/// A pod's item; none while a container of it has not been measured, since half a pod would look like one at rest.
pub(super) fn pod(
    namespace: &str,
    name: &str,
    labels: Labels,
    containers: &Containers,
    now: Timestamp,
) -> Option<Value> {
    let mut earliest: Option<&Usage> = None;
    let mut items = Vec::new();
    for (container, usage) in containers {
        let usage = usage.as_ref()?;
        items.push(json!({ "name": container, "usage": amounts(usage) }));
        if earliest.is_none_or(|known| usage.time < known.time) {
            earliest = Some(usage);
        }
    }
    let earliest = earliest?;
    let mut metadata = metadata(name, labels, now);
    metadata["namespace"] = namespace.into();
    Some(json!({
        "metadata": metadata,
        "timestamp": value::time(earliest.time),
        "window": duration(earliest.window),
        "containers": items,
    }))
}

/// Nanocores, and bytes in binary units.
fn amounts(usage: &Usage) -> Value {
    // A float beyond the range of an integer becomes the nearest one, and none becomes zero.
    let cpu = Quantity::from_nanos((usage.cpu * 1e9).round() as i64);
    let memory = Quantity::from_bytes(usage.memory_bytes.round() as i64);
    json!({ "cpu": cpu.to_string(), "memory": memory.to_string() })
}

/// A duration as Go writes it, to the millisecond: `15.012s`, `1m0s`.
fn duration(seconds: f64) -> String {
    let millis = (seconds * 1e3).round().max(0.0) as u64;
    if millis > 0 && millis < 1000 {
        return format!("{millis}ms");
    }
    let fraction = match millis % 1000 {
        0 => String::new(),
        rest => format!(".{rest:03}").trim_end_matches('0').to_owned(),
    };
    let seconds = millis / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut out = String::new();
    if hours > 0 {
        out.push_str(&format!("{hours}h"));
    }
    if hours > 0 || minutes > 0 {
        out.push_str(&format!("{minutes}m"));
    }
    out.push_str(&format!("{seconds}{fraction}s"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        for (seconds, expect) in [
            (15.0, "15s"),
            (15.012, "15.012s"),
            (60.5, "1m0.5s"),
            (0.25, "250ms"),
            (0.0, "0s"),
            (3600.0, "1h0m0s"),
            (f64::NAN, "0s"),
        ] {
            assert_eq!(duration(seconds), expect);
        }
    }

    #[test]
    fn shapes_are_those_of_the_metrics_server() {
        let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let usage = |cpu: f64, memory_bytes: f64, time: f64| Usage {
            cpu,
            memory_bytes,
            time,
            window: 15.0,
        };
        let labels = Labels::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(
            node(
                "edge-1",
                labels.clone(),
                &usage(0.123_456_789, 5_144_576.0, 1_435_781_430.781),
                now
            ),
            json!({
                "metadata": {"name": "edge-1", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"a": "b"}},
                "timestamp": "2015-07-01T20:10:30Z", "window": "15s",
                "usage": {"cpu": "123456789n", "memory": "5024Ki"},
            })
        );
        let mut containers = Containers::from([
            ("php".to_owned(), Some(usage(0.25, 1024.0, 200.0))),
            ("side".to_owned(), Some(usage(0.0, 0.0, 100.0))),
        ]);
        assert_eq!(
            pod("web", "p", Labels::new(), &containers, now).unwrap(),
            json!({
                "metadata": {"name": "p", "namespace": "web", "creationTimestamp": "2026-01-02T03:04:05Z"},
                "timestamp": "1970-01-01T00:01:40Z", "window": "15s",
                "containers": [
                    {"name": "php", "usage": {"cpu": "250m", "memory": "1Ki"}},
                    {"name": "side", "usage": {"cpu": "0", "memory": "0"}},
                ],
            })
        );
        containers.insert("new".to_owned(), None);
        assert_eq!(pod("web", "p", Labels::new(), &containers, now), None);
    }
}
