//! Which pods this machine has: the API's word by one watch, checkpoints until the API server answers, and what the runtime still holds.
//! Know before changing: a pod is stopped only because a *complete* list does not have it or a watch says that it was deleted. A list
//! or a watch that fails says nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use minicloud_api::part::Shutdown;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::checkpoint::Checkpoint;
use crate::decide::{Outcome, status_is_terminal};
use crate::events::Severity;
use crate::runtime::{ObservedPod, PodChange};
use crate::shared::Shared;
use crate::worker::{self, Begin, Desired, Handle};
use crate::{pod, resources};

/// The pods of this machine, for whoever asks.
#[derive(Default)]
pub(crate) struct Pods {
    handles: Mutex<HashMap<String, Handle>>,
}

impl Pods {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Handle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every pod, with the status last decided.
    pub(crate) fn all(&self) -> Vec<Arc<Pod>> {
        self.lock()
            .values()
            .map(|h| h.view.borrow().clone())
            .collect()
    }

    /// A pod by name; of several with that name the one that is not on its way out.
    pub(crate) fn find(&self, namespace: &str, name: &str, uid: Option<&str>) -> Option<Arc<Pod>> {
        let mut found: Vec<Arc<Pod>> = self.all();
        found.retain(|p| {
            pod::namespace(p) == namespace
                && pod::name(p) == name
                && uid.is_none_or(|u| pod::uid(p) == u)
        });
        found
            .into_iter()
            .min_by_key(|p| p.metadata.deletion_timestamp.is_some())
    }
}

/// Keeps a worker for each pod until shutdown. `observed` is the runtime's first word, `kept` the checkpoints.
pub(crate) async fn run(
    shared: Arc<Shared>,
    observed: Vec<ObservedPod>,
    kept: Vec<Checkpoint>,
    mut shutdown: Shutdown,
) {
    let (over, mut ended) = mpsc::unbounded_channel();
    let mut source = Source {
        observed: observed.into_iter().map(|p| (p.uid.clone(), p)).collect(),
        kept: kept
            .into_iter()
            .map(|c| (pod::uid(&c.pod).to_owned(), c))
            .collect(),
        shared: shared.clone(),
        over,
        told: false,
    };
    let mut changes = shared.runtime.changes();
    let api: Api<Pod> = Api::all(shared.client.clone());
    let config =
        watcher::Config::default().fields(&format!("spec.nodeName={}", shared.config.node_name));
    let mut watch = watcher(api, config).default_backoff().boxed();
    let mut listed: Vec<Pod> = Vec::new();
    let offline = tokio::time::sleep(shared.config.offline_after);
    tokio::pin!(offline);
    loop {
        tokio::select! {
            () = shutdown.wait() => break,
            event = watch.try_next() => match event {
                Ok(Some(watcher::Event::Init)) => listed.clear(),
                Ok(Some(watcher::Event::InitApply(pod))) => listed.push(pod),
                Ok(Some(watcher::Event::InitDone)) => source.list(std::mem::take(&mut listed)).await,
                Ok(Some(watcher::Event::Apply(pod))) => source.apply(pod, false),
                Ok(Some(watcher::Event::Delete(pod))) => source.apply(pod, true),
                Ok(None) => break,
                Err(error) => tracing::debug!(%error, "the API server does not tell about pods, trying again"),
            },
            change = changes.recv() => match change {
                Ok(PodChange::Pod(uid)) => {
                    if let Some(handle) = shared.pods.lock().get(&uid) {
                        handle.changed.notify_one();
                    }
                }
                Ok(PodChange::All) | Err(RecvError::Lagged(_)) => {
                    shared.pods.lock().values().for_each(|h| h.changed.notify_one());
                }
                Err(RecvError::Closed) => break,
            },
            Some(uid) = ended.recv() => { shared.pods.lock().remove(&uid); }
            () = &mut offline, if !source.told => source.go_by_checkpoints(),
        }
    }
    // The workers end with their handles; the containers run on.
    shared.pods.lock().clear();
}

struct Source {
    shared: Arc<Shared>,
    /// What the runtime held when the agent started, until a worker has it.
    observed: HashMap<String, ObservedPod>,
    /// What was checkpointed, until a worker has it.
    kept: HashMap<String, Checkpoint>,
    over: mpsc::UnboundedSender<String>,
    /// The pods are known, from the API or from checkpoints.
    told: bool,
}

impl Source {
    /// A complete list: what is not in it is gone.
    async fn list(&mut self, mut pods: Vec<Pod>) {
        self.told = true;
        self.shared.offline.store(false, Ordering::Relaxed);
        // Those that run already come first, so that admission refuses the newest.
        pods.sort_by_key(|p| {
            (
                !self.observed.contains_key(pod::uid(p)),
                p.metadata.creation_timestamp.as_ref().map(|t| t.0),
            )
        });
        let there: BTreeSet<String> = pods.iter().map(|p| pod::uid(p).to_owned()).collect();
        for pod in pods {
            self.apply(pod, false);
        }
        for (uid, handle) in self.shared.pods.lock().iter() {
            if !there.contains(uid) {
                handle.desired.send_modify(|d| d.gone = true);
            }
        }
        // What the machine still has of pods that are no more.
        match self.shared.runtime.list_pods().await {
            Ok(now) => self
                .observed
                .extend(now.into_iter().map(|p| (p.uid.clone(), p))),
            Err(error) => tracing::debug!(%error, "the runtime cannot list its pods now"),
        }
        let mut left: BTreeSet<String> = self
            .observed
            .keys()
            .chain(self.kept.keys())
            .cloned()
            .collect();
        left.extend(self.shared.dirs.pods());
        for uid in left {
            let known = self.shared.pods.lock().contains_key(&uid);
            if !known && !there.contains(&uid) {
                let observed = self.observed.get(&uid).cloned().unwrap_or_default();
                let pod = self
                    .kept
                    .get(&uid)
                    .map_or_else(|| remains(&uid, &observed), |c| c.pod.clone());
                tracing::info!(
                    pod = pod::key(&pod),
                    uid,
                    "a pod that the API server does not have any more is stopped and removed"
                );
                self.begin(Arc::new(pod), true);
            }
        }
        self.observed.clear();
        self.kept.clear();
    }

    /// The API server has been away too long: the pods run as they were.
    fn go_by_checkpoints(&mut self) {
        self.told = true;
        self.shared.offline.store(true, Ordering::Relaxed);
        tracing::warn!(
            pods = self.kept.len(),
            "the API server does not answer; pods run as they were assigned before"
        );
        let pods: Vec<Pod> = self.kept.values().map(|c| c.pod.clone()).collect();
        for pod in pods {
            self.begin(Arc::new(pod), false);
        }
    }

    fn apply(&mut self, mut pod: Pod, gone: bool) {
        pod.metadata.managed_fields = None;
        let pod = Arc::new(pod);
        let uid = pod::uid(&pod).to_owned();
        if uid.is_empty() {
            return;
        }
        if let Some(handle) = self.shared.pods.lock().get(&uid) {
            handle.desired.send_replace(Desired { pod, gone });
            return;
        }
        // A deletion that nobody here knows about leaves nothing to do, unless the runtime knows.
        if !gone || self.observed.contains_key(&uid) {
            self.begin(pod, gone);
        }
    }

    fn begin(&mut self, pod: Arc<Pod>, gone: bool) {
        let uid = pod::uid(&pod).to_owned();
        let observed = self.observed.remove(&uid).unwrap_or_default();
        let checkpoint = self.kept.remove(&uid);
        let fresh = observed.sandboxes.is_empty() && checkpoint.is_none() && !gone;
        let outcome = if fresh { self.admit(&pod) } else { None };
        let over = self.over.clone();
        let begin = Begin {
            desired: Desired { pod, gone },
            observed,
            checkpoint,
            outcome,
        };
        let handle = worker::spawn(self.shared.clone(), begin, move |uid| {
            let _ = over.send(uid);
        });
        self.shared.pods.lock().insert(uid, handle);
    }

    /// The end of a pod that does not fit; `None` for one that does.
    fn admit(&self, pod: &Pod) -> Option<Outcome> {
        if pod.metadata.deletion_timestamp.is_some() || status_is_terminal(pod::status(pod)) {
            return None;
        }
        let others: Vec<Arc<Pod>> = self
            .shared
            .pods
            .all()
            .into_iter()
            .filter(|p| !status_is_terminal(pod::status(p)))
            .collect();
        let others: Vec<&Pod> = others.iter().map(Arc::as_ref).collect();
        let (reason, message) = resources::admit(pod, &others, &self.shared.allocatable).err()?;
        self.shared.events.pod(
            pod,
            None,
            Severity::Warning,
            "FailedAdmission",
            format!("{reason}: {message}"),
        );
        Some(Outcome {
            phase: "Failed".into(),
            reason: Some(reason),
            message: Some(message),
        })
    }
}

/// A pod of which only the runtime knows: enough of an object to stop it.
fn remains(uid: &str, observed: &ObservedPod) -> Pod {
    let grace = observed
        .containers
        .iter()
        .filter_map(|c| c.annotations.get(pod::ANNOTATION_GRACE)?.parse().ok())
        .max();
    let mut names: Vec<&str> = observed
        .containers
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    Pod {
        metadata: ObjectMeta {
            uid: Some(uid.to_owned()),
            name: Some(observed.name.clone()),
            namespace: Some(observed.namespace.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: names
                .into_iter()
                .map(|n| Container {
                    name: n.into(),
                    ..Container::default()
                })
                .collect(),
            termination_grace_period_seconds: grace,
            ..PodSpec::default()
        }),
        status: None,
    }
}
