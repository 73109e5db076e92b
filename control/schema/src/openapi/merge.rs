//! How strategic merge patches treat lists: `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`. `kubectl apply`
//! computes its patches from these, so they must say what the server does with a patch (`minicloud-validation`).

use serde_json::Value;

/// Structure, field, strategy, merge key (empty for lists of texts, and for maps).
#[rustfmt::skip]
const STRATEGIES: &[(&str, &str, &str, &str)] = &[
    ("Container", "env", "merge", "name"),
    ("Container", "ports", "merge", "containerPort"),
    ("Container", "volumeDevices", "merge", "devicePath"),
    ("Container", "volumeMounts", "merge", "mountPath"),
    ("DeploymentSpec", "strategy", "retainKeys", ""),
    ("DeploymentStatus", "conditions", "merge", "type"),
    ("EphemeralContainer", "env", "merge", "name"),
    ("EphemeralContainer", "ports", "merge", "containerPort"),
    ("EphemeralContainer", "volumeDevices", "merge", "devicePath"),
    ("EphemeralContainer", "volumeMounts", "merge", "mountPath"),
    ("HorizontalPodAutoscalerStatus", "conditions", "merge", "type"),
    ("NamespaceStatus", "conditions", "merge", "type"),
    ("NodeSpec", "podCIDRs", "merge", ""),
    ("NodeStatus", "addresses", "merge", "type"),
    ("NodeStatus", "conditions", "merge", "type"),
    ("ObjectMeta", "finalizers", "merge", ""),
    ("ObjectMeta", "ownerReferences", "merge", "uid"),
    ("PersistentVolumeClaimStatus", "conditions", "merge", "type"),
    ("PodSpec", "containers", "merge", "name"),
    ("PodSpec", "ephemeralContainers", "merge", "name"),
    ("PodSpec", "hostAliases", "merge", "ip"),
    ("PodSpec", "imagePullSecrets", "merge", "name"),
    ("PodSpec", "initContainers", "merge", "name"),
    ("PodSpec", "resourceClaims", "merge,retainKeys", "name"),
    ("PodSpec", "schedulingGates", "merge", "name"),
    ("PodSpec", "topologySpreadConstraints", "merge", "topologyKey"),
    ("PodSpec", "volumes", "merge,retainKeys", "name"),
    ("PodStatus", "conditions", "merge", "type"),
    ("PodStatus", "hostIPs", "merge", "ip"),
    ("PodStatus", "podIPs", "merge", "ip"),
    ("PodStatus", "resourceClaimStatuses", "merge,retainKeys", "name"),
    ("ReplicaSetStatus", "conditions", "merge", "type"),
    ("ServiceAccount", "secrets", "merge", "name"),
    ("ServiceSpec", "ports", "merge", "port"),
    ("ServiceStatus", "conditions", "merge", "type"),
];

/// Adds the strategy of a field to its schema.
pub(super) fn annotate(structure: &str, field: &str, property: &mut Value) {
    let Some((_, _, strategy, key)) = STRATEGIES
        .iter()
        .find(|(s, f, _, _)| (*s, *f) == (structure, field))
    else {
        return;
    };
    property["x-kubernetes-patch-strategy"] = (*strategy).into();
    if !key.is_empty() {
        property["x-kubernetes-patch-merge-key"] = (*key).into();
    }
}

#[cfg(test)]
pub(super) fn strategies() -> &'static [(&'static str, &'static str, &'static str, &'static str)] {
    STRATEGIES
}
