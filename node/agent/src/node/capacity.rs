//! What the node has and what pods may have of it. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::config::Config;
use crate::machine::Machine;

/// Capacity and allocatable, in Kubernetes' quantities.
pub(crate) fn of(
    config: &Config,
    machine: Machine,
) -> (BTreeMap<String, Quantity>, BTreeMap<String, Quantity>) {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let all: [(&str, i64); 4] = [
        ("cpu", signed(machine.cpus) * 1000),
        ("memory", signed(machine.memory_bytes)),
        ("ephemeral-storage", signed(machine.disk_bytes)),
        ("pods", i64::from(config.max_pods)),
    ];
    let text = |name: &str, n: i64| {
        Quantity(match name {
            "cpu" if n % 1000 == 0 => (n / 1000).to_string(),
            "cpu" => format!("{n}m"),
            "pods" => n.to_string(),
            _ => format!("{}Ki", n / 1024),
        })
    };
    let left = |name: &str, n: i64| {
        let reserved = config
            .reserved
            .get(name)
            .and_then(|q| q.parse::<minicloud_api::quantity::Quantity>().ok());
        let reserved = reserved.map_or(0, |q| if name == "cpu" { q.millis() } else { q.units() });
        (n - reserved).max(0)
    };
    (
        all.iter()
            .map(|(k, n)| ((*k).to_owned(), text(k, *n)))
            .collect(),
        all.iter()
            .map(|(k, n)| ((*k).to_owned(), text(k, left(k, *n))))
            .collect(),
    )
}
