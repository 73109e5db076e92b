//! A pod in the runtime's terms: sandbox and container specifications. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::runtime::{
    ContainerSpec, DnsConfig, Image, LABEL_CONTAINER_NAME, LABEL_POD_NAME, LABEL_POD_NAMESPACE,
    LABEL_POD_UID, Mount, NamespaceMode, PortMapping, Protocol, SandboxSpec,
};
use crate::{dns, env, pod, resources, security};

/// Where a pod logs.
pub fn log_directory(logs: &Path, namespace: &str, name: &str, uid: &str) -> PathBuf {
    logs.join(format!("{namespace}_{name}_{uid}"))
}

fn identity(pod: &Pod) -> BTreeMap<String, String> {
    [
        (LABEL_POD_NAME, pod::name(pod)),
        (LABEL_POD_NAMESPACE, pod::namespace(pod)),
        (LABEL_POD_UID, pod::uid(pod)),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into()
}

/// The sandbox as it shall be.
pub fn sandbox(
    pod: &Pod,
    attempt: u32,
    logs: &Path,
    resolver: DnsConfig,
    domain: &str,
) -> Result<SandboxSpec, String> {
    let spec = pod::spec(pod);
    if spec.host_users == Some(false) {
        return Err("hostUsers: false (user namespaces) is not supported by this node".into());
    }
    let host_network = pod::host_network(pod);
    let mut labels: BTreeMap<String, String> = pod.metadata.labels.clone().unwrap_or_default();
    labels.extend(identity(pod));
    let ports = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten())
        .flat_map(|c| c.ports.iter().flatten());
    let port_mappings = ports
        .filter_map(|p| {
            let host_port = u16::try_from(p.host_port?).ok().filter(|n| *n > 0)?;
            Some(PortMapping {
                protocol: match p.protocol.as_deref() {
                    Some("UDP") => Protocol::Udp,
                    Some("SCTP") => Protocol::Sctp,
                    _ => Protocol::Tcp,
                },
                container_port: u16::try_from(p.container_port).ok()?,
                host_port,
                host_ip: p.host_ip.clone().unwrap_or_default(),
            })
        })
        .collect();
    let node_or_pod = |node: Option<bool>| {
        if node.unwrap_or(false) {
            NamespaceMode::Node
        } else {
            NamespaceMode::Pod
        }
    };
    let sysctls = spec
        .security_context
        .iter()
        .flat_map(|s| s.sysctls.iter().flatten());
    Ok(SandboxSpec {
        name: pod::name(pod).into(),
        namespace: pod::namespace(pod).into(),
        uid: pod::uid(pod).into(),
        attempt,
        hostname: if host_network {
            String::new()
        } else {
            dns::hostname(pod, domain).0
        },
        log_directory: log_directory(logs, pod::namespace(pod), pod::name(pod), pod::uid(pod)),
        dns: Some(resolver),
        port_mappings: if host_network {
            Vec::new()
        } else {
            port_mappings
        },
        labels,
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        network: node_or_pod(spec.host_network),
        pid: match (spec.host_pid, spec.share_process_namespace) {
            (Some(true), _) => NamespaceMode::Node,
            (_, Some(true)) => NamespaceMode::Pod,
            _ => NamespaceMode::Container,
        },
        ipc: node_or_pod(spec.host_ipc),
        sysctls: sysctls.map(|s| (s.name.clone(), s.value.clone())).collect(),
        qos: resources::qos(pod),
        resources: resources::pod_cgroup(pod),
        security: security::of_pod(pod),
        runtime_handler: spec.runtime_class_name.clone().unwrap_or_default(),
    })
}

/// What a container is made from, beyond the pod.
pub struct Parts<'a> {
    /// Its number.
    pub attempt: u32,
    /// What to run.
    pub image: &'a Image,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// File on the machine for the termination message.
    pub message_file: Option<&'a Path>,
    /// The machine's memory.
    pub node_memory_bytes: u64,
}

/// A container's log beneath its pod's log directory.
pub fn log_path(container: &str, attempt: u32) -> PathBuf {
    Path::new(container).join(format!("{attempt}.log"))
}

/// The container as it shall be.
pub fn container(pod: &Pod, container: &Container, parts: Parts<'_>) -> ContainerSpec {
    let mut labels = identity(pod);
    labels.insert(LABEL_CONTAINER_NAME.into(), container.name.clone());
    let policy = container
        .termination_message_policy
        .clone()
        .unwrap_or_else(|| "File".into());
    let mut annotations: BTreeMap<String, String> = [
        (pod::ANNOTATION_HASH, pod::container_hash(container)),
        (pod::ANNOTATION_RESTARTS, parts.attempt.to_string()),
        (pod::ANNOTATION_MESSAGE_POLICY, policy),
        (
            pod::ANNOTATION_GRACE,
            pod::spec(pod)
                .termination_grace_period_seconds
                .unwrap_or(30)
                .to_string(),
        ),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .into();
    if let Some(path) = parts.message_file {
        annotations.insert(
            pod::ANNOTATION_MESSAGE_PATH.into(),
            path.to_string_lossy().into_owned(),
        );
    }
    ContainerSpec {
        name: container.name.clone(),
        attempt: parts.attempt,
        image_id: parts.image.id.clone(),
        image: container.image.clone().unwrap_or_default(),
        command: env::command(&container.command, &parts.env),
        args: env::command(&container.args, &parts.env),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        env: parts.env,
        mounts: parts.mounts,
        devices: Vec::new(),
        labels,
        annotations,
        log_path: log_path(&container.name, parts.attempt),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        resources: resources::container(pod, container, parts.node_memory_bytes),
        security: security::of_container(pod, container),
        stop_signal: container
            .lifecycle
            .as_ref()
            .and_then(|l| l.stop_signal.clone()),
    }
}
