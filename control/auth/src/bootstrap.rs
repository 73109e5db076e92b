//! The standard roles and bindings, and how missing parts of them are put back.
//!
//! Names and rules are those of Kubernetes' bootstrap policy (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy`), less what
//! is not served here. One difference: where Kubernetes lets a component `update`, ours may also `patch`, which is the same
//! right in another form. `system:masters` needs none of them: it is allowed before RBAC is asked.

mod controllers;
mod reconcile;
mod rules;
mod system;
#[cfg(test)]
mod tests;
mod users;

use serde_json::{Value, json};

pub use reconcile::{Reconciled, reconcile};
pub use system::node_rules;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Every standard ClusterRole, as JSON objects ready to be created.
pub fn cluster_roles() -> Vec<Value> {
    let mut roles = users::cluster_roles();
    roles.extend(system::cluster_roles());
    roles.extend(controllers::cluster_roles());
    roles
}

/// Every standard ClusterRoleBinding.
pub fn cluster_role_bindings() -> Vec<Value> {
    let mut bindings = users::cluster_role_bindings();
    bindings.extend(system::cluster_role_bindings());
    bindings.extend(controllers::cluster_role_bindings());
    bindings
}

/// The names of the service accounts in `kube-system` that the controllers act as.
pub fn controller_names() -> impl Iterator<Item = &'static str> {
    controllers::names()
}

fn metadata(name: &str, labels: &[&str]) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
        "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "true" },
    });
    for label in labels {
        metadata["labels"][format!("{RBAC}/{label}")] = json!("true");
    }
    metadata
}

fn cluster_role(name: &str, labels: &[&str], rules: Vec<Value>) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "ClusterRole",
        "metadata": metadata(name, labels),
        "rules": rules,
    })
}

/// A role that gathers the rules of all roles with this label.
fn aggregated_role(name: &str, labels: &[&str], gathers: &str) -> Value {
    let mut role = cluster_role(name, labels, Vec::new());
    role["aggregationRule"] = json!({ "clusterRoleSelectors": [{ "matchLabels": { format!("{RBAC}/{gathers}"): "true" } }] });
    role
}

fn cluster_role_binding(name: &str, subjects: &[Value]) -> Value {
    binding_to(name, name, subjects)
}

fn binding_to(name: &str, role: &str, subjects: &[Value]) -> Value {
    let mut binding = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "ClusterRoleBinding",
        "metadata": metadata(name, &[]),
        "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": role },
    });
    if !subjects.is_empty() {
        binding["subjects"] = subjects.into();
    }
    binding
}

fn group(name: &str) -> Value {
    json!({ "apiGroup": RBAC, "kind": "Group", "name": name })
}

fn user(name: &str) -> Value {
    json!({ "apiGroup": RBAC, "kind": "User", "name": name })
}

fn system_account(name: &str) -> Value {
    json!({ "kind": "ServiceAccount", "name": name, "namespace": "kube-system" })
}
