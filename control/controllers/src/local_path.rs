//! Volumes that are directories on a node: the StorageClass `local-path` and its provisioner `minicloud.io/local-path`.
//!
//! The controller writes PersistentVolumes; the directories are the node's. It asks a node by annotations on the Node object,
//! which are all that a node's own identity may read and write: names to create, names to remove. The node takes a name off
//! the list when it is done ([`node`]). A node that runs no such helper gets its directory from the kubelet when a pod mounts
//! it. A name is asked for again after a restart, which does no harm.

pub(crate) mod node;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec,
    VolumeNodeAffinity,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use minicloud_api::part::Shutdown;
use serde_json::json;
use tokio::task::JoinSet;

use crate::plumbing::events::{Kind, Recorder};
use crate::plumbing::informer::Key;
use crate::plumbing::objects::{annotation, is_deleting, reference, uid};
use crate::plumbing::patch::{is_code, or_gone, update};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;
use crate::volume_binder::{SELECTED_NODE, STORAGE_PROVISIONER};

const NAME: &str = "local-path-provisioner";
const PROVISIONER: &str = "minicloud.io/local-path";
const CLASS: &str = "local-path";
/// On the volume: its directory is still there.
const FINALIZER: &str = "minicloud.io/local-path";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const HOSTNAME: &str = "kubernetes.io/hostname";
/// On the volume: the node and the directory's name on it.
const NODE: &str = "local-path.minicloud.io/node";

// ---- decide ----

/// Whether a node has been asked for something, and whether the cache has shown that yet: before it has, a name that is not
/// on the list may be one that is not there yet rather than one that is done.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    No,
    Sent,
    Seen,
}

/// What to do for a claim.
#[derive(Debug, PartialEq)]
enum ClaimStep {
    Nothing,
    /// Have the node make the directory of this name.
    Ask(String),
    /// Write the volume.
    Create(Box<PersistentVolume>),
    /// The chosen node is gone: let the scheduler choose again.
    Reschedule,
    /// It cannot be done, for this reason.
    Refuse(&'static str),
}

/// Where a claim's directory is on its node.
fn directory(claim: &PersistentVolumeClaim) -> String {
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    let meta = &claim.metadata;
    let mut name = format!(
        "pvc-{}_{}_{}",
        text(&meta.uid),
        text(&meta.namespace),
        text(&meta.name)
    );
    // A file name may have 255 bytes; the UID alone tells directories apart.
    name.truncate(200);
    name
}

fn wants(claim: &PersistentVolumeClaim) -> bool {
    annotation(&claim.metadata, STORAGE_PROVISIONER) == Some(PROVISIONER)
        && claim
            .spec
            .as_ref()
            .and_then(|s| s.volume_name.as_deref())
            .unwrap_or_default()
            .is_empty()
        && !is_deleting(&claim.metadata)
}

/// `node` is the one that the claim names, if it exists.
fn provision(
    claim: &PersistentVolumeClaim,
    class: Option<&StorageClass>,
    node: Option<&Node>,
    asked: Asked,
    fallback: &Path,
) -> ClaimStep {
    if !wants(claim) {
        return ClaimStep::Nothing;
    }
    let Some(class) = class else {
        return ClaimStep::Nothing;
    };
    if claim.spec.as_ref().and_then(|s| s.volume_mode.as_deref()) == Some("Block") {
        return ClaimStep::Refuse(
            "a local path cannot be a block device; use volumeMode Filesystem",
        );
    }
    if annotation(&claim.metadata, SELECTED_NODE).is_none() {
        return ClaimStep::Refuse(
            "a local path needs a node; use a StorageClass with volumeBindingMode WaitForFirstConsumer",
        );
    }
    let Some(node) = node else {
        return ClaimStep::Reschedule;
    };
    let name = directory(claim);
    let base = match annotation(&node.metadata, node::DIRECTORY) {
        None => fallback.to_owned(),
        Some(base) => {
            match asked {
                Asked::No => return ClaimStep::Ask(name),
                Asked::Sent => return ClaimStep::Nothing,
                Asked::Seen if node::names(&node.metadata, node::CREATE).contains(&name) => {
                    return ClaimStep::Nothing;
                }
                Asked::Seen => {}
            }
            PathBuf::from(base)
        }
    };
    ClaimStep::Create(Box::new(volume(
        claim,
        class,
        node,
        &base.join(&name),
        &name,
    )))
}

fn volume(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    node: &Node,
    path: &Path,
    name: &str,
) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let policy = class
        .reclaim_policy
        .clone()
        .unwrap_or_else(|| "Delete".into());
    let host = node
        .labels()
        .get(HOSTNAME)
        .cloned()
        .unwrap_or_else(|| node.name_any());
    let annotations = BTreeMap::from([
        (PROVISIONED_BY.to_owned(), PROVISIONER.to_owned()),
        (NODE.to_owned(), format!("{}/{name}", node.name_any())),
    ]);
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(format!("pvc-{}", uid(&claim.metadata))),
            annotations: Some(annotations),
            finalizers: Some(vec![FINALIZER.into()]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: spec.resources.and_then(|r| r.requests),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("PersistentVolumeClaim".into()),
                namespace: claim.metadata.namespace.clone(),
                name: claim.metadata.name.clone(),
                uid: claim.metadata.uid.clone(),
                resource_version: claim.metadata.resource_version.clone(),
                ..ObjectReference::default()
            }),
            host_path: Some(HostPathVolumeSource {
                path: path.to_string_lossy().into_owned(),
                type_: Some("DirectoryOrCreate".into()),
            }),
            mount_options: class.mount_options.clone(),
            node_affinity: Some(VolumeNodeAffinity {
                required: Some(NodeSelector {
                    node_selector_terms: vec![NodeSelectorTerm {
                        match_expressions: Some(vec![NodeSelectorRequirement {
                            key: HOSTNAME.into(),
                            operator: "In".into(),
                            values: Some(vec![host]),
                        }]),
                        match_fields: None,
                    }],
                }),
            }),
            persistent_volume_reclaim_policy: Some(policy),
            storage_class_name: class.metadata.name.clone(),
            volume_mode: Some("Filesystem".into()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

/// What to do for a volume.
#[derive(Debug, PartialEq)]
enum VolumeStep {
    Nothing,
    /// Have the node remove the directory of this name.
    Ask {
        node: String,
        name: String,
    },
    /// The directory is gone, or stays on purpose: let the volume go. `delete`: the object is still to be deleted.
    LetGo {
        delete: bool,
    },
    /// The node cannot remove it.
    Refuse,
}

/// `node` is the one that the volume names, if it exists.
fn reclaim(volume: &PersistentVolume, node: Option<&Node>, asked: Asked) -> VolumeStep {
    let ours = annotation(&volume.metadata, PROVISIONED_BY) == Some(PROVISIONER);
    let held = volume.finalizers().iter().any(|f| f == FINALIZER);
    let phase = volume
        .status
        .as_ref()
        .and_then(|s| s.phase.as_deref())
        .unwrap_or_default();
    let deletes = volume
        .spec
        .as_ref()
        .and_then(|s| s.persistent_volume_reclaim_policy.as_deref())
        == Some("Delete");
    let deleting = is_deleting(&volume.metadata);
    if !ours || phase == "Bound" || !(deleting || (deletes && phase == "Released")) {
        return VolumeStep::Nothing;
    }
    let go = VolumeStep::LetGo { delete: !deleting };
    if !held {
        return if deleting { VolumeStep::Nothing } else { go };
    }
    if !deletes {
        return go;
    }
    let Some((name_of_node, name)) =
        annotation(&volume.metadata, NODE).and_then(|n| n.split_once('/'))
    else {
        return go;
    };
    // With its node the directory is gone too.
    let Some(node) = node else { return go };
    if annotation(&node.metadata, node::DIRECTORY).is_none() {
        return VolumeStep::Refuse;
    }
    match asked {
        Asked::No => VolumeStep::Ask {
            node: name_of_node.to_owned(),
            name: name.to_owned(),
        },
        Asked::Sent => VolumeStep::Nothing,
        Asked::Seen
            if node::names(&node.metadata, node::REMOVE)
                .iter()
                .any(|n| n == name) =>
        {
            VolumeStep::Nothing
        }
        Asked::Seen => go,
    }
}

fn class(default: bool) -> StorageClass {
    let annotations = BTreeMap::from([(IS_DEFAULT.to_owned(), default.to_string())]);
    StorageClass {
        metadata: ObjectMeta {
            name: Some(CLASS.into()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        provisioner: PROVISIONER.into(),
        reclaim_policy: Some("Delete".into()),
        volume_binding_mode: Some("WaitForFirstConsumer".into()),
        ..StorageClass::default()
    }
}

// ---- act ----

/// A claim or a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Item {
    Claim(Key),
    Volume(String),
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Claim(key) => write!(f, "claim {key}"),
            Self::Volume(name) => write!(f, "volume {name}"),
        }
    }
}

struct Controller {
    shared: Arc<Shared>,
    client: Client,
    events: Recorder,
    queue: Arc<Queue<Item>>,
    fallback: PathBuf,
    /// The Node's version once a node had been asked, by list and name of the directory.
    asked: Mutex<HashMap<(&'static str, String), u64>>,
}

/// Starts the controller. `storage_dir` is for nodes that name no directory themselves.
pub(crate) fn start(
    shared: &Arc<Shared>,
    storage_dir: &Path,
    tasks: &mut JoinSet<()>,
    shutdown: &Shutdown,
) {
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        events: shared.recorder(&client, NAME),
        client,
        queue: Arc::default(),
        fallback: storage_dir.to_owned(),
        asked: Mutex::default(),
    });
    let queue = this.queue.clone();
    shared.claims.on_change(move |change| {
        if let Some(claim) = &change.new
            && wants(claim)
        {
            queue.add(Item::Claim(Key::of(claim.as_ref())));
        }
    });
    let queue = this.queue.clone();
    shared.volumes.on_change(move |change| {
        if let Some(volume) = &change.new
            && annotation(&volume.metadata, PROVISIONED_BY) == Some(PROVISIONER)
        {
            queue.add(Item::Volume(volume.name_any()));
        }
    });
    let on = this.clone();
    shared.nodes.on_change(move |change| {
        let said = |node: Option<&Arc<Node>>| {
            let meta = node.map(|n| &n.metadata);
            [node::DIRECTORY, node::CREATE, node::REMOVE]
                .map(|key| meta.and_then(|m| annotation(m, key)).map(str::to_owned))
        };
        if said(change.old.as_ref()) != said(change.new.as_ref()) || change.new.is_none() {
            on.wake_all();
        }
    });
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        this.shared.claims.wait_synced().await;
        this.shared.volumes.wait_synced().await;
        this.shared.nodes.wait_synced().await;
        this.shared.storage_classes.wait_synced().await;
        this.ensure_class().await;
        let work = |item| {
            let this = this.clone();
            async move {
                match item {
                    Item::Claim(key) => this.sync_claim(key).await,
                    Item::Volume(name) => this.sync_volume(name).await,
                }
            }
        };
        this.queue.run(NAME, 4, shutdown, work).await;
    });
}

impl Controller {
    fn wake_all(&self) {
        for claim in self.shared.claims.all().iter().filter(|c| wants(c)) {
            self.queue.add(Item::Claim(Key::of(claim.as_ref())));
        }
        for volume in self.shared.volumes.all() {
            if annotation(&volume.metadata, PROVISIONED_BY) == Some(PROVISIONER) {
                self.queue.add(Item::Volume(volume.name_any()));
            }
        }
    }

    /// Makes the StorageClass once per start; it is the default unless another is.
    async fn ensure_class(&self) {
        let classes = self.shared.storage_classes.all();
        if classes.iter().any(|c| c.name_any() == CLASS) {
            return;
        }
        let taken = classes
            .iter()
            .any(|c| annotation(&c.metadata, IS_DEFAULT) == Some("true"));
        let api: Api<StorageClass> = Api::all(self.client.clone());
        if let Err(error) = api.create(&PostParams::default(), &class(!taken)).await
            && !is_code(&error, 409)
        {
            tracing::warn!(%error, "cannot create the StorageClass {CLASS}");
        }
    }

    fn asked(&self, list: &'static str, name: &str, node: Option<&Node>) -> Asked {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = version(node.and_then(|n| n.metadata.resource_version.as_deref()));
        match asked.get(&(list, name.to_owned())) {
            None => Asked::No,
            Some(at) if seen < *at => Asked::Sent,
            Some(_) => Asked::Seen,
        }
    }

    fn forget(&self, list: &'static str, name: &str) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.remove(&(list, name.to_owned()));
    }

    /// Puts a name on one of the node's lists.
    async fn ask(&self, node: &str, list: &'static str, name: &str) -> anyhow::Result<()> {
        let api: Api<Node> = Api::all(self.client.clone());
        let current = api.get_metadata(node).await?;
        let mut names = node::names(&current.metadata, list);
        let mut at = current.metadata.resource_version.clone();
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
            let patch = json!({"metadata": {
                "resourceVersion": at,
                "annotations": {list: names.join(",")},
            }});
            let parameters = PatchParams::default();
            let written = api
                .patch_metadata(node, &parameters, &Patch::Merge(patch))
                .await?;
            at = written.metadata.resource_version;
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert((list, name.to_owned()), version(at.as_deref()));
        Ok(())
    }

    async fn sync_claim(&self, key: Key) -> anyhow::Result<()> {
        let Some(claim) = self.shared.claims.get(&key.namespace, &key.name) else {
            return Ok(());
        };
        let class = claim
            .spec
            .as_ref()
            .and_then(|s| s.storage_class_name.as_deref());
        let class = class.and_then(|name| self.shared.storage_classes.get("", name));
        let node_name = annotation(&claim.metadata, SELECTED_NODE).unwrap_or_default();
        let node = self.shared.nodes.get("", node_name);
        let name = directory(&claim);
        let asked = self.asked(node::CREATE, &name, node.as_deref());
        match provision(
            &claim,
            class.as_deref(),
            node.as_deref(),
            asked,
            &self.fallback,
        ) {
            ClaimStep::Nothing => {}
            ClaimStep::Ask(name) => {
                self.ask(node_name, node::CREATE, &name).await?;
                // The node may have been faster than this note of having asked.
                self.queue.add(Item::Claim(key));
            }
            ClaimStep::Create(volume) => {
                let api: Api<PersistentVolume> = Api::all(self.client.clone());
                match api.create(&PostParams::default(), &volume).await {
                    Err(error) if !is_code(&error, 409) => return Err(error.into()),
                    _ => {}
                }
                self.forget(node::CREATE, &name);
                let said = format!("Successfully provisioned volume {}", volume.name_any());
                self.events.emit(
                    &reference(&*claim),
                    Kind::Normal,
                    "ProvisioningSucceeded",
                    said,
                );
            }
            ClaimStep::Reschedule => {
                let patch = json!({"metadata": {
                    "resourceVersion": claim.metadata.resource_version,
                    "annotations": {SELECTED_NODE: null},
                }});
                let api: Api<PersistentVolumeClaim> =
                    Api::namespaced(self.client.clone(), &key.namespace);
                or_gone(
                    api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
                        .await,
                )?;
            }
            ClaimStep::Refuse(why) => {
                let said = format!("failed to provision volume with StorageClass {CLASS:?}: {why}");
                self.events.emit(
                    &reference(&*claim),
                    Kind::Warning,
                    "ProvisioningFailed",
                    said,
                );
            }
        }
        Ok(())
    }

    async fn sync_volume(&self, name: String) -> anyhow::Result<()> {
        let Some(volume) = self.shared.volumes.get("", &name) else {
            return Ok(());
        };
        let place = annotation(&volume.metadata, NODE).and_then(|n| n.split_once('/'));
        let node = place.and_then(|(node, _)| self.shared.nodes.get("", node));
        let asked = match place {
            Some((_, directory)) => self.asked(node::REMOVE, directory, node.as_deref()),
            None => Asked::No,
        };
        match reclaim(&volume, node.as_deref(), asked) {
            VolumeStep::Nothing => {}
            VolumeStep::Ask {
                node,
                name: directory,
            } => {
                self.ask(&node, node::REMOVE, &directory).await?;
                self.queue.add(Item::Volume(name));
            }
            VolumeStep::LetGo { delete } => {
                let api: Api<PersistentVolume> = Api::all(self.client.clone());
                let mut new = (*volume).clone();
                new.finalizers_mut().retain(|f| f != FINALIZER);
                let written = update(&api, &*volume, &new).await?;
                if delete {
                    let version = written.unwrap_or(new).metadata.resource_version;
                    let only = Preconditions {
                        uid: volume.uid(),
                        resource_version: version,
                    };
                    or_gone(
                        api.delete(&name, &DeleteParams::default().preconditions(only))
                            .await,
                    )?;
                }
                if let Some((_, directory)) = place {
                    self.forget(node::REMOVE, directory);
                }
            }
            VolumeStep::Refuse => {
                let said = "the volume's node removes no directories now; the volume is kept until it does";
                self.events.emit(
                    &reference(&*volume),
                    Kind::Warning,
                    "VolumeFailedDelete",
                    said,
                );
            }
        }
        Ok(())
    }
}

/// Versions grow (KEP-5504), so the cache has seen a write when its version is not below the write's.
fn version(text: Option<&str>) -> u64 {
    text.and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
