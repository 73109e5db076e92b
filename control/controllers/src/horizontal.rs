//! HorizontalPodAutoscalers: the number of replicas of anything that has a `scale` subresource follows its metrics.
//!
//! Each autoscaler is looked at every 15 seconds, since no watch tells of measurements, and when its specification changes; without
//! autoscalers nothing is done. [`replicas`] says what one metric asks for, [`pace`] how fast it may be followed, [`decide`] puts them
//! together. Before changing anything, know that a metric which cannot be had must never scale down.

mod ask;
mod decide;
mod measure;
mod pace;
mod replicas;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::Api;
use minicloud_api::part::Shutdown;
use minicloud_api::selector::LabelSelector;
use tokio::task::JoinSet;

use self::ask::{Asker, Scaled};
use self::decide::{ABLE, Draft, Numbers, numbers};
use self::pace::History;
use self::replicas::Target;
use crate::plumbing::events::{Kind, Recorder};
use crate::plumbing::informer::Key;
use crate::plumbing::objects::{is_deleting, reference, seconds, selects, uid};
use crate::plumbing::patch::{or_gone_any, update_status};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

/// The name of the controller's identity. Its client should try nothing twice: what answers for metrics may be away, and the
/// autoscaler has to say so, not to wait.
pub const NAME: &str = "horizontal-pod-autoscaler";

/// How often an autoscaler looks at its metrics.
const PERIOD: Duration = Duration::from_secs(15);

/// What is remembered of one autoscaler.
struct Memory {
    uid: String,
    history: History,
    /// Which pods it scales.
    selector: Option<LabelSelector>,
}

struct Controller {
    shared: Arc<Shared>,
    client: Client,
    asker: Asker,
    events: Recorder,
    queue: Arc<Queue<Key>>,
    /// As many as there are autoscalers.
    memories: Mutex<HashMap<Key, Memory>>,
}

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        asker: Asker::new(client.clone()),
        events: shared.recorder(&client, NAME),
        client,
        queue: Arc::default(),
        memories: Mutex::default(),
    });
    let queue = this.queue.clone();
    shared.autoscalers.on_change(move |change| {
        // What it writes itself is no reason to look again.
        let spec = |side: &Option<Arc<HorizontalPodAutoscaler>>| {
            side.as_ref().map(|autoscaler| autoscaler.spec.clone())
        };
        if spec(&change.old) != spec(&change.new)
            && let Some(autoscaler) = change.latest()
        {
            queue.add(Key::of(autoscaler.as_ref()));
        }
    });
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        this.shared.autoscalers.wait_synced().await;
        this.shared.pods.wait_synced().await;
        let work = |key| {
            let this = this.clone();
            async move { this.sync(key).await }
        };
        this.queue.run(NAME, 4, shutdown, work).await;
    });
}

impl Controller {
    async fn sync(&self, key: Key) -> anyhow::Result<()> {
        let autoscaler = self.shared.autoscalers.get(&key.namespace, &key.name);
        let autoscaler = autoscaler.filter(|autoscaler| !is_deleting(&autoscaler.metadata));
        let Some(autoscaler) = autoscaler else {
            self.with_memories(|all| all.remove(&key));
            return Ok(());
        };
        self.queue.add_after(key.clone(), PERIOD);
        let mut draft = Draft::of(&autoscaler, Timestamp::now());
        self.look(&key, &autoscaler, &mut draft).await;
        for note in draft.events {
            self.events.emit(
                &reference(&*autoscaler),
                note.kind,
                note.reason,
                note.message,
            );
        }
        let mut new = (*autoscaler).clone();
        new.status = Some(draft.status);
        let api = Api::namespaced(self.client.clone(), &key.namespace);
        or_gone_any(update_status(&api, &*autoscaler, &new).await)
    }

    /// Looks at the target and its metrics, and scales.
    async fn look(&self, key: &Key, autoscaler: &HorizontalPodAutoscaler, draft: &mut Draft) {
        let scaled = match self
            .asker
            .scale(&key.namespace, &autoscaler.spec.scale_target_ref)
            .await
        {
            Ok(scaled) => scaled,
            Err(why) => {
                // It scales nothing, so it is in nobody's way.
                self.with_memories(|all| all.get_mut(key).map(|memory| memory.selector = None));
                return draft.no_scale(&why);
            }
        };
        let message = "the HPA controller was able to get the target's current scale";
        draft.condition(ABLE, true, "SucceededGetScale", message);
        draft.status.current_replicas = Some(scaled.wished);
        self.remember(key, uid(&autoscaler.metadata), &scaled);
        let wanted = match numbers(autoscaler, scaled.wished) {
            Numbers::Disabled => {
                draft.disabled();
                Some((0, String::new()))
            }
            Numbers::Outside(replicas, why) => Some((replicas, why.to_owned())),
            Numbers::Within => self.measure(key, autoscaler, &scaled, draft).await,
        };
        let Some((replicas, why)) = wanted else {
            return;
        };
        draft.status.desired_replicas = replicas;
        if replicas == scaled.wished {
            return;
        }
        match self.asker.set(&key.namespace, &scaled, replicas).await {
            Ok(()) => {
                let now = Timestamp::now();
                let message =
                    format!("the HPA controller was able to update the target scale to {replicas}");
                draft.condition(ABLE, true, "SucceededRescale", &message);
                let message = format!("New size: {replicas}; reason: {why}");
                draft.note(Kind::Normal, "SuccessfulRescale", message);
                draft.status.last_scale_time = Some(Time(seconds(now)));
                self.history(key, |history| history.scaled(scaled.wished, replicas, now));
            }
            Err(error) => {
                draft.status.desired_replicas = scaled.wished;
                let message =
                    format!("the HPA controller was unable to update the target scale: {error}");
                draft.condition(ABLE, false, "FailedUpdateScale", &message);
                let message = format!("New size: {replicas}; reason: {why}; error: {error}");
                draft.note(Kind::Warning, "FailedRescale", message);
            }
        }
    }

    /// How many replicas the metrics ask for, and why; none where they say nothing.
    async fn measure(
        &self,
        key: &Key,
        autoscaler: &HorizontalPodAutoscaler,
        scaled: &Scaled,
        draft: &mut Draft,
    ) -> Option<(i32, String)> {
        let Some(selector) = &scaled.selector else {
            draft.inactive(
                "InvalidSelector",
                "the HPA target's scale is missing a selector",
            );
            return None;
        };
        let pods = self.pods(&key.namespace, selector);
        let others = self.others(key, &pods);
        if !others.is_empty() {
            let message = format!(
                "pods by selector {} are controlled by multiple HPAs: [{}]",
                scaled.selector_text,
                others.join(" ")
            );
            draft.inactive("AmbiguousSelector", &message);
            return None;
        }
        let metrics = decide::metrics(autoscaler);
        let answers = metrics.iter().map(|metric| {
            self.asker
                .measure(metric, &key.namespace, &scaled.selector_text)
        });
        let answers = futures::future::join_all(answers).await;
        // What was asked may have taken its time.
        let target = Target {
            wished: scaled.wished,
            there: scaled.there,
            pods: &pods,
            tolerance: decide::tolerance(autoscaler),
            now: Timestamp::now(),
        };
        self.history(key, |history| {
            decide::measured(draft, autoscaler, &target, answers, history)
        })?
    }

    fn pods(&self, namespace: &str, selector: &LabelSelector) -> Vec<Arc<Pod>> {
        let mut pods = self.shared.pods.in_namespace(namespace);
        pods.retain(|pod| selects(selector, pod.metadata.labels.as_ref()));
        pods
    }

    /// This autoscaler and the others, when one of these pods is scaled by more than one.
    fn others(&self, key: &Key, pods: &[Arc<Pod>]) -> Vec<String> {
        let mut names = self.with_memories(|all| {
            let others = all.iter().filter(|(other, memory)| {
                let selector = memory.selector.as_ref();
                let same = |pod: &Arc<Pod>| {
                    selector.is_some_and(|s| selects(s, pod.metadata.labels.as_ref()))
                };
                *other != key && other.namespace == key.namespace && pods.iter().any(same)
            });
            others
                .map(|(other, _)| other.to_string())
                .collect::<Vec<_>>()
        });
        if !names.is_empty() {
            names.push(key.to_string());
            names.sort();
        }
        names
    }

    /// Begins the memory of an autoscaler; one that was made anew under its name starts anew.
    fn remember(&self, key: &Key, uid: &str, scaled: &Scaled) {
        self.with_memories(|all| {
            let memory = all.entry(key.clone()).or_insert_with(|| Memory {
                uid: uid.to_owned(),
                history: History::default(),
                selector: None,
            });
            if memory.uid != uid {
                memory.uid = uid.to_owned();
                memory.history = History::default();
            }
            memory.selector.clone_from(&scaled.selector);
            memory.history.begin(scaled.wished, Timestamp::now());
        });
    }

    fn history<T>(&self, key: &Key, act: impl FnOnce(&mut History) -> T) -> Option<T> {
        self.with_memories(|all| all.get_mut(key).map(|memory| act(&mut memory.history)))
    }

    fn with_memories<T>(&self, act: impl FnOnce(&mut HashMap<Key, Memory>) -> T) -> T {
        act(&mut self.memories.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
