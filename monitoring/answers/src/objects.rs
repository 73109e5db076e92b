//! What is told of Kubernetes' objects. Pure.

use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use serde::Serialize;
use std::collections::BTreeMap;

/// Processors, memory and pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Amounts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_cores: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pods: Option<f64>,
}

impl Amounts {
    fn new(quantities: Option<&BTreeMap<String, Quantity>>) -> Self {
        let amount = |name: &str| {
            let text = &quantities?.get(name)?.0;
            let quantity: minicloud_api::quantity::Quantity = text.parse().ok()?;
            Some(quantity.as_f64())
        };
        Self {
            cpu_cores: amount("cpu"),
            memory_bytes: amount("memory"),
            pods: amount("pods"),
        }
    }

    /// Adds `other`, where it says something.
    pub(crate) fn add(&mut self, other: &Self) {
        let add = |to: &mut Option<f64>, more: Option<f64>| {
            if let Some(more) = more {
                *to = Some(to.unwrap_or_default() + more);
            }
        };
        add(&mut self.cpu_cores, other.cpu_cores);
        add(&mut self.memory_bytes, other.memory_bytes);
        add(&mut self.pods, other.pods);
    }

    /// What this says, and `other` where it says nothing.
    fn or(self, other: Self) -> Self {
        Self {
            cpu_cores: self.cpu_cores.or(other.cpu_cores),
            memory_bytes: self.memory_bytes.or(other.memory_bytes),
            pods: self.pods.or(other.pods),
        }
    }

    /// Becomes at least `other`, where that says something.
    fn raise(&mut self, other: &Self) {
        let raise = |to: &mut Option<f64>, other: Option<f64>| {
            *to = match (*to, other) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            };
        };
        raise(&mut self.cpu_cores, other.cpu_cores);
        raise(&mut self.memory_bytes, other.memory_bytes);
        raise(&mut self.pods, other.pods);
    }
}

/// A Node.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct NodeFacts {
    pub(crate) name: String,
    pub(crate) ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) not_ready_message: String,
    /// Since when it is, or is not; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ready_changed_at: Option<String>,
    pub(crate) unschedulable: bool,
    pub(crate) roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) internal_ip: Option<String>,
    pub(crate) capacity: Amounts,
    pub(crate) allocatable: Amounts,
}

impl NodeFacts {
    pub(crate) fn new(node: &Node) -> Self {
        let status = node.status.as_ref();
        let conditions = status.and_then(|s| s.conditions.as_deref());
        let ready = conditions.unwrap_or_default().iter();
        let ready = ready.clone().find(|c| c.type_ == "Ready");
        let is_ready = ready.is_some_and(|c| c.status == "True");
        let labels = node.labels().keys();
        let roles = labels.filter_map(|key| key.strip_prefix("node-role.kubernetes.io/"));
        let addresses = status.and_then(|s| s.addresses.as_deref());
        let internal = addresses.unwrap_or_default().iter();
        Self {
            name: node.name_any(),
            ready: is_ready,
            not_ready_message: match ready {
                _ if is_ready => String::new(),
                None => "the node has not reported yet".to_owned(),
                Some(c) => c.message.clone().or(c.reason.clone()).unwrap_or_default(),
            },
            ready_changed_at: ready
                .and_then(|c| Some(c.last_transition_time.as_ref()?.0.to_string())),
            unschedulable: node.spec.as_ref().and_then(|s| s.unschedulable) == Some(true),
            roles: roles
                .filter(|role| !role.is_empty())
                .map(str::to_owned)
                .collect(),
            internal_ip: internal
                .clone()
                .find(|a| a.type_ == "InternalIP")
                .map(|a| a.address.clone()),
            capacity: Amounts::new(status.and_then(|s| s.capacity.as_ref())),
            allocatable: Amounts::new(status.and_then(|s| s.allocatable.as_ref())),
        }
    }
}

/// What a pod belongs to: the highest that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Workload {
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// A Pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct PodFacts {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) workload: Workload,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    pub(crate) phase: String,
    pub(crate) ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<String>,
    pub(crate) restarts: i64,
    pub(crate) requests: Amounts,
    pub(crate) limits: Amounts,
}

impl PodFacts {
    pub(crate) fn new(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let containers = status.and_then(|s| s.container_statuses.as_deref());
        let conditions = status.and_then(|s| s.conditions.as_deref());
        let (requests, limits) = pod.spec.as_ref().map(resources).unwrap_or_default();
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            workload: workload(pod),
            node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
            phase: status
                .and_then(|s| s.phase.clone())
                .unwrap_or_else(|| "Unknown".to_owned()),
            ready: conditions
                .unwrap_or_default()
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True"),
            ip: status.and_then(|s| s.pod_ip.clone()),
            created_at: pod.creation_timestamp().map(|time| time.0.to_string()),
            restarts: containers
                .unwrap_or_default()
                .iter()
                .map(|c| i64::from(c.restart_count))
                .sum(),
            requests,
            limits,
        }
    }

    /// It takes what it asked for.
    pub(crate) fn is_active(&self) -> bool {
        !matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

type Quantities = BTreeMap<String, Quantity>;

/// What the pod asks for, and may take; a limit that one of its lasting containers lacks is none, unless the pod as a whole has one.
fn resources(spec: &PodSpec) -> (Amounts, Amounts) {
    let requests = effective(spec, |resources| resources.requests.as_ref());
    let mut limits = effective(spec, |resources| resources.limits.as_ref());
    let whole = spec.resources.as_ref();
    let whole = Amounts::new(whole.and_then(|r| r.limits.as_ref()));
    let inits = spec.init_containers.iter().flatten();
    for container in spec
        .containers
        .iter()
        .chain(inits.filter(|c| is_sidecar(c)))
    {
        let resources = container.resources.as_ref();
        let limit = Amounts::new(resources.and_then(|r| r.limits.as_ref())).or(whole);
        limits.cpu_cores = limits.cpu_cores.filter(|_| limit.cpu_cores.is_some());
        limits.memory_bytes = limits.memory_bytes.filter(|_| limit.memory_bytes.is_some());
    }
    (requests, limits)
}

/// As Kubernetes' scheduler counts it: the most that is there at a time, which is either all lasting containers, or one that
/// initializes with the sidecars that were started before it; unless the pod as a whole says how much; and the overhead.
fn effective(
    spec: &PodSpec,
    which: impl Fn(&ResourceRequirements) -> Option<&Quantities>,
) -> Amounts {
    let amounts = |container: &Container| {
        let resources = container.resources.as_ref();
        Amounts::new(resources.and_then(&which))
    };
    let (mut lasting, mut most) = (Amounts::default(), Amounts::default());
    for init in spec.init_containers.iter().flatten() {
        let mut now = lasting;
        now.add(&amounts(init));
        most.raise(&now);
        if is_sidecar(init) {
            lasting = now;
        }
    }
    for container in &spec.containers {
        lasting.add(&amounts(container));
    }
    most.raise(&lasting);
    let whole = spec.resources.as_ref().and_then(&which);
    let most = Amounts::new(whole).or(most);
    let overhead = Amounts::new(spec.overhead.as_ref());
    let plus = |amount: Option<f64>, more: Option<f64>| amount.map(|a| a + more.unwrap_or(0.0));
    Amounts {
        cpu_cores: plus(most.cpu_cores, overhead.cpu_cores),
        memory_bytes: plus(most.memory_bytes, overhead.memory_bytes),
        pods: None,
    }
}

/// A container that is started before the others and stays.
fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// Of a Deployment's ReplicaSet, the Deployment: it is named by the template's hash, which the pods carry as a label.
fn workload(pod: &Pod) -> Workload {
    let owner = pod.owner_references().iter();
    let Some(owner) = owner.clone().find(|owner| owner.controller == Some(true)) else {
        return Workload {
            kind: "Pod".to_owned(),
            name: pod.name_any(),
        };
    };
    let hash = pod.labels().get("pod-template-hash");
    let deployment = hash
        .filter(|_| owner.kind == "ReplicaSet")
        .and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match deployment {
        Some(name) => Workload {
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
        },
        None => Workload {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": "web-5d-x", "uid": "u", "labels": {"pod-template-hash": "5d"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d", "uid": "r", "controller": true}]},
            "spec": {"nodeName": "edge-1", "containers": [
                {"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}},
                {"name": "b", "resources": {"requests": {"cpu": "0.4"}, "limits": {"cpu": "1"}}},
            ]},
            "status": {"phase": "Running", "podIP": "10.42.0.9", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [
                    {"name": "a", "restartCount": 2, "ready": true, "image": "", "imageID": ""},
                    {"name": "b", "restartCount": 1, "ready": true, "image": "", "imageID": ""},
                ]},
        }))
        .unwrap();
        let facts = PodFacts::new(&pod);
        expect_test::expect![[r#"{"namespace":"shop","name":"web-5d-x","uid":"u","workload":{"kind":"Deployment","name":"web"},"node":"edge-1","phase":"Running","ready":true,"ip":"10.42.0.9","restarts":3,"requests":{"cpu_cores":0.5,"memory_bytes":1073741824.0},"limits":{"cpu_cores":2.0}}"#]]
            .assert_eq(&serde_json::to_string(&facts).unwrap());
        let mut bare = pod.clone();
        bare.metadata.owner_references = None;
        assert_eq!(
            workload(&bare),
            Workload {
                kind: "Pod".into(),
                name: "web-5d-x".into()
            }
        );
        let mut odd = pod;
        odd.metadata.labels = None;
        assert_eq!(
            workload(&odd),
            Workload {
                kind: "ReplicaSet".into(),
                name: "web-5d".into()
            }
        );
    }

    /// As `kubectl describe node` has them.
    #[test]
    fn what_initializes_counts_while_it_is_most() {
        let check = |spec: serde_json::Value, requests: &str, limits: &str| {
            let spec: PodSpec = serde_json::from_value(spec).unwrap();
            let (r, l) = resources(&spec);
            let text = |amounts: &Amounts| serde_json::to_string(amounts).unwrap();
            assert_eq!((text(&r).as_str(), text(&l).as_str()), (requests, limits));
        };
        let asks = |cpu: &str| json!({"requests": {"cpu": cpu}, "limits": {"cpu": cpu}});
        let init = |cpu: &str| json!({"name": "i", "resources": asks(cpu)});
        let sidecar =
            |cpu: &str| json!({"name": "s", "restartPolicy": "Always", "resources": asks(cpu)});
        let app = json!([{"name": "a", "resources": asks("1")}]);
        let told = |cores: &str| format!("{{\"cpu_cores\":{cores}}}");
        for (inits, cores) in [
            (json!([init("3"), init("2")]), "3.0"),
            (json!([init("250m")]), "1.0"),
            (json!([sidecar("500m")]), "1.5"),
            (json!([sidecar("500m"), init("2")]), "2.5"),
            (json!([init("2"), sidecar("500m")]), "2.0"),
        ] {
            let spec = json!({"initContainers": inits, "containers": app});
            check(spec, &told(cores), &told(cores));
        }
        check(
            json!({"containers": app, "overhead": {"cpu": "250m", "memory": "1Ki"}}),
            &told("1.25"),
            &told("1.25"),
        );
        check(
            json!({"resources": asks("4"), "containers": [{"name": "a"}], "initContainers": [init("5")]}),
            &told("4.0"),
            &told("4.0"),
        );
        // A sidecar without a limit may take everything; what initializes without one is over soon.
        let mut free = sidecar("1");
        free["resources"]["limits"] = json!({});
        check(
            json!({"initContainers": [free], "containers": app}),
            &told("2.0"),
            "{}",
        );
        check(
            json!({"initContainers": [{"name": "i"}], "containers": app}),
            &told("1.0"),
            &told("1.0"),
        );
    }

    #[test]
    fn nodes() {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "edge-1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
            "spec": {"unschedulable": true},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110"},
                "allocatable": {"cpu": "1900m", "memory": "3Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "Unknown", "message": "no heartbeat", "lastTransitionTime": "2026-03-01T10:00:00Z"}],
            },
        }))
        .unwrap();
        expect_test::expect![[r#"{"name":"edge-1","ready":false,"not_ready_message":"no heartbeat","ready_changed_at":"2026-03-01T10:00:00Z","unschedulable":true,"roles":["control-plane"],"internal_ip":"10.0.0.1","capacity":{"cpu_cores":2.0,"memory_bytes":4294967296.0,"pods":110.0},"allocatable":{"cpu_cores":1.9,"memory_bytes":3221225472.0,"pods":110.0}}"#]]
            .assert_eq(&serde_json::to_string(&NodeFacts::new(&node)).unwrap());
        assert_eq!(
            NodeFacts::new(&Node::default()).not_ready_message,
            "the node has not reported yet"
        );
    }
}
