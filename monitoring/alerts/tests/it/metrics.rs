//! Rules name only metrics that somebody exports: our own exporters, asked or read, and the daemons of the Prometheus family.

use std::collections::BTreeSet;
use std::path::Path;

use minicloud_exporter::{Exporter, Settings};

use crate::names::names;
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
