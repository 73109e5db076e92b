//! What the agent asks of a runtime: pods as sandboxes with containers, in CRI's terms. Know before changing: the agent
//! decides *when* (order, back-off, grace, policy), a runtime only *does*, and every call is idempotent or safe to repeat.
//!
//! A pod is found again by what its runtime reports, never by memory: [`SandboxSpec::labels`], [`ContainerSpec::labels`] and the
//! annotations are stored with the engine and given back verbatim. Containers on containerd (`minicloud-containers`) and machines
//! on QEMU implement the same trait.

mod observed;
mod spec;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

pub use observed::{
    ContainerState, ContainerStats, ExecOutput, Image, ObservedContainer, ObservedPod,
    ObservedSandbox, PodStats, RegistryAuth, StreamIo, StreamRequest,
};
pub use spec::{
    ContainerSpec, Device, DnsConfig, Mount, NamespaceMode, PortMapping, Profile, Propagation,
    Protocol, QosClass, Resources, SandboxSpec, SecurityContext,
};

/// Label with the pod's name; on sandboxes and containers.
pub const LABEL_POD_NAME: &str = "io.kubernetes.pod.name";
/// Label with the pod's namespace; on sandboxes and containers.
pub const LABEL_POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Label with the pod's UID; on sandboxes and containers. A runtime reports only what carries it.
pub const LABEL_POD_UID: &str = "io.kubernetes.pod.uid";
/// Label with the container's name in the pod; on containers.
pub const LABEL_CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// What drives pods on this machine. Object safe; calls may run concurrently.
#[async_trait]
pub trait PodRuntime: Send + Sync + 'static {
    /// Name, version and readiness of the engine. An engine that does not answer is [`RuntimeError::Unavailable`].
    async fn status(&self) -> Result<RuntimeStatus, RuntimeError>;

    /// Every pod this runtime holds, dead sandboxes and exited containers included.
    async fn list_pods(&self) -> Result<Vec<ObservedPod>, RuntimeError>;

    /// One pod by UID with fresh detail; `None` when nothing of it is left.
    async fn pod(&self, uid: &str) -> Result<Option<ObservedPod>, RuntimeError>;

    /// Notice of changes that the agent did not make itself (a container exited, was killed by the kernel, …). A receiver that
    /// lags looks at every pod again, so a notice may be lost but not delayed for ever.
    fn changes(&self) -> broadcast::Receiver<PodChange>;

    /// Creates and starts a sandbox: pod cgroup, namespaces, network, host ports. Returns its id.
    /// On failure nothing of the attempt may stay behind that a repeated call with the next attempt number would trip over.
    async fn run_sandbox(&self, sandbox: &SandboxSpec) -> Result<String, RuntimeError>;

    /// Stops a sandbox and kills what is left in it; releases the network. Unknown ids are a success.
    async fn stop_sandbox(&self, sandbox_id: &str) -> Result<(), RuntimeError>;

    /// Removes a stopped sandbox with its containers, and the pod's cgroup with the last of them. Unknown ids are a success.
    async fn remove_sandbox(&self, sandbox_id: &str) -> Result<(), RuntimeError>;

    /// Creates a container in a sandbox without starting it. The image is already present. Returns its id.
    async fn create_container(
        &self,
        sandbox_id: &str,
        sandbox: &SandboxSpec,
        container: &ContainerSpec,
    ) -> Result<String, RuntimeError>;

    /// Starts a created container.
    async fn start_container(&self, container_id: &str) -> Result<(), RuntimeError>;

    /// Sends the stop signal, waits up to `grace`, then kills. Returns when the container is down. Unknown ids are a success.
    /// A second call with a shorter grace while the first one waits must take effect.
    async fn stop_container(&self, container_id: &str, grace: Duration)
    -> Result<(), RuntimeError>;

    /// Removes a container and its logs. Unknown ids are a success.
    async fn remove_container(&self, container_id: &str) -> Result<(), RuntimeError>;

    /// Runs a command to its end, or until `timeout` ([`RuntimeError::Timeout`], the command is killed). Output is cut at 16 MiB.
    async fn exec_sync(
        &self,
        container_id: &str,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, RuntimeError>;

    /// Where a stream is served: an `http://` URL to which the client's upgraded connection is passed byte for byte.
    async fn stream_url(&self, stream: &StreamRequest) -> Result<String, RuntimeError>;

    /// The image if it is present. Accepts any reference a pod may name, or an image id.
    async fn image(&self, image: &str) -> Result<Option<Image>, RuntimeError>;

    /// Pulls an image, trying `auth` in order, then without. Returns the image. Whether to pull is the agent's decision.
    async fn pull_image(&self, image: &str, auth: &[RegistryAuth]) -> Result<Image, RuntimeError>;

    /// Every image present.
    async fn list_images(&self) -> Result<Vec<Image>, RuntimeError>;

    /// Removes an image by id. Unknown ids are a success.
    async fn remove_image(&self, image_id: &str) -> Result<(), RuntimeError>;

    /// Measurements of every running pod, taken now.
    async fn stats(&self) -> Result<Vec<PodStats>, RuntimeError>;

    /// Tells the runtime the node's pod range (CNI's `ipam`) once it is known. Called again with the same value after a restart.
    async fn set_pod_cidrs(&self, cidrs: &[String]) -> Result<(), RuntimeError>;
}

/// Why a runtime could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The engine does not answer. Wait and retry; nothing may be concluded about pods.
    #[error("the runtime does not answer: {0}")]
    Unavailable(String),
    /// The container, sandbox or image is not there. Look again and decide anew.
    #[error("not found: {0}")]
    NotFound(String),
    /// It took longer than allowed.
    #[error("{0}")]
    Timeout(String),
    /// The image's name cannot be parsed. The pod waits with `InvalidImageName`.
    #[error("invalid image name: {0}")]
    InvalidImageName(String),
    /// This runtime cannot do what the specification asks for. Do not retry.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Anything else, in the engine's words. Retry with back-off.
    #[error("{0}")]
    Failed(String),
}

/// What [`PodRuntime::status`] says; goes to the node's `nodeInfo` and `Ready` condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeStatus {
    /// `containerd`, `qemu`, …
    pub name: String,
    /// As the engine prints it.
    pub version: String,
    /// `None` when pods can be started; else why not, for the node's `Ready` condition.
    pub runtime_problem: Option<String>,
    /// `None` when the pod network is configured; else why not.
    pub network_problem: Option<String>,
}

/// A notice from [`PodRuntime::changes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodChange {
    /// Something about this pod (by UID) changed.
    Pod(String),
    /// Anything may have changed (the engine restarted): look at all.
    All,
}
