//! Feeds the graph: from the informers that other controllers have anyway, and for every other resource from a watch of its
//! metadata. CRDs that come and go start and stop watches.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use minicloud_api::part::Shutdown;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tracing::{debug, warn};

use super::Collector;
use crate::plumbing::discovery::{Served, discover};
use crate::plumbing::informer::Informer;
use crate::plumbing::objects::uid;
use crate::plumbing::shared::Shared;

const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// A group of changes to CRDs is looked at once.
const SETTLE: Duration = Duration::from_millis(300);
/// After this time collecting begins even if some resource cannot be listed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The resources whose informers are shared.
const SHARED: [&str; 11] = [
    "deployments.apps",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "replicasets.apps",
    "services",
    "storageclasses.storage.k8s.io",
];

/// Registers with the shared informers. Before they start.
pub(super) fn share(shared: &Shared, collector: &Arc<Collector>) {
    tap(&shared.deployments, SHARED[0], collector);
    tap(&shared.endpoints, SHARED[1], collector);
    tap(&shared.endpoint_slices, SHARED[2], collector);
    tap(&shared.namespaces, SHARED[3], collector);
    tap(&shared.nodes, SHARED[4], collector);
    tap(&shared.claims, SHARED[5], collector);
    tap(&shared.volumes, SHARED[6], collector);
    tap(&shared.pods, SHARED[7], collector);
    tap(&shared.replica_sets, SHARED[8], collector);
    tap(&shared.services, SHARED[9], collector);
    tap(&shared.storage_classes, SHARED[10], collector);
}

fn tap<K>(informer: &Informer<K>, name: &str, collector: &Arc<Collector>)
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (name, collector): (Arc<str>, _) = (name.into(), collector.clone());
    informer.on_change(move |change| match (&change.old, &change.new) {
        (_, Some(new)) => collector.seen(&name, new.meta()),
        (Some(old), None) => collector.gone(uid(old.meta())),
        (None, None) => {}
    });
}

/// What a metadata watch tells its keeper.
enum Said {
    Listed(Arc<str>),
    CrdsChanged,
}

/// Watches until shutdown. `ready` is told when everything has been listed once.
pub(super) async fn run(
    collector: Arc<Collector>,
    shared: Arc<Shared>,
    client: Client,
    ready: oneshot::Sender<()>,
    mut shutdown: Shutdown,
) {
    let (say, mut hear) = mpsc::channel(64);
    let mut tasks = JoinSet::new();
    let mut running: HashMap<Arc<str>, AbortHandle> = HashMap::new();
    let mut unlisted: HashSet<Arc<str>> = HashSet::new();
    let mut ready = Some(ready);
    let mut stale = true;
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let mut informers = std::pin::pin!(informers_synced(&shared));
    let mut informed = false;
    let mut late = false;
    loop {
        if stale {
            match discover(&client).await {
                Ok(found) => {
                    stale = false;
                    let served: Vec<Served> =
                        found.served.into_iter().filter(is_collected).collect();
                    let wanted = served
                        .iter()
                        .filter(|s| !SHARED.contains(&s.name().as_str()));
                    let names: HashSet<Arc<str>> =
                        wanted.clone().map(|s| s.name().into()).collect();
                    running.retain(|name, task| {
                        // A group that could not be discovered may still be there.
                        let keep = names.contains(name) || !found.failed.is_empty();
                        if !keep {
                            task.abort();
                        }
                        keep
                    });
                    unlisted.retain(|name| names.contains(name));
                    for served in wanted {
                        let name: Arc<str> = served.name().into();
                        running.entry(name.clone()).or_insert_with(|| {
                            let task = watch(
                                collector.clone(),
                                client.clone(),
                                served.clone(),
                                name.clone(),
                                say.clone(),
                            );
                            unlisted.insert(name);
                            tasks.spawn(task)
                        });
                    }
                    *collector
                        .served
                        .write()
                        .unwrap_or_else(PoisonError::into_inner) = served;
                }
                Err(error) => warn!(%error, "cannot discover what to collect, trying again"),
            }
        }
        if (informed && unlisted.is_empty() && !stale || late)
            && let Some(ready) = ready.take()
        {
            let look = collector.graph().start();
            collector.enqueue(look);
            let _ = ready.send(());
        }
        tokio::select! {
            () = shutdown.wait() => return,
            said = hear.recv() => match said {
                Some(Said::Listed(name)) => {
                    unlisted.remove(&name);
                }
                Some(Said::CrdsChanged) => {
                    tokio::time::sleep(SETTLE).await;
                    while let Ok(said) = hear.try_recv() {
                        if let Said::Listed(name) = said {
                            unlisted.remove(&name);
                        }
                    }
                    stale = true;
                }
                None => return,
            },
            () = &mut informers, if !informed => informed = true,
            () = &mut patience, if !late && ready.is_some() => {
                late = informed && !stale;
                patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
            }
            () = tokio::time::sleep(Duration::from_secs(3)), if stale => {}
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn informers_synced(shared: &Shared) {
    shared.claims.wait_synced().await;
    shared.deployments.wait_synced().await;
    shared.endpoint_slices.wait_synced().await;
    shared.endpoints.wait_synced().await;
    shared.namespaces.wait_synced().await;
    shared.nodes.wait_synced().await;
    shared.pods.wait_synced().await;
    shared.replica_sets.wait_synced().await;
    shared.services.wait_synced().await;
    shared.storage_classes.wait_synced().await;
    shared.volumes.wait_synced().await;
}

/// Events come and go by the thousand and own nothing.
fn is_collected(served: &Served) -> bool {
    served.can(&["list", "watch", "delete", "patch"]) && served.resource.plural != "events"
}

async fn watch(
    collector: Arc<Collector>,
    client: Client,
    served: Served,
    name: Arc<str>,
    say: mpsc::Sender<Said>,
) {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &served.resource);
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut listed: HashSet<Box<str>> = HashSet::new();
    let is_crds = *name == *CRDS;
    let mut first = true;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(uid(&object.metadata).into());
                collector.seen(&name, &object.metadata);
            }
            Ok(Event::InitDone) => {
                let gone = collector.graph().unlisted(&name, &listed);
                for uid in gone {
                    collector.gone(&uid);
                }
                listed = HashSet::new();
                let _ = say.send(Said::Listed(name.clone())).await;
                if is_crds && !first {
                    let _ = say.send(Said::CrdsChanged).await;
                }
                first = false;
            }
            Ok(Event::Apply(object)) => {
                collector.seen(&name, &object.metadata);
                if is_crds {
                    let _ = say.send(Said::CrdsChanged).await;
                }
            }
            Ok(Event::Delete(object)) => {
                collector.gone(uid(&object.metadata));
                if is_crds {
                    let _ = say.send(Said::CrdsChanged).await;
                }
            }
            Err(error) => debug!(resource = &*name, %error, "cannot watch metadata, trying again"),
        }
    }
}
