//! Keeps [`State`] in step with the API by two watches. A watch that breaks changes nothing: what was known stays known.

use std::fmt::Debug;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use minicloud_api::part::Shutdown;
use tokio::sync::watch;

use crate::model::{Key, ServiceRecord, SliceRecord, State};

/// Follows both kinds until shutdown; `changed` counts up with every change and starts when both are known.
pub async fn run(
    client: Client,
    state: Arc<RwLock<State>>,
    changed: watch::Sender<u64>,
    mut shutdown: Shutdown,
) {
    let (services_known, slices_known) = (watch::channel(false).0, watch::channel(false).0);
    let changed = Arc::new(changed);
    let gate = Gate {
        changed,
        known: Arc::new([services_known, slices_known]),
    };
    tokio::select! {
        () = follow::<Service, ServiceRecord>(client.clone(), state.clone(), gate.clone(), 0, |s| &mut s.services) => {}
        () = follow::<EndpointSlice, SliceRecord>(client, state, gate, 1, |s| &mut s.slices) => {}
        () = shutdown.wait() => {}
    }
}

/// Tells of changes once both kinds have been listed: a half-known state would take Services away.
#[derive(Clone)]
struct Gate {
    changed: Arc<watch::Sender<u64>>,
    known: Arc<[watch::Sender<bool>; 2]>,
}

impl Gate {
    fn tell(&self) {
        if self.known.iter().all(|k| *k.borrow()) {
            self.changed.send_modify(|n| *n += 1);
        }
    }
}

async fn follow<K, R>(
    client: Client,
    state: Arc<RwLock<State>>,
    gate: Gate,
    index: usize,
    part: fn(&mut State) -> &mut std::collections::BTreeMap<Key, R>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + serde::de::DeserializeOwned + 'static,
    R: for<'a> From<&'a K> + PartialEq,
{
    let api: Api<K> = Api::all(client);
    let mut events = watcher(api, watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut listed: std::collections::BTreeMap<Key, R> = std::collections::BTreeMap::new();
    let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, kind = %K::kind(&()), "the watch broke; it is taken up again");
                // The stream backs off by itself; this only bounds how often the log is written.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let differs = {
            let mut state = state
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let map = part(&mut state);
            match event {
                watcher::Event::Init => {
                    listed.clear();
                    false
                }
                watcher::Event::InitApply(object) => {
                    listed.insert(key(&object), R::from(&object));
                    false
                }
                watcher::Event::InitDone => {
                    let first = !gate.known[index].send_replace(true);
                    let new = std::mem::take(&mut listed);
                    let differs = *map != new;
                    *map = new;
                    differs || first
                }
                watcher::Event::Apply(object) => {
                    let record = R::from(&object);
                    let before = map.insert(key(&object), record);
                    before.as_ref() != map.get(&key(&object))
                }
                watcher::Event::Delete(object) => map.remove(&key(&object)).is_some(),
            }
        };
        if differs {
            gate.tell();
        }
    }
}
