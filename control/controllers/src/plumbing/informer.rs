//! One watch of one resource, kept as a sorted map that every controller of the process shares.
//!
//! Handlers run inside the watch's task, so they must only note what changed (usually: put a key into a queue). What is
//! kept is trimmed first (see [`super::trim`]): an object from here must never be written back whole; write patches.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt};
use minicloud_api::part::Shutdown;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::{debug, warn};

/// Namespace (empty for what is cluster-scoped) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: String,
    /// The object's name.
    pub(crate) name: String,
}

impl Key {
    /// A key from its two halves.
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of an object.
    pub(crate) fn of<K: ResourceExt>(object: &K) -> Self {
        Self::new(object.namespace().unwrap_or_default(), object.name_any())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// What happened to one object: created (`old` is none), changed, or gone (`new` is none).
#[derive(Clone)]
pub(crate) struct Change<K> {
    /// The object as it was last seen.
    pub(crate) old: Option<Arc<K>>,
    /// The object as it is.
    pub(crate) new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// The object, as it is or was last.
    pub(crate) fn latest(&self) -> Option<&Arc<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// Both sides, for handlers that must look at what was as well as what is.
    pub(crate) fn both(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(self.new.iter())
    }
}

type Handler<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// The shared watch of a resource.
pub(crate) struct Informer<K> {
    what: &'static str,
    items: RwLock<BTreeMap<Key, Arc<K>>>,
    handlers: RwLock<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
    /// Counts how often the watch broke; who measures time by what arrives here must start anew then.
    breaks: watch::Sender<u64>,
}

impl<K> Informer<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// An informer that has not started; `what` names it in logs.
    pub(crate) fn new(what: &'static str) -> Arc<Self> {
        Arc::new(Self {
            what,
            items: RwLock::default(),
            handlers: RwLock::default(),
            synced: watch::Sender::new(false),
            breaks: watch::Sender::new(0),
        })
    }

    /// Calls `handler` for every change from now on. Register before [`Informer::run`].
    pub(crate) fn on_change(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.handlers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(handler));
    }

    /// One object.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read().get(&Key::new(namespace, name)).cloned()
    }

    /// All objects, sorted by key.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.read().values().cloned().collect()
    }

    /// All objects of a namespace, sorted by name.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read()
            .range(Key::new(namespace, "")..)
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Returns when the first list is in.
    pub(crate) async fn wait_synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = synced.wait_for(|yes| *yes).await;
    }

    /// How often the watch has broken so far.
    pub(crate) fn breaks(&self) -> u64 {
        *self.breaks.borrow()
    }

    /// Watches until shutdown. `trim` drops what nobody needs.
    pub(crate) async fn run(
        self: Arc<Self>,
        api: Api<K>,
        config: watcher::Config,
        trim: fn(&mut K),
        mut shutdown: Shutdown,
    ) {
        let mut events = std::pin::pin!(watcher(api, config).default_backoff());
        let mut listed: BTreeMap<Key, Arc<K>> = BTreeMap::new();
        loop {
            let event = tokio::select! {
                () = shutdown.wait() => return,
                event = events.next() => event,
            };
            match event {
                None => return,
                Some(Ok(Event::Init)) => listed.clear(),
                Some(Ok(Event::InitApply(mut object))) => {
                    trim(&mut object);
                    listed.insert(Key::of(&object), Arc::new(object));
                }
                Some(Ok(Event::InitDone)) => self.replace(std::mem::take(&mut listed)),
                Some(Ok(Event::Apply(mut object))) => {
                    trim(&mut object);
                    self.apply(Key::of(&object), Arc::new(object));
                }
                Some(Ok(Event::Delete(object))) => self.remove(&Key::of(&object)),
                Some(Err(error)) => {
                    self.breaks.send_modify(|n| *n += 1);
                    if matches!(error, watcher::Error::WatchFailed(_)) {
                        debug!(resource = self.what, %error, "watch ended, starting it again");
                    } else {
                        warn!(resource = self.what, %error, "cannot watch, trying again");
                    }
                }
            }
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Key, Arc<K>>> {
        self.items.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<Key, Arc<K>>> {
        self.items.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, old: Option<Arc<K>>, new: Option<Arc<K>>) {
        let change = Change { old, new };
        for handler in self
            .handlers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            handler(&change);
        }
    }

    fn apply(&self, key: Key, object: Arc<K>) {
        let old = self.write().insert(key, object.clone());
        // An object that was deleted and made again under the same name is two changes, or the first one's dependents
        // would never be looked at.
        match old {
            Some(old) if old.uid() != object.uid() => {
                self.tell(Some(old), None);
                self.tell(None, Some(object));
            }
            old => self.tell(old, Some(object)),
        }
    }

    fn remove(&self, key: &Key) {
        let old = self.write().remove(key);
        if old.is_some() {
            self.tell(old, None);
        }
    }

    /// Takes a fresh list: tells of what is gone, new or different, and of nothing else.
    fn replace(&self, listed: BTreeMap<Key, Arc<K>>) {
        let gone: Vec<Key> = self
            .read()
            .keys()
            .filter(|key| !listed.contains_key(key))
            .cloned()
            .collect();
        for key in gone {
            self.remove(&key);
        }
        for (key, object) in listed {
            let same = self.read().get(&key).is_some_and(|old| {
                old.resource_version() == object.resource_version() && old.uid() == object.uid()
            });
            if !same {
                self.apply(key, object);
            }
        }
        self.synced.send_replace(true);
    }

    /// An informer with these objects, for tests of what reads one.
    #[cfg(test)]
    pub(crate) fn with(objects: impl IntoIterator<Item = K>) -> Arc<Self> {
        let this = Self::new("test");
        this.replace(
            objects
                .into_iter()
                .map(|o| (Key::of(&o), Arc::new(o)))
                .collect(),
        );
        this
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn map(namespace: &str, name: &str, uid: &str, version: &str) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.namespace = Some(namespace.into());
        map.metadata.name = Some(name.into());
        map.metadata.uid = Some(uid.into());
        map.metadata.resource_version = Some(version.into());
        map
    }

    #[test]
    fn a_new_list_tells_only_of_what_differs() {
        let informer = Informer::with([
            map("a", "x", "1", "1"),
            map("a", "y", "2", "1"),
            map("b", "z", "3", "1"),
        ]);
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = told.clone();
        informer.on_change(move |change: &Change<ConfigMap>| {
            let side = |o: &Option<Arc<ConfigMap>>| {
                o.as_ref().map_or("-".into(), |o| {
                    format!("{}{}", o.name_any(), o.uid().unwrap_or_default())
                })
            };
            log.lock()
                .unwrap()
                .push(format!("{}>{}", side(&change.old), side(&change.new)));
        });
        let list = [
            map("a", "x", "1", "1"),
            map("a", "y", "9", "2"),
            map("b", "w", "4", "1"),
        ];
        informer.replace(
            list.into_iter()
                .map(|o| (Key::of(&o), Arc::new(o)))
                .collect(),
        );
        assert_eq!(*told.lock().unwrap(), ["z3>-", "y2>-", "->y9", "->w4"]);
        let names = |ns| {
            informer
                .in_namespace(ns)
                .iter()
                .map(|o| o.name_any())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("a"), ["x", "y"]);
        assert_eq!(names("b"), ["w"]);
        assert_eq!(informer.all().len(), 3);
    }
}
