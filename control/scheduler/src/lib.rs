//! Decides on which node each pod runs.
//!
//! Filtering and scoring are pure functions of a pod and [`cluster::Cluster`], the picture that one task keeps from watches, so
//! there are no locks. A decision counts at once (the pod is assumed on its node) and is withdrawn when binding fails; the
//! next decision therefore never gives the same room twice. Pods are tried in the order of their priority; nothing is
//! preempted.

mod affinity;
mod bind;
mod cluster;
mod decide;
mod filter;
mod node;
mod pod;
mod queue;
mod resources;
mod run;
mod score;
mod spread;
mod terms;
#[cfg(test)]
mod testing;
mod volumes;

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
/// When the watches end before shutdown, which would be a defect: what can fail is retried.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    run::run(config, shutdown).await
}
