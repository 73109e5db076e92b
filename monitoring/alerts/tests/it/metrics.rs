//! Rules name only metrics that somebody exports: our own exporters, asked or read, and the daemons of the Prometheus family.

use std::collections::BTreeSet;
use std::path::Path;

use minicloud_exporter::{Exporter, Settings};
use regex::Regex;

use crate::rules;

#[path = "../../../exporter/tests/it/machine.rs"]
mod machine;

/// What Debian's daemons say of themselves and of what they looked at. An end-to-end test asks the daemons.
const DAEMONS: &[&str] = &[
    "up",
    "scrape_duration_seconds",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "prometheus_config_last_reload_successful",
    "prometheus_notifications_dropped_total",
    "prometheus_notifications_errors_total",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_iterations_missed_total",
    "prometheus_target_scrapes_exceeded_body_size_limit_total",
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    "prometheus_tsdb_compactions_failed_total",
    "prometheus_tsdb_head_samples_appended_total",
    "prometheus_tsdb_head_series",
    "prometheus_tsdb_reloads_failures_total",
    "prometheus_tsdb_storage_blocks_bytes",
    "prometheus_tsdb_wal_corruptions_total",
    "alertmanager_config_last_reload_successful",
    "alertmanager_notifications_failed_total",
    // cAdvisor's.
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "container_network_receive_bytes_total",
    "container_network_transmit_bytes_total",
    "container_oom_events_total",
    "container_spec_memory_limit_bytes",
    "probe_duration_seconds",
    "probe_ssl_earliest_cert_expiry",
    "probe_success",
];

/// Where the names of other exporters of ours stand as literals.
const SOURCES: &[&str] = &[
    "monitoring/state/src",
    "control/apiserver/src",
    "control/listener/src",
    "bin/minicloud/src",
];

/// The metrics that an expression names.
pub fn names(expr: &str) -> BTreeSet<String> {
    let strip = |text: String, pattern: &str| {
        let pattern = Regex::new(pattern).unwrap();
        pattern.replace_all(&text, " ").into_owned()
    };
    let bare = [
        r#""(\\.|[^"\\])*""#,
        r"\{[^}]*\}",
        r"\[[^\]]*\]",
        r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
        r"\b(and|or|unless|bool|offset \w+|group_left|group_right)\b",
    ];
    let bare = bare.into_iter().fold(expr.to_owned(), strip);
    // A name before a parenthesis is a function; a number may have letters too.
    let word = Regex::new(r"[a-zA-Z0-9_:.]+\s*\(?").unwrap();
    word.find_iter(&bare)
        .map(|found| found.as_str().trim())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
        .filter(|name| !name.ends_with('('))
        // A unary operator's by-clause leaves the operator alone.
        .filter(|name| !matches!(*name, "sum" | "max" | "min" | "avg" | "count" | "topk"))
        .map(str::to_owned)
        .collect()
}

/// All that are exported.
pub fn exported() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = DAEMONS.iter().map(|name| (*name).to_owned()).collect();
    let fixtures =
        [machine::RASPBERRY_PI_4, machine::LAPTOP, machine::PC].map(machine::Machine::new);
    let roots = fixtures.iter().map(machine::Machine::root);
    for root in roots.chain([Path::new("/")]) {
        let mut text = String::new();
        Exporter::new(root, &Settings::default()).scrape(&mut text);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        names.extend(samples.filter_map(|line| Some(line.split(['{', ' ']).next()?.to_owned())));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let ours = [
        "kube_",
        "container_",
        "machine_",
        "apiserver_",
        "minicloud_",
    ];
    for source in SOURCES {
        read(&root.join(source), &mut |text| {
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let metrics = words.filter(|word| ours.iter().any(|start| word.starts_with(start)));
            names.extend(metrics.map(str::to_owned));
        });
    }
    names
}

fn read(path: &Path, each: &mut dyn FnMut(&str)) {
    let Ok(entries) = std::fs::read_dir(path) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, each);
        } else if path.extension().is_some_and(|e| e == "rs") {
            each(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn rules_name_only_what_is_exported() {
    let exported = exported();
    let mut unknown = Vec::new();
    for rule in rules::all().into_iter().flat_map(|(_, rules)| rules) {
        let names = names(&rule.expr);
        assert!(!names.is_empty(), "{}", rule.expr);
        for name in names.difference(&exported) {
            unknown.push(format!("{}: {name}", rule.alert));
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn names_of_an_expression() {
    let check = |expr: &str, expect: &[&str]| {
        let expect: BTreeSet<_> = expect.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(names(expr), expect, "{expr}");
    };
    check(
        r#"sum by (a, b) (rate(x_total{a="b{c}",d!~"e"}[5m])) / on (a) group_left max by (a) (y) > 1e6"#,
        &["x_total", "y"],
    );
    check(
        "time() - a < 3 * 86400 unless b == 0 or c offset 5m",
        &["a", "b", "c"],
    );
    check("(a > 40 < 150) - on (x) b", &["a", "b"]);
}
