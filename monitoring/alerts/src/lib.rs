//! Alert rules for what goes wrong at the edge, as Prometheus reads them: one file of `rules` for each topic.
//!
//! The one thing to know before changing a rule: `tests/it` holds it against `tests/rules` (promtool: when it fires and when it does
//! not), against the names that our exporters have, and against `docs/alerts.md`, which `UPDATE_EXPECT=1` brings up to date.
//!
//! Every alert has a `severity` (`critical`: somebody has to act now; `warning`: soon; `info`: worth knowing) and the annotations
//! `summary`, `description` (with values) and `runbook` (what to do).

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        /// The rule files: name and text.
        pub const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../rules/", $name)))),+];
    };
}

files![
    "node.yml",
    "disk.yml",
    "memory.yml",
    "heat.yml",
    "network.yml",
    "clock.yml",
    "containers.yml",
    "workloads.yml",
    "volumes.yml",
    "certificates.yml",
    "probes.yml",
    "api.yml",
    "prometheus.yml",
];
