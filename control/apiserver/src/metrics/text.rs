//! Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{BUCKETS, Counters, Histogram, Series, Words, split};

/// How many buckets, from the first, `apiserver_request_sli_duration_seconds` does not have.
const BUCKETS_BELOW_SLI: usize = 2;

pub(super) fn all(all: &BTreeMap<String, Counters>, extra: &[(&str, String, &str, f64)]) -> String {
    let mut out = String::with_capacity(64 << 10);
    requests(&mut out, all);
    durations(&mut out, all);
    long_running(&mut out, all);
    let mut last = "";
    for (name, labels, help, value) in extra {
        if *name != last {
            family(&mut out, name, "gauge", help);
        }
        last = name;
        put(&mut out, format_args!("{name}{labels} {value}"));
    }
    out
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    put(
        out,
        format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"),
    );
}

/// The labels as text. Which of them a family has is Kubernetes' choice.
fn labels(resource: &str, words: &Words, with_dry_run: bool) -> String {
    let [group, version, plural] = split(resource);
    let component = if resource.is_empty() { "" } else { "apiserver" };
    let dry_run = if with_dry_run {
        format!("dry_run=\"{}\",", words.dry_run)
    } else {
        String::new()
    };
    format!(
        "component=\"{component}\",{dry_run}group=\"{group}\",resource=\"{plural}\",scope=\"{}\",subresource=\"{}\",verb=\"{}\",version=\"{version}\"",
        words.scope, words.subresource, words.verb
    )
}

fn requests(out: &mut String, all: &BTreeMap<String, Counters>) {
    let name = "apiserver_request_total";
    family(out, name, "counter", "Requests that were answered.");
    for (resource, counters) in all {
        let sorted: BTreeMap<&Words, &Series> = counters.requests.iter().collect();
        for (words, series) in sorted {
            let labels = labels(resource, words, true);
            for (code, count) in &series.codes {
                put(
                    out,
                    format_args!("{name}{{code=\"{code}\",{labels}}} {count}"),
                );
            }
        }
    }
}

fn durations(out: &mut String, all: &BTreeMap<String, Counters>) {
    let name = "apiserver_request_duration_seconds";
    let help = "How long requests took that are neither watches nor streams.";
    family(out, name, "histogram", help);
    // What answers cost without webhooks and queues is what they cost: there are neither.
    let mut sli: BTreeMap<(&str, Words), Histogram> = BTreeMap::new();
    for (resource, counters) in all {
        let sorted: BTreeMap<&Words, &Series> = counters.requests.iter().collect();
        for (words, series) in sorted.into_iter().filter(|(_, s)| s.latency.count > 0) {
            histogram(
                out,
                name,
                &labels(resource, words, true),
                &series.latency,
                0,
            );
            let any_dry_run = Words {
                dry_run: "",
                ..*words
            };
            sli.entry((resource, any_dry_run))
                .or_default()
                .add(&series.latency);
        }
    }
    let name = "apiserver_request_sli_duration_seconds";
    family(out, name, "histogram", help);
    for ((resource, words), latency) in &sli {
        let labels = labels(resource, words, false);
        histogram(out, name, &labels, latency, BUCKETS_BELOW_SLI);
    }
}

fn histogram(out: &mut String, name: &str, labels: &str, histogram: &Histogram, skipped: usize) {
    let mut total = 0;
    for (at, (bound, count)) in BUCKETS.iter().zip(histogram.buckets).enumerate() {
        total += count;
        if at >= skipped {
            put(
                out,
                format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {total}"),
            );
        }
    }
    let (count, sum) = (histogram.count, histogram.sum_seconds);
    put(
        out,
        format_args!(
            "{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}"
        ),
    );
}

fn long_running(out: &mut String, all: &BTreeMap<String, Counters>) {
    let name = "apiserver_longrunning_requests";
    let help = "Watches and streams that are open now.";
    family(out, name, "gauge", help);
    for (resource, counters) in all {
        let sorted: BTreeMap<&Words, &Arc<AtomicI64>> = counters.long_running.iter().collect();
        for (words, count) in sorted {
            let labels = labels(resource, words, false);
            let count = count.load(Ordering::Relaxed);
            put(out, format_args!("{name}{{{labels}}} {count}"));
        }
    }
}
