//! The Services of the cluster, as little of each as environments need: one watch. The last known ones are kept on disk for a cold
//! start with no server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use crate::env::services::Service;

/// Services by one watch.
pub struct Services {
    known: watch::Receiver<Option<Arc<Vec<Service>>>>,
    seed: Vec<Service>,
}

impl Services {
    /// The cache, and the future that keeps it.
    pub fn new(client: Client, data_dir: &Path) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let path = data_dir.join("services.json");
        let seed = std::fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let (sender, known) = watch::channel(None);
        (Self { known, seed }, follow(client, sender, path))
    }

    /// Those that a pod of `namespace` sees; the last known ones if the server has not answered within `patience`.
    pub async fn of(&self, namespace: &str, patience: Duration) -> Vec<Service> {
        let mut known = self.known.clone();
        let fresh = match tokio::time::timeout(patience, known.wait_for(Option::is_some)).await {
            Ok(Ok(value)) => value.clone(),
            _ => None,
        };
        let all = fresh.as_deref().unwrap_or(&self.seed);
        let own = |s: &&Service| {
            s.namespace == namespace || (s.namespace == "default" && s.name == "kubernetes")
        };
        all.iter().filter(own).cloned().collect()
    }
}

async fn follow(client: Client, sender: watch::Sender<Option<Arc<Vec<Service>>>>, path: PathBuf) {
    let api: Api<k8s_openapi::api::core::v1::Service> = Api::all(client);
    let mut stream = watcher(api, watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut all: BTreeMap<(String, String), Service> = BTreeMap::new();
    let mut synced = false;
    loop {
        let add = |all: &mut BTreeMap<_, _>, service: &k8s_openapi::api::core::v1::Service| {
            let key = (
                service.metadata.namespace.clone().unwrap_or_default(),
                service.metadata.name.clone().unwrap_or_default(),
            );
            match Service::from_api(service) {
                Some(kept) => all.insert(key, kept),
                None => all.remove(&key),
            };
        };
        match stream.try_next().await {
            Ok(Some(watcher::Event::Init)) => {
                all.clear();
                synced = false;
            }
            Ok(Some(watcher::Event::InitApply(service) | watcher::Event::Apply(service))) => {
                add(&mut all, &service)
            }
            Ok(Some(watcher::Event::Delete(service))) => {
                all.remove(&(
                    service.metadata.namespace.unwrap_or_default(),
                    service.metadata.name.unwrap_or_default(),
                ));
            }
            Ok(Some(watcher::Event::InitDone)) => synced = true,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "watch of services failed, trying again");
                continue;
            }
        }
        if synced {
            let list: Vec<Service> = all.values().cloned().collect();
            let moved = sender.borrow().as_deref() != Some(&list);
            if moved {
                save(&path, &list);
                sender.send_replace(Some(Arc::new(list)));
            }
        }
    }
}

fn save(path: &Path, list: &[Service]) {
    let Ok(text) = serde_json::to_vec(list) else {
        return;
    };
    if std::fs::read(path).is_ok_and(|old| old == text) {
        return;
    }
    let next = path.with_extension("tmp");
    if let Err(error) = std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, path)) {
        tracing::warn!(%error, path = %path.display(), "the services cannot be kept for a cold start");
    }
}
