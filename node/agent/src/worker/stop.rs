//! Stops containers, and brings a pod to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};

use super::report;
use crate::events::Severity;
use crate::pod;
use crate::probe::check::{self, Target};
use crate::runtime::{ObservedPod, RuntimeError};
use crate::shared::{Shared, api};
use crate::{translate, volumes};

/// What is left for the stop signal when preStop took all the grace.
const LEAST: Duration = Duration::from_secs(2);

/// A container to be stopped.
pub(super) struct Order {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) grace: Duration,
    pub(super) hook: bool,
    pub(super) pod_ip: String,
}

/// Runs preStop and stops the container, both within the grace.
pub(super) async fn kill(shared: &Shared, pod: &Pod, order: &Order) -> Result<(), RuntimeError> {
    let begun = Instant::now();
    let container = pod::container(pod, &order.name).map(|(_, c)| c);
    let hook = container.and_then(|c| Some((c, c.lifecycle.as_ref()?.pre_stop.as_ref()?)));
    let mut left = order.grace;
    if let Some((container, hook)) = hook.filter(|_| order.hook) {
        let target = Target {
            container_id: order.id.clone(),
            pod_ip: order.pod_ip.clone(),
        };
        if let Err(why) = check::hook(&*shared.runtime, container, hook, &target, order.grace).await
        {
            let message = format!("PreStopHook failed: {why}");
            shared.events.pod(
                pod,
                Some(&order.name),
                Severity::Warning,
                "FailedPreStopHook",
                message,
            );
        }
        left = left.saturating_sub(begun.elapsed()).max(LEAST.min(left));
    }
    shared.runtime.stop_container(&order.id, left).await
}

/// Reports the end and lets the object go, then removes what is left on the machine. Everything may be repeated.
pub(super) async fn finish(
    shared: &Arc<Shared>,
    pod: &Pod,
    status: Option<&PodStatus>,
    known: &PodStatus,
    observed: &ObservedPod,
    gone: bool,
) -> Result<(), String> {
    let uid = pod::uid(pod).to_owned();
    if !gone {
        let pods: Api<Pod> = Api::namespaced(shared.client.clone(), pod::namespace(pod));
        if let Some(status) = status {
            let patch = report::patch(&uid, status, known);
            match api(pods.patch_status(
                pod::name(pod),
                &PatchParams::default(),
                &Patch::Strategic(patch),
            ))
            .await
            {
                Err(error) if !error.is(404) && !error.is(409) => {
                    return Err(format!("report the end: {error}"));
                }
                _ => {}
            }
        }
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: Some(uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api(pods.delete(pod::name(pod), &params)).await {
            Err(error) if !error.is(404) && !error.is(409) => {
                return Err(format!("let the object go: {error}"));
            }
            _ => {}
        }
    }
    for sandbox in &observed.sandboxes {
        shared
            .runtime
            .remove_sandbox(&sandbox.id)
            .await
            .map_err(|e| format!("remove sandbox {}: {e}", sandbox.id))?;
    }
    let inner = shared.clone();
    let logs = translate::log_directory(
        &shared.config.log_dir,
        pod::namespace(pod),
        pod::name(pod),
        &uid,
    );
    let cleaned = tokio::task::spawn_blocking(move || {
        volumes::remove_pod(&inner.dirs, &uid, true)?;
        match std::fs::remove_dir_all(&logs) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{}: {e}", logs.display()));
            }
            _ => {}
        }
        inner
            .checkpoints
            .remove(&uid)
            .map_err(|e| format!("remove the checkpoint: {e}"))
    });
    cleaned
        .await
        .map_err(|e| format!("cleaning up broke off: {e}"))?
}
