//! Deletes what its owners leave behind: background, foreground with blocking dependents, and orphaning.
//!
//! It watches the metadata of everything that is served, shares the watches that other controllers have anyway, and keeps in
//! [`graph`] only objects with owners and objects whose deletion waits for dependents. What the graph suspects is asked of the
//! server before anything is deleted.

mod graph;
mod watches;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions,
    PropagationPolicy,
};
use minicloud_api::part::Shutdown;
use serde_json::json;
use tokio::task::JoinSet;

use self::graph::{FOREGROUND, Graph, ORPHAN, Owner, Verdict, Waiting};
use crate::plumbing::discovery::{Served, group_of};
use crate::plumbing::objects::{is_deleting, uid};
use crate::plumbing::patch::{is_code, or_gone};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

const NAME: &str = "generic-garbage-collector";

// ---- act ---- (what is decided is in `graph`)

/// The UID of an object to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Uid(Arc<str>);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct Collector {
    client: Client,
    graph: Mutex<Graph>,
    /// Grows and shrinks with the CRDs; the graph refers to resources by name.
    served: RwLock<Vec<Served>>,
    queue: Queue<Uid>,
}

/// Starts the collector.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let this = Arc::new(Collector {
        client: shared.client(NAME),
        graph: Mutex::default(),
        served: RwLock::default(),
        queue: Queue::default(),
    });
    watches::share(shared, &this);
    let (watcher, down) = (this.clone(), shutdown.clone());
    let watch_client = shared.client("system:kube-controller-manager");
    let synced = shared.clone();
    let (ready, all_listed) = tokio::sync::oneshot::channel();
    tasks.spawn(async move { watches::run(watcher, synced, watch_client, ready, down).await });
    let mut shutdown = shutdown.clone();
    tasks.spawn(async move {
        // Before everything has been seen once, too many owners would have to be asked for.
        tokio::select! {
            _ = all_listed => {}
            () = shutdown.wait() => return,
        }
        let work = |uid| {
            let this = this.clone();
            async move { this.process(uid).await }
        };
        this.queue.run(NAME, 8, shutdown, work).await;
    });
}

impl Collector {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, uids: Vec<Arc<str>>) {
        for uid in uids {
            self.queue.add(Uid(uid));
        }
    }

    /// A live object was seen.
    fn seen(&self, resource: &Arc<str>, meta: &ObjectMeta) {
        let look = self.graph().seen(resource, meta);
        self.enqueue(look);
    }

    /// An object is gone.
    fn gone(&self, gone: &str) {
        let look = self.graph().gone(gone);
        self.enqueue(look);
    }

    fn find(&self, test: impl Fn(&Served) -> bool) -> Option<Served> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.iter().find(|s| test(s)).cloned()
    }

    fn api(&self, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, resource)
        }
    }

    async fn process(&self, key: Uid) -> anyhow::Result<()> {
        let Some(object) = self.graph().get(&key.0) else {
            return Ok(());
        };
        let Some(served) = self.find(|s| s.name() == *object.resource) else {
            // Its kind is not served any more, and it is gone with it.
            self.gone(&key.0);
            return Ok(());
        };
        let api = self.api(&served.resource, &object.namespace);
        match object.waiting {
            Waiting::ForDependents => {
                return self.finish_foreground(&api, &key, &object.name).await;
            }
            Waiting::ToOrphan => return self.orphan(&api, &key, &object.name).await,
            Waiting::No if object.deleting => return Ok(()),
            Waiting::No => {}
        }
        let live = api
            .get_metadata_opt(&object.name)
            .await?
            .filter(|o| uid(&o.metadata) == &*key.0);
        let Some(live) = live else {
            self.gone(&key.0);
            return Ok(());
        };
        let references = live.metadata.owner_references.clone().unwrap_or_default();
        if references.is_empty() || is_deleting(&live.metadata) {
            return Ok(());
        }
        let mut owners = Vec::with_capacity(references.len());
        for reference in &references {
            owners.push(self.look_at_owner(reference, &object.namespace).await?);
        }
        let has_dependents = self.graph().has_dependents(&key.0);
        match graph::judge(&references, &owners, &live.metadata, has_dependents) {
            Verdict::Keep => {}
            Verdict::Drop(keep) => {
                self.write_owners(&api, &live.metadata, &keep).await?;
            }
            Verdict::Delete { policy, unblock } => {
                if unblock {
                    // Two that block one another would wait for ever.
                    let free = |r: &OwnerReference| OwnerReference {
                        block_owner_deletion: Some(false),
                        ..r.clone()
                    };
                    let all: Vec<_> = references.iter().map(free).collect();
                    self.write_owners(&api, &live.metadata, &all).await?;
                }
                self.delete(&api, &live.metadata, policy).await?;
            }
        }
        Ok(())
    }

    /// Whether an owner is there, as the graph knows or the server says.
    async fn look_at_owner(
        &self,
        reference: &OwnerReference,
        namespace: &str,
    ) -> anyhow::Result<Owner> {
        if let Some(known) = self.graph().owner(&reference.uid) {
            return Ok(known);
        }
        let group = group_of(&reference.api_version);
        let Some(served) =
            self.find(|s| s.resource.group == group && s.resource.kind == reference.kind)
        else {
            anyhow::bail!(
                "owner {} {} is of a kind that is not served",
                reference.kind,
                reference.name
            );
        };
        if served.namespaced && namespace.is_empty() {
            // A reference that cannot be meant: better kept for ever than deleted by mistake.
            return Ok(Owner::Present);
        }
        let version = reference.api_version.rsplit('/').next().unwrap_or_default();
        let mut resource = served.resource.clone();
        resource.version = version.to_owned();
        resource.api_version.clone_from(&reference.api_version);
        let api = self.api(&resource, if served.namespaced { namespace } else { "" });
        let owner = api.get_metadata_opt(&reference.name).await?;
        let owner = owner.filter(|o| uid(&o.metadata) == reference.uid);
        let found = match &owner {
            None => Owner::Absent,
            Some(owner) if graph::waits_for_dependents(&owner.metadata) => {
                Owner::WaitsForDependents
            }
            Some(_) => Owner::Present,
        };
        self.graph()
            .learn(&reference.uid, found, &served.name().into());
        Ok(found)
    }

    /// Deletes the dependents that hold the object's deletion up, and completes it when there are none left.
    async fn finish_foreground(
        &self,
        api: &Api<DynamicObject>,
        key: &Uid,
        name: &str,
    ) -> anyhow::Result<()> {
        let (blocking, look) = self.graph().blocking(&key.0);
        if blocking {
            self.enqueue(look);
            return Ok(());
        }
        self.drop_finalizer(api, key, name, FOREGROUND).await
    }

    /// Takes the object's reference off all its dependents, and completes its deletion.
    async fn orphan(&self, api: &Api<DynamicObject>, key: &Uid, name: &str) -> anyhow::Result<()> {
        let dependents = self.graph().dependents(&key.0);
        for dependent in dependents {
            let Some(object) = self.graph().get(&dependent) else {
                continue;
            };
            let Some(served) = self.find(|s| s.name() == *object.resource) else {
                continue;
            };
            let api = self.api(&served.resource, &object.namespace);
            let Some(live) = api.get_metadata_opt(&object.name).await? else {
                continue;
            };
            if uid(&live.metadata) != &*dependent {
                continue;
            }
            let all = live.metadata.owner_references.clone().unwrap_or_default();
            let keep: Vec<_> = all.iter().filter(|r| r.uid != *key.0).cloned().collect();
            if keep.len() < all.len() {
                self.write_owners(&api, &live.metadata, &keep).await?;
            }
        }
        self.drop_finalizer(api, key, name, ORPHAN).await
    }

    async fn drop_finalizer(
        &self,
        api: &Api<DynamicObject>,
        key: &Uid,
        name: &str,
        finalizer: &str,
    ) -> anyhow::Result<()> {
        let live = api
            .get_metadata_opt(name)
            .await?
            .filter(|o| uid(&o.metadata) == &*key.0);
        let Some(live) = live else {
            self.gone(&key.0);
            return Ok(());
        };
        let all = live.metadata.finalizers.clone().unwrap_or_default();
        let keep: Vec<_> = all.iter().filter(|f| *f != finalizer).collect();
        if keep.len() < all.len() {
            let patch = json!({"metadata": {"resourceVersion": live.metadata.resource_version, "finalizers": keep}});
            or_gone(
                api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch))
                    .await,
            )?;
        }
        Ok(())
    }

    async fn write_owners(
        &self,
        api: &Api<DynamicObject>,
        meta: &ObjectMeta,
        owners: &[OwnerReference],
    ) -> anyhow::Result<()> {
        let name = meta.name.as_deref().unwrap_or_default();
        let patch = json!({"metadata": {"resourceVersion": meta.resource_version, "ownerReferences": owners}});
        or_gone(
            api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch))
                .await,
        )?;
        Ok(())
    }

    async fn delete(
        &self,
        api: &Api<DynamicObject>,
        meta: &ObjectMeta,
        policy: PropagationPolicy,
    ) -> anyhow::Result<()> {
        let options = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(Preconditions {
                uid: meta.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api
            .delete(meta.name.as_deref().unwrap_or_default(), &options)
            .await
        {
            // Gone already, or another object has the name.
            Err(error) if is_code(&error, 404) || is_code(&error, 409) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }
}
