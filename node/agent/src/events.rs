//! Events about pods and the node. Know before changing: an event may be lost, and must never hold anything up: the queue is bounded
//! and drops, and what repeats is counted instead of written ([`correlate`]).

pub mod correlate;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc;

use crate::pod::{self, Role};
use correlate::{Correlator, Write};

const QUEUE: usize = 256;
const COMPONENT: &str = "kubelet";

/// How serious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// For information.
    Normal,
    /// Something is wrong.
    Warning,
}

/// An event to be written.
#[derive(Debug, Clone)]
pub struct Note {
    object: ObjectReference,
    severity: Severity,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

/// Where events are told. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    queue: mpsc::Sender<Note>,
}

impl Events {
    /// A queue, and the future that writes from it until every `Events` is gone.
    pub fn new(client: Client, node: &str) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, notes) = mpsc::channel(QUEUE);
        (Self { queue }, write(client, node.to_owned(), notes))
    }

    /// About a pod, or one of its containers.
    pub fn pod(
        &self,
        pod: &Pod,
        container: Option<&str>,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let field_path = container
            .and_then(|name| pod::container(pod, name))
            .map(|(role, c)| {
                let list = if role == Role::Main {
                    "containers"
                } else {
                    "initContainers"
                };
                format!("spec.{list}{{{}}}", c.name)
            });
        let object = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(pod::namespace(pod).into()),
            name: Some(pod::name(pod).into()),
            uid: Some(pod::uid(pod).into()),
            resource_version: pod.metadata.resource_version.clone(),
            field_path,
        };
        self.tell(object, severity, reason, message.into());
    }

    /// About the node.
    pub fn node(
        &self,
        name: &str,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let object = ObjectReference {
            kind: Some("Node".into()),
            name: Some(name.into()),
            uid: Some(name.into()),
            ..ObjectReference::default()
        };
        self.tell(object, severity, reason, message.into());
    }

    fn tell(
        &self,
        object: ObjectReference,
        severity: Severity,
        reason: &'static str,
        mut message: String,
    ) {
        // The API takes 1024 bytes.
        if let Some((cut, _)) = message
            .char_indices()
            .take_while(|(i, _)| *i <= 1020)
            .last()
            .filter(|_| message.len() > 1023)
        {
            message.truncate(cut);
            message.push_str("...");
        }
        let note = Note {
            object,
            severity,
            reason,
            message,
            at: Timestamp::now(),
        };
        if self.queue.try_send(note).is_err() {
            tracing::debug!(reason, "too many events at once, dropped one");
        }
    }
}

async fn write(client: Client, node: String, mut notes: mpsc::Receiver<Note>) {
    let mut correlator = Correlator::default();
    while let Some(note) = notes.recv().await {
        let namespace = note
            .object
            .namespace
            .clone()
            .unwrap_or_else(|| "default".into());
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let mut write = correlator.take(&note);
        for attempt in 0..3u32 {
            let done =
                tokio::time::timeout(Duration::from_secs(10), send(&api, &node, &note, &write))
                    .await;
            match done {
                Ok(Ok(())) => break,
                Ok(Err(kube::Error::Api(status)))
                    if status.code == 404 && matches!(write, Write::Count { .. }) =>
                {
                    // Expired meanwhile: write it anew.
                    write = correlator.renew(&note);
                }
                // Refused for good, as in a namespace that is being deleted.
                Ok(Err(kube::Error::Api(status)))
                    if (400..500).contains(&status.code) && status.code != 429 =>
                {
                    tracing::debug!(reason = note.reason, message = %status.message, "an event was refused");
                    break;
                }
                _ => tokio::time::sleep(Duration::from_secs(1 << attempt)).await,
            }
        }
    }
}

async fn send(api: &Api<Event>, node: &str, note: &Note, write: &Write) -> Result<(), kube::Error> {
    let at = Time(Timestamp::from_second(note.at.as_second()).unwrap_or(note.at));
    match write {
        Write::Drop => Ok(()),
        Write::Create { name, message } => {
            let event = Event {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    namespace: api.namespace().map(Into::into),
                    ..ObjectMeta::default()
                },
                involved_object: note.object.clone(),
                reason: Some(note.reason.into()),
                message: Some(message.clone()),
                type_: Some(
                    if note.severity == Severity::Normal {
                        "Normal"
                    } else {
                        "Warning"
                    }
                    .into(),
                ),
                source: Some(EventSource {
                    component: Some(COMPONENT.into()),
                    host: Some(node.into()),
                }),
                reporting_component: Some(COMPONENT.into()),
                reporting_instance: Some(node.into()),
                count: Some(1),
                first_timestamp: Some(at.clone()),
                last_timestamp: Some(at),
                ..Event::default()
            };
            api.create(&PostParams::default(), &event).await.map(drop)
        }
        Write::Count {
            name,
            message,
            count,
        } => {
            let patch =
                serde_json::json!({"count": count, "lastTimestamp": at, "message": message});
            api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
                .await
                .map(drop)
        }
    }
}
