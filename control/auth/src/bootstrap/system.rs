//! Roles for the cluster's own components.

use serde_json::Value;

use super::rules::{READ, events, paths, rule};
use super::{binding_to, cluster_role, cluster_role_binding, group, system_account, user};

/// What the node authorizer allows where it does not look at single objects; the ClusterRole `system:node`, which Kubernetes
/// keeps but binds to nobody, says the same.
pub fn node_rules() -> Vec<Value> {
    vec![
        rule("authentication.k8s.io", "tokenreviews", "create"),
        rule(
            "authorization.k8s.io",
            "localsubjectaccessreviews subjectaccessreviews",
            "create",
        ),
        rule("core", "services", READ),
        rule("core", "nodes", "create get list watch"),
        rule("core", "nodes nodes/status", "patch update"),
        events(),
        rule("core", "pods", "create delete get list watch"),
        rule("core", "pods/status", "patch update"),
        rule("core", "pods/eviction", "create"),
        rule("core", "configmaps secrets", READ),
        rule("core", "persistentvolumeclaims persistentvolumes", "get"),
        rule("core", "persistentvolumeclaims/status", "get patch update"),
        rule("core", "serviceaccounts/token", "create"),
        rule(
            "coordination.k8s.io",
            "leases",
            "create delete get patch update",
        ),
        rule(
            "minicloud.io",
            "devices devices/status",
            "create get patch update",
        ),
    ]
}

fn reviews() -> [Value; 2] {
    [
        rule("authentication.k8s.io", "tokenreviews", "create"),
        rule("authorization.k8s.io", "subjectaccessreviews", "create"),
    ]
}

pub(super) fn cluster_roles() -> Vec<Value> {
    let mut scheduler = vec![
        events(),
        rule("core", "nodes namespaces services", READ),
        rule("core", "pods", "delete get list watch"),
        rule("core", "bindings pods/binding", "create"),
        rule("core", "pods/status", "patch update"),
        rule("apps", "replicasets", READ),
        rule(
            "core",
            "persistentvolumeclaims persistentvolumes",
            "get list patch update watch",
        ),
        rule("storage.k8s.io", "storageclasses", READ),
    ];
    scheduler.extend(reviews());
    let mut controllers = vec![
        events(),
        rule("core", "secrets serviceaccounts", "create"),
        rule("core", "secrets", "delete"),
        rule(
            "core",
            "configmaps namespaces secrets serviceaccounts",
            "get",
        ),
        rule("core", "secrets serviceaccounts", "update"),
        rule("core", "serviceaccounts/token", "create"),
        // The shared informers, the garbage collector's among them, see every kind.
        rule("*", "*", "list watch"),
    ];
    controllers.extend(reviews());
    vec![
        cluster_role("system:node", &[], node_rules()),
        cluster_role("system:kube-scheduler", &[], scheduler),
        cluster_role(
            "system:volume-scheduler",
            &[],
            vec![
                rule("core", "persistentvolumes", "get list patch update watch"),
                rule("storage.k8s.io", "storageclasses", READ),
                rule(
                    "core",
                    "persistentvolumeclaims",
                    "get list patch update watch",
                ),
            ],
        ),
        cluster_role("system:kube-controller-manager", &[], controllers),
        cluster_role(
            "system:kube-dns",
            &[],
            vec![
                rule("core", "endpoints namespaces services", "list watch"),
                rule("discovery.k8s.io", "endpointslices", "list watch"),
            ],
        ),
        cluster_role(
            "system:node-proxier",
            &[],
            vec![
                rule("core", "endpoints services", "list watch"),
                rule("core", "nodes", READ),
                rule("discovery.k8s.io", "endpointslices", "list watch"),
                events(),
            ],
        ),
        cluster_role(
            "system:kubelet-api-admin",
            &[],
            vec![
                rule("core", "nodes", "get list watch proxy"),
                rule(
                    "core",
                    "nodes/log nodes/metrics nodes/proxy nodes/stats",
                    "*",
                ),
            ],
        ),
        cluster_role(
            "system:persistent-volume-provisioner",
            &[],
            vec![
                rule("core", "persistentvolumes", "create delete get list watch"),
                rule(
                    "core",
                    "persistentvolumeclaims",
                    "get list patch update watch",
                ),
                rule("storage.k8s.io", "storageclasses", READ),
                events(),
            ],
        ),
        cluster_role(
            "system:minicloud-listener",
            &[],
            // Port 3000: who is it, may they, and what the parts show.
            {
                let mut rules = reviews().to_vec();
                rules.push(rule("core", "nodes pods", "list watch"));
                rules.push(rule("core", "namespaces", "get list"));
                rules.push(rule("core", "persistentvolumes", "list"));
                rules.push(rule("minicloud.io", "devices", READ));
                // Which expression answers which metric.
                let mut metrics = rule("core", "configmaps", "get");
                metrics["resourceNames"] = serde_json::json!(["minicloud-metrics-rules"]);
                rules.push(metrics);
                // The last is the nodes' own: how they are doing.
                rules.push(paths("/livez /readyz /version /v1/measurements", "get"));
                rules
            },
        ),
        cluster_role(
            "system:minicloud-aggregator",
            &[],
            // Nothing is stored as extensions.minicloud.io: the right is to be believed on port 3000 that a caller may do it.
            vec![rule("minicloud.io", "extensions", "proxy")],
        ),
        cluster_role(
            "system:minicloud-metrics",
            &[],
            // Whoever collects metrics: where to find what is to be scraped, and the metrics.
            vec![
                paths("/metrics /metrics/*", "get"),
                rule("core", "endpoints nodes pods services", READ),
                rule("discovery.k8s.io", "endpointslices", READ),
            ],
        ),
        cluster_role(
            "system:minicloud-probes",
            &[],
            vec![
                rule("minicloud.io", "probes", READ),
                rule("minicloud.io", "probes/status", "get patch"),
            ],
        ),
        cluster_role(
            "system:minicloud-state",
            &[],
            // What `/metrics/state` tells about, and nothing more. RBAC knows no right to see metadata alone, so this one could
            // read Secrets: it is nobody's but of an identity that lives in the server's memory.
            vec![
                rule(
                    "core",
                    "configmaps endpoints namespaces nodes persistentvolumeclaims persistentvolumes pods secrets services",
                    "list",
                ),
                rule("apps", "deployments replicasets", "list"),
                rule("coordination.k8s.io", "leases", "list"),
                rule("discovery.k8s.io", "endpointslices", "list"),
                rule("storage.k8s.io", "storageclasses", "list"),
            ],
        ),
    ]
}

pub(super) fn cluster_role_bindings() -> Vec<Value> {
    let scheduler = user("system:kube-scheduler");
    vec![
        cluster_role_binding("system:node", &[]),
        cluster_role_binding("system:kube-scheduler", std::slice::from_ref(&scheduler)),
        cluster_role_binding("system:volume-scheduler", &[scheduler]),
        cluster_role_binding(
            "system:kube-controller-manager",
            &[user("system:kube-controller-manager")],
        ),
        cluster_role_binding("system:kube-dns", &[system_account("kube-dns")]),
        cluster_role_binding("system:node-proxier", &[user("system:kube-proxy")]),
        binding_to(
            "system:kubelet-api-admin",
            "system:kubelet-api-admin",
            &[user("kube-apiserver-kubelet-client")],
        ),
        cluster_role_binding(
            "system:minicloud-listener",
            &[user("system:minicloud-listener")],
        ),
        cluster_role_binding(
            "system:minicloud-aggregator",
            &[user("system:minicloud-aggregator")],
        ),
        cluster_role_binding(
            "system:minicloud-metrics",
            &[group("system:minicloud-metrics")],
        ),
        cluster_role_binding(
            "system:minicloud-probes",
            &[user("system:minicloud-probes")],
        ),
        cluster_role_binding("system:minicloud-state", &[user("system:minicloud-state")]),
    ]
}
