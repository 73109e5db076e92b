//! Roles for people and programs: cluster-admin, admin, edit, view, and what everyone may do.

use minicloud_api::user::{GROUP_AUTHENTICATED, GROUP_MASTERS, GROUP_UNAUTHENTICATED};
use serde_json::Value;

use super::rules::{READ, READ_WRITE, WRITE, paths, rule};
use super::{aggregated_role, cluster_role, cluster_role_binding, group};

pub(super) fn cluster_roles() -> Vec<Value> {
    vec![
        cluster_role(
            "cluster-admin",
            &[],
            vec![rule("*", "*", "*"), paths("*", "*")],
        ),
        cluster_role(
            "system:discovery",
            &[],
            vec![paths(
                "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
                "get",
            )],
        ),
        cluster_role(
            "system:monitoring",
            &[],
            vec![paths(
                "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*",
                "get",
            )],
        ),
        // For Grafana, for the Prometheus of a federation, for people: all that is measured at this site.
        cluster_role(
            "minicloud:monitoring-view",
            &[],
            vec![
                paths("/prometheus/api/v1/* /prometheus/federate", "get post"),
                paths("/alertmanager/api/v2/*", "get"),
            ],
        ),
        // Who silences an alert keeps others from being told.
        cluster_role(
            "minicloud:alerts-silence",
            &[],
            vec![
                paths("/alertmanager/api/v2/*", "get"),
                paths("/alertmanager/api/v2/silences", "post"),
                paths("/alertmanager/api/v2/silence", "delete"),
            ],
        ),
        // Not part of admin and edit: a Probe lets the server's machine send requests to where its maker may not get.
        cluster_role(
            "minicloud:probes-edit",
            &[],
            vec![rule("minicloud.io", "probes", READ_WRITE)],
        ),
        cluster_role(
            "minicloud:probes-view",
            &[
                "aggregate-to-admin",
                "aggregate-to-edit",
                "aggregate-to-view",
            ],
            vec![rule("minicloud.io", "probes", READ)],
        ),
        cluster_role(
            "system:basic-user",
            &[],
            vec![
                rule(
                    "authorization.k8s.io",
                    "selfsubjectaccessreviews selfsubjectrulesreviews",
                    "create",
                ),
                rule("authentication.k8s.io", "selfsubjectreviews", "create"),
            ],
        ),
        cluster_role(
            "system:public-info-viewer",
            &[],
            vec![paths("/healthz /livez /readyz /version /version/", "get")],
        ),
        cluster_role(
            "system:service-account-issuer-discovery",
            &[],
            vec![paths(
                "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/",
                "get",
            )],
        ),
        cluster_role(
            "system:auth-delegator",
            &[],
            vec![
                rule("authentication.k8s.io", "tokenreviews", "create"),
                rule("authorization.k8s.io", "subjectaccessreviews", "create"),
            ],
        ),
        aggregated_role("admin", &[], "aggregate-to-admin"),
        aggregated_role("edit", &["aggregate-to-admin"], "aggregate-to-edit"),
        aggregated_role("view", &["aggregate-to-edit"], "aggregate-to-view"),
        cluster_role(
            "system:aggregate-to-admin",
            &["aggregate-to-admin"],
            vec![
                rule(
                    "authorization.k8s.io",
                    "localsubjectaccessreviews",
                    "create",
                ),
                rule(
                    "rbac.authorization.k8s.io",
                    "rolebindings roles",
                    READ_WRITE,
                ),
            ],
        ),
        cluster_role(
            "system:aggregate-to-edit",
            &["aggregate-to-edit"],
            vec![
                rule(
                    "core",
                    "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
                    READ,
                ),
                rule("core", "serviceaccounts", "impersonate"),
                rule(
                    "core",
                    "pods pods/attach pods/exec pods/portforward pods/proxy",
                    WRITE,
                ),
                rule("core", "pods/eviction", "create"),
                rule(
                    "core",
                    "configmaps events persistentvolumeclaims secrets serviceaccounts services services/proxy",
                    WRITE,
                ),
                rule("core", "serviceaccounts/token", "create"),
                rule(
                    "apps",
                    "deployments deployments/scale replicasets replicasets/scale",
                    WRITE,
                ),
                rule("autoscaling", "horizontalpodautoscalers", WRITE),
                rule("coordination.k8s.io", "leases", READ_WRITE),
                rule("minicloud.io", "resizers", WRITE),
            ],
        ),
        // As the metrics server has it; what a metric of one's own says is for whoever may see the objects that it is about.
        cluster_role(
            "system:aggregated-metrics-reader",
            &[
                "aggregate-to-admin",
                "aggregate-to-edit",
                "aggregate-to-view",
            ],
            vec![rule("metrics.k8s.io", "nodes pods", READ)],
        ),
        cluster_role(
            "system:aggregate-to-view",
            &["aggregate-to-view"],
            vec![
                rule(
                    "core",
                    "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods serviceaccounts \
                     services services/status",
                    READ,
                ),
                rule(
                    "core",
                    "bindings events limitranges namespaces/status pods/log pods/status resourcequotas \
                     resourcequotas/status",
                    READ,
                ),
                rule("core", "namespaces", READ),
                rule("discovery.k8s.io", "endpointslices", READ),
                rule("minicloud.io", "resizers resizers/status", READ),
                rule("events.k8s.io", "events", READ),
                rule(
                    "apps",
                    "deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status",
                    READ,
                ),
                rule(
                    "autoscaling",
                    "horizontalpodautoscalers horizontalpodautoscalers/status",
                    READ,
                ),
            ],
        ),
    ]
}

pub(super) fn cluster_role_bindings() -> Vec<Value> {
    let everyone = [group(GROUP_AUTHENTICATED), group(GROUP_UNAUTHENTICATED)];
    vec![
        cluster_role_binding("cluster-admin", &[group(GROUP_MASTERS)]),
        cluster_role_binding("system:monitoring", &[group("system:monitoring")]),
        cluster_role_binding("system:discovery", &[group(GROUP_AUTHENTICATED)]),
        cluster_role_binding("system:basic-user", &[group(GROUP_AUTHENTICATED)]),
        cluster_role_binding("system:public-info-viewer", &everyone),
        cluster_role_binding(
            "system:service-account-issuer-discovery",
            &[group("system:serviceaccounts")],
        ),
    ]
}
