//! The node authorizer: a node agent may read what the pods bound to its node refer to, and write what is its own.
//!
//! The rules and the words are those of `k8s.io/kubernetes/plugin/pkg/auth/authorizer/node`. Kubernetes keeps a graph; two
//! steps are enough for what is served here (pod → object, claim → volume → secret), so this keeps counted references per
//! node and looks them up.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::attributes::{Attributes, Decision};
use super::rules::PolicyRule;
use crate::json::text;

#[cfg(test)]
mod tests;

/// The namespace of the nodes' heartbeat Leases.
const LEASE_NAMESPACE: &str = "kube-node-lease";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
}

type Reference = (Kind, String, String);

#[derive(Debug)]
struct PodNode {
    node: String,
    references: HashSet<Reference>,
}

#[derive(Debug, Default)]
struct Volume {
    /// `(namespace, name)` of the claim that is bound to it.
    claim: (String, String),
    /// `(namespace, name)` of the secrets that mounting it needs.
    secrets: Vec<(String, String)>,
}

/// What each node's pods refer to.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pods: HashMap<(String, String), PodNode>,
    nodes: HashMap<String, HashMap<Reference, u32>>,
    volumes: HashMap<String, Volume>,
}

static NODE_RULES: LazyLock<Vec<PolicyRule>> = LazyLock::new(|| {
    crate::bootstrap::node_rules()
        .iter()
        .map(PolicyRule::from_value)
        .collect()
});

fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// What a pod refers to, by name, in its own namespace.
fn references(pod: &Value, namespace: &str, name: &str) -> HashSet<Reference> {
    let mut out = HashSet::new();
    let mut add = |kind, referred: &str| {
        if !referred.is_empty() {
            out.insert((kind, namespace.to_owned(), referred.to_owned()));
        }
    };
    add(Kind::ServiceAccount, text(pod, "/spec/serviceAccountName"));
    for secret in items(pod, "/spec/imagePullSecrets") {
        add(Kind::Secret, text(secret, "/name"));
    }
    let containers = [
        "/spec/initContainers",
        "/spec/containers",
        "/spec/ephemeralContainers",
    ];
    for container in containers.iter().flat_map(|list| items(pod, list)) {
        for env in items(container, "/env") {
            add(Kind::Secret, text(env, "/valueFrom/secretKeyRef/name"));
            add(
                Kind::ConfigMap,
                text(env, "/valueFrom/configMapKeyRef/name"),
            );
        }
        for from in items(container, "/envFrom") {
            add(Kind::Secret, text(from, "/secretRef/name"));
            add(Kind::ConfigMap, text(from, "/configMapRef/name"));
        }
    }
    for volume in items(pod, "/spec/volumes") {
        add(Kind::Secret, text(volume, "/secret/secretName"));
        add(Kind::Secret, text(volume, "/csi/nodePublishSecretRef/name"));
        add(Kind::ConfigMap, text(volume, "/configMap/name"));
        add(
            Kind::Claim,
            text(volume, "/persistentVolumeClaim/claimName"),
        );
        if volume.get("ephemeral").is_some_and(Value::is_object) {
            add(Kind::Claim, &format!("{name}-{}", text(volume, "/name")));
        }
        for source in items(volume, "/projected/sources") {
            add(Kind::Secret, text(source, "/secret/name"));
            add(Kind::ConfigMap, text(source, "/configMap/name"));
        }
    }
    out
}

impl Graph {
    /// Adds or replaces a pod. One without a node refers to nothing, nor does a mirror pod, which a node made itself.
    pub(super) fn upsert_pod(&mut self, pod: &Value) {
        let (namespace, name) = (
            text(pod, "/metadata/namespace"),
            text(pod, "/metadata/name"),
        );
        let node = text(pod, "/spec/nodeName");
        let mirror = pod
            .pointer("/metadata/annotations/kubernetes.io~1config.mirror")
            .is_some();
        let key = (namespace.to_owned(), name.to_owned());
        if node.is_empty() {
            self.remove_pod(namespace, name);
            return;
        }
        let references = if mirror {
            HashSet::new()
        } else {
            references(pod, namespace, name)
        };
        // Status updates are the bulk of what arrives: nothing to do for them.
        if self
            .pods
            .get(&key)
            .is_some_and(|old| old.node == node && old.references == references)
        {
            return;
        }
        self.remove_pod(namespace, name);
        let counted = self.nodes.entry(node.to_owned()).or_default();
        for reference in &references {
            *counted.entry(reference.clone()).or_default() += 1;
        }
        self.pods.insert(
            key,
            PodNode {
                node: node.to_owned(),
                references,
            },
        );
    }

    /// Forgets a pod.
    pub(super) fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some(old) = self.pods.remove(&(namespace.to_owned(), name.to_owned())) else {
            return;
        };
        let Some(counted) = self.nodes.get_mut(&old.node) else {
            return;
        };
        for reference in old.references {
            if let Some(count) = counted.get_mut(&reference) {
                *count -= 1;
                if *count == 0 {
                    counted.remove(&reference);
                }
            }
        }
        if counted.is_empty() {
            self.nodes.remove(&old.node);
        }
    }

    /// Adds or replaces a PersistentVolume.
    pub(super) fn upsert_volume(&mut self, volume: &Value) {
        let claim = text(volume, "/spec/claimRef/namespace").to_owned();
        let claim = (claim, text(volume, "/spec/claimRef/name").to_owned());
        let secrets = ["nodePublishSecretRef", "nodeStageSecretRef"]
            .iter()
            .filter_map(|field| volume.pointer(&format!("/spec/csi/{field}")))
            .map(|secret| {
                (
                    text(secret, "/namespace").to_owned(),
                    text(secret, "/name").to_owned(),
                )
            })
            .collect();
        self.volumes.insert(
            text(volume, "/metadata/name").to_owned(),
            Volume { claim, secrets },
        );
    }

    /// Forgets a PersistentVolume.
    pub(super) fn remove_volume(&mut self, name: &str) {
        self.volumes.remove(name);
    }

    fn refers(&self, node: &str, kind: Kind, namespace: &str, name: &str) -> bool {
        let key = (kind, namespace.to_owned(), name.to_owned());
        self.nodes
            .get(node)
            .is_some_and(|counted| counted.contains_key(&key))
    }

    fn refers_by_volume(&self, node: &str, volume: &Volume) -> bool {
        self.refers(node, Kind::Claim, &volume.claim.0, &volume.claim.1)
    }

    fn reads(&self, node: &str, kind: Kind, namespace: &str, name: &str) -> bool {
        self.refers(node, kind, namespace, name)
            || (kind == Kind::Secret
                && self.volumes.values().any(|volume| {
                    volume
                        .secrets
                        .iter()
                        .any(|(ns, n)| ns == namespace && n == name)
                        && self.refers_by_volume(node, volume)
                }))
    }

    /// Decides a request of `node`'s agent.
    pub(super) fn authorize(&self, node: &str, request: &Attributes<'_>) -> Decision {
        if request.resource_request {
            let decided = match (request.api_group, request.resource) {
                ("", "secrets") => Some(self.read(node, Kind::Secret, request)),
                ("", "configmaps") => Some(self.read(node, Kind::ConfigMap, request)),
                ("", "persistentvolumeclaims") => Some(self.claim(node, request)),
                ("", "persistentvolumes") => Some(self.volume(node, request)),
                ("", "serviceaccounts") => Some(self.service_account(node, request)),
                ("coordination.k8s.io", "leases") => Some(lease(node, request)),
                ("minicloud.io", "devices") => Some(device(node, request)),
                ("", "nodes") => Some(own_node(node, request)),
                ("", "pods") => Some(self.pod(node, request)),
                _ => None,
            };
            if let Some(decided) = decided {
                return decision(decided);
            }
        }
        let allowed = NODE_RULES.iter().any(|rule| rule.allows(request));
        decision(if allowed { Ok(()) } else { Err(String::new()) })
    }

    fn related(&self, node: &str, found: bool, request: &Attributes<'_>) -> Result<(), String> {
        if request.name.is_empty() {
            return Err("No Object name found".to_owned());
        }
        if found {
            Ok(())
        } else {
            Err(format!(
                "no relationship found between node '{node}' and this object"
            ))
        }
    }

    fn read(&self, node: &str, kind: Kind, request: &Attributes<'_>) -> Result<(), String> {
        if !request.is_read_only() {
            return refuse("can only read resources of this type");
        }
        if !request.subresource.is_empty() {
            return refuse("cannot read subresource");
        }
        if request.namespace.is_empty() {
            return refuse("can only read namespaced object of this type");
        }
        self.related(
            node,
            self.reads(node, kind, request.namespace, request.name),
            request,
        )
    }

    fn claim(&self, node: &str, request: &Attributes<'_>) -> Result<(), String> {
        let found = || self.refers(node, Kind::Claim, request.namespace, request.name);
        match (request.subresource, request.verb) {
            ("status", "get" | "update" | "patch") => self.related(node, found(), request),
            ("status", _) => refuse("can only get/update/patch this type"),
            _ => {
                get_only(request)?;
                self.related(node, found(), request)
            }
        }
    }

    fn volume(&self, node: &str, request: &Attributes<'_>) -> Result<(), String> {
        get_only(request)?;
        let volume = self.volumes.get(request.name);
        self.related(
            node,
            volume.is_some_and(|v| self.refers_by_volume(node, v)),
            request,
        )
    }

    fn service_account(&self, node: &str, request: &Attributes<'_>) -> Result<(), String> {
        if request.verb != "create" || request.name.is_empty() {
            return refuse("can only create tokens for individual service accounts");
        }
        if request.subresource != "token" {
            return refuse("can only create token subresource of serviceaccount");
        }
        self.related(
            node,
            self.refers(node, Kind::ServiceAccount, request.namespace, request.name),
            request,
        )
    }

    fn pod(&self, node: &str, request: &Attributes<'_>) -> Result<(), String> {
        let key = || (request.namespace.to_owned(), request.name.to_owned());
        let own = || self.pods.get(&key()).is_some_and(|pod| pod.node == node);
        match (request.subresource, request.verb) {
            ("", "get") => self.related(node, own(), request),
            ("", "list" | "watch") => {
                if request.field_selector.contains(&("spec.nodeName", node))
                    || (!request.name.is_empty() && own())
                {
                    Ok(())
                } else {
                    refuse("can only list/watch pods with spec.nodeName field selector")
                }
            }
            // The admission rules limit these to the node's own pods.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => {
                Ok(())
            }
            _ => refuse(""),
        }
    }
}

fn decision(result: Result<(), String>) -> Decision {
    match result {
        Ok(()) => Decision::Allow("".into()),
        Err(reason) => Decision::NoOpinion(reason),
    }
}

fn refuse(reason: &str) -> Result<(), String> {
    Err(reason.to_owned())
}

fn get_only(request: &Attributes<'_>) -> Result<(), String> {
    if request.verb != "get" {
        return refuse("can only get individual resources of this type");
    }
    if !request.subresource.is_empty() {
        return refuse("cannot get subresource");
    }
    Ok(())
}

fn lease(node: &str, request: &Attributes<'_>) -> Result<(), String> {
    if !matches!(
        request.verb,
        "get" | "create" | "update" | "patch" | "delete"
    ) {
        return refuse("can only get, create, update, patch, or delete a node lease");
    }
    if request.namespace != LEASE_NAMESPACE {
        return Err(format!(
            "can only access leases in the {LEASE_NAMESPACE:?} system namespace"
        ));
    }
    // A create has no name to compare; the admission rules look at the object.
    if request.verb != "create" && request.name != node {
        return refuse("can only access node lease with the same name as the requesting node");
    }
    Ok(())
}

/// What a node says of its own hardware.
fn device(node: &str, request: &Attributes<'_>) -> Result<(), String> {
    if !matches!(request.verb, "get" | "create" | "update" | "patch") {
        return refuse("can only get, create, update, or patch a device");
    }
    // A create has no name to compare; the admission rules look at the object.
    if request.verb != "create" && request.name != node {
        return refuse("can only access the device with the same name as the requesting node");
    }
    Ok(())
}

fn own_node(node: &str, request: &Attributes<'_>) -> Result<(), String> {
    match (request.subresource, request.verb) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") if request.name == node => Ok(()),
        ("", "get" | "list" | "watch") if request.name.is_empty() => Err(format!(
            "node '{node}' cannot read all nodes, only its own Node object"
        )),
        ("", "get" | "list" | "watch") => Err(format!(
            "node '{node}' cannot read '{}', only its own Node object",
            request.name
        )),
        _ => refuse(""),
    }
}
