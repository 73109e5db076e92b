//! ConfigMaps and Secrets that pods refer to. Know before changing: there is one watch per object that is referred to and none for any
//! other, which is what the node may read; what a cold start needs comes from the checkpoint until the API server answers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// The content of a ConfigMap or a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// A ConfigMap's `data`, a Secret's `data`.
    #[serde(default, with = "base64_map")]
    pub text: BTreeMap<String, Vec<u8>>,
    /// A ConfigMap's `binaryData`: in volumes, not in environments.
    #[serde(
        default,
        with = "base64_map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub binary: BTreeMap<String, Vec<u8>>,
    /// A Secret's `type`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `immutable`: need not be watched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
}

impl Data {
    fn of_config_map(object: ConfigMap) -> Self {
        Self {
            text: object
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(k, v)| (k, v.into_bytes()))
                .collect(),
            binary: object
                .binary_data
                .unwrap_or_default()
                .into_iter()
                .map(|(k, v)| (k, v.0))
                .collect(),
            kind: String::new(),
            immutable: object.immutable.unwrap_or(false),
        }
    }

    fn of_secret(object: Secret) -> Self {
        Self {
            text: object
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(k, v)| (k, v.0))
                .collect(),
            binary: BTreeMap::new(),
            kind: object.type_.unwrap_or_default(),
            immutable: object.immutable.unwrap_or(false),
        }
    }

    /// A file of a volume.
    pub fn file(&self, key: &str) -> Option<&Vec<u8>> {
        self.text.get(key).or_else(|| self.binary.get(key))
    }

    /// Every file of a volume.
    pub fn files(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.text.iter().chain(&self.binary)
    }
}

/// The objects that a pod refers to, as they are now; what is absent does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    #[serde(default)]
    config_maps: BTreeMap<String, Arc<Data>>,
    #[serde(default)]
    secrets: BTreeMap<String, Arc<Data>>,
}

impl Resolved {
    /// A ConfigMap of the pod's namespace.
    pub fn config_map(&self, name: &str) -> Option<&Data> {
        self.config_maps.get(name).map(Arc::as_ref)
    }

    /// A Secret of the pod's namespace.
    pub fn secret(&self, name: &str) -> Option<&Data> {
        self.secrets.get(name).map(Arc::as_ref)
    }

    /// Adds an object; `None` for one that does not exist.
    pub fn insert(&mut self, secret: bool, name: &str, data: Option<Arc<Data>>) {
        let map = if secret {
            &mut self.secrets
        } else {
            &mut self.config_maps
        };
        match data {
            Some(data) => map.insert(name.to_owned(), data),
            None => map.remove(name),
        };
    }

    fn get(&self, secret: bool, name: &str) -> Option<&Arc<Data>> {
        if secret {
            self.secrets.get(name)
        } else {
            self.config_maps.get(name)
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    secret: bool,
    namespace: String,
    name: String,
}

/// `None` until the API server has answered.
type Known = Option<Option<Arc<Data>>>;

struct Entry {
    users: HashMap<String, Arc<Notify>>,
    value: watch::Receiver<Known>,
    task: AbortHandle,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The watches, shared by all pods.
pub struct Objects {
    client: Client,
    entries: Arc<Mutex<HashMap<Key, Entry>>>,
}

fn lock(entries: &Mutex<HashMap<Key, Entry>>) -> MutexGuard<'_, HashMap<Key, Entry>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Objects {
    /// Watches nothing yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            entries: Arc::default(),
        }
    }

    /// Says which objects the pod `uid` refers to: `(is_secret, name)`. `notify` is woken when one of them changes. An empty list
    /// lets go of all.
    pub fn hold(&self, uid: &str, namespace: &str, names: &[(bool, String)], notify: &Arc<Notify>) {
        let key = |(secret, name): &(bool, String)| Key {
            secret: *secret,
            namespace: namespace.into(),
            name: name.clone(),
        };
        let wanted: HashSet<Key> = names.iter().map(key).collect();
        let mut entries = lock(&self.entries);
        entries.retain(|key, entry| {
            if !wanted.contains(key) {
                entry.users.remove(uid);
            }
            !entry.users.is_empty()
        });
        for key in wanted {
            let entry = entries
                .entry(key)
                .or_insert_with_key(|key| self.watch(key.clone()));
            entry.users.insert(uid.to_owned(), notify.clone());
        }
    }

    /// The objects of a pod that holds them. What the API server has not told within `patience` is taken from `seed`, or is an
    /// error: absence is never guessed.
    pub async fn resolve(
        &self,
        namespace: &str,
        names: &[(bool, String)],
        seed: &Resolved,
        patience: Duration,
    ) -> Result<Resolved, String> {
        let until = tokio::time::Instant::now() + patience;
        let mut resolved = Resolved::default();
        for (secret, name) in names {
            let key = Key {
                secret: *secret,
                namespace: namespace.into(),
                name: name.clone(),
            };
            let receiver = lock(&self.entries).get(&key).map(|e| e.value.clone());
            let known = match receiver {
                Some(mut receiver) => {
                    match tokio::time::timeout_at(until, receiver.wait_for(Option::is_some)).await {
                        Ok(Ok(value)) => value.clone(),
                        _ => None,
                    }
                }
                None => None,
            };
            match known.or_else(|| seed.get(*secret, name).cloned().map(Some)) {
                Some(data) => resolved.insert(*secret, name, data),
                None => {
                    let kind = if *secret { "secret" } else { "configmap" };
                    return Err(format!(
                        "failed to sync {kind} cache: \"{namespace}/{name}\" is not known yet, the API server did not answer"
                    ));
                }
            }
        }
        Ok(resolved)
    }

    fn watch(&self, key: Key) -> Entry {
        let (sender, value) = watch::channel(None);
        let entries = Arc::downgrade(&self.entries);
        let (client, own) = (self.client.clone(), key);
        let changed = {
            let own = own.clone();
            move |known: Option<Arc<Data>>| {
                let moved = sender.send_if_modified(|value| {
                    let moved = *value != Some(known.clone());
                    *value = Some(known);
                    moved
                });
                if let Some(entries) = entries.upgrade().filter(|_| moved) {
                    for user in lock(&entries)
                        .get(&own)
                        .iter()
                        .flat_map(|e| e.users.values())
                    {
                        user.notify_one();
                    }
                }
            }
        };
        let task = tokio::spawn(async move {
            if own.secret {
                follow(
                    Api::<Secret>::namespaced(client, &own.namespace),
                    &own.name,
                    Data::of_secret,
                    changed,
                )
                .await;
            } else {
                follow(
                    Api::<ConfigMap>::namespaced(client, &own.namespace),
                    &own.name,
                    Data::of_config_map,
                    changed,
                )
                .await;
            }
        });
        Entry {
            users: HashMap::new(),
            value,
            task: task.abort_handle(),
        }
    }
}

/// Tells `changed` what the object is, for as long as it can change.
async fn follow<K>(
    api: Api<K>,
    name: &str,
    data: impl Fn(K) -> Data,
    changed: impl Fn(Option<Arc<Data>>),
) where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut stream = watcher(api, config).default_backoff().boxed();
    let mut found = None;
    loop {
        match stream.try_next().await {
            Ok(Some(watcher::Event::Init)) => found = None,
            Ok(Some(watcher::Event::InitApply(object))) => found = Some(Arc::new(data(object))),
            Ok(Some(watcher::Event::Apply(object))) => {
                found = Some(Arc::new(data(object)));
                changed(found.clone());
            }
            Ok(Some(watcher::Event::InitDone)) => changed(found.clone()),
            Ok(Some(watcher::Event::Delete(_))) => {
                found = None;
                changed(None);
                continue;
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(name, %error, "watch of a referenced object failed, trying again")
            }
        }
        if found.as_ref().is_some_and(|d| d.immutable) {
            changed(found);
            // The sender lives as long as the entry: keep it, without a connection.
            drop(stream);
            return std::future::pending().await;
        }
    }
}

mod base64_map {
    use std::collections::BTreeMap;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<String, Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(k, v)| (k, STANDARD.encode(v))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
        let map = BTreeMap::<String, String>::deserialize(deserializer)?;
        map.into_iter()
            .map(|(k, v)| Ok((k, STANDARD.decode(v).map_err(D::Error::custom)?)))
            .collect()
    }
}
