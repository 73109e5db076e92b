//! Counters of the API server in Prometheus' text format, under the names and labels that Kubernetes' API server uses
//! (`k8s.io/apiserver/pkg/endpoints/metrics`).
//!
//! A client cannot grow them: labels are static words but for the resource, which must be served, and is forgotten when it no
//! longer is.

mod text;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;

use crate::dispatch;
use crate::path::{ResourceRequest, Verb};
use crate::query::Query;
use crate::registry::{Registry, Resource, Snapshot};

/// Upper bounds of the latency histograms, in seconds.
const BUCKETS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];

/// What a request is counted under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// `group/version/plural`; empty for what is not a resource that is served.
    resource: String,
    words: Words,
}

/// The labels beside those of the resource. The dry run is the last, so that series that differ in nothing else are neighbours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Words {
    verb: &'static str,
    subresource: &'static str,
    scope: &'static str,
    dry_run: &'static str,
}

impl Labels {
    /// For what is not a resource. Of the paths only those of the health checks are told apart.
    pub(crate) fn of_path(method: &Method, path: &str) -> Self {
        let endpoint = ["/healthz", "/livez", "/readyz"];
        let words = Words {
            verb: method_verb(method),
            subresource: endpoint
                .into_iter()
                .find(|e| path == *e)
                .unwrap_or_default(),
            ..Words::default()
        };
        Self {
            resource: String::new(),
            words,
        }
    }

    /// For a resource, as it is served; `None` for a subresource that it does not have.
    pub(crate) fn of_resource(
        row: &Resource,
        wanted: &ResourceRequest,
        method: &Method,
        query: &Query,
    ) -> Option<Self> {
        let subresource = match wanted.subresource.as_str() {
            "" => "",
            name => row.subresource(name)?.name,
        };
        let verb = match wanted.verb {
            _ if dispatch::is_stream(wanted) => "CONNECT",
            Verb::List => "LIST",
            Verb::Watch => "WATCH",
            // A collection is told apart by its scope.
            _ => method_verb(method),
        };
        let scope = if !wanted.name.is_empty() || wanted.verb == Verb::Create {
            "resource"
        } else if !wanted.namespace.is_empty() {
            "namespace"
        } else {
            "cluster"
        };
        let mut dry_runs = query.all("dryRun");
        let dry_run = match dry_runs.next() {
            None => "",
            Some("All") if dry_runs.all(|more| more == "All") => "All",
            Some(_) => "invalid",
        };
        Some(Self {
            resource: format!("{}/{}/{}", row.group, row.version, row.plural),
            words: Words {
                verb,
                subresource,
                scope,
                dry_run,
            },
        })
    }

    /// The verb.
    pub(crate) fn verb(&self) -> &'static str {
        self.words.verb
    }
}

fn method_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Group, version and plural name of [`Labels::resource`].
fn split(resource: &str) -> [&str; 3] {
    let mut parts = resource.splitn(3, '/');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn is_served(snapshot: &Snapshot, resource: &str) -> bool {
    let [group, version, plural] = split(resource);
    resource.is_empty() || snapshot.get(group, version, plural).is_some()
}

#[derive(Debug, Default, Clone)]
struct Series {
    /// By answer code.
    codes: BTreeMap<u16, u64>,
    latency: Histogram,
}

#[derive(Debug, Default, Clone)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum_seconds: f64,
}

impl Histogram {
    fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.buckets[at] += 1;
        }
        self.count += 1;
        self.sum_seconds += seconds;
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_seconds += other.sum_seconds;
    }
}

/// The counters of one resource.
#[derive(Debug, Default, Clone)]
struct Counters {
    requests: HashMap<Words, Series>,
    long_running: HashMap<Words, Arc<AtomicI64>>,
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<HashMap<String, Counters>>);

/// One long request, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Gauge(Arc<AtomicI64>);

impl Gauge {
    fn count(in_all: Arc<AtomicI64>) -> Self {
        in_all.fetch_add(1, Ordering::Relaxed);
        Self(in_all)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Counters>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the counters of a resource. With every new one those that are no longer served are forgotten.
    fn change<T>(
        &self,
        registry: &Registry,
        resource: &str,
        change: impl FnOnce(&mut Counters) -> T,
    ) -> T {
        let mut all = self.lock();
        if let Some(counters) = all.get_mut(resource) {
            return change(counters);
        }
        let snapshot = registry.snapshot();
        all.retain(|resource, _| is_served(&snapshot, resource));
        change(all.entry(resource.to_owned()).or_default())
    }

    /// Counts an answered request. How long it took is `None` for long requests: that is up to their client.
    pub(crate) fn request(
        &self,
        registry: &Registry,
        labels: &Labels,
        code: u16,
        took: Option<Duration>,
    ) {
        self.change(registry, &labels.resource, |counters| {
            let series = counters.requests.entry(labels.words).or_default();
            *series.codes.entry(code).or_default() += 1;
            if let Some(took) = took {
                series.latency.observe(took);
            }
        });
    }

    /// Counts a watch or a stream for as long as the gauge lives.
    pub(crate) fn long_running(&self, registry: &Registry, labels: &Labels) -> Gauge {
        self.change(registry, &labels.resource, |counters| {
            let in_all = counters.long_running.entry(labels.words).or_default();
            Gauge::count(Arc::clone(in_all))
        })
    }

    /// All counters as text; `extra` adds gauges that live elsewhere: name, labels, help and value.
    pub(crate) fn text(&self, registry: &Registry, extra: &[(&str, String, &str, f64)]) -> String {
        let snapshot = registry.snapshot();
        let mut all = self.lock();
        all.retain(|resource, _| is_served(&snapshot, resource));
        // Written from a copy: requests do not wait for it.
        let copy = all
            .iter()
            .map(|(resource, counters)| (resource.clone(), counters.clone()))
            .collect();
        drop(all);
        text::all(&copy, extra)
    }
}
