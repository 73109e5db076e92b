//! What a kubelet would say: pods on a node run and become ready, deleted ones end at once. A pod whose image is `broken`
//! never becomes ready.

use std::collections::HashSet;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;

/// Runs for as long as the test does.
pub(crate) async fn run(client: Client) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut events = std::pin::pin!(
        watcher(pods, watcher::Config::default())
            .default_backoff()
            .applied_objects()
    );
    let mut started = HashSet::new();
    let mut count = 0_u32;
    while let Some(event) = events.next().await {
        let Ok(pod) = event else { continue };
        let node = pod
            .spec
            .as_ref()
            .and_then(|s| s.node_name.clone())
            .unwrap_or_default();
        if node.is_empty() || node.starts_with("silent") {
            continue;
        }
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        if pod.metadata.deletion_timestamp.is_some() {
            let _ = api
                .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                .await;
            continue;
        }
        if !started.insert(pod.uid()) {
            continue;
        }
        count += 1;
        let ip = format!("10.42.{}.{}", count / 250, count % 250 + 1);
        let image = pod
            .spec
            .as_ref()
            .and_then(|s| s.containers.first())
            .and_then(|c| c.image.clone());
        let ready = if image.as_deref() == Some("broken") {
            "False"
        } else {
            "True"
        };
        let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions":
            [{"type": "Ready", "status": ready, "lastTransitionTime": Timestamp::now().to_string()}]}});
        let _ = api
            .patch_status(
                &pod.name_any(),
                &PatchParams::default(),
                &Patch::Strategic(status),
            )
            .await;
    }
}
