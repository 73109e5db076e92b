//! Which nodes can take a pod at all, and in Kubernetes' words why the others cannot. Pure.
//!
//! What concerns one node alone is here; what looks at pods elsewhere is in `affinity` and `spread`, volumes in `volumes`.

use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::terms::tolerates;

/// The rule that a node failed. It decides which later change is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Name, selector, taints, cordon: what only a change of the node (or the pod) can mend.
    Node,
    /// Room and ports: a pod that leaves, or a node that grows.
    Room,
    /// Other pods: any pod that comes or goes, or node labels.
    Pods,
    /// Claims and volumes.
    Volumes,
}

/// Why a node does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) rule: Rule,
    pub(crate) reasons: Vec<String>,
}

impl Refusal {
    /// A refusal for one reason.
    pub(crate) fn new(rule: Rule, reason: impl Into<String>) -> Self {
        Self {
            rule,
            reasons: vec![reason.into()],
        }
    }
}

/// Checks all that concerns the node alone, in Kubernetes' order.
pub(crate) fn node(pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
    let Some(spec) = &node.spec else {
        return Err(Refusal::new(Rule::Node, "node(s) were unschedulable"));
    };
    let cordon = k8s_openapi::api::core::v1::Taint {
        key: "node.kubernetes.io/unschedulable".into(),
        effect: "NoSchedule".into(),
        ..Default::default()
    };
    if spec.unschedulable && !tolerates(&pod.tolerations, &cordon) {
        return Err(Refusal::new(Rule::Node, "node(s) were unschedulable"));
    }
    if !pod.node_name.is_empty() && pod.node_name != node.name {
        return Err(Refusal::new(
            Rule::Node,
            "node(s) didn't match the requested node name",
        ));
    }
    let hard = spec
        .taints
        .iter()
        .filter(|t| matches!(t.effect.as_str(), "NoSchedule" | "NoExecute"));
    if let Some(taint) = hard.into_iter().find(|t| !tolerates(&pod.tolerations, t)) {
        let value = taint.value.as_deref().unwrap_or_default();
        return Err(Refusal::new(
            Rule::Node,
            format!("node(s) had untolerated taint {{{}: {value}}}", taint.key),
        ));
    }
    if pod
        .rules
        .as_ref()
        .is_some_and(|rules| !rules.allow_node(&node.name, &spec.labels))
    {
        return Err(Refusal::new(
            Rule::Node,
            "node(s) didn't match Pod's node affinity/selector",
        ));
    }
    let taken = |port| {
        node.pods
            .values()
            .any(|other| other.host_ports.iter().any(|p| p.conflicts(port)))
    };
    if pod.host_ports.iter().any(taken) {
        return Err(Refusal::new(
            Rule::Room,
            "node(s) didn't have free ports for the requested pod ports",
        ));
    }
    let mut reasons = Vec::new();
    if i64::try_from(node.pods.len()).unwrap_or(i64::MAX) >= spec.pod_limit {
        reasons.push("Too many pods".to_owned());
    }
    let lacking = pod.requests.lacking(&spec.allocatable, &node.used);
    reasons.extend(
        lacking
            .into_iter()
            .map(|name| format!("Insufficient {name}")),
    );
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Refusal {
            rule: Rule::Room,
            reasons,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{node as a_node, pod as a_pod};

    #[test]
    fn a_node_must_fit_the_pod() {
        let check = |pod_spec: Value, node_change: Value, expect: &[&str]| {
            let mut info = a_node("n1", node_change.clone());
            info.add(Arc::new(a_pod(
                "there",
                json!({"containers": [{"name": "c",
                "ports": [{"containerPort": 80, "hostPort": 80}],
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}),
            )));
            let got = node(&a_pod("p", pod_spec.clone()), &info)
                .err()
                .map(|r| r.reasons)
                .unwrap_or_default();
            assert_eq!(got, expect, "{pod_spec} on {node_change}");
        };
        let asks = |cpu: &str, memory: &str| json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]});
        check(json!({}), json!({}), &[]);
        check(
            json!({}),
            json!({"spec": {"unschedulable": true}}),
            &["node(s) were unschedulable"],
        );
        let tolerant = json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]});
        check(tolerant, json!({"spec": {"unschedulable": true}}), &[]);
        let tainted = |effect: &str| json!({"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": effect}]}});
        check(
            json!({}),
            tainted("NoSchedule"),
            &["node(s) had untolerated taint {gpu: yes}"],
        );
        check(
            json!({}),
            tainted("NoExecute"),
            &["node(s) had untolerated taint {gpu: yes}"],
        );
        check(json!({}), tainted("PreferNoSchedule"), &[]);
        let elsewhere = "node(s) didn't match Pod's node affinity/selector";
        check(
            json!({"nodeSelector": {"disk": "ssd"}}),
            json!({}),
            &[elsewhere],
        );
        check(
            json!({"nodeSelector": {"disk": "ssd"}}),
            json!({"metadata": {"labels": {"disk": "ssd"}}}),
            &[],
        );
        let wants = |terms: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
        check(
            wants(
                json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]),
            ),
            json!({}),
            &[],
        );
        check(wants(json!([{}])), json!({}), &[elsewhere]);
        let port = |port: i32, ip: &str| json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": port, "hostIP": ip}]}]});
        check(
            port(80, "10.0.0.1"),
            json!({}),
            &["node(s) didn't have free ports for the requested pod ports"],
        );
        check(port(81, ""), json!({}), &[]);
        check(asks("1", "1Gi"), json!({}), &[]);
        check(
            asks("1500m", "9Gi"),
            json!({}),
            &["Insufficient cpu", "Insufficient memory"],
        );
        check(
            json!({}),
            json!({"status": {"allocatable": {"cpu": "2", "memory": "2Gi", "pods": "1"}}}),
            &["Too many pods"],
        );
    }
}
