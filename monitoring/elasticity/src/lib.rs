//! The measurements that scaling goes by, as Kubernetes' metrics APIs give them, out of Prometheus: `metrics.k8s.io` (what
//! `kubectl top` shows), `custom.metrics.k8s.io` and `external.metrics.k8s.io`.
//!
//! The Kubernetes API passes requests for these groups on to port 3000 ([`minicloud_api::extension`]) once it has asked whether the
//! caller may do it. So nothing here looks at who asks, and every answer is for the one namespace that was asked for: what is
//! put into PromQL from a request is quoted, and what comes back is filtered.

mod custom;
mod external;
mod known;
mod objects;
mod promql;
mod refusal;
mod resource;
mod rules;
mod value;

use std::sync::Arc;

use axum::Router;
use minicloud_api::extension::{ExtensionGroup, ExtensionResource, ExtensionVersion, PERMISSION};
use minicloud_api::part::{Need, Part};
use minicloud_prometheus_client::Prometheus;
use serde_json::json;

const METRICS: &str = "metrics.k8s.io";
const CUSTOM: &str = "custom.metrics.k8s.io";
const EXTERNAL: &str = "external.metrics.k8s.io";

const READ: &[&str] = &["get", "list"];

/// The API groups that the part answers.
pub fn groups() -> Vec<ExtensionGroup> {
    const MEASURED: &[ExtensionResource] = &[
        ExtensionResource {
            plural: "nodes",
            singular: "",
            kind: "NodeMetrics",
            namespaced: false,
            verbs: READ,
        },
        ExtensionResource {
            plural: "pods",
            singular: "",
            kind: "PodMetrics",
            namespaced: true,
            verbs: READ,
        },
    ];
    let version = |name, resources| ExtensionVersion { name, resources };
    let group = |name, versions| ExtensionGroup { name, versions };
    vec![
        group(METRICS, vec![version("v1beta1", MEASURED)]),
        group(
            CUSTOM,
            vec![version("v1beta2", &[]), version("v1beta1", &[])],
        ),
        group(EXTERNAL, vec![version("v1beta1", &[])]),
    ]
}

/// What every handler has.
#[derive(Clone)]
struct Context {
    client: kube::Client,
    prometheus: Prometheus,
}

/// The part. `client` lists nodes and pods, and reads the ConfigMap `kube-system/minicloud-metrics-rules`.
pub fn part(client: kube::Client, prometheus: Prometheus) -> Part {
    let context = Context { client, prometheus };
    Part {
        name: "elasticity",
        routes: Router::new()
            .merge(resource::routes())
            .merge(custom::routes())
            .merge(external::routes())
            .with_state(context),
        permit: Arc::new(|_| Need::Resource(PERMISSION)),
        // It is the Kubernetes API that these are asked at.
        openapi: json!({}),
        metrics: Arc::new(String::new),
        run: None,
    }
}
