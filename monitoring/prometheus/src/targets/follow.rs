//! Keeps [`Known`] in step with the API by four watches. A watch that breaks changes nothing: what was known stays known, so Prometheus
//! goes on scraping while the API is away.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::records::Record;
use super::{Key, Known, NodeRecord, PodRecord, ServiceRecord, SliceRecord};

/// Objects per page of a first list: bounds what is in memory at a time.
const PAGE: u32 = 100;

type Map<R> = BTreeMap<Key, R>;

/// Sends what is known whenever it changes, the first time when all kinds have been listed. Never returns.
pub async fn run(client: Client, known: watch::Sender<Option<Known>>) {
    let nodes = watch::channel::<Option<Map<NodeRecord>>>(None).0;
    let pods = watch::channel::<Option<Map<PodRecord>>>(None).0;
    let services = watch::channel::<Option<Map<ServiceRecord>>>(None).0;
    let slices = watch::channel::<Option<Map<SliceRecord>>>(None).0;
    let gather = async {
        let mut changes = (
            nodes.subscribe(),
            pods.subscribe(),
            services.subscribe(),
            slices.subscribe(),
        );
        loop {
            // None of the senders goes away before this does.
            let _ = tokio::select! {
                changed = changes.0.changed() => changed,
                changed = changes.1.changed() => changed,
                changed = changes.2.changed() => changed,
                changed = changes.3.changed() => changed,
            };
            let all = || {
                Some(Known {
                    nodes: changes.0.borrow().clone()?,
                    pods: changes.1.borrow().clone()?,
                    services: changes.2.borrow().clone()?,
                    slices: changes.3.borrow().clone()?,
                })
            };
            if let Some(all) = all() {
                known.send_replace(Some(all));
            }
        }
    };
    tokio::select! {
        () = follow::<Node, _>(&client, &nodes) => {}
        () = follow::<Pod, _>(&client, &pods) => {}
        () = follow::<Service, _>(&client, &services) => {}
        () = follow::<EndpointSlice, _>(&client, &slices) => {}
        () = gather => {}
    }
}

async fn follow<K, R>(client: &Client, records: &watch::Sender<Option<Map<R>>>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + DeserializeOwned + 'static,
    R: Record<K>,
{
    let config = watcher::Config::default().page_size(PAGE);
    let mut events = watcher(Api::<K>::all(client.clone()), config)
        .default_backoff()
        .boxed();
    let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    let mut listed = Map::new();
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
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => {
                if let Some(record) = R::of(&object) {
                    listed.insert(key(&object), record);
                }
            }
            watcher::Event::InitDone => {
                let new = Some(std::mem::take(&mut listed));
                records.send_if_modified(|old| {
                    let differs = *old != new;
                    *old = new;
                    differs
                });
            }
            watcher::Event::Apply(object) => put(records, key(&object), R::of(&object)),
            watcher::Event::Delete(object) => put(records, key(&object), None),
        }
    }
}

fn put<R: PartialEq>(records: &watch::Sender<Option<Map<R>>>, key: Key, record: Option<R>) {
    records.send_if_modified(|map| {
        let Some(map) = map else {
            return false;
        };
        if map.get(&key) == record.as_ref() {
            return false;
        }
        match record {
            Some(record) => drop(map.insert(key, record)),
            None => drop(map.remove(&key)),
        }
        true
    });
}
