//! Keeps claims that pods use and volumes that claims use from vanishing under them: a finalizer holds the deletion back
//! until the last user is gone.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use crate::plumbing::informer::Key;
use crate::plumbing::objects::{is_deleting, node_name};
use crate::plumbing::patch::update;
use crate::plumbing::queue::Queue;
use crate::plumbing::shared::Shared;

const CLAIMS: &str = "pvc-protection-controller";
const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUMES: &str = "pv-protection-controller";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

// ---- decide ----

/// The finalizers as they should be; none when they are right.
fn finalizers(meta: &ObjectMeta, finalizer: &str, in_use: bool) -> Option<Vec<String>> {
    let mut all = meta.finalizers.clone().unwrap_or_default();
    let there = all.iter().any(|f| f == finalizer);
    match (is_deleting(meta), there) {
        (false, false) => all.push(finalizer.to_owned()),
        (true, true) if !in_use => all.retain(|f| f != finalizer),
        _ => return None,
    }
    Some(all)
}

/// True when the pod, placed on a node, mounts the claim. One that waits for a node does not count: the kubelet will not
/// start it with a claim that is going away.
fn uses(pod: &Pod, claim: &str) -> bool {
    !node_name(pod).is_empty() && claims_of(pod).any(|name| name == claim)
}

fn claims_of(pod: &Pod) -> impl Iterator<Item = String> {
    let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
    volumes.filter_map(
        |volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => Some(claim.claim_name.clone()),
            (None, Some(_)) => Some(format!("{}-{}", pod.name_any(), volume.name)),
            (None, None) => None,
        },
    )
}

fn is_claimed(volume: &PersistentVolume) -> bool {
    volume.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound")
}

// ---- act ----

/// Starts both controllers.
pub(crate) fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    start_claims(shared, tasks, shutdown);
    start_volumes(shared, tasks, shutdown);
}

fn start_claims(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let queue: Arc<Queue<Key>> = Arc::default();
    let add = queue.clone();
    shared.claims.on_change(move |change| {
        if let Some(claim) = &change.new {
            add.add(Key::of(claim.as_ref()));
        }
    });
    let add = queue.clone();
    shared.pods.on_change(move |change| {
        if let (Some(old), None) = (&change.old, &change.new) {
            for claim in claims_of(old) {
                add.add(Key::new(old.namespace().unwrap_or_default(), claim));
            }
        }
    });
    let client = shared.client(CLAIMS);
    let (shared, shutdown) = (shared.clone(), shutdown.clone());
    tasks.spawn(async move {
        shared.claims.wait_synced().await;
        shared.pods.wait_synced().await;
        let sync = |key: Key| {
            let (shared, client) = (shared.clone(), client.clone());
            async move {
                let Some(claim) = shared.claims.get(&key.namespace, &key.name) else {
                    return Ok(());
                };
                let pods = shared.pods.in_namespace(&key.namespace);
                let mut in_use = pods.iter().any(|pod| uses(pod, &key.name));
                if is_deleting(&claim.metadata) && !in_use {
                    // The cache may be behind, and letting go cannot be taken back.
                    let live: Api<Pod> = Api::namespaced(client.clone(), &key.namespace);
                    in_use = live
                        .list(&ListParams::default())
                        .await?
                        .items
                        .iter()
                        .any(|pod| uses(pod, &key.name));
                }
                let Some(finalizers) = finalizers(&claim.metadata, CLAIM_FINALIZER, in_use) else {
                    return Ok(());
                };
                let mut new = (*claim).clone();
                new.metadata.finalizers = Some(finalizers);
                let api: Api<PersistentVolumeClaim> = Api::namespaced(client, &key.namespace);
                update(&api, &*claim, &new).await.map(drop)
            }
        };
        queue.run(CLAIMS, 2, shutdown, sync).await;
    });
}

fn start_volumes(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, shutdown: &Shutdown) {
    let queue: Arc<Queue<String>> = Arc::default();
    let add = queue.clone();
    shared.volumes.on_change(move |change| {
        if let Some(volume) = &change.new {
            add.add(volume.name_any());
        }
    });
    let client = shared.client(VOLUMES);
    let (shared, shutdown) = (shared.clone(), shutdown.clone());
    tasks.spawn(async move {
        shared.volumes.wait_synced().await;
        let sync = |name: String| {
            let (shared, client) = (shared.clone(), client.clone());
            async move {
                let Some(volume) = shared.volumes.get("", &name) else {
                    return Ok(());
                };
                let changed = finalizers(&volume.metadata, VOLUME_FINALIZER, is_claimed(&volume));
                let Some(finalizers) = changed else {
                    return Ok(());
                };
                let mut new = (*volume).clone();
                new.metadata.finalizers = Some(finalizers);
                update(&Api::all(client), &*volume, &new).await.map(drop)
            }
        };
        queue.run(VOLUMES, 2, shutdown, sync).await;
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn the_finalizer_comes_first_and_goes_last() {
        let check = |meta: Value, in_use: bool, expect: Option<&[&str]>| {
            let got = finalizers(&from_value(meta.clone()).unwrap(), "f", in_use);
            assert_eq!(
                got,
                expect.map(|all| all.iter().map(|f| (*f).to_owned()).collect()),
                "{meta} {in_use}"
            );
        };
        let gone = "2026-01-01T00:00:00Z";
        check(json!({}), false, Some(&["f"]));
        check(
            json!({"finalizers": ["other"]}),
            true,
            Some(&["other", "f"]),
        );
        check(json!({"finalizers": ["f"]}), false, None);
        check(
            json!({"finalizers": ["f", "other"], "deletionTimestamp": gone}),
            false,
            Some(&["other"]),
        );
        check(
            json!({"finalizers": ["f"], "deletionTimestamp": gone}),
            true,
            None,
        );
        check(json!({"deletionTimestamp": gone}), true, None);
    }

    #[test]
    fn only_placed_pods_use_a_claim() {
        let check = |node: &str, volume: Value, expect: bool| {
            let pod = from_value(
                json!({"metadata": {"name": "p"}, "spec": {"nodeName": node, "containers": [], "volumes": [volume]}}),
            );
            assert_eq!(uses(&pod.unwrap(), "p-data"), expect);
        };
        let claim =
            |name: &str| json!({"name": "data", "persistentVolumeClaim": {"claimName": name}});
        check("n", claim("p-data"), true);
        check("", claim("p-data"), false);
        check("n", claim("other"), false);
        check("n", json!({"name": "data", "ephemeral": {}}), true);
        check("n", json!({"name": "p-data", "emptyDir": {}}), false);
    }
}
