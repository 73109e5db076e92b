//! Admission: what the server adds to objects and what it refuses beyond the rules of their kind.
//!
//! `create` and `update` change the object (before it is validated); `validate_*` and `delete` only judge. One file per concern.

pub(crate) mod namespaces;
pub(crate) mod pods;
pub(crate) mod service_account;
pub mod services;
pub(crate) mod storage_class;

use std::sync::Arc;

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::UserInfo;
use minicloud_auth::admission::{escalation, node};
use minicloud_auth::authz::RbacKind;
use serde_json::Value;
use tokio::sync::MutexGuard;

use crate::api::Api;
use crate::registry::Resource;
use crate::strategy::Part;

/// What must stay locked until the object is stored: for Services, whose addresses are chosen, and for definitions, whose names
/// are.
pub(crate) type Held<'a> = Option<MutexGuard<'a, ()>>;

/// Takes the lock that writes of this resource need.
pub(crate) async fn hold<'a>(api: &'a Api, resource: &Resource) -> Held<'a> {
    if resource.is("", "services") || resource.group == "apiextensions.k8s.io" {
        Some(api.names.lock().await)
    } else {
        None
    }
}

/// Completes a new object. What is returned must be kept until the object is stored.
pub(crate) async fn create<'a>(
    api: &'a Arc<Api>,
    user: &UserInfo,
    resource: &Resource,
    namespace: &str,
    value: &mut Value,
) -> Result<Held<'a>, ApiStatus> {
    namespaces::check_create(api, resource, namespace, shown_name(value))?;
    let held = hold(api, resource).await;
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => namespaces::complete(value),
        ("", "pods") => {
            service_account::complete(api, namespace, value).await?;
            pods::complete(value)?;
        }
        ("", "persistentvolumeclaims") => {
            storage_class::complete(api, value).await?;
            meta::add_finalizer(value, "kubernetes.io/pvc-protection");
        }
        ("", "persistentvolumes") => meta::add_finalizer(value, "kubernetes.io/pv-protection"),
        ("", "services") => api.services.allocate(namespace, value, None)?,
        _ => {}
    }
    let _ = user;
    Ok(held)
}

/// The name of a new object, or what it is to be made from.
fn shown_name(value: &Value) -> &str {
    match meta::name(value) {
        "" => meta::text(value, "generateName"),
        name => name,
    }
}

/// The last touch on a new object, after its strategy has prepared it.
pub(crate) fn finish_create(
    api: &Api,
    resource: &Resource,
    value: &mut Value,
) -> Result<(), ApiStatus> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        // The strategy of these drops or resets what was completed before.
        ("", "namespaces") => namespaces::complete(value),
        ("apiextensions.k8s.io", _) => crate::crds::name(api, value),
        _ => {}
    }
    Ok(())
}

/// Judges a new object.
pub(crate) fn validate_create(
    api: &Api,
    user: &UserInfo,
    resource: &Resource,
    namespace: &str,
    value: &Value,
) -> Result<(), ApiStatus> {
    escalate(api, user, resource, namespace, value, None)?;
    if resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
        crate::crds::check_create(&api.registry, value)?;
    }
    restrict(
        api,
        user,
        &node::Write {
            operation: node::Operation::Create,
            group: &resource.group,
            resource: &resource.plural,
            subresource: "",
            namespace,
            name: "",
            object: value,
            old: &Value::Null,
        },
    )
}

/// Completes a changed object.
pub(crate) fn update(
    api: &Api,
    user: &UserInfo,
    resource: &Resource,
    namespace: &str,
    new: &mut Value,
    old: &Value,
    part: Part,
) -> Result<(), ApiStatus> {
    let _ = user;
    match (resource.group.as_str(), resource.plural.as_str(), part) {
        ("", "services", Part::Main) => api.services.allocate(namespace, new, Some(old)),
        ("", "namespaces", Part::Main) => {
            namespaces::complete(new);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The last touch on a changed object, after its strategy has prepared it.
pub(crate) fn finish_update(api: &Api, resource: &Resource, new: &mut Value, part: Part) {
    if resource.group == "apiextensions.k8s.io" && part == Part::Main {
        crate::crds::name(api, new);
    }
}

/// Judges a changed object.
pub(crate) fn validate_update(
    api: &Api,
    user: &UserInfo,
    resource: &Resource,
    namespace: &str,
    new: &Value,
    old: &Value,
    part: Part,
) -> Result<(), ApiStatus> {
    escalate(api, user, resource, namespace, new, Some(old))?;
    if resource.is("", "persistentvolumeclaims") && part == Part::Main {
        storage_class::check_growth(api, new, old)?;
    }
    restrict(
        api,
        user,
        &node::Write {
            operation: node::Operation::Update,
            group: &resource.group,
            resource: &resource.plural,
            subresource: if part == Part::Status { "status" } else { "" },
            namespace,
            name: meta::name(new),
            object: new,
            old,
        },
    )
}

/// Judges a delete.
pub(crate) fn delete(
    api: &Api,
    user: &UserInfo,
    resource: &Resource,
    namespace: &str,
    name: &str,
    old: &Value,
) -> Result<(), ApiStatus> {
    namespaces::check_delete(resource, name)?;
    restrict(
        api,
        user,
        &node::Write {
            operation: node::Operation::Delete,
            group: &resource.group,
            resource: &resource.plural,
            subresource: "",
            namespace,
            name,
            object: &Value::Null,
            old,
        },
    )
}

/// Node restriction.
pub(crate) fn restrict(
    api: &Api,
    user: &UserInfo,
    write: &node::Write<'_>,
) -> Result<(), ApiStatus> {
    node::check(user, write, &|resource, namespace, name| {
        api.find("", resource, namespace, name)
    })
}

fn escalate(
    api: &Api,
    user: &UserInfo,
    resource: &Resource,
    namespace: &str,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiStatus> {
    if resource.group != "rbac.authorization.k8s.io" {
        return Ok(());
    }
    match RbacKind::from_resource(&resource.plural) {
        Some(kind) => escalation::check(&api.authorizer, user, kind, namespace, new, old),
        None => Ok(()),
    }
}
