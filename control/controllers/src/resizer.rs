//! Resizers (minicloud.io/v1): what a container requests grows with the number of nodes. For what is there once and has more to do
//! the larger the cluster is, such as what collects from every node.
//!
//! A change of requests replaces the target's pods, so one knows: nothing is written while what is requested is within the
//! tolerance of what it should be.

mod definition;
mod kind;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use minicloud_api::part::Shutdown;
use minicloud_api::quantity::Quantity;
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub use definition::definition;
pub(crate) use kind::Resizer;

use self::kind::{Limits, Spec, Status, Text};
use crate::plumbing::discovery::Resources;
use crate::plumbing::events::{Kind, Recorder};
use crate::plumbing::informer::Key;
use crate::plumbing::objects::{is_deleting, reference, seconds};
use crate::plumbing::patch::{is_code, message, or_gone_any, update_status};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

const NAME: &str = "resizer-controller";
/// When a target that could not be resized is looked at again: no watch tells of every kind.
const AGAIN: Duration = Duration::from_secs(300);

// ---- decide ----

type Amounts = BTreeMap<String, Quantity>;

/// What a container should request in a cluster of so many nodes.
///
/// # Errors
/// The field that is no quantity.
fn wanted(spec: &Spec, nodes: usize) -> Result<Amounts, String> {
    let nodes = i64::try_from(nodes).unwrap_or(i64::MAX);
    let each = spec.resources.iter().map(|(name, amount)| {
        let read = |field: &str, text: &Text| {
            let text = match text {
                Text::Number(number) => number.to_string(),
                Text::Text(text) => text.clone(),
            };
            text.parse::<Quantity>()
                .map_err(|error| format!("spec.resources.{name}.{field}: {text:?}: {error}"))
        };
        let sum = read("base", &amount.base)? + read("perNode", &amount.per_node)? * nodes;
        // Nobody can be given less than a thousandth of a processor.
        let sum = match name.as_str() {
            "cpu" => Quantity::from_millis(sum.millis()),
            _ => sum,
        };
        Ok((name.clone(), sum))
    });
    each.collect()
}

/// What is to be done to a target.
#[derive(Debug, PartialEq)]
enum Decision {
    /// It is within the tolerance.
    Fits,
    /// The container's resources become this, as a strategic merge patch.
    Resize(Value),
    /// There is no such container.
    NoContainer,
}

fn decide(target: &Value, spec: &Spec, wanted: &Amounts) -> Decision {
    let containers = target.pointer("/spec/template/spec/containers");
    let containers = containers.and_then(Value::as_array).into_iter().flatten();
    let mut named = containers.filter(|c| c["name"] == spec.container.as_str());
    let Some(container) = named.next() else {
        return Decision::NoContainer;
    };
    let fits = |of: &str| {
        wanted.iter().all(|(name, wanted)| {
            let now = container["resources"][of][name].as_str();
            let now = now.and_then(|text| text.parse::<Quantity>().ok());
            now.is_some_and(|now| {
                let off = (now.as_f64() - wanted.as_f64()).abs();
                off <= wanted.as_f64() * f64::from(spec.tolerance_percent) / 100.0
            })
        })
    };
    if fits("requests") && (spec.limits == Limits::Keep || fits("limits")) {
        return Decision::Fits;
    }
    let amounts = texts(wanted);
    let resources = match spec.limits {
        Limits::Keep => json!({ "requests": amounts }),
        Limits::Follow => json!({ "requests": amounts, "limits": amounts }),
    };
    let container = json!({ "name": spec.container, "resources": resources });
    Decision::Resize(json!({ "spec": { "template": { "spec": { "containers": [container] } } } }))
}

fn texts(amounts: &Amounts) -> BTreeMap<String, String> {
    let each = amounts.iter();
    each.map(|(name, amount)| (name.clone(), amount.to_string()))
        .collect()
}

/// The condition Ready; it changed when its status did.
fn ready(old: &[Condition], holds: bool, reason: &str, message: &str, now: Timestamp) -> Condition {
    let status = if holds { "True" } else { "False" };
    let before = old
        .iter()
        .find(|c| c.type_ == "Ready" && c.status == status);
    Condition {
        type_: "Ready".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: before.map_or(Time(seconds(now)), |c| c.last_transition_time.clone()),
        observed_generation: None,
    }
}

// ---- act ----

struct Controller {
    shared: Arc<Shared>,
    client: Client,
    resources: Resources,
    events: Recorder,
    queue: Arc<Queue<Key>>,
}

/// How it went with a target: whether all is well, a reason and a message.
type Outcome = (bool, &'static str, String);

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        resources: Resources::new(client.clone()),
        events: shared.recorder(&client, NAME),
        client,
        queue: Arc::default(),
    });
    let queue = this.queue.clone();
    shared.resizers.on_change(move |change| {
        let spec = |side: &Option<Arc<Resizer>>| side.as_ref().map(|resizer| resizer.spec.clone());
        if let Some(resizer) = &change.new
            && spec(&change.old) != spec(&change.new)
        {
            queue.add(Key::of(resizer.as_ref()));
        }
    });
    let on_node = this.clone();
    shared.nodes.on_change(move |change| {
        // Only how many there are matters, not how they are.
        if change.old.is_none() || change.new.is_none() {
            on_node.wake(|_| true);
        }
    });
    let on_deployment = this.clone();
    shared.deployments.on_change(move |change| {
        let Some(deployment) = &change.new else {
            return;
        };
        let same = change
            .old
            .as_ref()
            .is_some_and(|old| old.spec == deployment.spec);
        let key = Key::of(deployment.as_ref());
        if !same {
            on_deployment.wake(|resizer| {
                let target = &resizer.spec.target;
                target.kind == "Deployment"
                    && Key::new(
                        resizer.metadata.namespace.as_deref().unwrap_or_default(),
                        &target.name,
                    ) == key
            });
        }
    });
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        this.shared.resizers.wait_synced().await;
        this.shared.nodes.wait_synced().await;
        let work = |key| {
            let this = this.clone();
            async move { this.sync(key).await }
        };
        this.queue.run(NAME, 2, shutdown, work).await;
    });
}

impl Controller {
    fn wake(&self, which: impl Fn(&Resizer) -> bool) {
        let all = self.shared.resizers.all();
        for resizer in all.iter().filter(|resizer| which(resizer)) {
            self.queue.add(Key::of(resizer.as_ref()));
        }
    }

    async fn sync(&self, key: Key) -> anyhow::Result<()> {
        let resizer = self.shared.resizers.get(&key.namespace, &key.name);
        let Some(resizer) = resizer.filter(|resizer| !is_deleting(&resizer.metadata)) else {
            return Ok(());
        };
        // The cache is filled before it is said to be: a count that is too small would replace pods for nothing.
        self.shared.nodes.wait_synced().await;
        let nodes = self.shared.nodes.all();
        let nodes = nodes
            .iter()
            .filter(|node| !is_deleting(&node.metadata))
            .count();
        let old = resizer.status.clone().unwrap_or_default();
        let mut status = Status {
            observed_generation: resizer.metadata.generation,
            nodes: i64::try_from(nodes).unwrap_or(i64::MAX),
            ..Status::default()
        };
        let (well, reason, said) = match wanted(&resizer.spec, nodes) {
            Ok(amounts) => {
                status.requests = texts(&amounts);
                self.resize(&key, &resizer, &amounts).await?
            }
            Err(why) => (false, "InvalidQuantity", why),
        };
        if !well {
            self.queue.add_after(key.clone(), AGAIN);
        }
        status.conditions = vec![ready(
            &old.conditions,
            well,
            reason,
            &said,
            Timestamp::now(),
        )];
        let mut new = (*resizer).clone();
        new.status = Some(status);
        let api = Api::namespaced(self.client.clone(), &key.namespace);
        or_gone_any(update_status(&api, &*resizer, &new).await)
    }

    /// Resizes the target where it has to be. What the API refuses is an outcome; that it cannot be asked is an error, and is tried
    /// again.
    async fn resize(
        &self,
        key: &Key,
        resizer: &Resizer,
        amounts: &Amounts,
    ) -> anyhow::Result<Outcome> {
        let spec = &resizer.spec;
        let target = &spec.target;
        let version = Some(target.api_version.as_str());
        let (resource, _) = match self.resources.find(version, &target.kind).await {
            Ok(found) => found,
            Err(why) => return Ok((false, "TargetNotFound", why)),
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource);
        let refused = |error: kube::Error, reason| match &error {
            kube::Error::Api(status)
                if (400..500).contains(&status.code) && !matches!(status.code, 409 | 429) =>
            {
                Ok((false, reason, message(&error)))
            }
            _ => Err(anyhow::Error::new(error).context("cannot resize the target")),
        };
        let object = match api.get(&target.name).await {
            Ok(object) => object,
            Err(error) => {
                if is_code(&error, 404) {
                    self.resources.forget(version, &target.kind);
                }
                return refused(error, "TargetNotFound");
            }
        };
        let what = format!("{}/{}", target.kind, target.name);
        let patch = match decide(&serde_json::to_value(&object)?, spec, amounts) {
            Decision::Fits => return Ok((true, "Fits", format!("{what} requests what it should"))),
            Decision::NoContainer => {
                let said = format!("{what} has no container {:?}", spec.container);
                return Ok((false, "ContainerNotFound", said));
            }
            Decision::Resize(patch) => patch,
        };
        let patch = Patch::Strategic(patch);
        if let Err(error) = api
            .patch(&target.name, &PatchParams::default(), &patch)
            .await
        {
            let outcome = refused(error, "Refused")?;
            self.events.emit(
                &reference(resizer),
                Kind::Warning,
                outcome.1,
                outcome.2.as_str(),
            );
            return Ok(outcome);
        }
        let amounts: Vec<String> = amounts
            .iter()
            .map(|(name, amount)| format!("{name} {amount}"))
            .collect();
        let said = format!(
            "container {} of {what} requests {}",
            spec.container,
            amounts.join(", ")
        );
        self.events
            .emit(&reference(resizer), Kind::Normal, "Resized", said.as_str());
        Ok((true, "Resized", said))
    }
}

#[cfg(test)]
mod tests;
