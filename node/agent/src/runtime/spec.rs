//! What the agent asks a runtime to make: sandboxes and containers. Kubernetes' security and resource settings are already resolved:
//! a runtime translates and decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Image id as [`super::Image::id`] gave it: exactly what to run.
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
