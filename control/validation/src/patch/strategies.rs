//! Which lists of the built-in types a strategic merge patch merges, and by which key (`patchStrategy` and `patchMergeKey`
//! of Kubernetes' Go types). Every other list is replaced.

/// How a list is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// The patch's list takes the place of the old one.
    Replace,
    /// Maps with the same value at this key are merged.
    ByKey(&'static str),
    /// Texts and numbers are added unless they are there.
    Set,
}

/// Structure, field, key; an empty key for lists of texts.
const MERGED: [(&str, &str, &str); 34] = [
    ("Container", "env", "name"),
    ("Container", "ports", "containerPort"),
    ("Container", "volumeDevices", "devicePath"),
    ("Container", "volumeMounts", "mountPath"),
    ("DeploymentStatus", "conditions", "type"),
    ("EphemeralContainer", "env", "name"),
    ("EphemeralContainer", "ports", "containerPort"),
    ("EphemeralContainer", "volumeDevices", "devicePath"),
    ("EphemeralContainer", "volumeMounts", "mountPath"),
    ("HorizontalPodAutoscalerStatus", "conditions", "type"),
    ("NamespaceStatus", "conditions", "type"),
    ("NodeSpec", "podCIDRs", ""),
    ("NodeStatus", "addresses", "type"),
    ("NodeStatus", "conditions", "type"),
    ("ObjectMeta", "finalizers", ""),
    ("ObjectMeta", "ownerReferences", "uid"),
    ("PersistentVolumeClaimStatus", "conditions", "type"),
    ("PodSpec", "containers", "name"),
    ("PodSpec", "ephemeralContainers", "name"),
    ("PodSpec", "hostAliases", "ip"),
    ("PodSpec", "imagePullSecrets", "name"),
    ("PodSpec", "initContainers", "name"),
    ("PodSpec", "resourceClaims", "name"),
    ("PodSpec", "schedulingGates", "name"),
    ("PodSpec", "topologySpreadConstraints", "topologyKey"),
    ("PodSpec", "volumes", "name"),
    ("PodStatus", "conditions", "type"),
    ("PodStatus", "hostIPs", "ip"),
    ("PodStatus", "podIPs", "ip"),
    ("PodStatus", "resourceClaimStatuses", "name"),
    ("ReplicaSetStatus", "conditions", "type"),
    ("ServiceAccount", "secrets", "name"),
    ("ServiceSpec", "ports", "port"),
    ("ServiceStatus", "conditions", "type"),
];

pub(super) fn of(structure: &str, field: &str) -> Strategy {
    match MERGED.binary_search_by(|(s, f, _)| (*s, *f).cmp(&(structure, field))) {
        Ok(i) => match MERGED.get(i).map_or("", |(_, _, key)| key) {
            "" => Strategy::Set,
            key => Strategy::ByKey(key),
        },
        Err(_) => Strategy::Replace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_real_fields() {
        assert!(MERGED.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)));
        assert_eq!(of("PodSpec", "containers"), Strategy::ByKey("name"));
        assert_eq!(of("ObjectMeta", "finalizers"), Strategy::Set);
        assert_eq!(of("PodSpec", "tolerations"), Strategy::Replace);
    }
}
