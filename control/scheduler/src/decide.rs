//! The decision for one pod: a node, or why there is none. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::affinity::Affinity;
use crate::cluster::Cluster;
use crate::filter::{self, Refusal, Rule};
use crate::pod::PodInfo;
use crate::score::scores;
use crate::spread::Spread;
use crate::volumes::{Plan, wanted};

/// Where a pod goes.
#[derive(Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) node: String,
    pub(crate) volumes: Plan,
}

/// Why a pod goes nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unschedulable {
    /// Kubernetes' words, for the event and the condition.
    pub(crate) message: String,
    /// What would have to change.
    pub(crate) rules: BTreeSet<Rule>,
}

/// Chooses. Of nodes that are equally good the pod's UID picks one, so that the choice can be repeated and still varies.
pub(crate) fn decide(pod: &PodInfo, cluster: &Cluster) -> Result<Choice, Unschedulable> {
    let count = cluster.known_nodes().count();
    if count == 0 {
        return Err(Unschedulable {
            message: "no nodes available to schedule pods".into(),
            rules: BTreeSet::from([Rule::Node]),
        });
    }
    let claims = wanted(pod, cluster).map_err(|refusal| Unschedulable {
        message: format!(
            "0/{count} nodes are available: {}.",
            refusal.reasons.join(", ")
        ),
        rules: BTreeSet::from([refusal.rule]),
    })?;
    let affinity = Affinity::new(pod, cluster);
    let spread = Spread::new(pod, cluster);
    let mut refusals = Vec::new();
    let mut fitting = Vec::new();
    for (node, spec) in cluster.known_nodes() {
        let verdict = filter::node(pod, node)
            .and_then(|()| claims.on_node(cluster, &node.name, &spec.labels))
            .and_then(|plan| spread.filter(&spec.labels).map(|()| plan))
            .and_then(|plan| affinity.filter(&spec.labels).map(|()| plan));
        match verdict {
            Ok(plan) => fitting.push((node, spec, plan)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let nodes: Vec<_> = fitting
        .iter()
        .map(|(node, spec, _)| (*node, *spec))
        .collect();
    let scores = if nodes.len() > 1 {
        scores(pod, &nodes, &affinity, &spread)
    } else {
        vec![0.0; nodes.len()]
    };
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let best: Vec<usize> = (0..nodes.len())
        .filter(|i| scores[*i] >= most - 1e-6)
        .collect();
    if best.is_empty() {
        return Err(unschedulable(count, &refusals));
    }
    let dice = pod
        .uid
        .bytes()
        .fold(5381_usize, |h, b| h.wrapping_mul(33) ^ usize::from(b));
    let (node, _, volumes) = fitting.swap_remove(best[dice % best.len()]);
    Ok(Choice {
        node: node.name.clone(),
        volumes,
    })
}

fn unschedulable(count: usize, refusals: &[Refusal]) -> Unschedulable {
    let mut histogram: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in refusals.iter().flat_map(|r| &r.reasons) {
        *histogram.entry(reason).or_default() += 1;
    }
    let mut reasons: Vec<String> = histogram
        .into_iter()
        .map(|(reason, n)| format!("{n} {reason}"))
        .collect();
    reasons.sort();
    Unschedulable {
        message: format!("0/{count} nodes are available: {}.", reasons.join(", ")),
        rules: refusals.iter().map(|r| r.rule).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{cluster, node, pod};

    fn asks(cpu: &str) -> Value {
        json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
    }

    #[test]
    fn the_message_is_kubernetes() {
        let check = |cluster: &Cluster, spec: Value, expect: &str| {
            assert_eq!(
                decide(&pod("p", spec), cluster)
                    .map(|c| c.node)
                    .unwrap_or_else(|u| u.message),
                expect
            );
        };
        check(
            &Cluster::default(),
            json!({}),
            "no nodes available to schedule pods",
        );
        let tainted =
            json!({"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}});
        let three = cluster(
            vec![
                node("n1", json!({})),
                node("n2", tainted.clone()),
                node("n3", tainted),
            ],
            vec![],
        );
        check(&three, asks("1"), "n1");
        check(
            &three,
            asks("9"),
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {gpu: yes}.",
        );
        check(
            &three,
            json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}),
            "0/3 nodes are available: persistentvolumeclaim \"data\" not found.",
        );
        let refused = decide(&pod("p", asks("9")), &three).unwrap_err();
        assert_eq!(refused.rules, BTreeSet::from([Rule::Node, Rule::Room]));
    }

    #[test]
    fn pods_fill_the_nodes_evenly_and_never_too_far() {
        let mut cluster = cluster(
            (1..=4).map(|n| node(&format!("n{n}"), json!({}))).collect(),
            vec![],
        );
        for n in 0..8 {
            let mut pod = pod(&format!("p{n}"), asks("1"));
            pod.node_name = decide(&pod, &cluster).unwrap().node;
            cluster.place(Arc::new(pod));
        }
        assert!(
            cluster
                .nodes
                .values()
                .all(|node| node.used.cpu_millis == 2000)
        );
        let full = decide(&pod("one more", asks("1")), &cluster).unwrap_err();
        assert_eq!(full.message, "0/4 nodes are available: 4 Insufficient cpu.");
    }

    #[test]
    fn a_thousand_pods_take_seconds_at_most() {
        let big =
            json!({"status": {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "250"}}});
        let mut cluster = cluster(
            (0..10)
                .map(|n| node(&format!("n{n}"), big.clone()))
                .collect(),
            vec![],
        );
        let start = Instant::now();
        for n in 0..1000 {
            let mut spec = asks("100m");
            spec["labels"] = json!({"app": "web"});
            spec["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "o", "controller": true}]);
            let mut pod = pod(&format!("p{n}"), spec);
            pod.node_name = decide(&pod, &cluster).unwrap().node;
            cluster.place(Arc::new(pod));
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        assert!(cluster.nodes.values().all(|node| node.pods.len() == 100));
    }
}
