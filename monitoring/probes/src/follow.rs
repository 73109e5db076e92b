//! The Probes that there are, by a watch. One that breaks changes nothing: what is asked goes on while the API is away.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;
use tokio::sync::watch;

use crate::Key;

/// Objects per page of a first list.
const PAGE: u32 = 100;

/// A Probe as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Which generation of the specification.
    pub generation: i64,
    /// `spec`.
    pub spec: Value,
    /// `status`.
    pub status: Value,
}

/// All of them.
pub type Probes = BTreeMap<Key, Stored>;

/// Keeps `known` in step with the API; nothing before all have been listed. Never returns.
pub async fn run(client: kube::Client, known: watch::Sender<Option<Probes>>) {
    let config = watcher::Config::default().page_size(PAGE);
    let mut events = watcher(crate::all(client), config)
        .default_backoff()
        .boxed();
    let mut listed = Probes::new();
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return std::future::pending().await,
            Err(error) => {
                tracing::debug!(%error, "the watch of Probes broke; it is taken up again");
                // The stream backs off by itself; this only bounds how often the log is written.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => drop(listed.insert(key(&object), stored(object))),
            watcher::Event::InitDone => {
                let new = Some(std::mem::take(&mut listed));
                known.send_if_modified(|old| {
                    let differs = *old != new;
                    *old = new;
                    differs
                });
            }
            watcher::Event::Apply(object) => {
                known.send_modify(|known| {
                    let known = known.get_or_insert_default();
                    known.insert(key(&object), stored(object));
                });
            }
            watcher::Event::Delete(object) => known.send_modify(|known| {
                known.get_or_insert_default().remove(&key(&object));
            }),
        }
    }
}

fn key(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn stored(mut object: DynamicObject) -> Stored {
    let mut take = |field: &str| object.data.get_mut(field).map(Value::take);
    Stored {
        spec: take("spec").unwrap_or_default(),
        status: take("status").unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
    }
}
