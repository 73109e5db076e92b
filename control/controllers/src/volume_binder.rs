//! Binds PersistentVolumeClaims to PersistentVolumes and keeps the phases of both: Pending, Bound and Lost; Available, Bound
//! and Released.
//!
//! A binding is four writes (volume, its status, claim, its status), in that order. Each sync writes what is missing, so one
//! that was interrupted is completed by the next. A volume's `claimRef` decides: it is written with the version that was seen,
//! so two claims can never get the same volume.

mod decide;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::Api;
use kube::{Client, Resource, ResourceExt};
use minicloud_api::part::Shutdown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use self::decide::{ClaimStep, VolumeStep};
pub(crate) use self::decide::{SELECTED_NODE, STORAGE_PROVISIONER};
use crate::plumbing::events::Recorder;
use crate::plumbing::informer::Key;
use crate::plumbing::objects::{now, reference};
use crate::plumbing::patch::{or_gone, update, update_status};
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

const NAME: &str = "persistent-volume-binder";

// ---- act ---- (what is decided is in `decide`)

struct Controller {
    shared: Arc<Shared>,
    client: Client,
    events: Recorder,
    claims: Arc<Queue<Key>>,
    volumes: Arc<Queue<String>>,
}

/// Starts the controller.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let client = shared.client(NAME);
    let this = Arc::new(Controller {
        shared: shared.clone(),
        events: shared.recorder(&client, NAME),
        client,
        claims: Arc::default(),
        volumes: Arc::default(),
    });
    let on = this.clone();
    shared.claims.on_change(move |change| {
        let Some(claim) = change.latest() else { return };
        on.claims.add(Key::of(claim.as_ref()));
        if let Some(volume) = claim.spec.as_ref().and_then(|s| s.volume_name.clone()) {
            on.volumes.add(volume);
        }
        if change.new.is_none() {
            // The volume that was meant for a claim which never bound.
            for volume in on.shared.volumes.all() {
                if decide::is_for(&volume, claim) {
                    on.volumes.add(volume.name_any());
                }
            }
        }
    });
    let on = this.clone();
    shared.volumes.on_change(move |change| {
        let Some(volume) = change.latest() else {
            return;
        };
        on.volumes.add(volume.name_any());
        if let Some(claim) = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()) {
            let text = |t: &Option<String>| t.clone().unwrap_or_default();
            on.claims
                .add(Key::new(text(&claim.namespace), text(&claim.name)));
        } else {
            on.wake_unbound();
        }
        if change.new.is_none() {
            on.wake_unbound();
        }
    });
    let on = this.clone();
    shared.storage_classes.on_change(move |_| on.wake_unbound());
    let (claims, volumes) = (this.clone(), this.clone());
    let (down_claims, down_volumes) = (shutdown.clone(), shutdown.clone());
    tasks.spawn(async move {
        claims.wait_synced().await;
        let work = |key| {
            let this = claims.clone();
            async move { this.sync_claim(key).await }
        };
        claims.claims.run(NAME, 4, down_claims, work).await;
    });
    tasks.spawn(async move {
        volumes.wait_synced().await;
        let work = |name| {
            let this = volumes.clone();
            async move { this.sync_volume(name).await }
        };
        volumes.volumes.run(NAME, 4, down_volumes, work).await;
    });
}

impl Controller {
    async fn wait_synced(&self) {
        self.shared.claims.wait_synced().await;
        self.shared.volumes.wait_synced().await;
        self.shared.storage_classes.wait_synced().await;
    }

    fn wake_unbound(&self) {
        for claim in self.shared.claims.all() {
            if !decide::is_bound(&claim) {
                self.claims.add(Key::of(claim.as_ref()));
            }
        }
    }

    async fn sync_claim(&self, key: Key) -> anyhow::Result<()> {
        let Some(claim) = self.shared.claims.get(&key.namespace, &key.name) else {
            return Ok(());
        };
        let volumes = self.shared.volumes.all();
        let classes = self.shared.storage_classes.all();
        let step = decide::claim(&claim, &volumes, &classes);
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &key.namespace);
        match step {
            ClaimStep::Nothing => {}
            ClaimStep::Write { claim: new, tell } => {
                if let Some((kind, reason, message)) = tell {
                    self.events.emit(&reference(&*claim), kind, reason, message);
                }
                write(&api, &*claim, &new).await?;
            }
            ClaimStep::Bind(volume) => {
                let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
                write(
                    &volumes,
                    &*volume,
                    &decide::bound_volume(&volume, &claim, now()),
                )
                .await?;
                write(&api, &*claim, &decide::bound_claim(&claim, &volume)).await?;
            }
        }
        Ok(())
    }

    async fn sync_volume(&self, name: String) -> anyhow::Result<()> {
        let Some(volume) = self.shared.volumes.get("", &name) else {
            return Ok(());
        };
        let reference = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref());
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        let claim_key = reference.map(|r| Key::new(text(&r.namespace), text(&r.name)));
        let mut claim = match &claim_key {
            Some(key) => self.shared.claims.get(&key.namespace, &key.name),
            None => None,
        };
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let mut step = decide::volume(&volume, claim.as_deref(), now());
        if let (VolumeStep::Write { released: true, .. }, Some(key)) = (&step, &claim_key) {
            // The cache may be behind: what it calls gone is given up only when the server says so too.
            let claims: Api<PersistentVolumeClaim> =
                Api::namespaced(self.client.clone(), &key.namespace);
            claim = claims.get_opt(&key.name).await?.map(Arc::new);
            step = decide::volume(&volume, claim.as_deref(), now());
        }
        match step {
            VolumeStep::Nothing => {}
            VolumeStep::WakeClaim => {
                if let Some(key) = claim_key {
                    self.claims.add(key);
                }
            }
            VolumeStep::Write { volume: new, .. } => write(&api, &*volume, &new).await?,
        }
        Ok(())
    }
}

/// Writes the object, then its status on top of what came back.
async fn write<K>(api: &Api<K>, old: &K, new: &K) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned
        + WithStatus,
{
    let mut main = new.clone();
    main.copy_status(old);
    let mut current = old.clone();
    if let Some(written) = update(api, old, &main).await? {
        current = written;
    }
    let mut last = current.clone();
    last.copy_status(new);
    match update_status(api, &current, &last).await {
        Ok(_) => Ok(()),
        Err(error) => match error.downcast::<kube::Error>() {
            Ok(error) => Ok(or_gone::<()>(Err(error)).map(drop)?),
            Err(error) => Err(error),
        },
    }
}

/// Objects whose status is written apart from the rest.
trait WithStatus {
    /// Takes over the other's status.
    fn copy_status(&mut self, from: &Self);
}

impl WithStatus for PersistentVolume {
    fn copy_status(&mut self, from: &Self) {
        self.status.clone_from(&from.status);
    }
}

impl WithStatus for PersistentVolumeClaim {
    fn copy_status(&mut self, from: &Self) {
        self.status.clone_from(&from.status);
    }
}
