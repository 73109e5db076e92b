//! Looking at pods and taking them away.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};
use minicloud_agent::runtime::{
    LABEL_POD_UID, ObservedContainer, ObservedPod, ObservedSandbox, RuntimeError,
};
use minicloud_cri::CallError;
use minicloud_cri::v1::{self, ContainerConfig, ContainerFilter, Int64Value, PodSandboxFilter};

use super::errors::{absent_is_done, blocking, runtime_error};
use super::{Shared, complete};
use crate::{logs, shims, translate};

/// Status calls at a time.
const AT_ONCE: usize = 8;

pub(super) async fn all(shared: &Shared) -> Result<Vec<ObservedPod>, RuntimeError> {
    let (sandboxes, containers) = list(shared, HashMap::new()).await?;
    {
        let ids_of_containers = containers
            .iter()
            .map(|c| c.id.clone())
            .collect::<HashSet<_>>();
        let ids_of_sandboxes = sandboxes
            .iter()
            .map(|s| s.id.clone())
            .collect::<HashSet<_>>();
        shared
            .known()
            .keep_only(&ids_of_containers, &ids_of_sandboxes);
    }
    observe(shared, sandboxes, containers, false).await
}

pub(super) async fn one(shared: &Shared, uid: &str) -> Result<Option<ObservedPod>, RuntimeError> {
    let (sandboxes, containers) = list(shared, label(uid)).await?;
    Ok(observe(shared, sandboxes, containers, true)
        .await?
        .into_iter()
        .next())
}

fn label(uid: &str) -> HashMap<String, String> {
    HashMap::from([(LABEL_POD_UID.to_owned(), uid.to_owned())])
}

async fn list(
    shared: &Shared,
    labels: HashMap<String, String>,
) -> Result<(Vec<v1::PodSandbox>, Vec<v1::Container>), RuntimeError> {
    let sandboxes = PodSandboxFilter {
        label_selector: labels.clone(),
        ..Default::default()
    };
    let containers = ContainerFilter {
        label_selector: labels,
        ..Default::default()
    };
    let (sandboxes, mut containers) = futures::try_join!(
        shared.client.list_pod_sandbox(sandboxes),
        shared.client.list_containers(containers)
    )
    .map_err(runtime_error)?;
    containers.retain(|container| container.labels.contains_key(LABEL_POD_UID));
    let sandboxes = sandboxes
        .into_iter()
        .filter(|sandbox| sandbox.labels.contains_key(LABEL_POD_UID))
        .collect();
    Ok((sandboxes, containers))
}

/// Completes list entries by their status: from what is known, or by asking (`fresh` asks about every container).
async fn observe(
    shared: &Shared,
    sandboxes: Vec<v1::PodSandbox>,
    containers: Vec<v1::Container>,
    fresh: bool,
) -> Result<Vec<ObservedPod>, RuntimeError> {
    let sandboxes = stream::iter(sandboxes)
        .map(|entry| async move { sandbox(shared, &entry).await })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(|found| async move { Ok(found) });
    let containers = stream::iter(containers)
        .map(|entry| async move { container(shared, &entry, fresh).await })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(|found| async move { Ok(found) });
    let (sandboxes, containers): (Vec<_>, Vec<_>) =
        futures::try_join!(sandboxes.try_collect(), containers.try_collect())
            .map_err(runtime_error)?;
    Ok(translate::pods(sandboxes, containers))
}

/// `None` when it went between the list and the question.
async fn sandbox(
    shared: &Shared,
    entry: &v1::PodSandbox,
) -> Result<Option<ObservedSandbox>, CallError> {
    if let Some(seen) = shared.known().sandbox(&entry.id, entry.state) {
        return Ok(Some(seen.clone()));
    }
    match shared.client.pod_sandbox_status(&entry.id, false).await {
        Ok(response) => Ok(response.status.map(|status| {
            let state = status.state;
            let seen = translate::observed_sandbox(status);
            shared.known().put_sandbox(state, seen.clone());
            seen
        })),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn container(
    shared: &Shared,
    entry: &v1::Container,
    fresh: bool,
) -> Result<Option<ObservedContainer>, CallError> {
    if !fresh && let Some(seen) = shared.known().container(&entry.id, entry.state) {
        return Ok(Some(seen.clone()));
    }
    match shared.client.container_status(&entry.id).await {
        Ok(status) => {
            let state = status.state;
            let seen = translate::observed_container(status, &entry.pod_sandbox_id);
            shared.known().put_container(state, seen.clone());
            Ok(Some(seen))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn make_dir(dir: &Path) -> Result<(), RuntimeError> {
    tokio::fs::create_dir_all(dir).await.map_err(|error| {
        RuntimeError::Failed(format!("cannot make the folder {}: {error}", dir.display()))
    })
}

/// CRI takes a group only together with a user, so where the pod names just a group the image's user is filled in.
pub(super) async fn complete_user(
    shared: &Shared,
    config: &mut ContainerConfig,
    image_id: &str,
) -> Result<(), RuntimeError> {
    let security = config
        .linux
        .as_mut()
        .and_then(|linux| linux.security_context.as_mut());
    let Some(security) = security.filter(|s| s.run_as_group.is_some() && s.run_as_user.is_none())
    else {
        return Ok(());
    };
    let image = shared
        .client
        .image_status(&complete(image_id)?)
        .await
        .map_err(runtime_error)?;
    let image = image.ok_or_else(|| RuntimeError::NotFound(format!("image {image_id}")))?;
    if image.username.is_empty() {
        security.run_as_user = Some(image.uid.unwrap_or(Int64Value { value: 0 }));
    } else {
        security.run_as_username = image.username;
    }
    Ok(())
}

pub(super) async fn remove_container(shared: &Shared, id: &str) -> Result<(), RuntimeError> {
    let log = log_of(shared, id).await?;
    absent_is_done(shared.client.remove_container(id).await)?;
    shared.known().forget(id);
    remove_logs(log.into_iter().collect()).await
}

async fn log_of(shared: &Shared, container_id: &str) -> Result<Option<PathBuf>, RuntimeError> {
    if let Some(log) = shared.known().log_path(container_id) {
        return Ok(Some(log));
    }
    match shared.client.container_status(container_id).await {
        Ok(status) => Ok(Some(PathBuf::from(status.log_path))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(runtime_error(error)),
    }
}

async fn remove_logs(paths: Vec<PathBuf>) -> Result<(), RuntimeError> {
    blocking(move || {
        for log in paths {
            if let Err(error) = logs::remove(&log) {
                tracing::warn!(log = %log.display(), %error, "a removed container's log stays");
            }
        }
    })
    .await
}

pub(super) async fn remove_sandbox(shared: &Shared, id: &str) -> Result<(), RuntimeError> {
    let status = match shared.client.pod_sandbox_status(id, false).await {
        Ok(response) => response.status.unwrap_or_default(),
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(runtime_error(error)),
    };
    let filter = ContainerFilter {
        pod_sandbox_id: id.to_owned(),
        ..Default::default()
    };
    let containers = shared
        .client
        .list_containers(filter)
        .await
        .map_err(runtime_error)?;
    let mut paths = Vec::new();
    for container in &containers {
        paths.extend(log_of(shared, &container.id).await?);
    }
    if let Err(error) = absent_is_done(shared.client.remove_pod_sandbox(id).await) {
        let stopped = status.state == v1::PodSandboxState::SandboxNotready as i32;
        if stopped && matches!(error, RuntimeError::Failed(_)) {
            end_untold(shared, id).await;
        }
        return Err(error);
    }
    {
        let mut known = shared.known();
        known.forget(id);
        containers
            .iter()
            .for_each(|container| known.forget(&container.id));
    }
    remove_logs(paths).await?;
    let annotation = |key: &str| {
        status
            .annotations
            .get(key)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let uid = status
        .labels
        .get(LABEL_POD_UID)
        .map(String::as_str)
        .unwrap_or_default();
    release(
        shared,
        uid,
        annotation(translate::CGROUP),
        Path::new(annotation(translate::LOG_DIRECTORY)),
    )
    .await;
    Ok(())
}

/// Ends the shim of a stopped sandbox, with what it has started. A server that is killed while it starts a container may leave one
/// that containerd runs but takes for not started: it neither stops nor removes that. Without the shim it gives up the container,
/// and the next removal works.
async fn end_untold(shared: &Shared, sandbox_id: &str) {
    let (socket, id) = (shared.config.engine.socket(), sandbox_id.to_owned());
    let work = move || {
        for (shim, sandbox) in shims::of(&socket) {
            if sandbox == id {
                tracing::warn!(
                    sandbox,
                    "the shim of a sandbox that cannot be removed is ended"
                );
                shims::kill(shim);
            }
        }
    };
    // It fails only when the process is about to end.
    let _ = blocking(work).await;
}

/// Removes what a pod holds outside the engine, if no sandbox of it is left.
pub(super) async fn release(shared: &Shared, uid: &str, cgroup: &str, log_directory: &Path) {
    if uid.is_empty() || cgroup.is_empty() {
        return;
    }
    let filter = PodSandboxFilter {
        label_selector: label(uid),
        ..Default::default()
    };
    match shared.client.list_pod_sandbox(filter).await {
        Ok(left) if left.is_empty() => {}
        // The next removal sees to it.
        Ok(_) | Err(_) => return,
    }
    let (cgroups, path, dir) = (
        shared.cgroups.clone(),
        cgroup.to_owned(),
        log_directory.to_owned(),
    );
    let work = move || {
        if let Err(error) = cgroups.remove(&path) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a pod's cgroup stays"
            );
        }
        if dir.is_absolute() {
            logs::remove_if_empty(&dir);
        }
    };
    // It fails only when the process is about to end.
    let _ = blocking(work).await;
}
