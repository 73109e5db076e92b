//! Events about objects (`core/v1`), written in the background.
//!
//! Repeats of an event raise its count instead of making a new one, and one object cannot cause more than a burst of 25
//! and then one every 5 minutes, as in client-go. When the writer cannot keep up, events are dropped: nothing waits for them.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use minicloud_api::part::Shutdown;
use serde_json::json;
use tokio::sync::mpsc;
use tracing::debug;

use super::objects::seconds;

const QUEUE: usize = 256;
/// How many different events are remembered for counting repeats.
const REMEMBERED: usize = 512;
const BURST: f64 = 25.0;
const REFILL_PER_SECOND: f64 = 1.0 / 300.0;

/// How an event is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Something happened as it should.
    Normal,
    /// Somebody should look.
    Warning,
}

struct Record {
    client: Client,
    note: Note,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Note {
    component: &'static str,
    object: (String, String, String, String),
    kind: Kind,
    reason: &'static str,
    message: String,
    reference: Reference,
}

/// The rest of a reference; it plays no part in telling events apart beyond what [`Note::object`] has.
#[derive(Debug, Clone)]
struct Reference(ObjectReference);

impl PartialEq for Reference {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Reference {}

impl std::hash::Hash for Reference {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

/// Emits events as one component.
#[derive(Clone)]
pub(crate) struct Recorder {
    client: Client,
    component: &'static str,
    sink: mpsc::Sender<Record>,
}

impl Recorder {
    /// Notes an event about an object.
    pub(crate) fn emit(
        &self,
        object: &ObjectReference,
        kind: Kind,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let note = Note {
            component: self.component,
            object: (
                text(&object.kind),
                text(&object.namespace),
                text(&object.name),
                text(&object.uid),
            ),
            kind,
            reason,
            message: message.into().chars().take(1024).collect(),
            reference: Reference(object.clone()),
        };
        let _ = self.sink.try_send(Record {
            client: self.client.clone(),
            note,
        });
    }
}

/// Where recorders send to.
#[derive(Clone)]
pub(crate) struct Sink(mpsc::Sender<Record>);

impl Sink {
    /// The sink, and the future that writes until shutdown.
    pub(crate) fn new(shutdown: Shutdown) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), write(receiver, shutdown))
    }

    /// A recorder that writes with `client` as `component`.
    pub(crate) fn recorder(&self, client: Client, component: &'static str) -> Recorder {
        Recorder {
            client,
            component,
            sink: self.0.clone(),
        }
    }
}

async fn write(mut records: mpsc::Receiver<Record>, mut shutdown: Shutdown) {
    let mut correlator = Correlator::default();
    loop {
        let record = tokio::select! {
            () = shutdown.wait() => return,
            record = records.recv() => record,
        };
        let Some(Record { client, note }) = record else {
            return;
        };
        let now = Timestamp::now();
        let write = correlator.decide(&note, now);
        let namespace = match note.object.1.as_str() {
            "" => "default",
            namespace => namespace,
        };
        let api: Api<Event> = Api::namespaced(client, namespace);
        let result = match write {
            Write::Drop => continue,
            Write::Create(name) => {
                api.create(&PostParams::default(), &event(&note, name, namespace, now))
                    .await
            }
            Write::Count(name, count) => {
                let patch = json!({"count": count, "lastTimestamp": Time(seconds(now))});
                api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                    .await
            }
        };
        if let Err(error) = result {
            // The event may have expired, or its namespace is going away: begin anew with the next one.
            correlator.forget(&note);
            debug!(%error, reason = note.reason, "cannot write an event");
        }
    }
}

fn event(note: &Note, name: String, namespace: &str, now: Timestamp) -> Event {
    let time = Some(Time(seconds(now)));
    Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: note.reference.0.clone(),
        type_: Some(format!("{:?}", note.kind)),
        reason: Some(note.reason.to_owned()),
        message: Some(note.message.clone()),
        count: Some(1),
        first_timestamp: time.clone(),
        last_timestamp: time,
        source: Some(EventSource {
            component: Some(note.component.to_owned()),
            host: None,
        }),
        reporting_component: Some(note.component.to_owned()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Write {
    Create(String),
    Count(String, i32),
    Drop,
}

/// Decides for each note whether it is new, a repeat, or one too many.
#[derive(Default)]
struct Correlator {
    seen: HashMap<Note, (String, i32, Timestamp)>,
    /// Tokens left per component and object.
    buckets: HashMap<(&'static str, String), (f64, Timestamp)>,
}

impl Correlator {
    fn decide(&mut self, note: &Note, now: Timestamp) -> Write {
        self.shrink(now);
        let source = (
            note.component,
            format!("{}/{}/{}", note.object.0, note.object.1, note.object.2),
        );
        let (tokens, at) = self.buckets.entry(source).or_insert((BURST, now));
        let passed = now.duration_since(*at).as_secs_f64().max(0.0);
        *tokens = (*tokens + passed * REFILL_PER_SECOND).min(BURST);
        *at = now;
        if *tokens < 1.0 {
            return Write::Drop;
        }
        *tokens -= 1.0;
        if let Some((name, count, last)) = self.seen.get_mut(note) {
            *count = count.saturating_add(1);
            *last = now;
            return Write::Count(name.clone(), *count);
        }
        let name = format!("{}.{:x}", note.object.2, now.as_nanosecond());
        self.seen.insert(note.clone(), (name.clone(), 1, now));
        Write::Create(name)
    }

    fn forget(&mut self, note: &Note) {
        self.seen.remove(note);
    }

    /// Keeps both maps small: what is old goes first, and everything rather than growing.
    fn shrink(&mut self, now: Timestamp) {
        let recent =
            |at: Timestamp| now.duration_since(at).unsigned_abs() < Duration::from_secs(600);
        if self.seen.len() >= REMEMBERED {
            self.seen.retain(|_, (_, _, at)| recent(*at));
            if self.seen.len() >= REMEMBERED {
                self.seen.clear();
            }
        }
        if self.buckets.len() >= REMEMBERED {
            self.buckets.retain(|_, (_, at)| recent(*at));
            if self.buckets.len() >= REMEMBERED {
                self.buckets.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &str, message: &str) -> Note {
        Note {
            component: "test",
            object: ("Pod".into(), "default".into(), name.into(), "u".into()),
            kind: Kind::Normal,
            reason: "Reason",
            message: message.into(),
            reference: Reference(ObjectReference::default()),
        }
    }

    #[test]
    fn repeats_are_counted_and_floods_are_cut() {
        let mut correlator = Correlator::default();
        let at = |s: i64| Timestamp::from_second(1_000_000 + s).unwrap();
        let Write::Create(first) = correlator.decide(&note("p", "m"), at(0)) else {
            panic!("the first is new")
        };
        assert!(first.starts_with("p."));
        assert_eq!(
            correlator.decide(&note("p", "m"), at(1)),
            Write::Count(first.clone(), 2)
        );
        assert!(matches!(
            correlator.decide(&note("p", "other"), at(1)),
            Write::Create(_)
        ));
        for _ in 0..22 {
            assert_ne!(correlator.decide(&note("p", "m"), at(1)), Write::Drop);
        }
        assert_eq!(correlator.decide(&note("p", "m"), at(2)), Write::Drop);
        assert!(matches!(
            correlator.decide(&note("q", "m"), at(2)),
            Write::Create(_)
        ));
        assert_eq!(
            correlator.decide(&note("p", "m"), at(400)),
            Write::Count(first, 25)
        );
        for n in 0..2 * REMEMBERED {
            correlator.decide(&note(&n.to_string(), "m"), at(400));
        }
        assert!(correlator.seen.len() <= REMEMBERED && correlator.buckets.len() <= REMEMBERED);
    }
}
