//! One role per controller, bound to the service account of that name in `kube-system`.

use serde_json::Value;

use super::rules::{READ, events, rule};
use super::{binding_to, cluster_role, system_account};

const CHANGE: &str = "get list patch update watch";
/// All verbs but `deletecollection`: for what a controller makes and removes itself.
const OWN: &str = "create delete get list patch update watch";
const STATUS: &str = "patch update";

/// Name of the service account and the rules of the role `system:controller:NAME`. Every controller may also write events.
fn table() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "deployment-controller",
            vec![
                rule("apps", "deployments", CHANGE),
                rule("apps", "deployments/status deployments/finalizers", STATUS),
                rule("apps", "replicasets", OWN),
                rule("core", "pods", CHANGE),
            ],
        ),
        (
            "endpoint-controller",
            vec![
                rule("core", "pods services", READ),
                rule("core", "endpoints", OWN),
                rule("core", "endpoints/restricted", "create"),
            ],
        ),
        (
            "endpointslice-controller",
            vec![
                rule("core", "nodes pods services", READ),
                rule("core", "services/finalizers", "update"),
                rule("discovery.k8s.io", "endpointslices", OWN),
                rule("discovery.k8s.io", "endpointslices/restricted", "create"),
            ],
        ),
        (
            "endpointslicemirroring-controller",
            vec![
                rule("core", "endpoints services", READ),
                rule("core", "endpoints/finalizers", "update"),
                rule("discovery.k8s.io", "endpointslices", OWN),
                rule("discovery.k8s.io", "endpointslices/restricted", "create"),
            ],
        ),
        (
            "generic-garbage-collector",
            vec![rule("*", "*", "delete get list patch update watch")],
        ),
        (
            "horizontal-pod-autoscaler",
            vec![
                rule("autoscaling", "horizontalpodautoscalers", READ),
                rule("autoscaling", "horizontalpodautoscalers/status", STATUS),
                rule("*", "*/scale", "get patch update"),
                rule("metrics.k8s.io", "pods", "list"),
                rule(
                    "custom.metrics.k8s.io external.metrics.k8s.io",
                    "*",
                    "get list",
                ),
            ],
        ),
        (
            "local-path-provisioner",
            vec![
                rule("core", "persistentvolumes", OWN),
                rule("core", "persistentvolumes/status", STATUS),
                rule("core", "persistentvolumeclaims", CHANGE),
                // What a node should make and remove on its disk is written on the Node.
                rule("core", "nodes", "get list patch watch"),
                rule("storage.k8s.io", "storageclasses", "create get list watch"),
            ],
        ),
        (
            "namespace-controller",
            vec![
                rule("core", "namespaces", "delete get list watch"),
                rule("core", "namespaces/finalize namespaces/status", STATUS),
                rule("*", "*", "delete deletecollection get list"),
            ],
        ),
        (
            "node-controller",
            vec![
                rule("core", "nodes", "delete get list patch update watch"),
                rule("core", "nodes/status pods/status", STATUS),
                rule("core", "pods", "delete get list watch"),
                rule("coordination.k8s.io", "leases", READ),
            ],
        ),
        (
            "persistent-volume-binder",
            vec![
                rule("core", "persistentvolumes", OWN),
                rule("core", "persistentvolumes/status", STATUS),
                rule("core", "persistentvolumeclaims", CHANGE),
                rule("core", "persistentvolumeclaims/status", STATUS),
                rule("core", "nodes pods", READ),
                rule("storage.k8s.io", "storageclasses", READ),
            ],
        ),
        (
            "pod-garbage-collector",
            vec![
                rule("core", "pods", "delete get list watch"),
                rule("core", "pods/status", STATUS),
                rule("core", "nodes", READ),
            ],
        ),
        (
            "pv-protection-controller",
            vec![rule("core", "persistentvolumes", CHANGE)],
        ),
        (
            "pvc-protection-controller",
            vec![
                rule("core", "persistentvolumeclaims", CHANGE),
                rule("core", "pods", READ),
            ],
        ),
        (
            "replicaset-controller",
            vec![
                rule("apps", "replicasets", CHANGE),
                rule("apps", "replicasets/status replicasets/finalizers", STATUS),
                rule("core", "pods", OWN),
            ],
        ),
        (
            "resizer-controller",
            vec![
                rule("minicloud.io", "resizers", READ),
                rule("minicloud.io", "resizers/status", STATUS),
                rule("apps", "daemonsets deployments statefulsets", "get patch"),
            ],
        ),
        (
            "root-ca-cert-publisher",
            vec![rule("core", "configmaps", "create get patch update")],
        ),
        (
            "service-account-controller",
            vec![rule("core", "serviceaccounts", "create")],
        ),
    ]
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    table().into_iter().map(|(name, _)| name)
}

pub(super) fn cluster_roles() -> Vec<Value> {
    let roles = table().into_iter().map(|(name, mut rules)| {
        rules.push(events());
        cluster_role(&format!("system:controller:{name}"), &[], rules)
    });
    roles.collect()
}

pub(super) fn cluster_role_bindings() -> Vec<Value> {
    let bindings = names().map(|name| {
        let role = format!("system:controller:{name}");
        binding_to(&role, &role, &[system_account(name)])
    });
    bindings.collect()
}
