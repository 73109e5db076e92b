//! What the shared caches drop from each object before they keep it: a cache costs only what somebody reads.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, ContainerStatus, Endpoints, Namespace, Node, NodeSpec, NodeStatus,
    PersistentVolume, PersistentVolumeClaim, Pod, PodSpec, PodStatus, ResourceRequirements,
    Service, ServiceAccount, Volume,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::resizer::Resizer;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn meta(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    meta.self_link = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

macro_rules! only_meta {
    ($($name:ident: $kind:ty),* $(,)?) => {$(
        /// Drops what no controller reads in the metadata.
        pub(crate) fn $name(object: &mut $kind) {
            meta(&mut object.metadata);
        }
    )*};
}

only_meta! {
    autoscaler: HorizontalPodAutoscaler,
    claim: PersistentVolumeClaim,
    deployment: Deployment,
    endpoint_slice: EndpointSlice,
    endpoints: Endpoints,
    lease: Lease,
    namespace: Namespace,
    replica_set: ReplicaSet,
    resizer: Resizer,
    service: Service,
    storage_class: StorageClass,
    volume: PersistentVolume,
}

/// A pod without what only the node needs: commands, environment, probes, mounts, limits.
pub(crate) fn pod(pod: &mut Pod) {
    meta(&mut pod.metadata);
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|key, _| key == crate::replicaset::DELETION_COST);
        if annotations.is_empty() {
            pod.metadata.annotations = None;
        }
    }
    if let Some(spec) = pod.spec.take() {
        let volumes: Vec<Volume> = spec
            .volumes
            .unwrap_or_default()
            .into_iter()
            .filter(|v| v.persistent_volume_claim.is_some() || v.ephemeral.is_some())
            .collect();
        pod.spec = Some(PodSpec {
            containers: spec.containers.into_iter().map(container).collect(),
            init_containers: spec.init_containers.map(|all| {
                all.into_iter()
                    .filter(|c| c.restart_policy.is_some())
                    .map(container)
                    .collect()
            }),
            host_network: spec.host_network,
            hostname: spec.hostname,
            node_name: spec.node_name,
            subdomain: spec.subdomain,
            tolerations: spec.tolerations,
            volumes: (!volumes.is_empty()).then_some(volumes),
            ..PodSpec::default()
        });
    }
    if let Some(status) = pod.status.take() {
        pod.status = Some(PodStatus {
            conditions: status.conditions.map(|all| {
                all.into_iter()
                    .filter(|c| matches!(c.type_.as_str(), "Ready" | "DisruptionTarget"))
                    .collect()
            }),
            container_statuses: status
                .container_statuses
                .map(|all| all.into_iter().map(restarts).collect()),
            phase: status.phase,
            pod_ip: status.pod_ip,
            pod_ips: status.pod_ips,
            start_time: status.start_time,
            ..PodStatus::default()
        });
    }
}

fn container(container: Container) -> Container {
    Container {
        name: container.name,
        ports: container.ports.filter(|ports| !ports.is_empty()),
        resources: container.resources.and_then(requests),
        restart_policy: container.restart_policy,
        ..Container::default()
    }
}

/// What is requested, which autoscalers measure by.
fn requests(resources: ResourceRequirements) -> Option<ResourceRequirements> {
    let requests = resources.requests.filter(|requests| !requests.is_empty())?;
    Some(ResourceRequirements {
        requests: Some(requests),
        ..ResourceRequirements::default()
    })
}

fn restarts(status: ContainerStatus) -> ContainerStatus {
    ContainerStatus {
        name: status.name,
        restart_count: status.restart_count,
        ..ContainerStatus::default()
    }
}

/// A node with its labels, annotations, taints and conditions.
pub(crate) fn node(node: &mut Node) {
    meta(&mut node.metadata);
    if let Some(spec) = node.spec.take() {
        node.spec = Some(NodeSpec {
            taints: spec.taints,
            unschedulable: spec.unschedulable,
            ..NodeSpec::default()
        });
    }
    if let Some(status) = node.status.take() {
        node.status = Some(NodeStatus {
            conditions: status.conditions,
            ..NodeStatus::default()
        });
    }
}

/// Only that the account exists matters.
pub(crate) fn service_account(account: &mut ServiceAccount) {
    meta(&mut account.metadata);
    account.secrets = None;
    account.image_pull_secrets = None;
}

/// The root CA's ConfigMap, whose data matters.
pub(crate) fn config_map(map: &mut ConfigMap) {
    meta(&mut map.metadata);
}
