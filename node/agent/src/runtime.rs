//! What the agent asks of a runtime: pods as sandboxes with containers, in CRI's terms. Know before changing: the agent
//! decides *when* (order, back-off, grace, policy), a runtime only *does*, and every call is idempotent or safe to repeat.
//!
//! A pod is found again by what its runtime reports, never by memory: [`SandboxSpec::labels`], [`ContainerSpec::labels`] and the
//! annotations are stored with the engine and given back verbatim. Containers on containerd (`minicloud-containers`) and machines
//! on QEMU implement the same trait.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::broadcast;

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

/// A namespace a container may share; CRI's `NamespaceMode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum NamespaceMode {
    /// Shared by the pod's containers.
    Pod,
    /// The container's own.
    #[default]
    Container,
    /// The machine's.
    Node,
}

/// Quality of service; names the cgroup level (`guaranteed` directly, `burstable`, `besteffort`) under the runtime's cgroup parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum QosClass {
    /// Every container has limits equal to requests for CPU and memory.
    Guaranteed,
    /// Something is requested or limited.
    Burstable,
    /// Nothing is.
    #[default]
    BestEffort,
}

impl QosClass {
    /// As in `status.qosClass`.
    pub fn as_str(self) -> &'static str {
        match self {
            QosClass::Guaranteed => "Guaranteed",
            QosClass::Burstable => "Burstable",
            QosClass::BestEffort => "BestEffort",
        }
    }
}

/// Linux resources of a container or a pod. Zero and `None` mean "not set". CRI's `LinuxContainerResources`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Relative weight as in cgroup v1 (2..=262144); v2 runtimes convert.
    pub cpu_shares: u64,
    /// CPU time per `cpu_period_us`, in microseconds; `None` is unlimited.
    pub cpu_quota_us: Option<i64>,
    /// Microseconds; Kubernetes uses 100000.
    pub cpu_period_us: u64,
    /// Bytes; `None` is unlimited.
    pub memory_limit_bytes: Option<i64>,
    /// -1000..=1000.
    pub oom_score_adj: i32,
}

/// A pod's sandbox as it shall be; CRI's `PodSandboxConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxSpec {
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's UID.
    pub uid: String,
    /// Counts the pod's sandboxes from zero.
    pub attempt: u32,
    /// Empty with host network.
    pub hostname: String,
    /// Absolute; containers log beneath it. The runtime creates it.
    pub log_directory: PathBuf,
    /// What `/etc/resolv.conf` says; `None` leaves the machine's own.
    pub dns: Option<DnsConfig>,
    /// Host ports to map.
    pub port_mappings: Vec<PortMapping>,
    /// Stored and given back verbatim; holds the `LABEL_*` of this module and the pod's own labels.
    pub labels: BTreeMap<String, String>,
    /// Stored and given back verbatim.
    pub annotations: BTreeMap<String, String>,
    /// Pod or Node.
    pub network: NamespaceMode,
    /// Pod (shared process namespace), Container or Node.
    pub pid: NamespaceMode,
    /// Pod or Node.
    pub ipc: NamespaceMode,
    /// Kernel parameters of the pod's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Level of the pod's cgroup.
    pub qos: QosClass,
    /// Limits of the pod's cgroup as a whole (`oom_score_adj` unused).
    pub resources: Resources,
    /// Identity of the sandbox's own process and the default for containers.
    pub security: SecurityContext,
    /// `runtimeClassName`'s handler; empty is the default.
    pub runtime_handler: String,
}

/// Resolver configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsConfig {
    /// `nameserver` lines.
    pub servers: Vec<String>,
    /// The `search` line.
    pub searches: Vec<String>,
    /// The `options` line.
    pub options: Vec<String>,
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// One host port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// Protocol.
    pub protocol: Protocol,
    /// Port in the pod.
    pub container_port: u16,
    /// Port on the machine; never zero here.
    pub host_port: u16,
    /// Address on the machine; empty is every one.
    pub host_ip: String,
}

/// A container as it shall be; CRI's `ContainerConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Name in the pod.
    pub name: String,
    /// Counts the container's runs from zero (`restartCount`).
    pub attempt: u32,
    /// Image id as [`Image::id`] gave it: exactly what to run.
    pub image_id: String,
    /// The image as the pod names it.
    pub image: String,
    /// Overrides the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Overrides the image's arguments when not empty.
    pub args: Vec<String>,
    /// Empty takes the image's.
    pub working_dir: String,
    /// Environment in order, unique names; added to the image's.
    pub env: Vec<(String, String)>,
    /// Mounts in order.
    pub mounts: Vec<Mount>,
    /// Host devices.
    pub devices: Vec<Device>,
    /// Stored and given back verbatim.
    pub labels: BTreeMap<String, String>,
    /// Stored and given back verbatim.
    pub annotations: BTreeMap<String, String>,
    /// Relative to [`SandboxSpec::log_directory`]; CRI's log format. The runtime rotates: the current file keeps this name, older
    /// ones are renamed to `<log_path>.<timestamp>` and are not compressed.
    pub log_path: PathBuf,
    /// Keep standard input open.
    pub stdin: bool,
    /// Close standard input after the first attach.
    pub stdin_once: bool,
    /// Allocate a terminal.
    pub tty: bool,
    /// Limits.
    pub resources: Resources,
    /// Who runs with which rights.
    pub security: SecurityContext,
    /// Overrides the image's stop signal when given, as `SIGUSR1`.
    pub stop_signal: Option<String>,
}

/// How mounts move between machine and container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Propagation {
    /// `None` in Kubernetes.
    #[default]
    Private,
    /// The machine's later mounts appear in the container.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// A bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path on the machine; exists.
    pub host_path: PathBuf,
    /// Absolute path in the container.
    pub container_path: PathBuf,
    /// No writing.
    pub read_only: bool,
    /// Propagation.
    pub propagation: Propagation,
}

/// A host device in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// On the machine.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: PathBuf,
    /// Of `rwm`.
    pub permissions: String,
}

/// Who runs with which rights; CRI's `LinuxContainerSecurityContext`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityContext {
    /// `None` takes the image's user.
    pub run_as_user: Option<i64>,
    /// `None` takes the user's primary group.
    pub run_as_group: Option<i64>,
    /// `supplementalGroups` and `fsGroup`.
    pub supplemental_groups: Vec<i64>,
    /// Everything allowed.
    pub privileged: bool,
    /// The root file system cannot be written.
    pub read_only_root: bool,
    /// `allowPrivilegeEscalation: false`.
    pub no_new_privileges: bool,
    /// Without `CAP_`; `ALL` possible.
    pub add_capabilities: Vec<String>,
    /// Without `CAP_`; `ALL` possible.
    pub drop_capabilities: Vec<String>,
    /// System call filter.
    pub seccomp: Profile,
    /// AppArmor profile.
    pub apparmor: Profile,
    /// `procMount: Unmasked`.
    pub unmasked_proc: bool,
}

/// A security profile's choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Profile {
    /// Nothing asked: what the engine does without.
    #[default]
    Unset,
    /// Explicitly none.
    Unconfined,
    /// The engine's default.
    RuntimeDefault,
    /// A profile of the machine (a file for seccomp, a loaded name for AppArmor).
    Localhost(String),
}

/// A pod as the runtime reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedPod {
    /// The pod's UID.
    pub uid: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// Newest (highest attempt) first.
    pub sandboxes: Vec<ObservedSandbox>,
    /// Every container of every sandbox.
    pub containers: Vec<ObservedContainer>,
}

/// A sandbox as reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedSandbox {
    /// The engine's id.
    pub id: String,
    /// As given.
    pub attempt: u32,
    /// Network and namespaces are up.
    pub ready: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Addresses, the primary one first; empty with host network.
    pub ips: Vec<String>,
    /// Whether it shares the machine's network.
    pub host_network: bool,
    /// As given.
    pub labels: BTreeMap<String, String>,
    /// As given.
    pub annotations: BTreeMap<String, String>,
}

/// A container as reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedContainer {
    /// The engine's id, without scheme.
    pub id: String,
    /// Sandbox it belongs to.
    pub sandbox_id: String,
    /// Name in the pod.
    pub name: String,
    /// As given.
    pub attempt: u32,
    /// Image as the pod named it.
    pub image: String,
    /// For `status.imageID`: a digest reference, or the image's id where there is none.
    pub image_ref: String,
    /// State.
    pub state: ContainerState,
    /// When it was created.
    pub created_at: Timestamp,
    /// As given.
    pub labels: BTreeMap<String, String>,
    /// As given.
    pub annotations: BTreeMap<String, String>,
    /// Absolute path of its log.
    pub log_path: PathBuf,
}

/// A container's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// Created, never started.
    #[default]
    Created,
    /// Running.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// Over.
    Exited {
        /// When it was started; `None` if it never was.
        started_at: Option<Timestamp>,
        /// When it ended.
        finished_at: Timestamp,
        /// 128 + signal for signals.
        exit_code: i32,
        /// `OOMKilled`, `Error`, `Completed`, `StartError`, … as CRI says.
        reason: String,
        /// The engine's words.
        message: String,
    },
    /// The engine does not know (after its own crash). Treated as neither running nor exited.
    Unknown,
}

/// Result of [`PodRuntime::exec_sync`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// The command's exit code.
    pub exit_code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// A stream someone wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamRequest {
    /// Run a command.
    Exec {
        /// Container id.
        container_id: String,
        /// Command.
        command: Vec<String>,
        /// Which streams.
        io: StreamIo,
    },
    /// Join the main process's streams.
    Attach {
        /// Container id.
        container_id: String,
        /// Which streams.
        io: StreamIo,
    },
    /// Forward ports.
    PortForward {
        /// Sandbox id.
        sandbox_id: String,
        /// Ports; may be empty, then the client names them in the stream.
        ports: Vec<u16>,
    },
}

/// Streams of exec and attach. `stderr` is false with a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamIo {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Terminal.
    pub tty: bool,
}

/// An image that is present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The engine's id.
    pub id: String,
    /// `name:tag`s.
    pub tags: Vec<String>,
    /// `name@sha256:…`s.
    pub digests: Vec<String>,
    /// Bytes.
    pub size_bytes: u64,
    /// The image's user if numeric.
    pub uid: Option<i64>,
    /// The image's user if a name.
    pub username: String,
}

/// Credentials for a registry. Debug hides the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryAuth {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// Registry; empty fits any.
    pub server: String,
    /// `user:password` in base64, when given instead.
    pub auth: String,
    /// OAuth2 refresh token.
    pub identity_token: String,
    /// Bearer token.
    pub registry_token: String,
}

impl std::fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryAuth")
            .field("server", &self.server)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Measurements of a pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodStats {
    /// The pod's UID.
    pub uid: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// When taken.
    pub at: Timestamp,
    /// Per container.
    pub containers: Vec<ContainerStats>,
}

/// Measurements of a container; `None` where the engine does not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerStats {
    /// The engine's id.
    pub id: String,
    /// Name in the pod.
    pub name: String,
    /// CPU time since start, in nanoseconds.
    pub cpu_usage_ns: Option<u64>,
    /// Memory that cannot be reclaimed at once.
    pub memory_working_set_bytes: Option<u64>,
    /// Memory in use with caches.
    pub memory_usage_bytes: Option<u64>,
    /// Anonymous memory.
    pub memory_rss_bytes: Option<u64>,
    /// Writable layer.
    pub rootfs_used_bytes: Option<u64>,
}
