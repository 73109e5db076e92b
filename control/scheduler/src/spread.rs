//! Topology spread constraints: `DoNotSchedule` filters, `ScheduleAnyway` scores. Pure.
//!
//! Pods that say nothing and belong to one controller are spread softly over hosts and zones, as Kubernetes' cluster
//! defaults do.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use minicloud_api::selector::{LabelSelector, Requirement};

use crate::cluster::Cluster;
use crate::filter::{Refusal, Rule};
use crate::node::{NodeInfo, NodeSpec};
use crate::pod::PodInfo;
use crate::terms::{Labels, label_selector, selects, tolerates};

/// A compiled constraint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constraint {
    max_skew: i64,
    key: String,
    hard: bool,
    pods: Pods,
    min_domains: i64,
    honor_affinity: bool,
    honor_taints: bool,
}

/// Which pods are counted.
#[derive(Debug, Clone, PartialEq)]
enum Pods {
    Selected(LabelSelector),
    OfOwner(String),
}

impl Constraint {
    /// `labels` are those of the pod that has the constraint.
    pub(crate) fn read(constraint: &TopologySpreadConstraint, labels: &Labels) -> Self {
        let mut all = match &constraint.label_selector {
            Some(selector) => label_selector(selector).requirements().to_vec(),
            None => vec![Requirement::In(String::new(), Vec::new())],
        };
        for key in constraint.match_label_keys.iter().flatten() {
            if let Some(value) = labels.get(key) {
                all.push(Requirement::In(key.clone(), vec![value.clone()]));
            }
        }
        Self {
            max_skew: i64::from(constraint.max_skew),
            key: constraint.topology_key.clone(),
            hard: constraint.when_unsatisfiable != "ScheduleAnyway",
            pods: Pods::Selected(LabelSelector::new(all)),
            min_domains: i64::from(constraint.min_domains.unwrap_or(1)),
            honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        }
    }

    fn default_for(owner: &str, key: &str, max_skew: i64) -> Self {
        Self {
            max_skew,
            key: key.to_owned(),
            hard: false,
            pods: Pods::OfOwner(owner.to_owned()),
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        }
    }

    fn counts_pod(&self, pod: &PodInfo) -> bool {
        match &self.pods {
            Pods::Selected(selector) => selects(selector, &pod.labels),
            Pods::OfOwner(owner) => pod.owner == *owner,
        }
    }

    /// True when the node takes part in this constraint for this pod.
    fn counts_node(&self, pod: &PodInfo, node: &NodeInfo, spec: &NodeSpec) -> bool {
        let allowed = || {
            pod.rules
                .as_ref()
                .is_none_or(|rules| rules.allow_node(&node.name, &spec.labels))
        };
        let hard = |effect: &str| matches!(effect, "NoSchedule" | "NoExecute");
        let tolerated = || {
            spec.taints
                .iter()
                .filter(|t| hard(&t.effect))
                .all(|t| tolerates(&pod.tolerations, t))
        };
        (!self.honor_affinity || allowed()) && (!self.honor_taints || tolerated())
    }
}

/// One constraint with its counts per domain.
struct Counted {
    constraint: Constraint,
    counts: HashMap<String, i64>,
    /// The pod itself is one of those counted.
    own: i64,
}

/// What one pod's placing has to heed, counted once for all nodes.
pub(crate) struct Spread {
    hard: Vec<Counted>,
    soft: Vec<Counted>,
}

impl Spread {
    /// Counts the pods that the constraints speak of.
    pub(crate) fn new(pod: &PodInfo, cluster: &Cluster) -> Self {
        let stated = pod.rules.as_ref().map_or(&[][..], |r| &r.spread);
        let mut all = stated.to_vec();
        if all.is_empty() && !pod.owner.is_empty() {
            all.push(Constraint::default_for(
                &pod.owner,
                "kubernetes.io/hostname",
                3,
            ));
            all.push(Constraint::default_for(
                &pod.owner,
                "topology.kubernetes.io/zone",
                5,
            ));
        }
        let defaulted = stated.is_empty();
        let keys = |hard: bool| {
            let keys: HashSet<String> = all
                .iter()
                .filter(|c| c.hard == hard)
                .map(|c| c.key.clone())
                .collect();
            keys
        };
        let (hard_keys, soft_keys) = (keys(true), keys(false));
        let (mut hard, mut soft) = (Vec::new(), Vec::new());
        for constraint in all {
            let keys = if constraint.hard {
                &hard_keys
            } else {
                &soft_keys
            };
            let mut counts: HashMap<String, i64> = HashMap::new();
            for (node, spec) in cluster.known_nodes() {
                let Some(value) = spec.labels.get(&constraint.key) else {
                    continue;
                };
                let whole = defaulted || keys.iter().all(|key| spec.labels.contains_key(key));
                if !whole || !constraint.counts_node(pod, node, spec) {
                    continue;
                }
                let matching = node.pods.values().filter(|other| {
                    other.namespace == pod.namespace
                        && !other.deleting
                        && constraint.counts_pod(other)
                });
                *counts.entry(value.clone()).or_default() +=
                    i64::try_from(matching.count()).unwrap_or(i64::MAX);
            }
            let own = i64::from(constraint.counts_pod(pod));
            let counted = Counted {
                constraint,
                counts,
                own,
            };
            if counted.constraint.hard {
                hard.push(counted)
            } else {
                soft.push(counted)
            }
        }
        Self { hard, soft }
    }

    /// Whether a node with these labels does.
    pub(crate) fn filter(&self, labels: &Labels) -> Result<(), Refusal> {
        const REASON: &str = "node(s) didn't match pod topology spread constraints";
        for Counted {
            constraint,
            counts,
            own,
        } in &self.hard
        {
            let Some(value) = labels.get(&constraint.key) else {
                return Err(Refusal::new(
                    Rule::Node,
                    format!("{REASON} (missing required label)"),
                ));
            };
            let domains = i64::try_from(counts.len()).unwrap_or(i64::MAX);
            let least = match domains < constraint.min_domains {
                true => 0,
                false => counts.values().min().copied().unwrap_or(0),
            };
            if counts.get(value).copied().unwrap_or(0) + own - least > constraint.max_skew {
                return Err(Refusal::new(Rule::Pods, REASON));
            }
        }
        Ok(())
    }

    /// The node's raw score: the lower, the better spread. None when there is nothing to say.
    pub(crate) fn score(&self, labels: &Labels) -> Option<f64> {
        let mut total = None;
        for Counted {
            constraint, counts, ..
        } in &self.soft
        {
            let Some(count) = labels
                .get(&constraint.key)
                .and_then(|value| counts.get(value))
            else {
                continue;
            };
            // Fewer domains weigh less, as in Kubernetes.
            #[allow(clippy::cast_precision_loss)]
            let part =
                *count as f64 * ((counts.len() + 2) as f64).ln() + (constraint.max_skew - 1) as f64;
            *total.get_or_insert(0.0) += part;
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{cluster, merge, node, pod};

    fn constraint(extra: Value) -> Value {
        let mut c = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}}});
        merge(&mut c, &extra);
        json!({"labels": {"app": "web"}, "topologySpreadConstraints": [c]})
    }

    /// Zone a (n1, n2) with three pods, zone b (n3) with one; n4 has no zone.
    fn zones() -> Cluster {
        let zone = |zone: &str| json!({"metadata": {"labels": {"zone": zone}}});
        let web = |name: &str| pod(name, json!({"labels": {"app": "web"}}));
        cluster(
            vec![
                node("n1", zone("a")),
                node("n2", zone("a")),
                node("n3", zone("b")),
                node("n4", json!({})),
            ],
            vec![
                ("n1", web("1")),
                ("n1", web("2")),
                ("n2", web("3")),
                ("n3", web("4")),
                ("n3", pod("other", json!({}))),
            ],
        )
    }

    #[test]
    fn hard_constraints_keep_the_skew() {
        let cluster = zones();
        let (full, missing) = (
            "node(s) didn't match pod topology spread constraints",
            "node(s) didn't match pod topology spread constraints (missing required label)",
        );
        let check = |spec: Value, expect: [&str; 4]| {
            let pod = pod("p", spec.clone());
            let spread = Spread::new(&pod, &cluster);
            let got = ["n1", "n2", "n3", "n4"].map(|n| {
                let labels = &cluster.nodes[n].spec.as_ref().unwrap().labels;
                spread
                    .filter(labels)
                    .err()
                    .map_or(String::new(), |r| r.reasons.concat())
            });
            assert_eq!(got, expect, "{spec}");
        };
        check(json!({}), [""; 4]);
        check(constraint(json!({})), [full, full, "", missing]);
        check(constraint(json!({"maxSkew": 3})), ["", "", "", missing]);
        check(
            constraint(json!({"minDomains": 3})),
            [full, full, full, missing],
        );
        check(
            constraint(json!({"whenUnsatisfiable": "ScheduleAnyway"})),
            [""; 4],
        );
        // A pod that the selector does not count only looks at those there.
        let mut stranger = constraint(json!({"maxSkew": 2}));
        stranger["labels"] = json!({});
        check(stranger, ["", "", "", missing]);
        // Nodes that the pod cannot use are no domains.
        let mut chosen = constraint(json!({}));
        chosen["nodeSelector"] = json!({"zone": "a"});
        check(chosen, ["", "", "", missing]);
    }

    #[test]
    fn soft_constraints_prefer_the_emptier_domain() {
        let cluster = zones();
        let score = |spec: Value, n: &str| {
            let pod = pod("p", spec);
            Spread::new(&pod, &cluster).score(&cluster.nodes[n].spec.as_ref().unwrap().labels)
        };
        let soft = constraint(json!({"whenUnsatisfiable": "ScheduleAnyway"}));
        assert!(score(soft.clone(), "n3") < score(soft.clone(), "n1"));
        assert_eq!(score(soft, "n4"), None);
        assert_eq!(score(json!({}), "n1"), None);
    }
}
