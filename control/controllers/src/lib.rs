//! Kubernetes' controllers for the kinds that Minicloud serves, each in a file of its own.
//!
//! They see the cluster only through the Kubernetes API, so they also run against any other Kubernetes. Each file has the same
//! order: what it is for, a pure decision (objects in, actions out), the executor that acts, tests. What they share is in
//! `plumbing`: one watch per resource for the whole process, a queue, events. Before changing a decision, know that its
//! input is a cache which may lag behind the server: a decision taken twice must do no harm.

mod deployment;
mod endpoint_slice;
mod endpoint_slice_mirroring;
mod endpoints;
mod garbage_collector;
mod horizontal;
mod local_path;
mod namespace;
mod node_lifecycle;
mod plumbing;
mod pod_gc;
mod replicaset;
mod resizer;
mod root_ca;
mod service_account;
mod service_pods;
#[cfg(test)]
mod simulation;
mod volume_binder;
mod volume_protection;

use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use minicloud_api::part::Shutdown;
use tokio::task::JoinSet;

use crate::plumbing::events::Sink;
use crate::plumbing::shared::Shared;

pub use horizontal::NAME as HORIZONTAL_POD_AUTOSCALER;
pub use resizer::definition as resizer_definition;

/// Gives the client that acts as the named identity: the name of a service account in `kube-system` (such as
/// `deployment-controller`), or the user `system:kube-controller-manager`, which the shared watches use.
pub type ClientFor = Arc<dyn Fn(&str) -> Client + Send + Sync>;

/// What the controllers need to know.
#[derive(Clone)]
pub struct Config {
    /// One client per identity.
    pub client: ClientFor,
    /// The cluster's CA certificate in PEM, published in every namespace as the ConfigMap `kube-root-ca.crt`.
    pub root_ca_pem: String,
    /// Where local-path volumes lie on a node that does not say so itself (see [`run_node_provisioner`]).
    pub storage_dir: PathBuf,
}

/// Runs every controller until shutdown. What fails is tried again with a growing delay, key by key, and takes nothing else
/// with it.
///
/// # Errors
/// When a controller's task ends before shutdown, which would be a defect.
pub async fn run(config: Config, mut shutdown: Shutdown) -> anyhow::Result<()> {
    let (sink, writer) = Sink::new(shutdown.clone());
    let shared = Shared::new(&config, sink);
    let mut tasks = JoinSet::new();
    tasks.spawn(writer);
    deployment::start(&shared, &mut tasks, &shutdown);
    endpoint_slice::start(&shared, &mut tasks, &shutdown);
    endpoint_slice_mirroring::start(&shared, &mut tasks, &shutdown);
    endpoints::start(&shared, &mut tasks, &shutdown);
    garbage_collector::start(&shared, &mut tasks, &shutdown);
    horizontal::start(&shared, &mut tasks, &shutdown);
    local_path::start(&shared, &config.storage_dir, &mut tasks, &shutdown);
    namespace::start(&shared, &mut tasks, &shutdown);
    node_lifecycle::start(&shared, &mut tasks, &shutdown);
    pod_gc::start(&shared, &mut tasks, &shutdown);
    replicaset::start(&shared, &mut tasks, &shutdown);
    resizer::start(&shared, &mut tasks, &shutdown);
    root_ca::start(&shared, &config.root_ca_pem, &mut tasks, &shutdown);
    service_account::start(&shared, &mut tasks, &shutdown);
    volume_binder::start(&shared, &mut tasks, &shutdown);
    volume_protection::start(&shared, &mut tasks, &shutdown);
    // Last, so that no change is missed.
    shared.start(&mut tasks, &shutdown);
    tokio::select! {
        () = shutdown.wait() => {}
        ended = tasks.join_next() => {
            if !shutdown.is_down() {
                anyhow::bail!("a controller's task ended early: {ended:?}");
            }
        }
    }
    tasks.shutdown().await;
    Ok(())
}

/// Makes and removes the directories of local-path volumes on this node, until shutdown. Every node runs it, with a client
/// that may read and patch the node's own Node object (the node's own identity may).
///
/// # Errors
/// None today: what can fail is retried.
pub async fn run_node_provisioner(
    client: Client,
    node_name: String,
    base_dir: PathBuf,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    local_path::node::run(client, node_name, base_dir, shutdown).await
}
