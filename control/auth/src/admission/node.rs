//! Node restriction: a node agent writes its own Node, its own Lease and the pods bound to it, and nothing about them that
//! would widen what it may do.
//!
//! The rules and the words are those of `k8s.io/kubernetes/plugin/pkg/admission/noderestriction`. Called after authorization
//! for every create, update (patches too: with the resulting object) and delete by a user in `system:nodes`.

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::{GROUP_NODES, UserInfo};
use serde_json::{Map, Value};

use crate::json::field;

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// `create`, `update` or `delete`.
    pub operation: Operation,
    /// API group.
    pub group: &'a str,
    /// Resource, plural.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Name in the path (empty for a create).
    pub name: &'a str,
    /// The object as it will be stored; `Null` for a delete.
    pub object: &'a Value,
    /// The object as it is stored; `Null` for a create.
    pub old: &'a Value,
}

/// The kind of write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Create.
    Create,
    /// Update or patch.
    Update,
    /// Delete.
    Delete,
}

/// Reads a core object from the store, by resource, namespace and name: for what a write refers to.
pub type Find<'a> = &'a dyn Fn(&str, &str, &str) -> Option<Value>;

const LEASE_NAMESPACE: &str = "kube-node-lease";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Labels of the form `kubernetes.io/…` and `k8s.io/…` that a node may set on itself.
const OWN_LABELS: [&str; 14] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "node.kubernetes.io/windows-build",
    "topology.k8s.io/region",
    "topology.k8s.io/zone",
];

/// Refuses what a node agent may not write. Users who are no node agents pass.
pub fn check(user: &UserInfo, write: &Write<'_>, find: Find<'_>) -> Result<(), ApiStatus> {
    if !user.in_group(GROUP_NODES) {
        return Ok(());
    }
    let decide = || {
        let Some(node) = user.node_name().filter(|name| !name.is_empty()) else {
            return Err(format!(
                "could not determine node from user {:?}",
                user.username
            ));
        };
        match (write.group, write.resource, write.subresource) {
            ("", "pods", "") => pod(node, write, find),
            ("", "pods", "status") => pod_status(node, write),
            ("", "pods", "eviction") => eviction(node, write, find),
            ("", "pods", other) => Err(format!(
                "unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"
            )),
            ("", "nodes", _) => own_node(node, write),
            ("", "persistentvolumeclaims", "status") => claim_status(node, write),
            ("", "persistentvolumeclaims", other) => Err(format!(
                "unexpected PVC subresource {other:?}, only 'status' is allowed"
            )),
            ("", "serviceaccounts", "token") => account_token(node, write, find),
            ("coordination.k8s.io", "leases", _) => lease(node, write),
            ("minicloud.io", "devices", _) => device(node, write),
            _ => Ok(()),
        }
    };
    let name = if write.name.is_empty() {
        meta::name(write.object)
    } else {
        write.name
    };
    decide().map_err(|why| ApiStatus::forbidden(write.group, write.resource, name, &why))
}

type Verdict = Result<(), String>;

fn spec_text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get("spec").map_or("", |spec| field(spec, name))
}

fn pod(node: &str, write: &Write<'_>, find: Find<'_>) -> Verdict {
    match write.operation {
        Operation::Create => mirror_pod(node, write.object, find),
        Operation::Delete => {
            let bound = spec_text(write.old, "nodeName");
            if bound == node {
                Ok(())
            } else {
                Err(format!(
                    "node {node:?} can only delete pods with spec.nodeName set to itself"
                ))
            }
        }
        Operation::Update => Err(format!(
            "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
        )),
    }
}

/// A node may create only the mirror of a static pod: bound to itself and without a reference that gives rights.
fn mirror_pod(node: &str, pod: &Value, find: Find<'_>) -> Verdict {
    let fail = |what: &str| Err(format!("node {node:?} {what}"));
    if meta::annotation(pod, MIRROR).is_none() {
        return Err(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if spec_text(pod, "nodeName") != node {
        return fail("can only create pods with spec.nodeName set to itself");
    }
    let owners: Vec<&Value> = pod
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    let owner = match owners.as_slice() {
        [] => return fail("can only create pods with an owner reference set to itself"),
        [one] => one,
        _ => return fail("can only create pods with a single owner reference set to itself"),
    };
    let text = |name| field(owner, name);
    if (text("apiVersion"), text("kind"), text("name")) != ("v1", "Node", node) {
        return fail("can only create pods with an owner reference set to itself");
    }
    if owner.get("controller") != Some(&Value::Bool(true)) {
        return fail("can only create pods with a controller owner reference set to itself");
    }
    if owner.get("blockOwnerDeletion") == Some(&Value::Bool(true)) {
        return fail("must not set blockOwnerDeletion on an owner reference");
    }
    let known = find("nodes", "", node);
    let uid = known.as_ref().map_or("", meta::uid);
    if uid.is_empty() || text("uid") != uid {
        return Err(format!(
            "node {node:?} UID mismatch: expected {uid} got {}",
            text("uid")
        ));
    }
    if !spec_text(pod, "serviceAccountName").is_empty() {
        return fail("can not create pods that reference a service account");
    }
    if refers(pod) {
        return fail(
            "can not create pods that reference secrets, configmaps, persistentvolumeclaims or other API objects",
        );
    }
    Ok(())
}

/// Whether a pod's spec names a Secret, ConfigMap or claim anywhere: any key that such a reference has.
fn refers(value: &Value) -> bool {
    const KEYS: [&str; 9] = [
        "secret",
        "secretRef",
        "secretKeyRef",
        "configMap",
        "configMapRef",
        "configMapKeyRef",
        "persistentVolumeClaim",
        "serviceAccountToken",
        "imagePullSecrets",
    ];
    let named = |key: &str, value: &Value| {
        !value.is_null()
            && value.as_array().is_none_or(|a| !a.is_empty())
            && (KEYS.contains(&key) || key.ends_with("SecretRef") || key == "ephemeral")
    };
    fn walk(value: &Value, named: &dyn Fn(&str, &Value) -> bool) -> bool {
        match value {
            Value::Object(map) => map.iter().any(|(key, v)| named(key, v) || walk(v, named)),
            Value::Array(items) => items.iter().any(|v| walk(v, named)),
            _ => false,
        }
    }
    value.get("spec").is_some_and(|spec| walk(spec, &named))
}

fn pod_status(node: &str, write: &Write<'_>) -> Verdict {
    if write.operation != Operation::Update {
        return Err("unexpected operation, only updates of pods/status are allowed".to_owned());
    }
    if spec_text(write.old, "nodeName") != node {
        return Err(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    if labels(write.old) != labels(write.object) {
        return Err(format!(
            "node {node:?} cannot update labels through pod status"
        ));
    }
    Ok(())
}

fn eviction(node: &str, write: &Write<'_>, find: Find<'_>) -> Verdict {
    if write.operation != Operation::Create {
        return Err(format!(
            "unexpected operation, node {node:?} can only create evictions"
        ));
    }
    let name = if write.name.is_empty() {
        meta::name(write.object)
    } else {
        write.name
    };
    // A pod that is gone cannot be evicted; the handler answers 404.
    match find("pods", write.namespace, name) {
        Some(pod) if spec_text(&pod, "nodeName") != node => Err(format!(
            "node {node:?} can only evict pods with spec.nodeName set to itself"
        )),
        _ => Ok(()),
    }
}

fn claim_status(node: &str, write: &Write<'_>) -> Verdict {
    if write.operation != Operation::Update {
        return Err(format!(
            "unexpected operation, node {node:?} can only update PVC status"
        ));
    }
    let without_status = |claim: &Value| {
        let mut claim = claim.clone();
        if let Some(map) = claim.as_object_mut() {
            map.remove("status");
            if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
                metadata.remove("resourceVersion");
            }
        }
        claim
    };
    if without_status(write.old) == without_status(write.object) {
        Ok(())
    } else {
        Err(format!(
            "node {node:?} is not allowed to update fields other than status of a PVC"
        ))
    }
}

fn account_token(node: &str, write: &Write<'_>, find: Find<'_>) -> Verdict {
    let bound = write
        .object
        .pointer("/spec/boundObjectRef")
        .unwrap_or(&Value::Null);
    let text = |name| field(bound, name);
    if (text("apiVersion"), text("kind")) != ("v1", "Pod") || text("name").is_empty() {
        return Err("node requested token not bound to a pod".to_owned());
    }
    if text("uid").is_empty() {
        return Err("node requested token with a pod binding without a uid".to_owned());
    }
    let name = text("name");
    let pod =
        find("pods", write.namespace, name).ok_or_else(|| format!("pod {name:?} not found"))?;
    if meta::uid(&pod) != text("uid") {
        return Err(format!(
            "the UID in the bound object reference ({}) does not match the UID in record",
            text("uid")
        ));
    }
    if spec_text(&pod, "nodeName") != node {
        return Err("node requested token bound to a pod scheduled on a different node".to_owned());
    }
    let audiences = write
        .object
        .pointer("/spec/audiences")
        .and_then(Value::as_array);
    let audience = match audiences.map_or(&[][..], Vec::as_slice) {
        [] => "",
        [one] => one.as_str().unwrap_or_default(),
        _ => return Err("node may only request 0 or 1 audiences".to_owned()),
    };
    if mounts_token_for(&pod, audience) {
        Ok(())
    } else {
        Err(format!(
            "audience {audience:?} not found in pod spec volume"
        ))
    }
}

/// Whether a pod has a projected token for this audience (empty: the API server). A node gets no other token of its pods'
/// accounts, so one that was taken over cannot use them elsewhere.
fn mounts_token_for(pod: &Value, audience: &str) -> bool {
    let list = |value: &Value, pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    list(pod, "/spec/volumes").iter().any(|volume| {
        list(volume, "/projected/sources").iter().any(|source| {
            let token = source
                .get("serviceAccountToken")
                .filter(|token| token.is_object());
            token.is_some_and(|token| field(token, "audience") == audience)
        })
    })
}

fn lease(node: &str, write: &Write<'_>) -> Verdict {
    if write.namespace != LEASE_NAMESPACE {
        return Err(format!(
            "can only access leases in the {LEASE_NAMESPACE:?} system namespace"
        ));
    }
    let name = if write.operation == Operation::Create {
        meta::name(write.object)
    } else {
        write.name
    };
    if name != node {
        return Err(
            "can only access node lease with the same name as the requesting node".to_owned(),
        );
    }
    Ok(())
}

fn device(node: &str, write: &Write<'_>) -> Verdict {
    let name = if write.name.is_empty() {
        meta::name(write.object)
    } else {
        write.name
    };
    if name == node {
        Ok(())
    } else {
        Err("can only write the device with the same name as the requesting node".to_owned())
    }
}

fn own_node(node: &str, write: &Write<'_>) -> Verdict {
    let name = if write.name.is_empty() {
        meta::name(write.object)
    } else {
        write.name
    };
    if name != node {
        return Err(format!(
            "node {node:?} is not allowed to modify node {name:?}"
        ));
    }
    match write.operation {
        Operation::Create => {
            refuse_labels(
                node,
                &forbidden_labels(&Map::new(), labels(write.object)),
                "set the following labels",
            )?;
            refuse_owner(node, write)
        }
        Operation::Update => {
            refuse_owner(node, write)?;
            let taints = |object: &Value| object.pointer("/spec/taints").cloned().filter(is_filled);
            // Else a node could steer pods to itself that it was tainted to keep away.
            if taints(write.old) != taints(write.object) {
                return Err(format!("node {node:?} is not allowed to modify taints"));
            }
            let empty = Map::new();
            let old = labels(write.old).unwrap_or(&empty);
            refuse_labels(
                node,
                &forbidden_labels(old, labels(write.object)),
                "modify labels",
            )
        }
        Operation::Delete => Err(format!(
            "node {node:?} is not allowed to delete node {name:?}"
        )),
    }
}

fn is_filled(list: &Value) -> bool {
    list.as_array().is_some_and(|items| !items.is_empty())
}

fn refuse_owner(node: &str, write: &Write<'_>) -> Verdict {
    let owners = |object: &Value| {
        object
            .pointer("/metadata/ownerReferences")
            .cloned()
            .filter(is_filled)
    };
    if owners(write.old) == owners(write.object) {
        Ok(())
    } else {
        Err(format!(
            "node {node:?} is not allowed to modify ownerReferences"
        ))
    }
}

fn refuse_labels(node: &str, forbidden: &[&str], what: &str) -> Verdict {
    if forbidden.is_empty() {
        return Ok(());
    }
    Err(format!(
        "is not allowed to {what}: {}",
        forbidden.join(", ")
    ))
    .map_err(|e: String| format!("node {node:?} {e}"))
}

fn labels(object: &Value) -> Option<&Map<String, Value>> {
    object
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .filter(|labels| !labels.is_empty())
}

/// The labels that differ and that a node may not touch, sorted.
fn forbidden_labels<'a>(
    old: &'a Map<String, Value>,
    new: Option<&'a Map<String, Value>>,
) -> Vec<&'a str> {
    let empty = Map::new();
    let new_or_empty = new.unwrap_or(&empty);
    let changed = |key: &str| old.get(key) != new_or_empty.get(key);
    let keys = old.keys().chain(new.into_iter().flat_map(Map::keys));
    let mut out: Vec<&str> = keys
        .map(String::as_str)
        .filter(|key| changed(key) && is_forbidden(key))
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// Labels of Kubernetes' own domains are reserved for administrators, but for those that a node knows about itself;
/// `node-restriction.kubernetes.io/` always is.
fn is_forbidden(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let under = |suffix: &str| domain == suffix || domain.ends_with(&format!(".{suffix}"));
    if under("node-restriction.kubernetes.io") {
        return true;
    }
    if !(under("kubernetes.io") || under("k8s.io")) {
        return false;
    }
    !(OWN_LABELS.contains(&key) || under("kubelet.kubernetes.io") || under("node.kubernetes.io"))
}
