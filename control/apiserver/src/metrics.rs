//! Counters of the API server in Prometheus' text format, under the names that Kubernetes' API server uses.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

#[derive(Debug, Default, Clone)]
struct Series {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum_seconds: f64,
    /// By answer code.
    codes: BTreeMap<u16, u64>,
}

#[derive(Debug, Default)]
struct State {
    /// By verb and resource; both come from the registry, so there are only so many.
    requests: BTreeMap<(&'static str, String), Series>,
    watches: BTreeMap<String, i64>,
}

/// The counters.
#[derive(Debug, Default, Clone)]
pub(crate) struct Metrics(Arc<Mutex<State>>);

/// One open watch, counted until it is dropped.
pub(crate) struct Gauge {
    metrics: Metrics,
    resource: String,
}

impl Drop for Gauge {
    fn drop(&mut self) {
        if let Some(count) = self.metrics.lock().watches.get_mut(&self.resource) {
            *count -= 1;
        }
    }
}

impl Metrics {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answered request. The time of long requests is that of their client, so it does not count.
    pub(crate) fn request(
        &self,
        verb: &'static str,
        resource: &str,
        code: u16,
        took: Duration,
        long: bool,
    ) {
        let mut state = self.lock();
        let series = match state
            .requests
            .iter_mut()
            .find(|((v, r), _)| *v == verb && r == resource)
        {
            Some((_, series)) => series,
            None => state
                .requests
                .entry((verb, resource.to_owned()))
                .or_default(),
        };
        *series.codes.entry(code).or_default() += 1;
        if long {
            return;
        }
        let seconds = took.as_secs_f64();
        if let Some(at) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            series.buckets[at] += 1;
        }
        series.count += 1;
        series.sum_seconds += seconds;
    }

    /// Counts a watch for as long as the gauge lives.
    pub(crate) fn watching(&self, resource: &str) -> Gauge {
        *self.lock().watches.entry(resource.to_owned()).or_default() += 1;
        Gauge {
            metrics: self.clone(),
            resource: resource.to_owned(),
        }
    }

    /// All counters as text; `extra` adds gauges that live elsewhere: name, labels, help and value.
    pub(crate) fn text(&self, extra: &[(&str, String, &str, f64)]) -> String {
        let state = self.lock();
        let mut out = String::with_capacity(16 << 10);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "# HELP apiserver_request_total Counter of apiserver requests broken out for each verb, resource and HTTP response code.\n# TYPE apiserver_request_total counter"
        );
        for ((verb, resource), series) in &state.requests {
            for (code, count) in &series.codes {
                let _ = writeln!(
                    out,
                    "apiserver_request_total{{verb=\"{verb}\",resource=\"{resource}\",code=\"{code}\"}} {count}"
                );
            }
        }
        let _ = writeln!(
            out,
            "# HELP apiserver_request_duration_seconds Response latency distribution in seconds for each verb and resource.\n# TYPE apiserver_request_duration_seconds histogram"
        );
        for ((verb, resource), series) in state.requests.iter().filter(|(_, s)| s.count > 0) {
            let mut total = 0;
            for (bound, count) in BUCKETS.iter().zip(series.buckets) {
                total += count;
                let _ = writeln!(
                    out,
                    "apiserver_request_duration_seconds_bucket{{verb=\"{verb}\",resource=\"{resource}\",le=\"{bound}\"}} {total}"
                );
            }
            let labels = format!("verb=\"{verb}\",resource=\"{resource}\"");
            let _ = writeln!(
                out,
                "apiserver_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {}",
                series.count
            );
            let _ = writeln!(
                out,
                "apiserver_request_duration_seconds_sum{{{labels}}} {}",
                series.sum_seconds
            );
            let _ = writeln!(
                out,
                "apiserver_request_duration_seconds_count{{{labels}}} {}",
                series.count
            );
        }
        let _ = writeln!(
            out,
            "# HELP apiserver_longrunning_requests Gauge of all active watches by resource.\n# TYPE apiserver_longrunning_requests gauge"
        );
        for (resource, count) in &state.watches {
            let _ = writeln!(
                out,
                "apiserver_longrunning_requests{{verb=\"watch\",resource=\"{resource}\"}} {count}"
            );
        }
        let mut last = "";
        for (name, labels, help, value) in extra {
            if *name != last {
                let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
            }
            last = name;
            let _ = writeln!(out, "{name}{labels} {value}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        let metrics = Metrics::default();
        metrics.request("get", "pods", 200, Duration::from_millis(2), false);
        metrics.request("get", "pods", 404, Duration::from_millis(2), false);
        let gauge = metrics.watching("pods");
        let text = metrics.text(&[("x", "{a=\"b\"}".into(), "help", 1.0)]);
        assert!(
            text.contains("apiserver_request_total{verb=\"get\",resource=\"pods\",code=\"404\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("le=\"0.0025\"} 2") && text.contains("x{a=\"b\"} 1"),
            "{text}"
        );
        assert!(text.contains("resource=\"pods\"} 1"), "{text}");
        drop(gauge);
        assert!(
            metrics
                .text(&[])
                .contains("{verb=\"watch\",resource=\"pods\"} 0")
        );
    }
}
