//! Deployments: a ReplicaSet per version of the pod template, and pods moved from the old ones to the new one.
//!
//! One sync takes one step and the watches bring the next. A step decided on an old picture does no harm: ReplicaSets are
//! written with the version that was seen, and a new one's name follows from its template.

mod conditions;
pub(crate) mod model;
pub(crate) mod rollout;
mod written;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use self::rollout::{Action, decide};
use self::written::Written;
use crate::plumbing::claim::{Claim, adopt, claim, may_adopt, release};
use crate::plumbing::events::{Kind, Recorder};
use crate::plumbing::informer::{Change, Key};
use crate::plumbing::objects::{
    controlled_by, controller, is_controlled_by, is_finished, reference, selector, selects, uid,
};
use crate::plumbing::patch::{
    is_code, is_namespace_terminating, message, or_gone, update, update_status,
};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

const NAME: &str = "deployment-controller";

// ---- act ---- (what is decided is in `rollout`)

struct Controller {
    shared: Arc<Shared>,
    client: Client,
    events: Recorder,
    queue: Arc<Queue<Key>>,
    written: Written,
}

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        events: shared.recorder(&client, NAME),
        client,
        queue: Arc::default(),
        written: Written::default(),
    });
    let queue = this.queue.clone();
    shared.deployments.on_change(move |change| {
        if let Some(deployment) = change.latest() {
            queue.add(Key::of(deployment.as_ref()));
        }
    });
    let on_set = this.clone();
    shared
        .replica_sets
        .on_change(move |change| on_set.set_changed(change));
    let on_pod = this.clone();
    shared.pods.on_change(move |change| {
        // Only Recreate waits for pods themselves: until the old ones are gone.
        if let (Some(old), None) = (&change.old, &change.new)
            && let Some(set) = controller(&old.metadata).filter(|o| o.kind == "ReplicaSet")
            && let Some(set) = on_pod
                .shared
                .replica_sets
                .get(&old.namespace().unwrap_or_default(), &set.name)
            && let Some(key) = owner_key(&set)
        {
            on_pod.queue.add(key);
        }
    });
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        this.shared.deployments.wait_synced().await;
        this.shared.replica_sets.wait_synced().await;
        this.shared.pods.wait_synced().await;
        let work = |key| {
            let this = this.clone();
            async move { this.sync(key).await }
        };
        this.queue.run(NAME, 8, shutdown, work).await;
    });
}

fn owner_key(set: &ReplicaSet) -> Option<Key> {
    let owner = controller(&set.metadata)?;
    (owner.kind == "Deployment").then(|| Key::new(set.namespace().unwrap_or_default(), &owner.name))
}

impl Controller {
    fn set_changed(&self, change: &Change<ReplicaSet>) {
        for set in change.both() {
            if let Some(key) = owner_key(set) {
                self.queue.add(key);
            }
        }
        if let Some(new) = &change.new
            && controller(&new.metadata).is_none()
        {
            for deployment in self
                .shared
                .deployments
                .in_namespace(&new.namespace().unwrap_or_default())
            {
                let wants = deployment.spec.as_ref().and_then(|s| selector(&s.selector));
                if wants.is_some_and(|s| !s.is_empty() && selects(&s, new.metadata.labels.as_ref()))
                {
                    self.queue.add(Key::of(deployment.as_ref()));
                }
            }
        }
    }

    async fn sync(&self, key: Key) -> anyhow::Result<()> {
        let Some(deployment) = self.shared.deployments.get(&key.namespace, &key.name) else {
            return Ok(());
        };
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &key.namespace);
        let Some(wants) = deployment
            .spec
            .as_ref()
            .and_then(|s| selector(&s.selector))
            .filter(|s| !s.is_empty())
        else {
            let said = "This deployment is selecting all pods. A non-empty selector is required.";
            self.events.emit(
                &reference(&*deployment),
                Kind::Warning,
                "SelectingAll",
                said,
            );
            return Ok(());
        };
        let version = |name: &str| {
            self.shared
                .replica_sets
                .get(&key.namespace, name)?
                .resource_version()
        };
        if let Some(wait) = self
            .written
            .behind(&key.namespace, &format!("{}-", key.name), version)
        {
            // The watch brings it, and with it the next sync.
            self.queue.add_after(key, wait);
            return Ok(());
        }
        let sets = self.claim_sets(&api, &deployment, &wants).await?;
        let alive = self.with_live_pods(&key.namespace, &sets);
        let decision = decide(&deployment, &sets, &alive, Timestamp::now());
        let about = reference(&*deployment);
        let mut current = (*deployment).clone();
        for action in decision.actions {
            match action {
                Action::Create(set) => {
                    if let Err(error) = self.create_set(&api, &current, &set).await? {
                        if is_namespace_terminating(&error) {
                            return Ok(());
                        }
                        let said = format!(
                            "Failed to create new replica set {:?}: {}",
                            set.name_any(),
                            message(&error)
                        );
                        self.events.emit(
                            &about,
                            Kind::Warning,
                            conditions::CREATE_ERROR,
                            said.clone(),
                        );
                        let mut failed = current.clone();
                        conditions::creation_failed(&mut failed, said, Timestamp::now());
                        update_status(&api, &current, &failed).await?;
                        return Err(
                            anyhow::Error::new(error).context("cannot create the new ReplicaSet")
                        );
                    }
                }
                Action::Update(change) => {
                    let sets: Api<ReplicaSet> =
                        Api::namespaced(self.client.clone(), &key.namespace);
                    if let Some(written) = update(&sets, &change.old, &change.new).await? {
                        self.written.note(
                            Key::of(&written),
                            written.metadata.resource_version.as_deref(),
                        );
                    }
                }
                Action::Delete(set) => {
                    let sets: Api<ReplicaSet> =
                        Api::namespaced(self.client.clone(), &key.namespace);
                    let only = Preconditions {
                        uid: set.uid(),
                        resource_version: set.resource_version(),
                    };
                    or_gone(
                        sets.delete(
                            &set.name_any(),
                            &DeleteParams::background().preconditions(only),
                        )
                        .await,
                    )?;
                }
                Action::Revision(revision) => {
                    let mut new = current.clone();
                    new.annotations_mut()
                        .insert(model::REVISION.into(), revision);
                    if let Some(written) = update(&api, &current, &new).await? {
                        current.metadata.resource_version = written.metadata.resource_version;
                        current.metadata.annotations = new.metadata.annotations;
                    }
                }
                Action::Tell(said) => {
                    self.events
                        .emit(&about, Kind::Normal, "ScalingReplicaSet", said)
                }
            }
        }
        let mut new = current.clone();
        new.status = Some(decision.status);
        update_status(&api, &current, &new).await?;
        if let Some(delay) = decision.again {
            self.queue
                .add_after(key, delay.max(Duration::from_millis(100)));
        }
        Ok(())
    }

    /// Creates the set for the deployment's template. One of that name which is ours with the same template is as good;
    /// any other is a collision of hashes, which the collision count in the status resolves with the next sync.
    async fn create_set(
        &self,
        api: &Api<Deployment>,
        deployment: &Deployment,
        set: &ReplicaSet,
    ) -> anyhow::Result<Result<(), kube::Error>> {
        let sets: Api<ReplicaSet> =
            Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
        let error = match sets.create(&PostParams::default(), set).await {
            Ok(made) => {
                self.written
                    .note(Key::of(&made), made.metadata.resource_version.as_deref());
                return Ok(Ok(()));
            }
            Err(error) if is_code(&error, 409) => error,
            Err(error) => return Ok(Err(error)),
        };
        let Some(there) = sets.get_opt(&set.name_any()).await? else {
            return Err(error.into());
        };
        if is_controlled_by(&there.metadata, uid(&deployment.metadata))
            && model::same_template(deployment, &there)
        {
            // The cache has not shown it yet.
            return Err(error.into());
        }
        let mut new = deployment.clone();
        let status = new.status.get_or_insert_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0).saturating_add(1));
        update_status(api, deployment, &new).await?;
        Err(error.into())
    }

    async fn claim_sets(
        &self,
        deployments: &Api<Deployment>,
        deployment: &Deployment,
        wants: &minicloud_api::selector::LabelSelector,
    ) -> anyhow::Result<Vec<ReplicaSet>> {
        let namespace = deployment.namespace().unwrap_or_default();
        let api: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &namespace);
        let mut mine = Vec::new();
        for set in self.shared.replica_sets.in_namespace(&namespace) {
            match claim(&deployment.metadata, wants, &set.metadata) {
                Claim::Ignore => {}
                Claim::Keep => mine.push((*set).clone()),
                Claim::Release => {
                    release(&api, &*set, uid(&deployment.metadata)).await?;
                }
                Claim::Adopt => {
                    if let Some(owner) = controlled_by(deployment)
                        && may_adopt(deployments, deployment).await?
                    {
                        // The watch brings it back with its new version.
                        adopt(&api, &*set, &owner).await?;
                    }
                }
            }
        }
        Ok(mine)
    }

    /// The UIDs of those sets that still have a pod which has not finished.
    fn with_live_pods(&self, namespace: &str, sets: &[ReplicaSet]) -> HashSet<String> {
        let pods = self.shared.pods.in_namespace(namespace);
        pods.iter()
            .filter(|pod| !is_finished(pod))
            .filter_map(|pod| controller(&pod.metadata))
            .filter(|owner| sets.iter().any(|set| uid(&set.metadata) == owner.uid))
            .map(|owner| owner.uid.clone())
            .collect()
    }
}
