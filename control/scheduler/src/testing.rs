//! Small pods, nodes and clusters for tests.

use std::sync::Arc;

use serde_json::{Value, from_value, json};

use crate::cluster::Cluster;
use crate::node::{NodeInfo, NodeSpec};
use crate::pod::PodInfo;

/// Merges `change` into `into` as a JSON merge patch without deletions.
pub(crate) fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// A pod in the namespace `ns`; its UID is its name. Keys of `change` that a pod's spec has go there, `labels` and
/// `ownerReferences` into the metadata.
pub(crate) fn pod(name: &str, change: Value) -> PodInfo {
    let mut change = change;
    let mut meta = json!({"namespace": "ns", "name": name, "uid": name});
    for field in ["labels", "ownerReferences", "deletionTimestamp"] {
        if let Some(value) = change.as_object_mut().and_then(|c| c.remove(field)) {
            meta[field] = value;
        }
    }
    let mut spec = json!({"containers": []});
    merge(&mut spec, &change);
    PodInfo::read(&from_value(json!({"metadata": meta, "spec": spec})).unwrap())
}

/// A node with 2 CPUs, 2 GiB and room for 110 pods, labelled with its host name.
pub(crate) fn node(name: &str, change: Value) -> NodeInfo {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "10Gi", "pods": "110"}}
    });
    merge(&mut node, &change);
    NodeInfo {
        name: name.to_owned(),
        spec: Some(NodeSpec::read(&from_value(node).unwrap())),
        ..NodeInfo::default()
    }
}

/// A cluster of these nodes with these pods on them.
pub(crate) fn cluster(nodes: Vec<NodeInfo>, pods: Vec<(&str, PodInfo)>) -> Cluster {
    let mut cluster = Cluster::default();
    for node in nodes {
        cluster.set_node(&node.name, node.spec.unwrap());
    }
    for (node, mut pod) in pods {
        pod.node_name = node.to_owned();
        cluster.place(Arc::new(pod));
    }
    cluster
}
