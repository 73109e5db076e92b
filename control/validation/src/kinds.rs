//! The rules of the built-in kinds, found by [`rules`]: one unit struct per kind, siblings grouped in a file per topic.
//!
//! A write goes through them in this order: `decode` (the body), `default`, the API server's admission,
//! `prepare_create`/`prepare_update`, `validate`/`validate_update`. A write to `/status` uses the `*_status_update` pair.
//!
//! What all kinds share (metadata, status kept apart, generations) is in the blanket implementation below; a kind states its
//! [`Common`] traits and what is its own.

use minicloud_api::field::ErrorList;
use serde_json::Value;

use crate::json::{Get, Set, same};
use crate::schema::{self, DecodeError, Decoded, Struct};

mod apps;
mod autoscaling;
mod config;
mod discovery;
mod event;
mod lease;
mod meta;
mod namespace;
mod node;
mod pod;
mod rbac;
mod review;
mod service;
mod storage;
#[cfg(test)]
mod test;
mod text;
mod volume;

pub use service::check_node_ports;

/// What Kubernetes does to objects of one built-in kind on their way into the store.
///
/// Every method takes the whole object, with `apiVersion` and `kind`. None panics on arbitrary JSON.
pub trait KindRules: Send + Sync {
    /// Checks the types of all known fields, as Go's decoder would, drops unknown fields and nulls, and puts quantities and
    /// timestamps into canonical form. Unknown fields are reported, not refused: `fieldValidation` decides about them.
    ///
    /// # Errors
    /// A field of the wrong type; answer with 400.
    fn decode(&self, value: Value) -> Result<Decoded, DecodeError>;

    /// The type of the objects: their fields and the fields' types.
    fn shape(&self) -> &'static Struct;

    /// Fills in Kubernetes' defaults. Idempotent.
    fn default(&self, value: &mut Value);

    /// Before a create is validated: drops what a client may not set (status) and sets initial values (generation, phase).
    fn prepare_create(&self, value: &mut Value);

    /// Before an update of the main resource is validated: takes status and system-owned metadata from `old`, and
    /// increases `metadata.generation` when the specification changed, for kinds that count generations.
    fn prepare_update(&self, new: &mut Value, old: &Value);

    /// Before an update of `/status` is validated: takes everything but status and metadata, and of metadata what belongs
    /// to the system, from `old`.
    fn prepare_status_update(&self, new: &mut Value, old: &Value);

    /// Validates a new object; empty if it is valid.
    fn validate(&self, value: &Value) -> ErrorList;

    /// Validates an update of the main resource, including what may not change.
    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList;

    /// Validates an update of `/status`.
    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList;
}

/// What kinds have in common, or not.
pub(crate) struct Common {
    /// Whether objects have metadata that is validated (reviews have not).
    pub(crate) metadata: bool,
    /// Whether objects live in a namespace.
    pub(crate) namespaced: bool,
    /// What a name may look like.
    pub(crate) name: fn(&str) -> Vec<String>,
    /// Whether status is a subresource.
    pub(crate) status: bool,
    /// Whether a new object may come with a status (a node registers with its own).
    pub(crate) initial_status: bool,
    /// Whether `metadata.generation` counts changes of the specification.
    pub(crate) generation: bool,
    /// Whether an update may leave out `metadata.resourceVersion`.
    pub(crate) unconditional: bool,
}

impl Common {
    /// A namespaced kind named by a DNS subdomain, with neither status nor generations: most kinds differ in little from it.
    pub(crate) const fn namespaced() -> Self {
        Self {
            metadata: true,
            namespaced: true,
            name: minicloud_api::names::dns1123_subdomain,
            status: false,
            initial_status: false,
            generation: false,
            unconditional: true,
        }
    }

    /// The same without a namespace.
    pub(crate) const fn cluster() -> Self {
        Self {
            namespaced: false,
            ..Self::namespaced()
        }
    }
}

/// What a kind says about itself. Everything has a default that does nothing.
pub(crate) trait Rules: Send + Sync {
    const COMMON: Common;
    /// The type of the objects; see [`shape`].
    fn shape() -> &'static Struct;
    fn default(_value: &mut Value) {}
    fn create(_value: &mut Value) {}
    fn update(_new: &mut Value, _old: &Value) {}
    fn status_update(_new: &mut Value, _old: &Value) {}
    /// Whether an update counts as a new generation.
    fn changed(new: &Value, old: &Value) -> bool {
        !same(new.at("spec"), old.at("spec"))
    }
    /// What holds for a new and for an updated object.
    fn check(_value: &Value, _errors: &mut ErrorList) {}
    /// What holds for a new object only.
    fn check_create(_value: &Value, _errors: &mut ErrorList) {}
    fn check_update(_new: &Value, _old: &Value, _errors: &mut ErrorList) {}
    fn check_status(_new: &Value, _old: &Value, _errors: &mut ErrorList) {}
}

/// The body of [`Rules::shape`]: the type is probed at first use.
macro_rules! shape {
    ($ty:ty) => {
        fn shape() -> &'static $crate::schema::Struct {
            static SHAPE: std::sync::LazyLock<&'static $crate::schema::Struct> =
                std::sync::LazyLock::new($crate::schema::probe::<$ty>);
            *SHAPE
        }
    };
}
pub(crate) use shape;

impl<T: Rules> KindRules for T {
    fn decode(&self, value: Value) -> Result<Decoded, DecodeError> {
        schema::decode(value, T::shape())
    }

    fn shape(&self) -> &'static Struct {
        T::shape()
    }

    fn default(&self, value: &mut Value) {
        T::default(value);
    }

    fn prepare_create(&self, value: &mut Value) {
        if T::COMMON.status && !T::COMMON.initial_status {
            value.take_out("status");
        }
        if T::COMMON.metadata {
            meta::prepare_create(value, T::COMMON.generation);
        }
        T::create(value);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        if T::COMMON.status {
            new.copy_from(old, "status");
        }
        T::update(new, old);
        if T::COMMON.metadata {
            meta::prepare_update(new, old, T::COMMON.generation && T::changed(new, old));
        }
    }

    fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        let status = new.take_out("status");
        let metadata = new.take_out("metadata");
        *new = old.clone();
        match status {
            Some(status) => new.put("status", status),
            None => drop(new.take_out("status")),
        }
        if let Some(metadata) = metadata {
            new.put("metadata", metadata);
        }
        meta::prepare_update(new, old, false);
        if let Some(metadata) = new.some("metadata") {
            metadata.copy_from(old.at("metadata"), "ownerReferences");
        }
        T::status_update(new, old);
    }

    fn validate(&self, value: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        if T::COMMON.metadata {
            meta::check(value, &T::COMMON, &mut errors);
        }
        T::check(value, &mut errors);
        T::check_create(value, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        if T::COMMON.metadata {
            meta::check_update(new, old, &T::COMMON, &mut errors);
        }
        T::check_update(new, old, &mut errors);
        T::check(new, &mut errors);
        errors
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        if T::COMMON.metadata {
            meta::check_update(new, old, &T::COMMON, &mut errors);
        }
        T::check_status(new, old, &mut errors);
        errors
    }
}

/// The rules for a built-in kind, if it is one. `group` is empty for the core group. `DeleteOptions` is known in every group
/// and version, as clients send it in the group of what they delete.
pub fn rules(group: &str, version: &str, kind: &str) -> Option<&'static dyn KindRules> {
    Some(match (group, version, kind) {
        ("", "v1", "Pod") => &pod::Pod,
        ("", "v1", "Binding") => &pod::Binding,
        ("", "v1", "Namespace") => &namespace::Namespace,
        ("", "v1", "Node") => &node::Node,
        ("", "v1", "Service") => &service::Service,
        ("", "v1", "Endpoints") => &discovery::Endpoints,
        ("", "v1", "ConfigMap") => &config::ConfigMap,
        ("", "v1", "Secret") => &config::Secret,
        ("", "v1", "ServiceAccount") => &config::ServiceAccount,
        ("", "v1", "Event") => &event::CoreEvent,
        ("events.k8s.io", "v1", "Event") => &event::Event,
        ("", "v1", "PersistentVolume") => &volume::PersistentVolume,
        ("", "v1", "PersistentVolumeClaim") => &volume::PersistentVolumeClaim,
        ("storage.k8s.io", "v1", "StorageClass") => &storage::StorageClass,
        ("discovery.k8s.io", "v1", "EndpointSlice") => &discovery::EndpointSlice,
        ("apps", "v1", "Deployment") => &apps::Deployment,
        ("apps", "v1", "ReplicaSet") => &apps::ReplicaSet,
        ("autoscaling", "v1", "Scale") => &apps::Scale,
        ("autoscaling", "v2", "HorizontalPodAutoscaler") => &autoscaling::HorizontalPodAutoscaler,
        ("coordination.k8s.io", "v1", "Lease") => &lease::Lease,
        ("rbac.authorization.k8s.io", "v1", "Role") => &rbac::Role,
        ("rbac.authorization.k8s.io", "v1", "ClusterRole") => &rbac::ClusterRole,
        ("rbac.authorization.k8s.io", "v1", "RoleBinding") => &rbac::RoleBinding,
        ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding") => &rbac::ClusterRoleBinding,
        ("authentication.k8s.io", "v1", "TokenReview") => &review::TokenReview,
        ("authentication.k8s.io", "v1", "TokenRequest") => &review::TokenRequest,
        ("authentication.k8s.io", "v1", "SelfSubjectReview") => &review::SelfSubjectReview,
        ("authorization.k8s.io", "v1", "SubjectAccessReview") => &review::SubjectAccessReview,
        ("authorization.k8s.io", "v1", "SelfSubjectAccessReview") => {
            &review::SelfSubjectAccessReview
        }
        ("authorization.k8s.io", "v1", "LocalSubjectAccessReview") => {
            &review::LocalSubjectAccessReview
        }
        ("authorization.k8s.io", "v1", "SelfSubjectRulesReview") => &review::SelfSubjectRulesReview,
        ("policy", "v1", "Eviction") => &review::Eviction,
        (_, _, "DeleteOptions") => &review::DeleteOptions,
        _ => return None,
    })
}
