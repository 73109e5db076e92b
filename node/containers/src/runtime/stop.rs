//! Stopping a container, also by a signal of the pod's own choice.
//!
//! The runtime sends the image's stop signal; before containerd 2.1 it takes none from the pod. So for such a container the
//! signal is sent here, and the runtime is called when the grace is over or the process has ended.

use std::time::Duration;

use minicloud_agent::runtime::RuntimeError;
use minicloud_cri::{Client, v1};
use minicloud_process::Pidfd;
use rustix::process::{Pid, Signal};

use super::errors::{absent_is_done, runtime_error};
use super::signal;
use crate::translate::STOP_SIGNAL;

pub(super) async fn stop(client: &Client, id: &str, grace: Duration) -> Result<(), RuntimeError> {
    // Whole seconds are all that CRI knows; a fraction must not become "at once".
    let seconds = Duration::from_secs(
        grace
            .as_secs()
            .saturating_add(u64::from(grace.subsec_nanos() > 0)),
    );
    if grace.is_zero() {
        return absent_is_done(client.stop_container(id, seconds).await);
    }
    let status = match client.container_status(id).await {
        Ok(status) => status,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(runtime_error(error)),
    };
    match status.annotations.get(STOP_SIGNAL) {
        None => absent_is_done(client.stop_container(id, seconds).await),
        Some(name) => {
            let signal = signal::parse(name)?;
            signal_and_wait(client, id, signal, grace).await?;
            absent_is_done(client.stop_container(id, Duration::ZERO).await)
        }
    }
}

/// Returns when the first process has ended, or after `grace`.
async fn signal_and_wait(
    client: &Client,
    id: &str,
    signal: Signal,
    grace: Duration,
) -> Result<(), RuntimeError> {
    let Some(pid) = running_pid(client, id).await? else {
        return Ok(());
    };
    let Ok(process) = Pidfd::open(pid) else {
        return Ok(());
    };
    // The number may have come to be another's before the handle was opened; it is still the container's if it still runs.
    if running_pid(client, id).await? == Some(pid) && process.send(signal) {
        // Either way the runtime is called next.
        let _ = tokio::time::timeout(grace, process.ended()).await;
    }
    Ok(())
}

/// From containerd's own information, a JSON text under `info`.
async fn running_pid(client: &Client, id: &str) -> Result<Option<Pid>, RuntimeError> {
    let (status, info) = match client.container_status_verbose(id, true).await {
        Ok(answer) => answer,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(runtime_error(error)),
    };
    if status.state != v1::ContainerState::ContainerRunning as i32 {
        return Ok(None);
    }
    #[derive(serde::Deserialize)]
    struct Info {
        pid: i32,
    }
    let pid = info
        .get("info")
        .and_then(|text| serde_json::from_str::<Info>(text).ok())
        .map(|info| info.pid);
    Ok(pid.and_then(Pid::from_raw))
}
