//! Pods near or apart from other pods: required rules filter, preferred ones score. Pure.

use std::collections::HashMap;

use crate::cluster::Cluster;
use crate::filter::{Refusal, Rule};
use crate::pod::PodInfo;
use crate::terms::{Labels, PodTerm};

/// How many pods there are per value of a topology key.
type Counts<'a> = HashMap<(&'a str, &'a str), i64>;

/// What one pod's placing has to heed, counted once for all nodes.
pub(crate) struct Affinity<'a> {
    pod: &'a PodInfo,
    near: &'a [PodTerm],
    apart: &'a [PodTerm],
    /// Pods that fit all of `near`, in each term's topology.
    near_counts: Counts<'a>,
    apart_counts: Counts<'a>,
    /// Pods that want to be apart from this one.
    shunned: Counts<'a>,
    /// What preferences of this pod and of those there add up to.
    scores: Counts<'a>,
    self_fits: bool,
}

impl<'a> Affinity<'a> {
    /// Looks over all placed pods, as far as any rule concerns them.
    pub(crate) fn new(pod: &'a PodInfo, cluster: &'a Cluster) -> Self {
        let of = |namespace: &str| cluster.namespace_labels(namespace);
        let rules = pod.rules.as_deref();
        let near = rules.map_or(&[][..], |r| &r.near);
        let apart = rules.map_or(&[][..], |r| &r.apart);
        let near_preferred = rules.map_or(&[][..], |r| &r.near_preferred);
        let apart_preferred = rules.map_or(&[][..], |r| &r.apart_preferred);
        let fits =
            |term: &PodTerm, other: &PodInfo| term.matches(&other.namespace, &other.labels, &of);
        let mut this = Self {
            pod,
            near,
            apart,
            near_counts: Counts::new(),
            apart_counts: Counts::new(),
            shunned: Counts::new(),
            scores: Counts::new(),
            self_fits: near.iter().all(|term| fits(term, pod)),
        };
        let own_rules = !(near.is_empty()
            && apart.is_empty()
            && near_preferred.is_empty()
            && apart_preferred.is_empty());
        for (node, spec) in cluster.known_nodes() {
            if !own_rules && node.with_pod_rules == 0 {
                continue;
            }
            let add = |counts: &mut Counts<'a>, term: &'a PodTerm, n: i64| {
                if let Some(value) = spec.labels.get(&term.topology_key) {
                    *counts.entry((&term.topology_key, value)).or_default() += n;
                }
            };
            for other in node.pods.values() {
                if !near.is_empty() && near.iter().all(|term| fits(term, other)) {
                    near.iter()
                        .for_each(|term| add(&mut this.near_counts, term, 1));
                }
                for term in apart.iter().filter(|term| fits(term, other)) {
                    add(&mut this.apart_counts, term, 1);
                }
                for (weight, term) in near_preferred.iter().filter(|(_, term)| fits(term, other)) {
                    add(&mut this.scores, term, *weight);
                }
                for (weight, term) in apart_preferred.iter().filter(|(_, term)| fits(term, other)) {
                    add(&mut this.scores, term, -*weight);
                }
                let Some(theirs) = other.rules.as_deref() else {
                    continue;
                };
                for term in theirs.apart.iter().filter(|term| fits(term, pod)) {
                    add(&mut this.shunned, term, 1);
                }
                for term in theirs.near.iter().filter(|term| fits(term, pod)) {
                    add(&mut this.scores, term, 1);
                }
                for (weight, term) in theirs
                    .near_preferred
                    .iter()
                    .filter(|(_, term)| fits(term, pod))
                {
                    add(&mut this.scores, term, *weight);
                }
                for (weight, term) in theirs
                    .apart_preferred
                    .iter()
                    .filter(|(_, term)| fits(term, pod))
                {
                    add(&mut this.scores, term, -*weight);
                }
            }
        }
        this
    }

    /// Whether a node with these labels does.
    pub(crate) fn filter(&self, labels: &Labels) -> Result<(), Refusal> {
        let count = |counts: &Counts, key: &str| {
            labels
                .get(key)
                .map(|value| counts.get(&(key, value.as_str())).copied().unwrap_or(0))
        };
        let refuse = |reason: &str| Err(Refusal::new(Rule::Pods, reason));
        let keys_there = self
            .near
            .iter()
            .all(|term| labels.contains_key(&term.topology_key));
        let all_near = self
            .near
            .iter()
            .all(|term| count(&self.near_counts, &term.topology_key).unwrap_or(0) > 0);
        // The first of a group that wants to be together may be anywhere.
        let first = self.near_counts.is_empty() && self.self_fits;
        if !keys_there || !(all_near || first) {
            return refuse("node(s) didn't match pod affinity rules");
        }
        if self
            .apart
            .iter()
            .any(|term| count(&self.apart_counts, &term.topology_key).unwrap_or(0) > 0)
        {
            return refuse("node(s) didn't match pod anti-affinity rules");
        }
        let shunned = |((key, value), n): (&(&str, &str), &i64)| {
            *n > 0 && labels.get(*key).is_some_and(|v| v == value)
        };
        if self.shunned.iter().any(shunned) {
            return refuse("node(s) didn't satisfy existing pods anti-affinity rules");
        }
        Ok(())
    }

    /// The node's raw score; any size, either sign.
    pub(crate) fn score(&self, labels: &Labels) -> i64 {
        let here = |((key, value), _): &(&(&str, &str), &i64)| {
            labels.get(*key).is_some_and(|v| v == value)
        };
        self.scores.iter().filter(here).map(|(_, n)| n).sum()
    }

    /// True when scores differ at all.
    pub(crate) fn scores_at_all(&self) -> bool {
        debug_assert!(!self.pod.uid.is_empty() || self.scores.is_empty());
        !self.scores.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{cluster, node, pod};

    fn term(app: &str, key: &str) -> Value {
        json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}})
    }

    fn required(kind: &str, terms: Value) -> Value {
        json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": terms}}})
    }

    fn labelled(mut spec: Value, app: &str) -> Value {
        spec["labels"] = json!({"app": app});
        spec
    }

    /// Two zones: a with n1 and n2, b with n3; `web` on n1, `hermit` on n3, which wants no `noisy` in its zone.
    fn zones() -> Cluster {
        let zone = |zone: &str| json!({"metadata": {"labels": {"zone": zone}}});
        cluster(
            vec![
                node("n1", zone("a")),
                node("n2", zone("a")),
                node("n3", zone("b")),
            ],
            vec![
                ("n1", pod("web", json!({"labels": {"app": "web"}}))),
                (
                    "n3",
                    pod(
                        "hermit",
                        labelled(
                            required("podAntiAffinity", json!([term("noisy", "zone")])),
                            "hermit",
                        ),
                    ),
                ),
            ],
        )
    }

    #[test]
    fn required_rules_keep_pods_together_and_apart() {
        let cluster = zones();
        let check = |pod: PodInfo, expect: [&str; 3]| {
            let affinity = Affinity::new(&pod, &cluster);
            let got = ["n1", "n2", "n3"].map(|n| {
                let labels = &cluster.nodes[n].spec.as_ref().unwrap().labels;
                affinity
                    .filter(labels)
                    .err()
                    .map_or(String::new(), |r| r.reasons.concat())
            });
            assert_eq!(got, expect, "{pod:?}");
        };
        let (near, apart) = (
            "node(s) didn't match pod affinity rules",
            "node(s) didn't match pod anti-affinity rules",
        );
        let shunned = "node(s) didn't satisfy existing pods anti-affinity rules";
        check(pod("p", json!({})), [""; 3]);
        check(
            pod("p", required("podAffinity", json!([term("web", "zone")]))),
            ["", "", near],
        );
        check(
            pod(
                "p",
                required(
                    "podAffinity",
                    json!([term("web", "kubernetes.io/hostname")]),
                ),
            ),
            ["", near, near],
        );
        check(
            pod("p", required("podAffinity", json!([term("none", "zone")]))),
            [near; 3],
        );
        check(
            pod("p", required("podAffinity", json!([term("web", "rack")]))),
            [near; 3],
        );
        check(
            pod(
                "p",
                required("podAntiAffinity", json!([term("web", "zone")])),
            ),
            [apart, apart, ""],
        );
        check(
            pod("p", json!({"labels": {"app": "noisy"}})),
            ["", "", shunned],
        );
        // The first of its kind may be anywhere, the key permitting.
        check(
            pod(
                "p",
                labelled(required("podAffinity", json!([term("new", "zone")])), "new"),
            ),
            [""; 3],
        );
        check(
            pod(
                "p",
                labelled(required("podAffinity", json!([term("new", "rack")])), "new"),
            ),
            [near; 3],
        );
    }

    #[test]
    fn preferred_rules_score() {
        let cluster = zones();
        let prefer = |kind: &str, weight: i64| {
            json!({"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution":
                [{"weight": weight, "podAffinityTerm": term("web", "zone")}]}}})
        };
        let check = |pod: PodInfo, expect: [i64; 3]| {
            let affinity = Affinity::new(&pod, &cluster);
            let got = ["n1", "n2", "n3"]
                .map(|n| affinity.score(&cluster.nodes[n].spec.as_ref().unwrap().labels));
            assert_eq!(got, expect);
        };
        check(pod("p", prefer("podAffinity", 10)), [10, 10, 0]);
        check(pod("p", prefer("podAntiAffinity", 7)), [-7, -7, 0]);
        check(pod("p", json!({})), [0; 3]);
    }
}
