//! What a runtime reports: pods, containers, images, measurements; and the streams it serves. Labels and annotations come back as they
//! were given, for the agent knows its pods by nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

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

/// Result of [`super::PodRuntime::exec_sync`].
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
