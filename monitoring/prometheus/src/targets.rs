//! Whom Prometheus scrapes, as pure functions of what the Kubernetes API knows: every node, and the pods and Services that ask for
//! it by the usual annotations `prometheus.io/scrape`, `/port`, `/path` and `/scheme`.
//!
//! Debian's Prometheus is built without discovery by Kubernetes, and that would keep every pod whole in its memory; so [`follow`]
//! watches and Prometheus reads files (<https://prometheus.io/docs/prometheus/2.42/configuration/configuration/#file_sd_config>).

pub mod follow;
mod records;

use std::collections::BTreeMap;
use std::net::IpAddr;

use minicloud_daemon::Files;
use serde_json::{Value, json};

use crate::config::{NODES_FILE, PODS_FILE, SERVICES_FILE};
pub use records::{Asked, Key, NodeRecord, PodRecord, ServiceRecord, SliceRecord};

/// Targets of one job at most; what is beyond is left out and said in the log. A mistake must not fill memory.
const MAX_TARGETS: usize = 1000;
/// Ports of one pod or endpoint at most, so that one that declares thousands leaves room for the others.
const MAX_PORTS: usize = 16;

/// What is known of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// By name.
    pub nodes: BTreeMap<Key, NodeRecord>,
    /// Pods that ask to be scraped.
    pub pods: BTreeMap<Key, PodRecord>,
    /// Services that ask to be scraped.
    pub services: BTreeMap<Key, ServiceRecord>,
    /// Where Services lead.
    pub slices: BTreeMap<Key, SliceRecord>,
}

/// The target files of all jobs. `metrics_port` is that of nodes which say nothing else.
pub fn files(known: &Known, metrics_port: u16, files: Files) -> Files {
    let text = |job: &str, mut groups: Vec<Value>| {
        let mut count = 0;
        groups.retain(|group| {
            count += targets_of(group).len();
            count <= MAX_TARGETS
        });
        if count > MAX_TARGETS {
            tracing::warn!(job, count, "no more than {MAX_TARGETS} targets are scraped");
        }
        Value::from(groups).to_string()
    };
    files
        .watched(NODES_FILE, text("node", nodes(known, metrics_port)))
        .watched(PODS_FILE, text("kubernetes-pods", pods(known)))
        .watched(SERVICES_FILE, text("kubernetes-services", services(known)))
}

fn host_port(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

fn nodes(known: &Known, metrics_port: u16) -> Vec<Value> {
    let nodes = known.nodes.iter().filter_map(|((_, name), node)| {
        let target = host_port(node.address?, node.metrics_port.unwrap_or(metrics_port));
        Some(json!({ "targets": [target], "labels": { "node": name } }))
    });
    nodes.collect()
}

fn group(asked: &Asked, targets: Vec<String>, labels: Value) -> Option<Value> {
    let mut group = json!({ "targets": targets, "labels": labels });
    group["labels"]["__scheme__"] = json!(asked.scheme);
    group["labels"]["__metrics_path__"] = json!(asked.path);
    (!targets_of(&group).is_empty()).then_some(group)
}

fn targets_of(group: &Value) -> &[Value] {
    group["targets"].as_array().map_or(&[], Vec::as_slice)
}

/// A pod without `prometheus.io/port` is scraped at every port that its containers declare.
fn pods(known: &Known) -> Vec<Value> {
    let pods = known.pods.iter().filter_map(|((namespace, name), pod)| {
        let address = pod.address.filter(scrapable)?;
        let ports = pod.asked.port.map_or(pod.ports.clone(), |port| vec![port]);
        let targets = ports.into_iter().take(MAX_PORTS);
        let targets = targets.map(|port| host_port(address, port));
        let labels = json!({ "namespace": namespace, "pod": name, "node": pod.node });
        group(&pod.asked, targets.collect(), labels)
    });
    pods.collect()
}

/// A Service without `prometheus.io/port` is scraped at every port of its endpoints.
fn services(known: &Known) -> Vec<Value> {
    let mut groups = Vec::new();
    for ((namespace, _), slice) in &known.slices {
        let key = (namespace.clone(), slice.service.clone());
        let Some(ServiceRecord { asked }) = known.services.get(&key) else {
            continue;
        };
        for endpoint in &slice.endpoints {
            let ports = asked.port.map_or(slice.ports.clone(), |port| vec![port]);
            let targets = endpoint
                .address
                .filter(scrapable)
                .into_iter()
                .flat_map(|address| {
                    let ports = ports.iter().take(MAX_PORTS);
                    ports.map(move |port| host_port(address, *port))
                });
            let mut labels = json!({ "namespace": namespace, "service": slice.service });
            for (name, value) in [("pod", &endpoint.pod), ("node", &endpoint.node)] {
                if !value.is_empty() {
                    labels[name] = json!(value);
                }
            }
            groups.extend(group(asked, targets.collect(), labels));
        }
    }
    groups
}

/// Not this machine's own ports, nor the metadata service of a cloud: whoever may write endpoints must not reach those by us.
fn scrapable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.is_multicast())
        }
        IpAddr::V6(ip) => {
            let mapped = ip.to_ipv4_mapped().map(IpAddr::V4);
            mapped.is_none_or(|ip| scrapable(&ip))
                && !(ip.is_loopback()
                    || ip.is_unicast_link_local()
                    || ip.is_unspecified()
                    || ip.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests;
