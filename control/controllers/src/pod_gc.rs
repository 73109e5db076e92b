//! Pods that nobody else will take away: those of nodes that no longer exist, those deleted before they had a node, and the
//! oldest finished ones when there are too many.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt};
use minicloud_api::part::Shutdown;
use serde_json::json;
use tokio::task::JoinSet;

use crate::plumbing::informer::Key;
use crate::plumbing::objects::{created, is_deleting, is_finished, node_name, now};
use crate::plumbing::patch::{is_code, or_gone};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

const NAME: &str = "pod-garbage-collector";
/// So many finished pods may lie around; Kubernetes keeps 12,500, which an edge machine has no memory for.
const FINISHED_MAX: usize = 1000;
/// A node that was deleted may come back under the same name: so long its pods are left alone.
const QUARANTINE: Duration = Duration::from_secs(40);
const FINISHED_DELAY: Duration = Duration::from_secs(20);

// ---- decide ----

/// Why a pod is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Its node does not exist.
    Orphaned,
    /// It is being deleted and no kubelet will ever see that.
    NeverPlaced,
}

fn judge(pod: &Pod, node_exists: bool) -> Option<Reason> {
    if node_name(pod).is_empty() {
        return is_deleting(&pod.metadata).then_some(Reason::NeverPlaced);
    }
    (!node_exists).then_some(Reason::Orphaned)
}

/// The oldest finished pods beyond what may lie around.
fn surplus(pods: &[Arc<Pod>], most: usize) -> Vec<Arc<Pod>> {
    let mut finished: Vec<_> = pods
        .iter()
        .filter(|p| is_finished(p) && !is_deleting(&p.metadata))
        .cloned()
        .collect();
    let excess = finished.len().saturating_sub(most);
    finished.sort_by_key(|pod| (created(&pod.metadata), pod.name_any()));
    finished.truncate(excess);
    finished
}

// ---- act ----

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Item {
    Pod(Key),
    Finished,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(key) => key.fmt(f),
            Self::Finished => f.write_str("finished pods"),
        }
    }
}

struct Controller {
    shared: Arc<Shared>,
    client: Client,
}

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let queue: Arc<Queue<Item>> = Arc::default();
    let (add, nodes) = (queue.clone(), shared.nodes.clone());
    shared.pods.on_change(move |change| {
        let Some(pod) = &change.new else { return };
        if judge(pod, true).is_some() {
            add.add(Item::Pod(Key::of(pod.as_ref())));
        } else if !node_name(pod).is_empty() && nodes.get("", node_name(pod)).is_none() {
            add.add_after(Item::Pod(Key::of(pod.as_ref())), QUARANTINE);
        }
        if is_finished(pod) {
            add.add_after(Item::Finished, FINISHED_DELAY);
        }
    });
    let (add, pods) = (queue.clone(), shared.pods.clone());
    shared.nodes.on_change(move |change| {
        if let (Some(old), None) = (&change.old, &change.new) {
            let name = old.name_any();
            for pod in pods.all().iter().filter(|p| node_name(p) == name) {
                add.add_after(Item::Pod(Key::of(pod.as_ref())), QUARANTINE);
            }
        }
    });
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        client,
    });
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        this.shared.pods.wait_synced().await;
        this.shared.nodes.wait_synced().await;
        let work = |item| {
            let this = this.clone();
            async move {
                match item {
                    Item::Pod(key) => this.sync_pod(key).await,
                    Item::Finished => this.sync_finished().await,
                }
            }
        };
        queue.run(NAME, 4, shutdown, work).await;
    });
}

impl Controller {
    async fn sync_pod(&self, key: Key) -> anyhow::Result<()> {
        let Some(pod) = self.shared.pods.get(&key.namespace, &key.name) else {
            return Ok(());
        };
        let node = node_name(&pod);
        let exists = self.shared.nodes.get("", node).is_some();
        match judge(&pod, exists) {
            None => Ok(()),
            Some(Reason::NeverPlaced) => self.delete(&pod).await,
            Some(Reason::Orphaned) => {
                // The cache may be behind, and a forced deletion cannot be taken back.
                let nodes: Api<Node> = Api::all(self.client.clone());
                if nodes.get_metadata_opt(node).await?.is_some() {
                    return Ok(());
                }
                self.fail(&pod).await?;
                self.delete(&pod).await
            }
        }
    }

    async fn sync_finished(&self) -> anyhow::Result<()> {
        for pod in surplus(&self.shared.pods.all(), FINISHED_MAX) {
            self.delete(&pod).await?;
        }
        Ok(())
    }

    /// Says why before the pod goes, for whoever watches it.
    async fn fail(&self, pod: &Pod) -> anyhow::Result<()> {
        let mut status = json!({"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists", "lastTransitionTime": now(),
        }]});
        if !is_finished(pod) {
            status["phase"] = json!("Failed");
        }
        let patch = Patch::Strategic(json!({"metadata": {"uid": pod.uid()}, "status": status}));
        let api: Api<Pod> =
            Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        or_gone(
            api.patch_status(&pod.name_any(), &PatchParams::default(), &patch)
                .await,
        )?;
        Ok(())
    }

    async fn delete(&self, pod: &Pod) -> anyhow::Result<()> {
        let only = Preconditions {
            uid: pod.uid(),
            resource_version: None,
        };
        let options = DeleteParams::default().grace_period(0).preconditions(only);
        let api: Api<Pod> =
            Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        match api.delete(&pod.name_any(), &options).await {
            Err(error) if !is_code(&error, 404) && !is_code(&error, 409) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn pod(name: &str, node: &str, deleting: bool, phase: &str, created: i64) -> Arc<Pod> {
        let at = jiff::Timestamp::from_second(created).unwrap().to_string();
        let deleted = deleting.then_some("2026-01-01T00:00:00Z");
        let meta = json!({"name": name, "creationTimestamp": at, "deletionTimestamp": deleted});
        let pod = json!({"metadata": meta, "spec": {"nodeName": node, "containers": []}, "status": {"phase": phase}});
        Arc::new(from_value(pod).unwrap())
    }

    #[test]
    fn only_pods_that_nobody_else_takes_go() {
        let check = |node: &str, deleting: bool, exists: bool, expect: Option<Reason>| {
            assert_eq!(
                judge(&pod("p", node, deleting, "Running", 0), exists),
                expect,
                "{node} {deleting} {exists}"
            );
        };
        check("", false, false, None);
        check("", true, false, Some(Reason::NeverPlaced));
        check("n", false, true, None);
        check("n", true, true, None);
        check("n", false, false, Some(Reason::Orphaned));
        check("n", true, false, Some(Reason::Orphaned));
    }

    #[test]
    fn the_oldest_finished_pods_go_first() {
        let pods = [
            pod("c", "n", false, "Succeeded", 3),
            pod("a", "n", false, "Failed", 1),
            pod("run", "n", false, "Running", 0),
            pod("going", "n", true, "Failed", 0),
            pod("b", "n", false, "Succeeded", 2),
        ];
        let names = |most| {
            surplus(&pods, most)
                .iter()
                .map(|p| p.name_any())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(1), ["a", "b"]);
        assert_eq!(names(3), [""; 0]);
    }
}
