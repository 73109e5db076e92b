//! ReplicaSets: as many pods as `spec.replicas` says, no more and no fewer.
//!
//! The cache may not show yet what this controller did a moment ago. [`expectations`] remember what was done, and no pod is
//! created or deleted until the cache has caught up; without that a slow watch would make too many pods.

pub(crate) mod expectations;
mod ranking;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Client;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use self::expectations::Expectations;
use crate::plumbing::claim::{Claim, adopt, claim, may_adopt, release};
use crate::plumbing::events::{Kind, Recorder};
use crate::plumbing::informer::{Change, Key};
use crate::plumbing::objects::{
    available_in, controlled_by, controller, is_active, is_available, is_deleting, is_finished,
    is_ready, reference, seconds, selector, selects, uid,
};
use crate::plumbing::patch::{
    is_code, is_namespace_terminating, message, or_gone, or_gone_any, update_status,
};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

/// A pod with a lower cost goes first when a ReplicaSet shrinks.
pub(crate) const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

const NAME: &str = "replicaset-controller";
/// At most so many pods are created or deleted in one round.
const BURST: usize = 500;
const PARALLEL: usize = 16;

// ---- decide ----

/// What is to be done to the pods.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) create: usize,
    pub(crate) delete: Vec<Arc<Pod>>,
}

/// `active` are the set's pods that count; `related` those of its siblings too (the same Deployment), for the ranking.
pub(crate) fn decide(
    set: &ReplicaSet,
    active: &[Arc<Pod>],
    related: &[Arc<Pod>],
    now: Timestamp,
) -> Plan {
    let wanted = wanted(set);
    if active.len() <= wanted {
        return Plan {
            create: (wanted - active.len()).min(BURST),
            delete: Vec::new(),
        };
    }
    let excess = (active.len() - wanted).min(BURST);
    Plan {
        create: 0,
        delete: ranking::first_to_go(active, related, excess, now),
    }
}

fn wanted(set: &ReplicaSet) -> usize {
    let replicas = set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    usize::try_from(replicas).unwrap_or(0)
}

/// The sizes of the batches in which `count` pods are created: one, then twice as many each time, so that a set whose pods
/// all fail to be created fails once and not five hundred times.
fn batches(count: usize) -> impl Iterator<Item = usize> {
    let mut left = count;
    let mut size = 1;
    std::iter::from_fn(move || {
        let batch = size.min(left);
        left -= batch;
        size *= 2;
        (batch > 0).then_some(batch)
    })
}

/// `failure` is why the last attempt to create or delete failed: the condition's reason and message.
pub(crate) fn status(
    set: &ReplicaSet,
    active: &[Arc<Pod>],
    terminating: usize,
    failure: Option<(&str, String)>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let spec = set.spec.clone().unwrap_or_default();
    let template = spec
        .template
        .and_then(|t| t.metadata)
        .and_then(|m| m.labels)
        .unwrap_or_default();
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let count = |test: &dyn Fn(&Pod) -> bool| {
        i32::try_from(active.iter().filter(|p| test(p)).count()).unwrap_or(i32::MAX)
    };
    let some = |n: i32| (n != 0).then_some(n);
    let labelled = |pod: &Pod| template.iter().all(|(k, v)| pod.labels().get(k) == Some(v));
    let old = set.status.clone().unwrap_or_default();
    let mut conditions = old.conditions.unwrap_or_default();
    match failure {
        None => conditions.retain(|c| c.type_ != "ReplicaFailure"),
        Some((reason, message))
            if !conditions
                .iter()
                .any(|c| c.type_ == "ReplicaFailure" && c.reason.as_deref() == Some(reason)) =>
        {
            conditions.retain(|c| c.type_ != "ReplicaFailure");
            conditions.push(ReplicaSetCondition {
                type_: "ReplicaFailure".into(),
                status: "True".into(),
                reason: Some(reason.into()),
                message: Some(message),
                last_transition_time: Some(Time(seconds(now))),
            });
        }
        Some(_) => {}
    }
    ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: some(count(&labelled)),
        ready_replicas: some(count(&is_ready)),
        available_replicas: some(count(&|p| is_available(p, min_ready, now))),
        terminating_replicas: Some(i32::try_from(terminating).unwrap_or(i32::MAX)),
        observed_generation: set.metadata.generation,
        conditions: (!conditions.is_empty()).then_some(conditions),
    }
}

/// When the next ready pod becomes available, which no watch will tell.
fn next_available(set: &ReplicaSet, active: &[Arc<Pod>], now: Timestamp) -> Option<Duration> {
    let min_ready = set
        .spec
        .as_ref()
        .and_then(|s| s.min_ready_seconds)
        .unwrap_or(0);
    active
        .iter()
        .filter_map(|pod| available_in(pod, min_ready, now))
        .filter(|left| *left > SignedDuration::ZERO)
        .min()
        .map(|left| left.unsigned_abs())
}

pub(crate) fn new_pod(set: &ReplicaSet) -> Option<Pod> {
    let template = set.spec.as_ref()?.template.clone()?;
    let meta = template.metadata.unwrap_or_default();
    Some(Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", set.name_any())),
            namespace: set.namespace(),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![controlled_by(set)?]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    })
}

// ---- act ----

struct Controller {
    shared: Arc<Shared>,
    client: Client,
    events: Recorder,
    queue: Arc<Queue<Key>>,
    expected: Arc<Expectations>,
}

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        events: shared.recorder(&client, NAME),
        client,
        queue: Arc::default(),
        expected: Arc::default(),
    });
    let queue = this.queue.clone();
    shared.replica_sets.on_change(move |change| {
        if let Some(set) = change.latest() {
            queue.add(Key::of(set.as_ref()));
        }
    });
    let on_pod = this.clone();
    shared
        .pods
        .on_change(move |change| on_pod.pod_changed(change));
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        this.shared.replica_sets.wait_synced().await;
        this.shared.pods.wait_synced().await;
        let work = |key| {
            let this = this.clone();
            async move { this.sync(key).await }
        };
        this.queue.run(NAME, 8, shutdown, work).await;
    });
}

impl Controller {
    fn pod_changed(&self, change: &Change<Pod>) {
        let owner = |pod: &Pod| {
            let owner = controller(&pod.metadata)?;
            (owner.kind == "ReplicaSet")
                .then(|| Key::new(pod.namespace().unwrap_or_default(), &owner.name))
        };
        for pod in change.both() {
            if let Some(key) = owner(pod) {
                self.queue.add(key);
            }
        }
        match (&change.old, &change.new) {
            (None, Some(new)) => {
                if let Some(key) = owner(new) {
                    self.expected.saw_created(&key);
                }
            }
            (Some(old), None) => {
                if let Some(key) = owner(old) {
                    self.expected.saw_deleted(&key, uid(&old.metadata));
                }
            }
            _ => {}
        }
        if let Some(new) = &change.new {
            if is_deleting(&new.metadata)
                && let Some(key) = owner(new)
            {
                self.expected.saw_deleted(&key, uid(&new.metadata));
            }
            let relabelled = change.old.as_ref().is_none_or(|old| {
                old.metadata.labels != new.metadata.labels
                    || old.metadata.owner_references != new.metadata.owner_references
            });
            if relabelled && controller(&new.metadata).is_none() {
                self.wake_matching(new);
            }
        }
    }

    /// An orphan may be what a set is looking for.
    fn wake_matching(&self, pod: &Pod) {
        for set in self
            .shared
            .replica_sets
            .in_namespace(&pod.namespace().unwrap_or_default())
        {
            let wants = set.spec.as_ref().and_then(|s| selector(&s.selector));
            if wants.is_some_and(|s| !s.is_empty() && selects(&s, pod.metadata.labels.as_ref())) {
                self.queue.add(Key::of(set.as_ref()));
            }
        }
    }

    async fn sync(&self, key: Key) -> anyhow::Result<()> {
        let Some(set) = self.shared.replica_sets.get(&key.namespace, &key.name) else {
            self.expected.forget(&key);
            return Ok(());
        };
        let may_manage = self.expected.satisfied(&key, uid(&set.metadata));
        if !may_manage {
            self.queue
                .add_after(key.clone(), expectations::PATIENCE + Duration::from_secs(1));
        }
        let mine = self.claim_pods(&set).await?;
        let mut active: Vec<_> = mine.iter().filter(|p| is_active(p)).cloned().collect();
        let terminating = mine
            .iter()
            .filter(|p| is_deleting(&p.metadata) && !is_finished(p))
            .count();
        let mut failure = None;
        if may_manage && !is_deleting(&set.metadata) {
            let plan = decide(&set, &active, &self.related(&set), Timestamp::now());
            failure = self.carry_out(&key, &set, plan).await.err();
        }
        // What was told to go is not counted any more, even if the cache has not seen it going.
        active.retain(|pod| !self.expected.is_going(&key, uid(&pod.metadata)));
        let now = Timestamp::now();
        let said = failure.as_ref().map(|f| (f.reason, message(&f.error)));
        let mut new = (*set).clone();
        new.status = Some(status(&set, &active, terminating, said, now));
        let api = Api::namespaced(self.client.clone(), &key.namespace);
        or_gone_any(update_status(&api, &*set, &new).await)?;
        if let Some(delay) = next_available(&set, &active, now) {
            self.queue.add_after(key, delay + Duration::from_millis(50));
        }
        match failure {
            Some(failure) => {
                Err(anyhow::Error::new(failure.error)
                    .context("cannot bring the pods to their number"))
            }
            None => Ok(()),
        }
    }

    /// The pods that are the set's after adopting and releasing, finished ones and those being deleted included.
    async fn claim_pods(&self, set: &ReplicaSet) -> anyhow::Result<Vec<Arc<Pod>>> {
        let namespace = set.namespace().unwrap_or_default();
        let Some(wants) = set.spec.as_ref().and_then(|s| selector(&s.selector)) else {
            return Ok(Vec::new());
        };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let mut may: Option<bool> = None;
        let mut mine = Vec::new();
        for pod in self.shared.pods.in_namespace(&namespace) {
            match claim(&set.metadata, &wants, &pod.metadata) {
                Claim::Ignore => {}
                Claim::Keep => mine.push(pod),
                Claim::Release => {
                    release(&api, &*pod, uid(&set.metadata)).await?;
                }
                Claim::Adopt if is_finished(&pod) => {}
                Claim::Adopt => {
                    let allowed = match may {
                        Some(allowed) => allowed,
                        None => {
                            may_adopt(&Api::namespaced(self.client.clone(), &namespace), set)
                                .await?
                        }
                    };
                    may = Some(allowed);
                    let Some(owner) = controlled_by(set).filter(|_| allowed) else {
                        continue;
                    };
                    if adopt(&api, &*pod, &owner).await? {
                        mine.push(pod);
                    }
                }
            }
        }
        Ok(mine)
    }

    /// The active pods of the set and of its siblings under the same owner.
    fn related(&self, set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let namespace = set.namespace().unwrap_or_default();
        let owner = controller(&set.metadata).map(|o| o.uid.as_str());
        let siblings: Vec<String> = self
            .shared
            .replica_sets
            .in_namespace(&namespace)
            .iter()
            .filter(|other| {
                other.metadata.uid == set.metadata.uid
                    || owner
                        .is_some_and(|o| controller(&other.metadata).is_some_and(|c| c.uid == o))
            })
            .filter_map(|other| other.uid())
            .collect();
        self.shared
            .pods
            .in_namespace(&namespace)
            .into_iter()
            .filter(|pod| {
                is_active(pod)
                    && controller(&pod.metadata).is_some_and(|c| siblings.contains(&c.uid))
            })
            .collect()
    }

    async fn carry_out(&self, key: &Key, set: &ReplicaSet, plan: Plan) -> Result<(), Failure> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let set_uid = uid(&set.metadata);
        if plan.create > 0 {
            return self.create(&api, key, set, plan.create).await;
        }
        if plan.delete.is_empty() {
            return Ok(());
        }
        self.expected.deleting(
            key,
            set_uid,
            plan.delete.iter().map(|p| uid(&p.metadata).to_owned()),
        );
        let mut results = futures::stream::iter(plan.delete)
            .map(|pod| {
                let api = &api;
                async move {
                    let only = Preconditions {
                        uid: pod.uid(),
                        resource_version: None,
                    };
                    let done = or_gone(
                        api.delete(
                            &pod.name_any(),
                            &DeleteParams::default().preconditions(only),
                        )
                        .await,
                    );
                    (pod, done)
                }
            })
            .buffer_unordered(PARALLEL);
        let mut failure = None;
        while let Some((pod, done)) = results.next().await {
            match done {
                Ok(Some(_)) => {
                    let said = format!("Deleted pod: {}", pod.name_any());
                    self.events
                        .emit(&reference(set), Kind::Normal, "SuccessfulDelete", said);
                }
                // Gone already, or another pod has the name: the watch will say.
                Ok(None) => self.expected.saw_deleted(key, uid(&pod.metadata)),
                Err(error) => {
                    self.expected.saw_deleted(key, uid(&pod.metadata));
                    if !is_code(&error, 409) {
                        let said = format!("Error deleting: {}", message(&error));
                        self.events
                            .emit(&reference(set), Kind::Warning, "FailedDelete", said);
                        failure = Some(Failure {
                            reason: "FailedDelete",
                            error,
                        });
                    }
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn create(
        &self,
        api: &Api<Pod>,
        key: &Key,
        set: &ReplicaSet,
        count: usize,
    ) -> Result<(), Failure> {
        let Some(pod) = new_pod(set) else {
            return Ok(());
        };
        self.expected.creating(key, uid(&set.metadata), count);
        let mut left = count;
        for batch in batches(count) {
            let parameters = PostParams::default();
            let mut results = futures::stream::iter(0..batch)
                .map(|_| api.create(&parameters, &pod))
                .buffer_unordered(PARALLEL);
            let mut failure = None;
            while let Some(result) = results.next().await {
                match result {
                    Ok(made) => {
                        left -= 1;
                        let said = format!("Created pod: {}", made.name_any());
                        self.events
                            .emit(&reference(set), Kind::Normal, "SuccessfulCreate", said);
                    }
                    Err(error) => {
                        left -= 1;
                        self.expected.saw_created(key);
                        failure = Some(error);
                    }
                }
            }
            if let Some(error) = failure {
                for _ in 0..left {
                    self.expected.saw_created(key);
                }
                if is_namespace_terminating(&error) {
                    return Ok(());
                }
                let said = format!("Error creating: {}", message(&error));
                self.events
                    .emit(&reference(set), Kind::Warning, "FailedCreate", said);
                return Err(Failure {
                    reason: "FailedCreate",
                    error,
                });
            }
        }
        Ok(())
    }
}

struct Failure {
    reason: &'static str,
    error: kube::Error,
}

#[cfg(test)]
mod tests;
