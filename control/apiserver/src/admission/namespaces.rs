//! Namespace lifecycle: nothing is created where there is no namespace or where one is ending, and some never end.

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use serde_json::{Value, json};

use crate::api::Api;
use crate::codec;
use crate::registry::Resource;

/// The namespaces that are made at the first start and cannot be deleted.
pub(crate) const IMMORTAL: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Refuses a create in a namespace that is not there or is ending.
pub(crate) fn check_create(
    api: &Api,
    resource: &Resource,
    namespace: &str,
    name: &str,
) -> Result<(), ApiStatus> {
    if !resource.namespaced {
        return Ok(());
    }
    let Some(entry) = api.store.get(&format!("/registry/namespaces/{namespace}")) else {
        return Err(ApiStatus::not_found("", "namespaces", namespace));
    };
    if !codec::is_deleting(&entry.value, entry.mod_revision) {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let mut status = ApiStatus::forbidden(&resource.group, &resource.plural, name, &why);
    if let Some(details) = status.details.as_deref_mut() {
        details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
    }
    Err(status)
}

/// Refuses the delete of a namespace that the cluster needs.
pub(crate) fn check_delete(resource: &Resource, name: &str) -> Result<(), ApiStatus> {
    if resource.is("", "namespaces") && IMMORTAL.contains(&name) {
        return Err(ApiStatus::forbidden(
            "",
            "namespaces",
            name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}

/// What every namespace has: the label with its name, and on creation the finalizer of the namespace controller.
pub(crate) fn complete(namespace: &mut Value) {
    let name = meta::name(namespace).to_owned();
    let metadata = meta::metadata_mut(namespace);
    meta::child_mut(metadata, "labels").insert("kubernetes.io/metadata.name".into(), name.into());
    if meta::is_deleting(namespace) {
        return;
    }
    let root = meta::root_mut(namespace);
    let spec = meta::child_mut(root, "spec");
    if !spec.contains_key("finalizers") {
        spec.insert("finalizers".into(), json!(["kubernetes"]));
    }
    let status = meta::child_mut(root, "status");
    if !status.contains_key("phase") {
        status.insert("phase".into(), "Active".into());
    }
}
