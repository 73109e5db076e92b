//! containerd's event stream: exits and out-of-memory kills as they happen, with no polling.

use prost::Message;
use tonic::Streaming;

use crate::client::Client;
use crate::error::CallError;
use crate::v1_messages::events as wire;

/// The namespace in which containerd's CRI plugin keeps its containers.
const NAMESPACE: &str = "k8s.io";

/// One event about a container or a sandbox's own process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The container's id, or the sandbox's.
    pub container_id: String,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Its first process ended.
    Exit {
        /// Exit status; 128 + signal for signals.
        status: u32,
    },
    /// The kernel killed something in it for want of memory.
    OutOfMemory,
}

/// A subscription; drop it to end it.
pub struct Events(Streaming<wire::Envelope>);

impl Events {
    pub(crate) async fn subscribe(client: &Client) -> Result<Self, CallError> {
        let filters = ["/tasks/exit", "/tasks/oom"]
            .map(|topic| format!(r#"topic=="{topic}",namespace=="{NAMESPACE}""#))
            .to_vec();
        let mut stub = wire::events_client::EventsClient::new(client.channel());
        // containerd sends the response's headers with the first event, which may be hours away, so there is no deadline here;
        // a broken connection ends the call.
        match stub.subscribe(wire::SubscribeRequest { filters }).await {
            Ok(response) => Ok(Events(response.into_inner())),
            Err(status) => Err(CallError::status("Subscribe", "", &status)),
        }
    }

    /// The next event. An error or `None` means the stream is over: subscribe again and look at everything once, since
    /// events in between are lost.
    pub async fn next(&mut self) -> Option<Result<Event, CallError>> {
        loop {
            return match self.0.message().await {
                Ok(Some(envelope)) => match decode(&envelope) {
                    Some(event) => Some(Ok(event)),
                    None => continue,
                },
                Ok(None) => None,
                Err(status) => Some(Err(CallError::status("Subscribe", "", &status))),
            };
        }
    }
}

/// `None` for events of no interest, as the end of an exec.
fn decode(envelope: &wire::Envelope) -> Option<Event> {
    let payload = envelope.event.as_ref()?;
    // TaskOOM's one field is TaskExit's first.
    let task = wire::TaskExit::decode(payload.value.as_slice()).ok()?;
    let kind = match envelope.topic.as_str() {
        "/tasks/exit" if task.id == task.container_id || task.id.is_empty() => EventKind::Exit {
            status: task.exit_status,
        },
        "/tasks/oom" => EventKind::OutOfMemory,
        _ => return None,
    };
    Some(Event {
        container_id: task.container_id,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(topic: &str, task: &wire::TaskExit) -> wire::Envelope {
        wire::Envelope {
            timestamp: None,
            namespace: NAMESPACE.into(),
            topic: topic.into(),
            event: Some(wire::Payload {
                type_url: String::new(),
                value: task.encode_to_vec(),
            }),
        }
    }

    #[test]
    fn tells_exits_from_execs() {
        let task = wire::TaskExit {
            container_id: "c".into(),
            id: "c".into(),
            exit_status: 137,
            ..Default::default()
        };
        let exit = Event {
            container_id: "c".into(),
            kind: EventKind::Exit { status: 137 },
        };
        assert_eq!(decode(&envelope("/tasks/exit", &task)), Some(exit));
        let exec = wire::TaskExit {
            id: "exec-1".into(),
            ..task.clone()
        };
        assert_eq!(decode(&envelope("/tasks/exit", &exec)), None);
        let oom = wire::TaskExit {
            container_id: "c".into(),
            ..Default::default()
        };
        let expect = Event {
            container_id: "c".into(),
            kind: EventKind::OutOfMemory,
        };
        assert_eq!(decode(&envelope("/tasks/oom", &oom)), Some(expect));
        assert_eq!(decode(&envelope("/tasks/start", &oom)), None);
    }
}
