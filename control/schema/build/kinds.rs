//! Which Rust type has the schema of a kind. To serve another kind, add it here.

use k8s_openapi::api::{
    apps::v1 as apps,
    authentication::v1 as authentication,
    authorization::v1 as authorization,
    autoscaling::{v1 as autoscaling, v2 as autoscaling_v2},
    coordination::v1 as coordination,
    core::v1 as core,
    discovery::v1 as discovery,
    events::v1 as events,
    policy::v1 as policy,
    rbac::v1 as rbac,
    storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::{JsonSchema, SchemaGenerator};

/// Adds a type's schema, and all that it refers to, to the generator's; gives the name of its definition.
pub type Add = fn(&mut SchemaGenerator) -> String;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> String {
    generator.subschema_for::<T>();
    T::schema_name().into_owned()
}

/// Group, version and kind; the type.
#[rustfmt::skip]
pub const KINDS: &[(&str, &str, &str, Add)] = &[
    ("", "v1", "Binding", of::<core::Binding>),
    ("", "v1", "ConfigMap", of::<core::ConfigMap>),
    ("", "v1", "Endpoints", of::<core::Endpoints>),
    ("", "v1", "Event", of::<core::Event>),
    ("", "v1", "Namespace", of::<core::Namespace>),
    ("", "v1", "Node", of::<core::Node>),
    ("", "v1", "PersistentVolume", of::<core::PersistentVolume>),
    ("", "v1", "PersistentVolumeClaim", of::<core::PersistentVolumeClaim>),
    ("", "v1", "Pod", of::<core::Pod>),
    ("", "v1", "Secret", of::<core::Secret>),
    ("", "v1", "Service", of::<core::Service>),
    ("", "v1", "ServiceAccount", of::<core::ServiceAccount>),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", of::<apiextensions::CustomResourceDefinition>),
    ("apps", "v1", "Deployment", of::<apps::Deployment>),
    ("apps", "v1", "ReplicaSet", of::<apps::ReplicaSet>),
    ("authentication.k8s.io", "v1", "SelfSubjectReview", of::<authentication::SelfSubjectReview>),
    ("authentication.k8s.io", "v1", "TokenRequest", of::<authentication::TokenRequest>),
    ("authentication.k8s.io", "v1", "TokenReview", of::<authentication::TokenReview>),
    ("authorization.k8s.io", "v1", "LocalSubjectAccessReview", of::<authorization::LocalSubjectAccessReview>),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview", of::<authorization::SelfSubjectAccessReview>),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview", of::<authorization::SelfSubjectRulesReview>),
    ("authorization.k8s.io", "v1", "SubjectAccessReview", of::<authorization::SubjectAccessReview>),
    ("autoscaling", "v1", "Scale", of::<autoscaling::Scale>),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", of::<autoscaling_v2::HorizontalPodAutoscaler>),
    ("coordination.k8s.io", "v1", "Lease", of::<coordination::Lease>),
    ("discovery.k8s.io", "v1", "EndpointSlice", of::<discovery::EndpointSlice>),
    ("events.k8s.io", "v1", "Event", of::<events::Event>),
    ("meta.k8s.io", "v1", "DeleteOptions", of::<meta::DeleteOptions>),
    ("meta.k8s.io", "v1", "ListMeta", of::<meta::ListMeta>),
    ("meta.k8s.io", "v1", "ObjectMeta", of::<meta::ObjectMeta>),
    ("meta.k8s.io", "v1", "Patch", of::<meta::Patch>),
    ("meta.k8s.io", "v1", "Status", of::<meta::Status>),
    ("policy", "v1", "Eviction", of::<policy::Eviction>),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", of::<rbac::ClusterRole>),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", of::<rbac::ClusterRoleBinding>),
    ("rbac.authorization.k8s.io", "v1", "Role", of::<rbac::Role>),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", of::<rbac::RoleBinding>),
    ("storage.k8s.io", "v1", "StorageClass", of::<storage::StorageClass>),
];
