//! The listener's own metrics, and the parts' appended, in Prometheus' text format.
//!
//! Label values come from a fixed set (part names and status codes), so that no client can make new series.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Default)]
struct Served {
    requests: BTreeMap<(&'static str, u16), u64>,
    seconds: BTreeMap<&'static str, f64>,
}

/// Counters of the listener.
#[derive(Default)]
pub(crate) struct Metrics {
    served: Mutex<Served>,
    pub(crate) connections: Gauge,
    pub(crate) in_flight: Gauge,
}

/// How many there are now.
#[derive(Clone, Default)]
pub(crate) struct Gauge(Arc<AtomicUsize>);

/// One of them, until dropped.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Gauge {
    pub(crate) fn enter(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.0.clone())
    }

    fn value(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn answered(&self, part: &'static str, code: u16, took: Duration) {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        *served.requests.entry((part, code)).or_default() += 1;
        *served.seconds.entry(part).or_default() += took.as_secs_f64();
    }

    /// The listener's metrics and then those of each part.
    pub(crate) fn render<'a>(
        &self,
        parts: impl IntoIterator<Item = &'a (dyn Fn() -> String + Send + Sync)>,
    ) -> String {
        let mut out = String::new();
        let mut family =
            |name: &str,
             kind: &str,
             help: &str,
             lines: &mut dyn Iterator<Item = (String, String)>| {
                let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
                for (labels, value) in lines {
                    let _ = writeln!(out, "{name}{labels} {value}");
                }
            };
        {
            let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
            family(
                "minicloud_listener_requests_total",
                "counter",
                "Requests answered.",
                &mut served.requests.iter().map(|((part, code), n)| {
                    (format!("{{part={part:?},code=\"{code}\"}}"), n.to_string())
                }),
            );
            family(
                "minicloud_listener_request_duration_seconds_total",
                "counter",
                "Time from a request's head to its answer's head.",
                &mut served
                    .seconds
                    .iter()
                    .map(|(part, s)| (format!("{{part={part:?}}}"), format!("{s:.6}"))),
            );
        }
        for (name, help, gauge) in [
            (
                "minicloud_listener_connections",
                "Open connections.",
                &self.connections,
            ),
            (
                "minicloud_listener_requests_in_flight",
                "Requests not answered yet.",
                &self.in_flight,
            ),
        ] {
            family(
                name,
                "gauge",
                help,
                &mut std::iter::once((String::new(), gauge.value().to_string())),
            );
        }
        for part in parts {
            let text = part();
            out.push_str(&text);
            if !text.is_empty() && !text.ends_with('\n') {
                out.push('\n');
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn renders_prometheus_text() {
        let metrics = Metrics::default();
        metrics.answered("status", 200, Duration::from_millis(1500));
        metrics.answered("status", 200, Duration::from_millis(500));
        metrics.answered("", 404, Duration::ZERO);
        let counted = metrics.connections.enter();
        drop(metrics.in_flight.enter());
        let part = || "part_up 1".to_owned();
        expect![[r#"
            # HELP minicloud_listener_requests_total Requests answered.
            # TYPE minicloud_listener_requests_total counter
            minicloud_listener_requests_total{part="",code="404"} 1
            minicloud_listener_requests_total{part="status",code="200"} 2
            # HELP minicloud_listener_request_duration_seconds_total Time from a request's head to its answer's head.
            # TYPE minicloud_listener_request_duration_seconds_total counter
            minicloud_listener_request_duration_seconds_total{part=""} 0.000000
            minicloud_listener_request_duration_seconds_total{part="status"} 2.000000
            # HELP minicloud_listener_connections Open connections.
            # TYPE minicloud_listener_connections gauge
            minicloud_listener_connections 1
            # HELP minicloud_listener_requests_in_flight Requests not answered yet.
            # TYPE minicloud_listener_requests_in_flight gauge
            minicloud_listener_requests_in_flight 0
            part_up 1
        "#]]
        .assert_eq(&metrics.render([&part as &(dyn Fn() -> String + Send + Sync)]));
        drop(counted);
    }
}
