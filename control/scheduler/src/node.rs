//! A node as the scheduler sees it, with the pods on it and the room they take.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Taint};

use crate::pod::PodInfo;
use crate::resources::Resources;
use crate::terms::Labels;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NodeInfo {
    pub(crate) name: String,
    /// What the Node object says; none while only pods speak of the node.
    pub(crate) spec: Option<NodeSpec>,
    /// By UID.
    pub(crate) pods: BTreeMap<String, Arc<PodInfo>>,
    /// The sum of the pods' requests.
    pub(crate) used: Resources,
    /// CPU and memory in use as they count for scoring.
    pub(crate) used_or_default: (i64, i64),
    /// How many of the pods have rules about other pods.
    pub(crate) with_pod_rules: usize,
}

/// What decides about placing in a Node object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NodeSpec {
    pub(crate) labels: Labels,
    pub(crate) taints: Vec<Taint>,
    pub(crate) unschedulable: bool,
    pub(crate) allocatable: Resources,
    pub(crate) pod_limit: i64,
}

impl NodeSpec {
    /// Reads a node.
    pub(crate) fn read(node: &Node) -> Self {
        let status = node.status.as_ref();
        let allocatable = status.and_then(|s| s.allocatable.as_ref().or(s.capacity.as_ref()));
        let spec = node.spec.as_ref();
        Self {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|s| s.taints.clone()).unwrap_or_default(),
            unschedulable: spec.and_then(|s| s.unschedulable).unwrap_or(false),
            allocatable: Resources::read(allocatable),
            pod_limit: allocatable
                .and_then(|a| a.get("pods"))
                .and_then(|q| q.0.parse::<minicloud_api::quantity::Quantity>().ok())
                .map_or(0, |q| q.units()),
        }
    }
}

fn has_pod_rules(pod: &PodInfo) -> bool {
    pod.rules.as_ref().is_some_and(|r| {
        !(r.near.is_empty()
            && r.apart.is_empty()
            && r.near_preferred.is_empty()
            && r.apart_preferred.is_empty())
    })
}

impl NodeInfo {
    /// Takes in a pod, or its new version.
    pub(crate) fn add(&mut self, pod: Arc<PodInfo>) {
        self.remove(&pod.uid);
        self.used.add(&pod.requests);
        let (cpu, memory) = pod.requests.or_default();
        self.used_or_default.0 += cpu;
        self.used_or_default.1 += memory;
        self.with_pod_rules += usize::from(has_pod_rules(&pod));
        self.pods.insert(pod.uid.clone(), pod);
    }

    /// Lets a pod go.
    pub(crate) fn remove(&mut self, uid: &str) {
        if let Some(pod) = self.pods.remove(uid) {
            self.used.subtract(&pod.requests);
            let (cpu, memory) = pod.requests.or_default();
            self.used_or_default.0 -= cpu;
            self.used_or_default.1 -= memory;
            self.with_pod_rules -= usize::from(has_pod_rules(&pod));
        }
    }
}
