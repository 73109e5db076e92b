//! Nodes that fall silent or report trouble: their conditions, their taints, and the pods that must leave them.
//!
//! A node lives as long as its Lease is renewed or its status is written. Silence is measured on our own monotonic clock, from
//! when we last saw a sign of life, and starts anew whenever our own view was cut off: an API server that was away, or a wall
//! clock that jumped, makes no node look dead. When no node at all is ready, nothing is evicted: then it is more likely that
//! the nodes cannot reach us than that all have failed. Zones are not told apart.

mod eviction;
mod health;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt};
use minicloud_api::part::Shutdown;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::plumbing::events::{Kind, Recorder};
use crate::plumbing::objects::{is_deleting, is_finished, is_ready, node_name, now, reference};
use crate::plumbing::patch::{is_code, or_gone, update, update_status};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

const NAME: &str = "node-controller";
/// A node is given up when it has been silent for so long.
const GRACE: Duration = Duration::from_secs(40);
/// Longer for a node that has never spoken.
const STARTUP_GRACE: Duration = Duration::from_secs(60);
/// Of several nodes that fail, one in so much time loses its pods.
const EVICTION_PACE: Duration = Duration::from_secs(10);
const NODE_LEASES: &str = "kube-node-lease";

/// The last sign of life of a node.
struct Sign {
    at: Instant,
    lease: Option<MicroTime>,
    heartbeat: Option<Time>,
}

// ---- act ---- (what is decided is in `health` and `eviction`)

struct Controller {
    shared: Arc<Shared>,
    client: Client,
    events: Recorder,
    /// Node names: health and taints.
    nodes: Arc<Queue<String>>,
    /// Node names: pods that must leave.
    evictions: Arc<Queue<String>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    signs: HashMap<String, Sign>,
    breaks: u64,
    /// When the next node may lose its pods.
    next_eviction: Option<Instant>,
    /// Nodes whose pods have been marked unready since they stopped being ready.
    marked: HashSet<String>,
    /// When each pod (by UID) came under the taints that it does not tolerate for ever.
    tainted: HashMap<String, (Vec<Taint>, Instant)>,
}

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        events: shared.recorder(&client, NAME),
        client,
        nodes: Arc::default(),
        evictions: Arc::default(),
        state: Mutex::default(),
    });
    let on = this.clone();
    shared
        .nodes
        .on_change(move |change| match (&change.old, &change.new) {
            (_, Some(new)) => {
                on.heard_node(new);
                on.nodes.add(new.name_any());
                let taints = |node: &Node| node.spec.as_ref().and_then(|s| s.taints.clone());
                if change
                    .old
                    .as_ref()
                    .is_none_or(|old| taints(old) != taints(new))
                {
                    on.evictions.add(new.name_any());
                }
                let readiness = |node: &Node| health::ready(node).to_owned();
                if change
                    .old
                    .as_ref()
                    .is_none_or(|old| readiness(old) != readiness(new))
                {
                    on.wake_all();
                }
            }
            (Some(old), None) => {
                on.state().signs.remove(&old.name_any());
                on.wake_all();
            }
            (None, None) => {}
        });
    let on = this.clone();
    shared.leases.on_change(move |change| {
        if let Some(lease) = &change.new {
            on.heard_lease(lease);
        }
    });
    let on = this.clone();
    shared
        .pods
        .on_change(move |change| match (&change.old, &change.new) {
            (old, Some(new)) => {
                let placed = !node_name(new).is_empty()
                    && old.as_ref().is_none_or(|old| node_name(old).is_empty());
                let tolerations = |pod: &Pod| pod.spec.as_ref().and_then(|s| s.tolerations.clone());
                if placed
                    || old
                        .as_ref()
                        .is_some_and(|old| tolerations(old) != tolerations(new))
                {
                    on.evictions.add(node_name(new).to_owned());
                }
            }
            (Some(old), None) => {
                on.state()
                    .tainted
                    .remove(old.metadata.uid.as_deref().unwrap_or_default());
            }
            (None, None) => {}
        });
    let (health, evictions) = (this.clone(), this);
    let (down_health, down_evictions) = (shutdown.clone(), shutdown.clone());
    tasks.spawn(async move {
        health.wait_synced().await;
        let work = |name| {
            let this = health.clone();
            async move { this.sync_node(name).await }
        };
        // One at a time: whether a node may lose its pods depends on all others.
        health.nodes.run(NAME, 1, down_health, work).await;
    });
    tasks.spawn(async move {
        evictions.wait_synced().await;
        let work = |name| {
            let this = evictions.clone();
            async move { this.sync_evictions(name).await }
        };
        evictions.evictions.run(NAME, 2, down_evictions, work).await;
    });
}

impl Controller {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_synced(&self) {
        self.shared.nodes.wait_synced().await;
        self.shared.leases.wait_synced().await;
        self.shared.pods.wait_synced().await;
    }

    fn wake_all(&self) {
        for node in self.shared.nodes.all() {
            self.nodes.add(node.name_any());
        }
    }

    fn heard_node(&self, node: &Node) {
        let heartbeat = health::heartbeat(node);
        self.sign(&node.name_any(), |sign| {
            let news = sign.heartbeat != heartbeat;
            sign.heartbeat.clone_from(&heartbeat);
            news
        });
    }

    fn heard_lease(&self, lease: &Lease) {
        let renewed = lease.spec.as_ref().and_then(|s| s.renew_time.clone());
        self.sign(&lease.name_any(), |sign| {
            let news = sign.lease != renewed;
            sign.lease.clone_from(&renewed);
            news
        });
    }

    fn sign(&self, name: &str, hear: impl FnOnce(&mut Sign) -> bool) {
        let mut state = self.state();
        let now = Instant::now();
        let fresh = Sign {
            at: now,
            lease: None,
            heartbeat: None,
        };
        let sign = state.signs.entry(name.to_owned()).or_insert(fresh);
        if hear(sign) {
            sign.at = now;
        }
    }

    /// How long the node has been silent. A watch that broke makes all silence start anew.
    fn silence(&self, name: &str) -> Duration {
        let breaks = self.shared.nodes.breaks() + self.shared.leases.breaks();
        let mut state = self.state();
        let now = Instant::now();
        if state.breaks != breaks {
            state.breaks = breaks;
            state.signs.values_mut().for_each(|sign| sign.at = now);
        }
        let fresh = Sign {
            at: now,
            lease: None,
            heartbeat: None,
        };
        now.duration_since(state.signs.entry(name.to_owned()).or_insert(fresh).at)
    }

    /// Asks the server itself before a node is given up: a watch can be silent too.
    async fn is_really_silent(&self, name: &str) -> anyhow::Result<bool> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), NODE_LEASES);
        let lease = match api.get_opt(name).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return Ok(true),
            Err(error) => {
                // If we cannot reach the server, the nodes could not either.
                let now = Instant::now();
                self.state()
                    .signs
                    .values_mut()
                    .for_each(|sign| sign.at = now);
                return Err(error.into());
            }
        };
        let before = self.state().signs.get(name).map(|s| s.at);
        self.heard_lease(&lease);
        let after = self.state().signs.get(name).map(|s| s.at);
        Ok(before == after)
    }

    async fn sync_node(&self, name: String) -> anyhow::Result<()> {
        let Some(node) = self.shared.nodes.get("", &name) else {
            return Ok(());
        };
        let api: Api<Node> = Api::all(self.client.clone());
        let grace = if health::has_spoken(&node) {
            GRACE
        } else {
            STARTUP_GRACE
        };
        let silence = self.silence(&name);
        let mut current = (*node).clone();
        if silence < grace {
            // Signs of life are no reason to wake up; only their absence is.
            self.nodes
                .add_after(name.clone(), grace - silence + Duration::from_millis(500));
        } else if health::ready(&node) != "Unknown" {
            if self.is_really_silent(&name).await? {
                let new = health::silenced(&node, now());
                if let Some(written) = update_status(&api, &*node, &new).await? {
                    current.status.clone_from(&new.status);
                    current.metadata.resource_version = written.metadata.resource_version;
                }
            } else {
                self.nodes.add_after(name.clone(), grace);
            }
        }
        let all: Vec<_> = self.shared.nodes.all();
        let others_ready = all
            .iter()
            .filter(|n| n.name_any() != name && health::ready(n) == "True")
            .count();
        let may_evict = self.may_evict(&current, others_ready, all.len());
        if let Some(taints) = health::taints(&current, may_evict, now()) {
            let mut new = current.clone();
            new.spec.get_or_insert_default().taints = (!taints.is_empty()).then_some(taints);
            update(&api, &current, &new).await?;
        }
        self.mark_pods(&current).await
    }

    /// Whether this node may get the taint that makes pods leave now.
    fn may_evict(&self, node: &Node, others_ready: usize, count: usize) -> health::Eviction {
        if health::ready(node) == "True" {
            return health::Eviction::Now;
        }
        let ready = others_ready;
        if health::is_disrupted(ready, count) {
            return if ready == 0 {
                health::Eviction::Never
            } else {
                health::Eviction::Later
            };
        }
        let has = health::has_no_execute(node);
        let mut state = self.state();
        let now = Instant::now();
        match state.next_eviction {
            Some(at) if at > now && !has => {
                self.nodes.add_after(node.name_any(), at - now);
                health::Eviction::Later
            }
            _ if has => health::Eviction::Now,
            _ => {
                state.next_eviction = Some(now + EVICTION_PACE);
                health::Eviction::Now
            }
        }
    }

    /// Services must not send anything to the pods of a node that is not ready.
    async fn mark_pods(&self, node: &Node) -> anyhow::Result<()> {
        let name = node.name_any();
        if health::ready(node) == "True" {
            self.state().marked.remove(&name);
            return Ok(());
        }
        if self.state().marked.contains(&name) || !health::has_spoken(node) {
            return Ok(());
        }
        self.events.emit(
            &reference(node),
            Kind::Normal,
            "NodeNotReady",
            format!("Node {name} status is now: NodeNotReady"),
        );
        for pod in self.shared.pods.all() {
            if node_name(&pod) != name || !is_ready(&pod) || is_finished(&pod) {
                continue;
            }
            let patch = json!({"metadata": {"uid": pod.uid()}, "status": {"conditions":
                [{"type": "Ready", "status": "False", "lastTransitionTime": now()}]}});
            let api: Api<Pod> =
                Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
            or_gone(
                api.patch_status(
                    &pod.name_any(),
                    &PatchParams::default(),
                    &Patch::Strategic(patch),
                )
                .await,
            )?;
            self.events.emit(
                &reference(&*pod),
                Kind::Warning,
                "NodeNotReady",
                "Node is not ready",
            );
        }
        self.state().marked.insert(name);
        Ok(())
    }

    async fn sync_evictions(&self, name: String) -> anyhow::Result<()> {
        let taints = self
            .shared
            .nodes
            .get("", &name)
            .map(|node| eviction::no_execute(&node))
            .unwrap_or_default();
        let mut next: Option<Duration> = None;
        for pod in self.shared.pods.all() {
            if node_name(&pod) != name || is_deleting(&pod.metadata) || is_finished(&pod) {
                continue;
            }
            match self.leaves_in(&pod, &taints) {
                None => {}
                Some(Duration::ZERO) => self.evict(&pod).await?,
                Some(left) => next = Some(next.map_or(left, |n| n.min(left))),
            }
        }
        if let Some(left) = next {
            self.evictions
                .add_after(name, left + Duration::from_millis(100));
        }
        Ok(())
    }

    /// When the pod must leave; none when it need not.
    fn leaves_in(&self, pod: &Pod, taints: &[Taint]) -> Option<Duration> {
        let uid = pod.uid().unwrap_or_default();
        let mut state = self.state();
        let Some(stay) = eviction::stays_for(pod, taints) else {
            state.tainted.remove(&uid);
            return None;
        };
        let now = Instant::now();
        let entry = state
            .tainted
            .entry(uid)
            .or_insert_with(|| (taints.to_vec(), now));
        if entry.0 != taints {
            *entry = (taints.to_vec(), now);
        }
        Some(stay.saturating_sub(now.duration_since(entry.1)))
    }

    async fn evict(&self, pod: &Pod) -> anyhow::Result<()> {
        let namespace = pod.namespace().unwrap_or_default();
        let name = pod.name_any();
        let said = format!("Marking for deletion Pod {namespace}/{name}");
        self.events
            .emit(&reference(pod), Kind::Normal, "TaintManagerEviction", said);
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let patch = json!({"metadata": {"uid": pod.uid()}, "status": {"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint", "lastTransitionTime": Time(Timestamp::now()),
        }]}});
        or_gone(
            api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(patch))
                .await,
        )?;
        let only = Preconditions {
            uid: pod.uid(),
            resource_version: None,
        };
        match api
            .delete(&name, &DeleteParams::default().preconditions(only))
            .await
        {
            Err(error) if !is_code(&error, 404) && !is_code(&error, 409) => Err(error.into()),
            _ => Ok(()),
        }
    }
}
