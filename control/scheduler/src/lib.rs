//! Decides on which node each pod runs.
//!
//! Filtering and scoring are pure; one task owns the whole picture of the cluster (see `cache`), so there are no locks.

use kube::Client;
use minicloud_api::part::Shutdown;

/// What the scheduler needs to know.
#[derive(Clone)]
pub struct Config {
    /// Acts as `system:kube-scheduler`.
    pub client: Client,
    /// Pods whose `spec.schedulerName` is this are ours, usually `default-scheduler`.
    pub scheduler_name: String,
}

/// Schedules pods until shutdown.
///
/// # Errors
/// None today: what can fail is retried.
pub async fn run(config: Config, mut shutdown: Shutdown) -> anyhow::Result<()> {
    let _ = config;
    shutdown.wait().await;
    Ok(())
}
