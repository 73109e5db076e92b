//! Metrics about Kubernetes objects, as [kube-state-metrics] v2 names them: pure functions from objects, as the API lists them,
//! to Prometheus' text. Who lists, how often and for whom is known by [`part::part`] alone, which serves them.
//!
//! Names, types, help and labels are those of its `docs/metrics` and its list of stable metrics, so that dashboards and rules
//! made for it work. Times are seconds since 1970; resources are in cores, bytes and pieces.
//!
//! There is one file for each kind, all alike: its families as constants, then `write` for one object. Objects are `Value`s
//! because the types for them would be a large part of the program. What does not read is left out; nothing here fails.
//!
//! Left out on purpose: `_labels` and `_annotations`, which kube-state-metrics has off as well until somebody allows them by
//! name, because they are as many as there are labels. What a ConfigMap or Secret holds is not read at all.
//!
//! [kube-state-metrics]: https://github.com/kubernetes/kube-state-metrics

mod common;
mod config_map;
mod deployment;
mod endpoint_slice;
mod endpoints;
mod families;
mod json;
mod lease;
mod namespace;
mod node;
pub mod part;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod replica_set;
mod secret;
mod service;
mod storage_class;

pub use families::{Families, MAX_LABEL_BYTES, MAX_SAMPLES_PER_OBJECT};

use serde_json::Value;

/// A kind of object that there are metrics about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "Kubernetes' own names")]
pub enum Kind {
    ConfigMap,
    Deployment,
    EndpointSlice,
    Endpoints,
    Lease,
    Namespace,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    ReplicaSet,
    Secret,
    Service,
    StorageClass,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::ConfigMap,
        Self::Deployment,
        Self::EndpointSlice,
        Self::Endpoints,
        Self::Lease,
        Self::Namespace,
        Self::Node,
        Self::PersistentVolume,
        Self::PersistentVolumeClaim,
        Self::Pod,
        Self::ReplicaSet,
        Self::Secret,
        Self::Service,
        Self::StorageClass,
    ];

    /// What to list for it.
    pub fn resource(self) -> Resource {
        let (group, kind, plural) = match self {
            Self::ConfigMap => ("", "ConfigMap", "configmaps"),
            Self::Deployment => ("apps", "Deployment", "deployments"),
            Self::EndpointSlice => ("discovery.k8s.io", "EndpointSlice", "endpointslices"),
            Self::Endpoints => ("", "Endpoints", "endpoints"),
            Self::Lease => ("coordination.k8s.io", "Lease", "leases"),
            Self::Namespace => ("", "Namespace", "namespaces"),
            Self::Node => ("", "Node", "nodes"),
            Self::PersistentVolume => ("", "PersistentVolume", "persistentvolumes"),
            Self::PersistentVolumeClaim => ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::Pod => ("", "Pod", "pods"),
            Self::ReplicaSet => ("apps", "ReplicaSet", "replicasets"),
            Self::Secret => ("", "Secret", "secrets"),
            Self::Service => ("", "Service", "services"),
            Self::StorageClass => ("storage.k8s.io", "StorageClass", "storageclasses"),
        };
        let version = "v1";
        Resource {
            group,
            version,
            kind,
            plural,
        }
    }
}

/// A resource of the Kubernetes API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version in that group.
    pub version: &'static str,
    /// The kind of its objects.
    pub kind: &'static str,
    /// The name in paths.
    pub plural: &'static str,
}

/// Adds the samples of these objects of one kind. An object without a name has none.
///
/// Each object should be written once: an object written twice gives each of its series twice, which Prometheus refuses.
pub fn write(kind: Kind, objects: &[Value], out: &mut Families) {
    let write = match kind {
        Kind::ConfigMap => config_map::write,
        Kind::Deployment => deployment::write,
        Kind::EndpointSlice => endpoint_slice::write,
        Kind::Endpoints => endpoints::write,
        Kind::Lease => lease::write,
        Kind::Namespace => namespace::write,
        Kind::Node => node::write,
        Kind::PersistentVolume => persistent_volume::write,
        Kind::PersistentVolumeClaim => persistent_volume_claim::write,
        Kind::Pod => pod::write,
        Kind::ReplicaSet => replica_set::write,
        Kind::Secret => secret::write,
        Kind::Service => service::write,
        Kind::StorageClass => storage_class::write,
    };
    for object in objects {
        if !json::text(object, "/metadata/name").is_empty() {
            write(object, out);
        }
    }
}

#[cfg(test)]
mod tests;
