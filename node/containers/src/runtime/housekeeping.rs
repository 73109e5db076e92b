//! What is done now and then: rotating logs, removing images when the disk fills, ending shims that nobody knows of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Shared;
use super::errors::blocking;
use crate::images::collect::{Candidate, Usage, choose};
use crate::{logs, shims};

/// Between looks for shims that nobody knows of.
const SHIMS: Duration = Duration::from_secs(30);

pub(super) async fn rotate_logs(shared: Arc<Shared>) {
    let rotation = shared.config.logs;
    loop {
        tokio::time::sleep(rotation.interval).await;
        let running = shared.known().running_logs();
        if running.is_empty() {
            continue;
        }
        let rotated = blocking(move || {
            let mut rotated = Vec::new();
            for (id, log) in running {
                match logs::rotate(&log, rotation, Timestamp::now()) {
                    Ok(Some(target)) => rotated.push((id, log, target)),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(log = %log.display(), %error, "a container's log cannot be rotated")
                    }
                }
            }
            rotated
        });
        for (id, log, target) in rotated.await.unwrap_or_default() {
            if let Err(error) = shared.client.reopen_container_log(&id).await {
                tracing::warn!(%error, "a rotated log was not opened anew");
                if let Err(error) = logs::undo(&log, &target) {
                    tracing::warn!(log = %log.display(), %error, "a rotated log did not get its name back");
                }
            }
        }
    }
}

/// A server or containerd that is killed while it starts a sandbox may leave a shim that containerd does not know of.
pub(super) async fn end_orphans(shared: Arc<Shared>) {
    let mut suspects = HashSet::new();
    loop {
        tokio::time::sleep(SHIMS).await;
        // What is being started is not yet in the list.
        let quiet = !shared.starts.any();
        let socket = shared.config.engine.socket();
        let found = blocking(move || shims::of(&socket)).await;
        let sandboxes = shared.client.list_pod_sandbox(Default::default()).await;
        let (Ok(found), Ok(sandboxes), true) = (found, sandboxes, quiet) else {
            suspects.clear();
            continue;
        };
        let sandboxes = sandboxes.into_iter().map(|sandbox| sandbox.id).collect();
        for (shim, sandbox) in shims::orphans(found, &sandboxes, &mut suspects) {
            tracing::warn!(
                sandbox,
                pid = shim.pid.as_raw_nonzero(),
                "a shim whose start was cut off is ended"
            );
            shims::kill(shim);
        }
    }
}

pub(super) async fn collect_images(shared: Arc<Shared>) {
    let mut last_used = HashMap::new();
    loop {
        tokio::time::sleep(shared.config.image_collection.interval).await;
        if let Err(error) = collect(&shared, &mut last_used).await {
            tracing::warn!(error, "unused images cannot be removed");
        }
    }
}

async fn collect(shared: &Shared, last_used: &mut HashMap<String, Instant>) -> Result<(), String> {
    let settings = shared.config.image_collection;
    let usage = usage(shared.config.engine.root())
        .map_err(|error| format!("{}: {error}", shared.config.engine.root().display()))?;
    let (images, containers) = futures::try_join!(
        shared.client.list_images(),
        shared.client.list_containers(Default::default())
    )
    .map_err(|error| error.to_string())?;
    let now = Instant::now();
    let in_use: HashSet<String> = containers
        .into_iter()
        .flat_map(|container| {
            [
                container.image_ref,
                container.image.unwrap_or_default().image,
            ]
        })
        .collect();
    last_used.retain(|id, _| images.iter().any(|image| image.id == *id));
    let candidates: Vec<Candidate> = images
        .into_iter()
        .map(|image| {
            let seen = last_used.entry(image.id.clone()).or_insert(now);
            if in_use.contains(&image.id) {
                *seen = now;
            }
            Candidate {
                last_used: *seen,
                pulled: !image.repo_digests.is_empty() && !image.pinned,
                size: image.size,
                id: image.id,
            }
        })
        .collect();
    if usage.excess(settings.high_percent) == 0 {
        return Ok(());
    }
    let bytes = usage.excess(settings.low_percent);
    let chosen = choose(candidates, &in_use, bytes, now, settings.min_age);
    tracing::info!(
        bytes,
        images = chosen.len(),
        "the disk is nearly full; unused images are removed"
    );
    for id in chosen {
        shared
            .client
            .remove_image(&id)
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn usage(path: &std::path::Path) -> rustix::io::Result<Usage> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Usage {
        // What is reserved for root counts as used by nobody, as `df` does.
        capacity: (stat.f_blocks - (stat.f_bfree - stat.f_bavail)).saturating_mul(stat.f_frsize),
        available: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}
