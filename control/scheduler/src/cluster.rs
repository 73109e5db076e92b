//! The picture of the cluster on which pods are placed: nodes with their pods, claims, volumes, classes, namespaces.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::node::{NodeInfo, NodeSpec};
use crate::pod::PodInfo;
use crate::terms::Labels;
use crate::volumes::{Claim, Class, Volume};

/// Namespace and name of a claim.
pub(crate) type ClaimKey = (String, String);

/// See the module. Pods that are only assumed to be on a node count like those that are.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<String, NodeInfo>,
    /// The node of each placed pod, by UID.
    placed: HashMap<String, String>,
    pub(crate) claims: HashMap<ClaimKey, Claim>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) classes: HashMap<String, Class>,
    pub(crate) namespaces: HashMap<String, Labels>,
    /// Volumes promised to a claim and not bound yet.
    pub(crate) promised: HashMap<String, ClaimKey>,
}

impl Cluster {
    /// A node came or changed; true when that can matter to a pod that waits.
    pub(crate) fn set_node(&mut self, name: &str, spec: NodeSpec) -> bool {
        let node = self.node_mut(name);
        let changed = node.spec.as_ref() != Some(&spec);
        node.spec = Some(spec);
        changed
    }

    /// A node went. Its pods stay until they are deleted.
    pub(crate) fn remove_node(&mut self, name: &str) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.spec = None;
            if node.pods.is_empty() {
                self.nodes.remove(name);
            }
        }
    }

    /// Puts a pod, or its new version, on the node that it names.
    pub(crate) fn place(&mut self, pod: Arc<PodInfo>) {
        if self
            .placed
            .get(&pod.uid)
            .is_some_and(|node| *node != pod.node_name)
        {
            self.remove_pod(&pod.uid);
        }
        self.placed.insert(pod.uid.clone(), pod.node_name.clone());
        self.node_mut(&pod.node_name.clone()).add(pod);
    }

    /// Takes a pod off its node; true when it was on one.
    pub(crate) fn remove_pod(&mut self, uid: &str) -> bool {
        let Some(name) = self.placed.remove(uid) else {
            return false;
        };
        if let Some(node) = self.nodes.get_mut(&name) {
            node.remove(uid);
            if node.spec.is_none() && node.pods.is_empty() {
                self.nodes.remove(&name);
            }
        }
        true
    }

    /// A placed pod.
    pub(crate) fn pod(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.nodes.get(self.placed.get(uid)?)?.pods.get(uid)
    }

    /// The nodes that exist.
    pub(crate) fn known_nodes(&self) -> impl Iterator<Item = (&NodeInfo, &NodeSpec)> {
        self.nodes
            .values()
            .filter_map(|node| Some((node, node.spec.as_ref()?)))
    }

    /// A namespace's labels.
    pub(crate) fn namespace_labels(&self, name: &str) -> Labels {
        self.namespaces.get(name).cloned().unwrap_or_default()
    }

    fn node_mut(&mut self, name: &str) -> &mut NodeInfo {
        self.nodes
            .entry(name.to_owned())
            .or_insert_with(|| NodeInfo {
                name: name.to_owned(),
                ..NodeInfo::default()
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{node, pod};

    #[test]
    fn room_is_taken_and_given_back() {
        let mut cluster = Cluster::default();
        let on = |name: &str, node: &str, cpu: &str| {
            let mut pod = pod(
                name,
                json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}),
            );
            pod.node_name = node.into();
            Arc::new(pod)
        };
        cluster.place(on("a", "n1", "1"));
        assert!(cluster.set_node("n1", node("n1", json!({})).spec.unwrap()));
        assert!(!cluster.set_node("n1", node("n1", json!({})).spec.unwrap()));
        cluster.place(on("b", "n1", "500m"));
        cluster.place(on("b", "n1", "250m"));
        assert_eq!(cluster.nodes["n1"].used.cpu_millis, 1250);
        cluster.place(on("b", "n2", "250m"));
        assert_eq!(cluster.nodes["n1"].used.cpu_millis, 1000);
        assert!(cluster.remove_pod("b") && !cluster.remove_pod("b"));
        assert_eq!(cluster.nodes.keys().collect::<Vec<_>>(), ["n1"]);
        cluster.remove_node("n1");
        assert_eq!((cluster.known_nodes().count(), cluster.nodes.len()), (0, 1));
        cluster.remove_pod("a");
        assert!(cluster.nodes.is_empty());
    }
}
