//! The one task that keeps the picture of the cluster, decides, and has the decisions written.
//!
//! Decisions are taken only when no news is waiting, so they see the latest that there is. Writes run beside; how many at a
//! time is limited, and what they come to is news too.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt};
use minicloud_api::part::Shutdown;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::Config;
use crate::bind;
use crate::cluster::{ClaimKey, Cluster};
use crate::decide::decide;
use crate::filter::Rule;
use crate::node::NodeSpec;
use crate::pod::{PodInfo, is_finished, is_gated, scheduler_name};
use crate::queue::{Queue, Told};
use crate::volumes::{Claim, Class, Plan, Volume};

/// How many pods may be in the middle of being bound or told about.
const PARALLEL_WRITES: usize = 64;
/// How many decisions are taken before looking for news again.
const DECISIONS_AT_ONCE: usize = 16;
/// How long a pod waits for its volumes before it is tried anew.
const VOLUME_PATIENCE: Duration = Duration::from_secs(600);

// One value exists at a time and is taken apart at once; a box per event would only cost.
#[allow(clippy::large_enum_variant)]
enum News {
    Pod(Event<Pod>),
    Node(Event<Node>),
    Claim(Event<PersistentVolumeClaim>),
    Volume(Event<PersistentVolume>),
    Class(Event<StorageClass>),
    Namespace(Event<PartialObjectMeta<Namespace>>),
}

/// What a write came to.
enum Outcome {
    Bound {
        uid: String,
        error: Option<kube::Error>,
    },
    VolumesAsked {
        uid: String,
        error: Option<kube::Error>,
    },
    Told {
        uid: String,
        told: Told,
    },
}

/// A pod that is assumed on a node and not bound yet.
struct Pending {
    pod: Arc<PodInfo>,
    node: String,
    plan: Plan,
    attempts: u32,
    /// Its volumes were asked for and may come.
    asked: bool,
    /// The binding is on its way: there is no way back but its failure.
    binding: bool,
    /// Claims whose selected node the cache has shown.
    confirmed: HashSet<ClaimKey>,
    deadline: Instant,
}

struct Actor {
    config: Config,
    cluster: Cluster,
    queue: Queue,
    pending: HashMap<String, Pending>,
    writes: FuturesUnordered<BoxFuture<'static, Outcome>>,
    /// What a running first list has shown so far, by kind.
    listed: HashMap<&'static str, HashSet<String>>,
    synced: HashSet<&'static str>,
}

/// Runs until shutdown.
pub(crate) async fn run(config: Config, mut shutdown: Shutdown) -> anyhow::Result<()> {
    let mut news = watches(&config);
    let mut actor = Actor {
        config,
        cluster: Cluster::default(),
        queue: Queue::default(),
        pending: HashMap::new(),
        writes: FuturesUnordered::new(),
        listed: HashMap::new(),
        synced: HashSet::new(),
    };
    loop {
        let now = Instant::now();
        let ready = actor.may_decide() && actor.queue.has_ready(now);
        let due = actor.next_due();
        tokio::select! {
            biased;
            () = shutdown.wait() => return Ok(()),
            item = news.next() => match item {
                Some(item) => actor.hear(item),
                None => anyhow::bail!("the scheduler's watches have ended"),
            },
            Some(outcome) = actor.writes.next() => actor.written(outcome),
            () = std::future::ready(()), if ready => actor.decide_some(),
            () = sleep_until(due), if due.is_some() && !ready => actor.expire(Instant::now()),
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn watches(config: &Config) -> futures::stream::SelectAll<BoxStream<'static, News>> {
    let client = &config.client;
    futures::stream::select_all([
        watch(Api::all(client.clone()), News::Pod),
        watch(Api::all(client.clone()), News::Node),
        watch(Api::all(client.clone()), News::Claim),
        watch(Api::all(client.clone()), News::Volume),
        watch(Api::all(client.clone()), News::Class),
        watch(Api::all(client.clone()), News::Namespace),
    ])
}

fn watch<K>(api: Api<K>, wrap: fn(Event<K>) -> News) -> BoxStream<'static, News>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let what = api.resource_url().to_owned();
    results(
        watcher(api, watcher::Config::default()).default_backoff(),
        what,
    )
    .map(wrap)
    .boxed()
}

fn results<K: Send + 'static>(
    stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    what: String,
) -> impl Stream<Item = Event<K>> + Send {
    stream.filter_map(move |item| {
        let event = match item {
            Ok(event) => Some(event),
            Err(error) if matches!(error, watcher::Error::WatchFailed(_)) => {
                debug!(%what, %error, "watch ended, starting it again");
                None
            }
            Err(error) => {
                warn!(%what, %error, "cannot watch, trying again");
                None
            }
        };
        std::future::ready(event)
    })
}

impl Actor {
    fn may_decide(&self) -> bool {
        self.synced.len() == 6 && self.writes.len() < PARALLEL_WRITES
    }

    fn next_due(&self) -> Option<Instant> {
        let volumes = self
            .pending
            .values()
            .filter(|p| !p.binding)
            .map(|p| p.deadline)
            .min();
        let queue = self.queue.next_due().filter(|_| self.may_decide());
        [volumes, queue].into_iter().flatten().min()
    }

    // ---- news ----

    fn hear(&mut self, news: News) {
        match news {
            News::Pod(event) => self.each(
                "pods",
                event,
                |pod: &Pod| pod.uid().unwrap_or_default(),
                Self::pod,
                |this, pod| {
                    this.pod_gone(&pod.uid().unwrap_or_default());
                },
            ),
            News::Node(event) => self.each(
                "nodes",
                event,
                ResourceExt::name_any,
                Self::node,
                |this, node| {
                    this.cluster.remove_node(&node.name_any());
                    this.queue.wake(&[Rule::Pods], Instant::now());
                },
            ),
            News::Claim(event) => self.each(
                "claims",
                event,
                |c: &PersistentVolumeClaim| claim_id(&claim_key(c)),
                Self::claim,
                |this, claim| {
                    this.cluster.claims.remove(&claim_key(&claim));
                    this.volumes_changed();
                },
            ),
            News::Volume(event) => self.each(
                "volumes",
                event,
                ResourceExt::name_any,
                Self::volume,
                |this, volume| {
                    this.cluster.volumes.remove(&volume.name_any());
                    this.volumes_changed();
                },
            ),
            News::Class(event) => self.each(
                "classes",
                event,
                ResourceExt::name_any,
                |this, class| {
                    this.cluster
                        .classes
                        .insert(class.name_any(), Class::read(&class));
                    this.volumes_changed();
                },
                |this, class| {
                    this.cluster.classes.remove(&class.name_any());
                },
            ),
            News::Namespace(event) => self.each(
                "namespaces",
                event,
                ResourceExt::name_any,
                |this, namespace| {
                    let labels = namespace.metadata.labels.clone().unwrap_or_default();
                    if this
                        .cluster
                        .namespaces
                        .insert(namespace.name_any(), labels.clone())
                        != Some(labels)
                    {
                        this.queue.wake(&[Rule::Pods], Instant::now());
                    }
                },
                |this, namespace| {
                    this.cluster.namespaces.remove(&namespace.name_any());
                },
            ),
        }
    }

    /// Sorts one kind's event into "is there" and "is gone"; after a list, what it did not show is gone.
    fn each<K>(
        &mut self,
        kind: &'static str,
        event: Event<K>,
        id: impl Fn(&K) -> String,
        there: impl Fn(&mut Self, K),
        gone: impl Fn(&mut Self, K),
    ) {
        match event {
            Event::Init => {
                self.listed.insert(kind, HashSet::new());
            }
            Event::InitApply(object) => {
                self.listed.entry(kind).or_default().insert(id(&object));
                there(self, object);
            }
            Event::InitDone => {
                let listed = self.listed.remove(kind).unwrap_or_default();
                self.forget_unlisted(kind, &listed);
                self.synced.insert(kind);
            }
            Event::Apply(object) => there(self, object),
            Event::Delete(object) => gone(self, object),
        }
    }

    fn forget_unlisted(&mut self, kind: &str, listed: &HashSet<String>) {
        match kind {
            "pods" => {
                let on_nodes = self
                    .cluster
                    .nodes
                    .values()
                    .flat_map(|node| node.pods.keys().cloned());
                let known: HashSet<String> = on_nodes.chain(self.queue.uids()).collect();
                for uid in known.difference(listed) {
                    self.pod_gone(uid);
                }
            }
            "nodes" => {
                let known: Vec<String> = self
                    .cluster
                    .known_nodes()
                    .map(|(node, _)| node.name.clone())
                    .collect();
                for name in known.iter().filter(|name| !listed.contains(*name)) {
                    self.cluster.remove_node(name);
                }
            }
            "claims" => self
                .cluster
                .claims
                .retain(|key, _| listed.contains(&claim_id(key))),
            "volumes" => self.cluster.volumes.retain(|name, _| listed.contains(name)),
            "classes" => self.cluster.classes.retain(|name, _| listed.contains(name)),
            "namespaces" => self
                .cluster
                .namespaces
                .retain(|name, _| listed.contains(name)),
            _ => {}
        }
    }

    fn pod(&mut self, pod: Pod) {
        let uid = pod.uid().unwrap_or_default();
        if is_finished(&pod) {
            return self.pod_gone(&uid);
        }
        let now = Instant::now();
        let info = PodInfo::read(&pod);
        if !info.node_name.is_empty() {
            self.queue.remove(&uid);
            self.settle(&uid);
            let same = self.cluster.pod(&uid).is_some_and(|there| **there == info);
            if !same {
                self.cluster.place(Arc::new(info));
                self.queue.wake(&[Rule::Pods], now);
            }
            return;
        }
        if self.pending.contains_key(&uid) {
            return;
        }
        if scheduler_name(&pod) != self.config.scheduler_name || info.deleting || is_gated(&pod) {
            self.queue.remove(&uid);
            return;
        }
        self.queue.put(info, now);
    }

    fn pod_gone(&mut self, uid: &str) {
        self.queue.remove(uid);
        self.settle(uid);
        if self.cluster.remove_pod(uid) {
            self.queue.wake(&[Rule::Room, Rule::Pods], Instant::now());
        }
    }

    fn node(&mut self, node: Node) {
        if self
            .cluster
            .set_node(&node.name_any(), NodeSpec::read(&node))
        {
            self.queue.wake(
                &[Rule::Node, Rule::Room, Rule::Pods, Rule::Volumes],
                Instant::now(),
            );
        }
    }

    fn claim(&mut self, claim: PersistentVolumeClaim) {
        let (key, new) = (claim_key(&claim), Claim::read(&claim));
        if self.cluster.claims.get(&key) != Some(&new) {
            self.cluster.claims.insert(key, new);
            self.volumes_changed();
        }
    }

    fn volume(&mut self, volume: PersistentVolume) {
        let (name, new) = (volume.name_any(), Volume::read(&volume));
        if self.cluster.volumes.get(&name) != Some(&new) {
            self.cluster.volumes.insert(name, new);
            self.volumes_changed();
        }
    }

    fn volumes_changed(&mut self) {
        self.queue.wake(&[Rule::Volumes], Instant::now());
        let uids: Vec<String> = self.pending.keys().cloned().collect();
        for uid in uids {
            self.check_volumes(&uid);
        }
    }

    // ---- decisions ----

    fn decide_some(&mut self) {
        for _ in 0..DECISIONS_AT_ONCE {
            if !self.may_decide() {
                return;
            }
            let now = Instant::now();
            let Some(pod) = self.queue.pop(now) else {
                return;
            };
            match decide(&pod, &self.cluster) {
                Ok(choice) => self.assume(pod, choice.node, choice.volumes, now),
                Err(refused) => {
                    debug!(pod = pod.path(), message = refused.message, "unschedulable");
                    self.queue.sleep(&pod.uid, refused.rules, now);
                    let (client, told) = (self.config.client.clone(), self.queue.told(&pod.uid));
                    self.writes.push(
                        async move {
                            let told =
                                bind::tell_unschedulable(client, &pod, refused.message, told).await;
                            Outcome::Told {
                                uid: pod.uid.clone(),
                                told,
                            }
                        }
                        .boxed(),
                    );
                }
            }
        }
    }

    /// From now on the pod counts as being on the node.
    fn assume(&mut self, pod: Arc<PodInfo>, node: String, plan: Plan, now: Instant) {
        let attempts = self.queue.attempts(&pod.uid);
        self.queue.remove(&pod.uid);
        self.cluster.place(Arc::new(PodInfo {
            node_name: node.clone(),
            ..(*pod).clone()
        }));
        for (claim, volume) in &plan.bind {
            self.cluster.promised.insert(volume.clone(), claim.clone());
        }
        let uid = pod.uid.clone();
        let no_volumes = plan.is_empty();
        let pending = Pending {
            pod,
            node: node.clone(),
            plan: plan.clone(),
            attempts,
            asked: no_volumes,
            binding: false,
            confirmed: HashSet::new(),
            deadline: now + VOLUME_PATIENCE,
        };
        self.pending.insert(uid.clone(), pending);
        if no_volumes {
            return self.bind(&uid);
        }
        let client = self.config.client.clone();
        self.writes.push(
            async move {
                let error = bind::ask_for_volumes(client, &plan, &node).await.err();
                Outcome::VolumesAsked { uid, error }
            }
            .boxed(),
        );
    }

    fn bind(&mut self, uid: &str) {
        let Some(pending) = self.pending.get_mut(uid) else {
            return;
        };
        pending.binding = true;
        let (client, pod, node) = (
            self.config.client.clone(),
            pending.pod.clone(),
            pending.node.clone(),
        );
        self.writes.push(
            async move {
                let error = bind::bind(client, &pod, &node).await.err();
                Outcome::Bound {
                    uid: pod.uid.clone(),
                    error,
                }
            }
            .boxed(),
        );
    }

    /// Binds a pod whose volumes are all there; takes back a decision that its volumes have overtaken.
    fn check_volumes(&mut self, uid: &str) {
        let Some(pending) = self.pending.get_mut(uid).filter(|p| p.asked && !p.binding) else {
            return;
        };
        let mut all_bound = true;
        let mut overtaken = None;
        for name in &pending.pod.claims {
            let key = (pending.pod.namespace.clone(), name.clone());
            match self.cluster.claims.get(&key) {
                None => overtaken = Some("a claim was deleted"),
                Some(claim)
                    if claim.is_bound()
                        && self.cluster.volumes.contains_key(&claim.volume_name) => {}
                Some(claim) => {
                    all_bound = false;
                    if claim.selected_node.as_deref() == Some(&pending.node) {
                        pending.confirmed.insert(key);
                    } else if pending.confirmed.contains(&key) && !claim.is_bound() {
                        overtaken = Some("the provisioner gave the node up");
                    }
                }
            }
        }
        if let Some(why) = overtaken {
            self.take_back(uid, why);
        } else if all_bound {
            // The volume that came may not be the one that was asked for.
            let pending = &self.pending[uid];
            let fits = crate::volumes::wanted(&pending.pod, &self.cluster).is_ok_and(|wanted| {
                let node = self
                    .cluster
                    .nodes
                    .get(&pending.node)
                    .and_then(|n| n.spec.as_ref());
                node.is_some_and(|spec| {
                    wanted
                        .on_node(&self.cluster, &pending.node, &spec.labels)
                        .is_ok()
                })
            });
            if fits {
                self.bind(uid)
            } else {
                self.take_back(uid, "a volume does not reach the node")
            }
        }
    }

    /// The assumption did not come true: the pod is tried again.
    fn take_back(&mut self, uid: &str, why: &str) {
        let Some(pending) = self.settle(uid) else {
            return;
        };
        info!(
            pod = pending.pod.path(),
            node = pending.node,
            why,
            "could not place the pod, trying again"
        );
        self.cluster.remove_pod(uid);
        let now = Instant::now();
        self.queue.retry(pending.pod, pending.attempts, now);
        self.queue.wake(&[Rule::Room, Rule::Pods], now);
    }

    /// The pod is not pending any more, for better or worse.
    fn settle(&mut self, uid: &str) -> Option<Pending> {
        let pending = self.pending.remove(uid)?;
        for (_, volume) in &pending.plan.bind {
            self.cluster.promised.remove(volume);
        }
        Some(pending)
    }

    fn written(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Told { uid, told } => self.queue.set_told(&uid, told),
            Outcome::Bound { error: None, .. } => {
                // It stays assumed until the watch shows it bound.
            }
            Outcome::Bound {
                uid,
                error: Some(error),
            } => match error {
                kube::Error::Api(status) if status.code == 404 => self.pod_gone(&uid),
                error => self.take_back(&uid, &error.to_string()),
            },
            Outcome::VolumesAsked { uid, error: None } => {
                if let Some(pending) = self.pending.get_mut(&uid) {
                    pending.asked = true;
                }
                self.check_volumes(&uid);
            }
            Outcome::VolumesAsked {
                uid,
                error: Some(error),
            } => self.take_back(&uid, &error.to_string()),
        }
    }

    fn expire(&mut self, now: Instant) {
        let late = self
            .pending
            .iter()
            .filter(|(_, p)| !p.binding && p.deadline <= now);
        let late: Vec<String> = late.map(|(uid, _)| uid.clone()).collect();
        for uid in late {
            self.take_back(&uid, "binding volumes: timed out waiting for the condition");
        }
    }
}

fn claim_key(claim: &PersistentVolumeClaim) -> ClaimKey {
    (claim.namespace().unwrap_or_default(), claim.name_any())
}

fn claim_id(key: &ClaimKey) -> String {
    format!("{}/{}", key.0, key.1)
}
