//! A pod as the scheduler sees it: only what decides about placing, compiled once.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{self as core, Pod, PodSpec, Toleration};

use crate::resources::{Resources, of_pod};
use crate::spread::Constraint;
use crate::terms::{Labels, NodeTerm, PodTerm, node_terms};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PodInfo {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: Labels,
    pub(crate) created: Timestamp,
    pub(crate) deleting: bool,
    /// UID of the controlling owner, empty when there is none.
    pub(crate) owner: String,
    /// Empty until bound.
    pub(crate) node_name: String,
    pub(crate) priority: i32,
    pub(crate) requests: Resources,
    pub(crate) host_ports: Vec<HostPort>,
    pub(crate) rules: Option<Box<Rules>>,
    /// Names of the claims that it mounts.
    pub(crate) claims: Vec<String>,
    pub(crate) tolerations: Vec<Toleration>,
}

/// A port on the node's own addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPort {
    /// `0.0.0.0` for all.
    pub(crate) ip: String,
    pub(crate) protocol: String,
    pub(crate) port: i32,
}

impl HostPort {
    /// True when both cannot be on one node.
    pub(crate) fn conflicts(&self, other: &Self) -> bool {
        const ALL: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || self.ip == ALL || other.ip == ALL)
    }
}

/// Where the pod wants to be, beyond having room. Most pods say nothing about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rules {
    pub(crate) node_selector: Labels,
    /// One of the terms must fit, if there are any.
    pub(crate) node_required: Option<Vec<NodeTerm>>,
    pub(crate) node_preferred: Vec<(i64, NodeTerm)>,
    pub(crate) near: Vec<PodTerm>,
    pub(crate) apart: Vec<PodTerm>,
    pub(crate) near_preferred: Vec<(i64, PodTerm)>,
    pub(crate) apart_preferred: Vec<(i64, PodTerm)>,
    pub(crate) spread: Vec<Constraint>,
}

impl Rules {
    /// True when the node is among those that selector and affinity allow.
    pub(crate) fn allow_node(&self, name: &str, labels: &Labels) -> bool {
        self.node_selector
            .iter()
            .all(|(k, v)| labels.get(k) == Some(v))
            && self
                .node_required
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term.matches(name, labels)))
    }
}

impl PodInfo {
    /// Reads a pod.
    pub(crate) fn read(pod: &Pod) -> Self {
        let meta = &pod.metadata;
        let nothing = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&nothing);
        let namespace = meta.namespace.clone().unwrap_or_default();
        let labels = meta.labels.clone().unwrap_or_default();
        let rules = rules(spec, &namespace, &labels);
        let owner = meta
            .owner_references
            .iter()
            .flatten()
            .find(|o| o.controller == Some(true));
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            created: meta
                .creation_timestamp
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
            deleting: meta.deletion_timestamp.is_some(),
            owner: owner.map(|o| o.uid.clone()).unwrap_or_default(),
            node_name: spec.node_name.clone().unwrap_or_default(),
            priority: spec.priority.unwrap_or(0),
            requests: of_pod(spec),
            host_ports: host_ports(spec),
            claims: claims(spec, meta.name.as_deref().unwrap_or_default()),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            rules: (rules != Rules::default()).then(|| Box::new(rules)),
            namespace,
            labels,
        }
    }

    /// `namespace/name`, for people.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// True when it has run to its end and takes no room any more.
pub(crate) fn is_finished(pod: &Pod) -> bool {
    matches!(
        pod.status.as_ref().and_then(|s| s.phase.as_deref()),
        Some("Succeeded" | "Failed")
    )
}

/// True when somebody still holds it back.
pub(crate) fn is_gated(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .and_then(|s| s.scheduling_gates.as_ref())
        .is_some_and(|gates| !gates.is_empty())
}

/// Which scheduler is to place it.
pub(crate) fn scheduler_name(pod: &Pod) -> &str {
    pod.spec
        .as_ref()
        .and_then(|s| s.scheduler_name.as_deref())
        .unwrap_or("default-scheduler")
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let all = spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|c| c.ports.iter().flatten());
    all.filter_map(|port| {
        Some(HostPort {
            port: port.host_port.filter(|port| *port > 0)?,
            ip: port
                .host_ip
                .clone()
                .filter(|ip| !ip.is_empty())
                .unwrap_or_else(|| "0.0.0.0".into()),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
        })
    })
    .collect()
}

fn claims(spec: &PodSpec, pod: &str) -> Vec<String> {
    spec.volumes
        .iter()
        .flatten()
        .filter_map(
            |volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
                (Some(claim), _) => Some(claim.claim_name.clone()),
                (None, Some(_)) => Some(format!("{pod}-{}", volume.name)),
                (None, None) => None,
            },
        )
        .collect()
}

fn rules(spec: &PodSpec, namespace: &str, labels: &Labels) -> Rules {
    let mut rules = Rules {
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        ..Rules::default()
    };
    let constraints = spec.topology_spread_constraints.iter().flatten();
    rules.spread = constraints.map(|c| Constraint::read(c, labels)).collect();
    let Some(affinity) = &spec.affinity else {
        return rules;
    };
    let term = |t: &core::PodAffinityTerm| PodTerm::read(t, namespace, labels);
    let weighed =
        |t: &core::WeightedPodAffinityTerm| (i64::from(t.weight), term(&t.pod_affinity_term));
    if let Some(node) = &affinity.node_affinity {
        rules.node_required = node
            .required_during_scheduling_ignored_during_execution
            .as_ref()
            .map(node_terms);
        rules.node_preferred = node
            .preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten()
            .filter_map(|p| Some((i64::from(p.weight), NodeTerm::read(&p.preference)?)))
            .collect();
    }
    if let Some(near) = &affinity.pod_affinity {
        rules.near = near
            .required_during_scheduling_ignored_during_execution
            .iter()
            .flatten()
            .map(term)
            .collect();
        rules.near_preferred = near
            .preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten()
            .map(weighed)
            .collect();
    }
    if let Some(apart) = &affinity.pod_anti_affinity {
        rules.apart = apart
            .required_during_scheduling_ignored_during_execution
            .iter()
            .flatten()
            .map(term)
            .collect();
        rules.apart_preferred = apart
            .preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten()
            .map(weighed)
            .collect();
    }
    rules
}
