//! Which of the nodes that do is best, with the weights of Kubernetes' default profile. Pure.

use crate::affinity::Affinity;
use crate::node::{NodeInfo, NodeSpec};
use crate::pod::PodInfo;
use crate::spread::Spread;
use crate::terms::tolerates;

const MAX: f64 = 100.0;

/// Scores the nodes; the higher the better, one number per node.
pub(crate) fn scores(
    pod: &PodInfo,
    nodes: &[(&NodeInfo, &NodeSpec)],
    affinity: &Affinity,
    spread: &Spread,
) -> Vec<f64> {
    let mut total: Vec<f64> = nodes
        .iter()
        .map(|(node, spec)| room(pod, node, spec))
        .collect();
    let mut add = |weight: f64, parts: Vec<f64>| {
        for (sum, part) in total.iter_mut().zip(parts) {
            *sum += weight * part;
        }
    };
    add(
        3.0,
        best_is_least(
            nodes
                .iter()
                .map(|(_, spec)| soft_taints(pod, spec))
                .collect(),
        ),
    );
    add(
        2.0,
        best_is_most(
            nodes
                .iter()
                .map(|(node, spec)| preference(pod, node, spec))
                .collect(),
        ),
    );
    if affinity.scores_at_all() {
        add(
            2.0,
            between(
                nodes
                    .iter()
                    .map(|(_, spec)| float(affinity.score(&spec.labels)))
                    .collect(),
            ),
        );
    }
    add(
        2.0,
        spread_scores(
            &nodes
                .iter()
                .map(|(_, spec)| spread.score(&spec.labels))
                .collect::<Vec<_>>(),
        ),
    );
    total
}

#[allow(clippy::cast_precision_loss)]
fn float(n: i64) -> f64 {
    n as f64
}

/// Least allocated and balanced allocation, each of up to 100.
fn room(pod: &PodInfo, node: &NodeInfo, spec: &NodeSpec) -> f64 {
    let (cpu, memory) = pod.requests.or_default();
    let free = |used: i64, there: i64| {
        if there <= 0 || used > there {
            0.0
        } else {
            float(there - used) / float(there) * MAX
        }
    };
    let least = (free(node.used_or_default.0 + cpu, spec.allocatable.cpu_millis)
        + free(
            node.used_or_default.1 + memory,
            spec.allocatable.memory_bytes,
        ))
        / 2.0;
    let share = |used: i64, there: i64| {
        if there <= 0 {
            1.0
        } else {
            (float(used) / float(there)).min(1.0)
        }
    };
    let cpu = share(
        node.used.cpu_millis + pod.requests.cpu_millis,
        spec.allocatable.cpu_millis,
    );
    let memory = share(
        node.used.memory_bytes + pod.requests.memory_bytes,
        spec.allocatable.memory_bytes,
    );
    // The standard deviation of two shares is half their difference.
    let balanced = (1.0 - (cpu - memory).abs() / 2.0) * MAX;
    least + balanced
}

fn soft_taints(pod: &PodInfo, spec: &NodeSpec) -> f64 {
    let soft = spec
        .taints
        .iter()
        .filter(|t| t.effect == "PreferNoSchedule");
    float(
        i64::try_from(soft.filter(|t| !tolerates(&pod.tolerations, t)).count()).unwrap_or(i64::MAX),
    )
}

fn preference(pod: &PodInfo, node: &NodeInfo, spec: &NodeSpec) -> f64 {
    let preferred = pod.rules.as_ref().map_or(&[][..], |r| &r.node_preferred);
    let fits = preferred
        .iter()
        .filter(|(_, term)| term.matches(&node.name, &spec.labels));
    float(fits.map(|(weight, _)| weight).sum())
}

fn best_is_most(raw: Vec<f64>) -> Vec<f64> {
    let most = raw.iter().copied().fold(0.0, f64::max);
    raw.into_iter()
        .map(|n| if most > 0.0 { n / most * MAX } else { 0.0 })
        .collect()
}

fn best_is_least(raw: Vec<f64>) -> Vec<f64> {
    let most = raw.iter().copied().fold(0.0, f64::max);
    raw.into_iter()
        .map(|n| {
            if most > 0.0 {
                MAX - n / most * MAX
            } else {
                MAX
            }
        })
        .collect()
}

fn between(raw: Vec<f64>) -> Vec<f64> {
    let least = raw.iter().copied().fold(f64::INFINITY, f64::min);
    let most = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    raw.into_iter()
        .map(|n| {
            if most > least {
                (n - least) / (most - least) * MAX
            } else {
                0.0
            }
        })
        .collect()
}

fn spread_scores(raw: &[Option<f64>]) -> Vec<f64> {
    let known = || raw.iter().flatten().copied();
    let least = known().fold(f64::INFINITY, f64::min);
    let most = known().fold(0.0, f64::max);
    let score = |n: f64| {
        if most > 0.0 {
            MAX * (most + least - n) / most
        } else {
            MAX
        }
    };
    raw.iter().map(|n| n.map_or(0.0, score)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::Cluster;
    use crate::testing::{cluster, node, pod};

    fn best(cluster: &Cluster, spec: Value) -> String {
        let pod = pod("p", spec);
        let nodes: Vec<_> = cluster.known_nodes().collect();
        let scores = scores(
            &pod,
            &nodes,
            &Affinity::new(&pod, cluster),
            &Spread::new(&pod, cluster),
        );
        let best = (0..nodes.len())
            .max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
            .unwrap();
        nodes[best].0.name.clone()
    }

    #[test]
    fn the_better_node_wins() {
        let asks = |cpu: &str, memory: &str| json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]});
        let busy = || pod("busy", asks("1", "512Mi"));
        let plain = |name: &str| node(name, json!({}));
        // The emptier node, the more balanced one.
        let two = cluster(vec![plain("n1"), plain("n2")], vec![("n1", busy())]);
        assert_eq!(best(&two, asks("100m", "100Mi")), "n2");
        // A soft taint and a preference weigh more than room.
        let soft = json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}});
        let tainted = cluster(vec![plain("n1"), node("n2", soft)], vec![("n1", busy())]);
        assert_eq!(best(&tainted, json!({})), "n1");
        let prefer = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1,
            "preference": {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}}]}}});
        assert_eq!(best(&two, prefer), "n1");
        // Pods of one owner spread.
        let owned = |name: &str| {
            pod(
                name,
                json!({"ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "o", "controller": true}]}),
            )
        };
        let mine = cluster(
            vec![plain("n1"), plain("n2")],
            vec![("n2", owned("a")), ("n1", pod("stranger", json!({})))],
        );
        assert_eq!(
            best(
                &mine,
                json!({"ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "o", "controller": true}]})
            ),
            "n1"
        );
    }
}
