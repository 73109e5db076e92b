//! The Node object and its Lease. Know before changing: the heartbeat is the Lease (a small write every ten seconds that the server keeps
//! in memory); the Node's status is written when it changes, and otherwise every five minutes.

pub mod capacity;
pub mod conditions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints,
    NodeStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use minicloud_api::part::Shutdown;
use serde_json::json;

use crate::config::Config;
use crate::events::Severity;
use crate::machine::{self, Free, Machine};
use crate::runtime::{RuntimeError, RuntimeStatus};
use crate::shared::{ApiError, Shared, api};

const HEARTBEAT: Duration = Duration::from_secs(10);
/// Until the node is ready and has its pod range.
const EAGER: Duration = Duration::from_millis(500);
/// How long the runtime has for its status.
const STATUS: Duration = Duration::from_secs(5);
const REPORT: Duration = Duration::from_secs(300);
/// How often a report that met another's write is tried again at once.
const CONFLICTS: usize = 5;
const LEASE_SECONDS: i32 = 40;
/// Images in the status, the largest first; the kubelet's bound.
const IMAGES: usize = 50;

/// Keeps the Node and its Lease until shutdown. `port` is where the agent's server listens.
pub(crate) async fn run(shared: Arc<Shared>, machine: Machine, port: u16, mut shutdown: Shutdown) {
    let mut keeper = Keeper {
        nodes: Api::all(shared.client.clone()),
        leases: Api::namespaced(shared.client.clone(), "kube-node-lease"),
        shared,
        machine,
        port,
        conditions: Vec::new(),
        reported: None,
        pod_cidrs: Vec::new(),
        uid: None,
        silence: conditions::Silence::default(),
    };
    loop {
        let settled = keeper.beat().await;
        let pause = if settled { HEARTBEAT } else { EAGER };
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Keeper {
    shared: Arc<Shared>,
    nodes: Api<Node>,
    leases: Api<Lease>,
    machine: Machine,
    port: u16,
    conditions: Vec<NodeCondition>,
    reported: Option<Instant>,
    pod_cidrs: Vec<String>,
    uid: Option<String>,
    silence: conditions::Silence,
}

impl Keeper {
    /// One heartbeat; true when nothing is waited for.
    async fn beat(&mut self) -> bool {
        let (status, answers) = self.runtime_status().await;
        let data = self.shared.config.data_dir.clone();
        let free = tokio::task::spawn_blocking(move || Free::look(&data))
            .await
            .unwrap_or_default();
        let now = Timestamp::now();
        let fresh = conditions::all(&status, &free, &self.conditions, now);
        let moved = conditions::differ(&fresh, &self.conditions);
        let ready = fresh
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True");
        let stale = self.reported.is_none_or(|at| at.elapsed() >= REPORT);
        if moved || stale || self.pod_cidrs.is_empty() {
            let mut reported = self.report(&status, &fresh, moved || stale).await;
            // Others write to a new node at the same moment (taints, annotations): it need not wait for that.
            for _ in 0..CONFLICTS {
                if !reported.as_ref().is_err_and(|error| error.is(409)) {
                    break;
                }
                reported = self.report(&status, &fresh, moved || stale).await;
            }
            match reported {
                Ok(()) => {
                    self.tell_changes(&fresh);
                    self.conditions = fresh;
                }
                Err(error) => {
                    tracing::debug!(%error, "the node's status cannot be reported now");
                    self.reported = None;
                    return false;
                }
            }
        }
        if let Err(error) = self.renew_lease().await {
            tracing::debug!(%error, "the node's lease cannot be renewed now");
        }
        answers && ready && !self.pod_cidrs.is_empty()
    }

    /// What is to be told of the runtime, and whether it answers at this moment.
    async fn runtime_status(&mut self) -> (Result<RuntimeStatus, RuntimeError>, bool) {
        let asked = tokio::time::timeout(STATUS, self.shared.runtime.status()).await;
        let status = asked.unwrap_or_else(|_| {
            Err(RuntimeError::Unavailable(format!(
                "no answer within {} s",
                STATUS.as_secs()
            )))
        });
        self.silence.told(status, Instant::now())
    }

    fn tell_changes(&self, fresh: &[NodeCondition]) {
        for condition in fresh {
            let before = self
                .conditions
                .iter()
                .find(|c| c.type_ == condition.type_)
                .map(|c| c.status.as_str());
            let reason = match (condition.type_.as_str(), condition.status.as_str()) {
                ("Ready", "True") => "NodeReady",
                ("Ready", _) => "NodeNotReady",
                ("MemoryPressure", "True") => "NodeHasInsufficientMemory",
                ("DiskPressure", "True") => "NodeHasDiskPressure",
                ("PIDPressure", "True") => "NodeHasInsufficientPID",
                _ => continue,
            };
            if before != Some(condition.status.as_str()) {
                let name = &self.shared.config.node_name;
                self.shared.events.node(
                    name,
                    Severity::Normal,
                    reason,
                    format!("Node {name} status is now: {reason}"),
                );
            }
        }
    }

    /// Brings the object up to date: made if it is not there, labels added, status replaced.
    async fn report(
        &mut self,
        status: &Result<RuntimeStatus, RuntimeError>,
        conditions: &[NodeCondition],
        write: bool,
    ) -> Result<(), ApiError> {
        let name = self.shared.config.node_name.clone();
        let labels = self.labels();
        let mut node = match api(self.nodes.get(&name)).await {
            Ok(node) => node,
            Err(error) if error.is(404) => {
                let node = Node {
                    metadata: ObjectMeta {
                        name: Some(name.clone()),
                        labels: Some(labels.clone()),
                        ..ObjectMeta::default()
                    },
                    ..Node::default()
                };
                let made = api(self.nodes.create(&PostParams::default(), &node)).await?;
                self.shared.events.node(
                    &name,
                    Severity::Normal,
                    "RegisteredNode",
                    format!("Registered node {name}"),
                );
                made
            }
            Err(error) => return Err(error),
        };
        let has = node.metadata.labels.clone().unwrap_or_default();
        if labels.iter().any(|(k, v)| has.get(k) != Some(v)) {
            let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
            node = api(self.nodes.patch(&name, &PatchParams::default(), &patch)).await?;
        }
        self.uid.clone_from(&node.metadata.uid);
        self.take_pod_cidrs(&node).await;
        if !write && node.status.as_ref().is_some_and(|s| s.node_info.is_some()) {
            return Ok(());
        }
        let mut next = node.status.clone().unwrap_or_default();
        self.fill(&mut next, status, conditions).await;
        node.status = Some(next);
        api(self
            .nodes
            .replace_status(&name, &PostParams::default(), &node))
        .await?;
        self.reported = Some(Instant::now());
        Ok(())
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let config = &self.shared.config;
        let mut labels: BTreeMap<String, String> = [
            ("kubernetes.io/hostname", config.node_name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", machine::architecture()),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", machine::architecture()),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        labels.extend(config.labels.clone());
        labels
    }

    async fn take_pod_cidrs(&mut self, node: &Node) {
        let spec = node.spec.as_ref();
        let given = match &self.shared.config.pod_cidr {
            Some(own) => vec![own.clone()],
            None => spec
                .and_then(|s| {
                    s.pod_cidrs
                        .clone()
                        .or_else(|| s.pod_cidr.clone().map(|c| vec![c]))
                })
                .unwrap_or_default(),
        };
        if given.is_empty() || given == self.pod_cidrs {
            return;
        }
        match self.shared.runtime.set_pod_cidrs(&given).await {
            Ok(()) => {
                keep_pod_cidrs(&self.shared.config, &given);
                self.pod_cidrs = given;
            }
            Err(error) => {
                tracing::warn!(%error, ?given, "the runtime does not take the node's pod range, trying again")
            }
        }
    }

    /// Sets what is the agent's of a status and leaves the rest.
    async fn fill(
        &self,
        status: &mut NodeStatus,
        runtime: &Result<RuntimeStatus, RuntimeError>,
        conditions: &[NodeCondition],
    ) {
        let config = &self.shared.config;
        let address = |kind: &str, address: String| NodeAddress {
            type_: kind.into(),
            address,
        };
        let mut addresses: Vec<NodeAddress> = config
            .addresses
            .iter()
            .map(|ip| address("InternalIP", ip.to_string()))
            .collect();
        addresses.push(address("Hostname", config.node_name.clone()));
        status.addresses = Some(addresses);
        let (capacity, allocatable) = capacity::of(config, self.machine);
        // Extended resources are somebody else's.
        status.capacity.get_or_insert_default().extend(capacity);
        status
            .allocatable
            .get_or_insert_default()
            .extend(allocatable);
        status.daemon_endpoints = Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint {
                port: i32::from(self.port),
            }),
        });
        let version = match runtime {
            Ok(r) => format!("{}://{}", r.name, r.version),
            // What was known stays while the runtime is away.
            Err(_) => status
                .node_info
                .as_ref()
                .map(|i| i.container_runtime_version.clone())
                .unwrap_or_else(|| "unknown://".into()),
        };
        status.node_info = Some(machine::system_info(&version, &config.version));
        let list = status.conditions.get_or_insert_default();
        for condition in conditions {
            match list.iter_mut().find(|c| c.type_ == condition.type_) {
                Some(old) => {
                    let since = old
                        .last_transition_time
                        .take()
                        .filter(|_| old.status == condition.status);
                    *old = condition.clone();
                    if since.is_some() {
                        old.last_transition_time = since;
                    }
                }
                None => list.push(condition.clone()),
            }
        }
        // One that does not answer is not asked for more: the heartbeat would wait.
        if runtime.is_ok()
            && let Ok(Ok(mut images)) =
                tokio::time::timeout(STATUS, self.shared.runtime.list_images()).await
        {
            images.sort_by_key(|i| std::cmp::Reverse(i.size_bytes));
            let names = |i: &crate::runtime::Image| {
                i.digests
                    .iter()
                    .take(1)
                    .chain(i.tags.iter().take(5))
                    .cloned()
                    .collect::<Vec<_>>()
            };
            let images = images.iter().take(IMAGES).map(|i| ContainerImage {
                names: Some(names(i)),
                size_bytes: i64::try_from(i.size_bytes).ok(),
            });
            status.images = Some(
                images
                    .filter(|i| i.names.as_ref().is_some_and(|n| !n.is_empty()))
                    .collect(),
            );
        }
    }

    async fn renew_lease(&self) -> Result<(), ApiError> {
        let name = &self.shared.config.node_name;
        let now = MicroTime(Timestamp::now());
        let patch = Patch::Merge(
            json!({"spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}}),
        );
        match api(self.leases.patch(name, &PatchParams::default(), &patch)).await {
            Err(error) if error.is(404) => {}
            other => return other.map(drop),
        }
        let owner = self.uid.as_ref().map(|uid| OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: name.clone(),
            uid: uid.clone(),
            ..OwnerReference::default()
        });
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                owner_references: owner.map(|o| vec![o]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(name.clone()),
                lease_duration_seconds: Some(LEASE_SECONDS),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        };
        api(self.leases.create(&PostParams::default(), &lease))
            .await
            .map(drop)
    }
}

fn pod_cidr_file(config: &Config) -> std::path::PathBuf {
    config.data_dir.join("pod-cidrs.json")
}

/// Keeps the node's pod range for a cold start with no server.
fn keep_pod_cidrs(config: &Config, cidrs: &[String]) {
    let path = pod_cidr_file(config);
    if kept_pod_cidrs(config) != cidrs {
        let text = serde_json::to_vec(cidrs).unwrap_or_default();
        if let Err(error) = std::fs::write(&path, text) {
            tracing::warn!(%error, path = %path.display(), "the pod range cannot be kept for a cold start");
        }
    }
}

/// The node's pod range as it was, from settings or from before the restart.
pub(crate) fn kept_pod_cidrs(config: &Config) -> Vec<String> {
    if let Some(own) = &config.pod_cidr {
        return vec![own.clone()];
    }
    std::fs::read(pod_cidr_file(config))
        .ok()
        .and_then(|t| serde_json::from_slice(&t).ok())
        .unwrap_or_default()
}

/// Whole seconds, as conditions have them.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
