//! Reading a Pod object: the small questions that every module asks. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};
use sha2::{Digest, Sha256};

use crate::runtime::ObservedContainer;

/// Annotation of containers: hash of what forces a restart when it changes.
pub const ANNOTATION_HASH: &str = "io.kubernetes.container.hash";
/// Annotation of containers: `restartCount`.
pub const ANNOTATION_RESTARTS: &str = "io.kubernetes.container.restartCount";
/// Annotation of containers: file on the machine with the termination message.
pub const ANNOTATION_MESSAGE_PATH: &str = "io.minicloud.termination-message-file";
/// Annotation of containers: the policy for it.
pub const ANNOTATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// Annotation of containers: seconds of grace, for pods whose object is gone.
pub const ANNOTATION_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

/// How a container takes part in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next.
    Init,
    /// An init container with `restartPolicy: Always`: a sidecar.
    Sidecar,
    /// One of `spec.containers`.
    Main,
}

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Always.
    Always,
    /// After a failure.
    OnFailure,
    /// Never.
    Never,
}

static NO_SPEC: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
static NO_STATUS: std::sync::LazyLock<PodStatus> = std::sync::LazyLock::new(PodStatus::default);

/// The specification; empty when the object has none.
pub fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().unwrap_or(&NO_SPEC)
}

/// The status; empty when the object has none.
pub fn status(pod: &Pod) -> &PodStatus {
    pod.status.as_ref().unwrap_or(&NO_STATUS)
}

/// The statuses of all containers: the main ones, then those of the init containers.
pub fn container_statuses(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    status.container_statuses.iter().flatten().chain(init)
}

/// UID, empty when missing.
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// Name, empty when missing.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Namespace, `default` when missing.
pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

/// `namespace/name`, for messages.
pub fn key(pod: &Pod) -> String {
    format!("{}/{}", namespace(pod), name(pod))
}

/// Init containers and then containers, in the order of the specification.
pub fn containers(pod: &Pod) -> impl Iterator<Item = (Role, &Container)> {
    let spec = spec(pod);
    let init = spec.init_containers.iter().flatten().map(|c| {
        let sidecar = c.restart_policy.as_deref() == Some("Always");
        (if sidecar { Role::Sidecar } else { Role::Init }, c)
    });
    init.chain(spec.containers.iter().map(|c| (Role::Main, c)))
}

/// A container by name.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<(Role, &'a Container)> {
    containers(pod).find(|(_, c)| c.name == name)
}

/// The pod's restart policy.
pub fn restart_policy(pod: &Pod) -> RestartPolicy {
    match spec(pod).restart_policy.as_deref() {
        Some("OnFailure") => RestartPolicy::OnFailure,
        Some("Never") => RestartPolicy::Never,
        _ => RestartPolicy::Always,
    }
}

/// The restart policy that holds for a container of this role.
pub fn restart_policy_of(pod: &Pod, role: Role) -> RestartPolicy {
    match (role, restart_policy(pod)) {
        (Role::Sidecar, _) => RestartPolicy::Always,
        // An init container that succeeded is done, whatever the pod's policy.
        (Role::Init, RestartPolicy::Always) => RestartPolicy::OnFailure,
        (_, policy) => policy,
    }
}

/// Grace for stopping: the deletion's if the pod is being deleted, else the specification's.
pub fn grace(pod: &Pod) -> Duration {
    let seconds = match &pod.metadata.deletion_timestamp {
        Some(_) => pod.metadata.deletion_grace_period_seconds,
        None => spec(pod).termination_grace_period_seconds,
    };
    Duration::from_secs(u64::try_from(seconds.unwrap_or(30)).unwrap_or(0).max(1))
}

/// Whether the machine's network is shared.
pub fn host_network(pod: &Pod) -> bool {
    spec(pod).host_network.unwrap_or(false)
}

/// Hash of what forces a restart when it changes: name and image, as the kubelet has it, so that a new version of the agent or of
/// the API never restarts anything.
pub fn container_hash(container: &Container) -> String {
    let mut hash = Sha256::new();
    hash.update(&container.name);
    hash.update([0]);
    hash.update(container.image.as_deref().unwrap_or_default());
    let mut text = String::with_capacity(16);
    for byte in &hash.finalize()[..8] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// How often a container was restarted, as it was told when it was made.
pub fn restarts(container: &ObservedContainer) -> u32 {
    container
        .annotations
        .get(ANNOTATION_RESTARTS)
        .and_then(|n| n.parse().ok())
        .unwrap_or(container.attempt)
}

/// When the pod shall be over, by `activeDeadlineSeconds`.
pub fn deadline(pod: &Pod, start: Timestamp) -> Option<Timestamp> {
    let seconds = u64::try_from(spec(pod).active_deadline_seconds?).ok()?;
    start.checked_add(Duration::from_secs(seconds)).ok()
}

/// A port by number or by its name in the container.
pub fn port(
    container: &Container,
    port: &k8s_openapi::apimachinery::pkg::util::intstr::IntOrString,
) -> Option<u16> {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let number = match port {
        IntOrString::Int(n) => *n,
        IntOrString::String(name) => match container
            .ports
            .iter()
            .flatten()
            .find(|p| p.name.as_deref() == Some(name))
        {
            Some(p) => p.container_port,
            None => name.parse().ok()?,
        },
    };
    u16::try_from(number).ok().filter(|p| *p > 0)
}

/// Names of the ConfigMaps and Secrets that the pod refers to: `(is_secret, name)`, sorted, unique.
pub fn referenced_objects(pod: &Pod) -> Vec<(bool, String)> {
    let spec = spec(pod);
    let mut found: BTreeMap<(bool, &str), ()> = BTreeMap::new();
    let add = |secret, name: &str| -> Option<(bool, String)> {
        (!name.is_empty()).then(|| (secret, name.to_owned()))
    };
    let mut names = Vec::new();
    for secret in spec.image_pull_secrets.iter().flatten() {
        names.extend(add(true, &secret.name));
    }
    for (_, container) in containers(pod) {
        for source in container.env_from.iter().flatten() {
            names.extend(
                source
                    .config_map_ref
                    .as_ref()
                    .and_then(|r| add(false, &r.name)),
            );
            names.extend(source.secret_ref.as_ref().and_then(|r| add(true, &r.name)));
        }
        for source in container
            .env
            .iter()
            .flatten()
            .filter_map(|e| e.value_from.as_ref())
        {
            names.extend(
                source
                    .config_map_key_ref
                    .as_ref()
                    .and_then(|r| add(false, &r.name)),
            );
            names.extend(
                source
                    .secret_key_ref
                    .as_ref()
                    .and_then(|r| add(true, &r.name)),
            );
        }
    }
    for volume in spec.volumes.iter().flatten() {
        names.extend(volume.config_map.as_ref().and_then(|v| add(false, &v.name)));
        names.extend(
            volume
                .secret
                .as_ref()
                .and_then(|v| add(true, v.secret_name.as_deref().unwrap_or_default())),
        );
        for source in volume
            .projected
            .iter()
            .flat_map(|p| p.sources.iter().flatten())
        {
            names.extend(source.config_map.as_ref().and_then(|v| add(false, &v.name)));
            names.extend(source.secret.as_ref().and_then(|v| add(true, &v.name)));
        }
    }
    found.extend(
        names
            .iter()
            .map(|(secret, name)| ((*secret, name.as_str()), ())),
    );
    found
        .into_keys()
        .map(|(secret, name)| (secret, name.to_owned()))
        .collect()
}
