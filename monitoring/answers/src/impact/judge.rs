//! From what is wrong with machines to the workloads that feel it. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rules::{Beyond, RULES, Resource, Rule, SIGNS, Sign};
use crate::objects::Workload;

/// A rule that holds of something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Violation {
    /// Of [`RULES`].
    pub(crate) kind: &'static str,
    pub(crate) node: String,
    /// Which disk, file system, interface or sensor; empty for the machine.
    pub(crate) subject: String,
    /// Of a pod's own limit: namespace and name.
    pub(crate) pod: Option<(String, String)>,
    pub(crate) value: f64,
}

/// A sign that a pod shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    /// Of [`SIGNS`].
    pub(crate) measure: &'static str,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) value: f64,
}

/// Where a pod keeps something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// On the node.
    pub(crate) path: String,
    /// The volume's name; empty for the pod's layers and logs.
    pub(crate) volume: String,
}

/// A pod that runs, or is to run, on a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PodPlaces {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) workload: Workload,
    pub(crate) places: Vec<Place>,
}

/// A node that Kubernetes says is not ready.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NotReady {
    pub(crate) node: String,
    pub(crate) message: String,
    pub(crate) since: Option<String>,
}

/// Everything that is judged.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) violations: Vec<Violation>,
    pub(crate) signs: Vec<Shown>,
    pub(crate) pods: Vec<PodPlaces>,
    pub(crate) not_ready: Vec<NotReady>,
    /// Where file systems are mounted, by node.
    pub(crate) mounts: BTreeMap<String, Vec<String>>,
}

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Now.
    Critical,
    /// Soon.
    Warning,
}

/// How well it is known that a workload is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Certainty {
    /// Its own measurements show it, or it cannot be otherwise.
    Certain,
    /// It uses what is short.
    Likely,
}

/// What a finding rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Evidence {
    pub(crate) metric: String,
    pub(crate) value: f64,
    pub(crate) threshold: f64,
    pub(crate) unit: &'static str,
    /// Ask Prometheus this to see it again; empty where the Kubernetes API said it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) query: String,
}

/// A workload that is touched.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Affected {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Which of its pods.
    pub(crate) pods: Vec<String>,
    pub(crate) certainty: Certainty,
    pub(crate) why: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) evidence: Vec<Evidence>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Problem {
    pub(crate) node: String,
    pub(crate) kind: &'static str,
    pub(crate) severity: Severity,
    pub(crate) resource: Resource,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) subject: String,
    pub(crate) summary: String,
    pub(crate) detail: String,
    pub(crate) hint: &'static str,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) affected: Vec<Affected>,
}

/// Problems, the worst first. `query` makes the text of a query to show.
pub(crate) fn judge(facts: &Facts, query: &dyn Fn(&str) -> String) -> Vec<Problem> {
    let mut problems: Vec<Problem> = facts
        .violations
        .iter()
        .filter_map(|violation| {
            let rule = RULES.iter().find(|rule| rule.kind == violation.kind)?;
            Some(problem(facts, violation, rule, query))
        })
        .collect();
    for not_ready in &facts.not_ready {
        let silent = problems
            .iter_mut()
            .find(|p| p.kind == "silent_node" && p.node == not_ready.node);
        match silent {
            Some(known) => known.detail = format!("{}; {}", known.detail, not_ready.message),
            None => problems.extend(not_ready_problem(facts, not_ready)),
        }
    }
    problems.sort_by(|a, b| {
        let key = |p: &Problem| (p.severity, p.node.clone(), p.kind, p.subject.clone());
        key(a).cmp(&key(b))
    });
    problems
}

fn problem(
    facts: &Facts,
    violation: &Violation,
    rule: &Rule,
    query: &dyn Fn(&str) -> String,
) -> Problem {
    let critical = rule.beyond.holds(violation.value, rule.critical);
    let threshold = if critical {
        rule.critical
    } else {
        rule.warning
    };
    let affected = match &violation.pod {
        Some(pod) => own(facts, pod, rule),
        None => affected(facts, violation, rule, query),
    };
    let at = match violation.subject.as_str() {
        "" => String::new(),
        subject => format!(" ({subject})"),
    };
    let than = match rule.beyond {
        Beyond::AtLeast => "at least",
        Beyond::AtMost => "at most",
    };
    let detail = if rule.unit.is_empty() {
        format!("{}{at}", rule.summary)
    } else {
        format!(
            "{}{at}: {} {}, where {than} {threshold} counts",
            rule.summary,
            digits(violation.value),
            rule.unit
        )
    };
    let subject = match &violation.pod {
        Some((namespace, name)) => format!("{namespace}/{name}"),
        None => violation.subject.clone(),
    };
    Problem {
        node: violation.node.clone(),
        kind: rule.kind,
        severity: if critical {
            Severity::Critical
        } else {
            Severity::Warning
        },
        resource: rule.resource,
        subject,
        summary: rule.summary.to_owned(),
        detail,
        hint: rule.hint,
        since: None,
        evidence: vec![Evidence {
            metric: rule.kind.to_owned(),
            value: violation.value,
            threshold,
            unit: rule.unit,
            query: query(rule.promql),
        }],
        affected,
    }
}

fn digits(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn not_ready_problem(facts: &Facts, not_ready: &NotReady) -> Option<Problem> {
    let rule = RULES.iter().find(|rule| rule.kind == "silent_node")?;
    Some(Problem {
        node: not_ready.node.clone(),
        kind: rule.kind,
        severity: Severity::Critical,
        resource: rule.resource,
        subject: String::new(),
        summary: "the node is not ready".to_owned(),
        detail: not_ready.message.clone(),
        hint: rule.hint,
        since: not_ready.since.clone(),
        evidence: vec![Evidence {
            metric: "condition Ready of the Node".to_owned(),
            value: 0.0,
            threshold: 1.0,
            unit: "",
            query: String::new(),
        }],
        affected: everybody(facts, &not_ready.node),
    })
}

/// The workload of the pod whose own limit it is.
fn own(facts: &Facts, (namespace, name): &(String, String), rule: &Rule) -> Vec<Affected> {
    let pod = facts
        .pods
        .iter()
        .find(|pod| pod.namespace == *namespace && pod.name == *name);
    let mut felt = Felt::default();
    if let Some(pod) = pod {
        felt.add(pod, Certainty::Certain, rule.summary, Vec::new());
    }
    felt.workloads()
}

fn everybody(facts: &Facts, node: &str) -> Vec<Affected> {
    let mut felt = Felt::default();
    for pod in facts.pods.iter().filter(|pod| pod.node == node) {
        felt.add(pod, Certainty::Certain, "it is on this machine", Vec::new());
    }
    felt.workloads()
}

/// Who on the node feels it.
fn affected(
    facts: &Facts,
    violation: &Violation,
    rule: &Rule,
    query: &dyn Fn(&str) -> String,
) -> Vec<Affected> {
    match rule.resource {
        Resource::Machine => everybody(facts, &violation.node),
        Resource::FileSystem => on_file_system(facts, &violation.node, &violation.subject),
        resource => {
            let mut felt = Felt::default();
            for pod in facts.pods.iter().filter(|pod| pod.node == violation.node) {
                for (sign, value) in signs(facts, pod, resource) {
                    let certainty = if sign.suffers {
                        Certainty::Certain
                    } else {
                        Certainty::Likely
                    };
                    let evidence = Evidence {
                        metric: sign.measure.to_owned(),
                        value,
                        threshold: sign.at_least,
                        unit: sign.unit,
                        query: query(sign.promql),
                    };
                    felt.add(pod, certainty, sign.why, vec![evidence]);
                }
            }
            felt.workloads()
        }
    }
}

/// The signs of one resource that a pod shows.
fn signs<'a>(
    facts: &'a Facts,
    pod: &'a PodPlaces,
    resource: Resource,
) -> impl Iterator<Item = (&'static Sign, f64)> + 'a {
    let of_pod = facts
        .signs
        .iter()
        .filter(|shown| shown.namespace == pod.namespace && shown.pod == pod.name);
    of_pod.filter_map(move |shown| {
        let sign = SIGNS
            .iter()
            .find(|sign| sign.measure == shown.measure && sign.resource == resource)?;
        Some((sign, shown.value))
    })
}

fn on_file_system(facts: &Facts, node: &str, mountpoint: &str) -> Vec<Affected> {
    let mut felt = Felt::default();
    let mounts = facts.mounts.get(node).map_or(&[][..], Vec::as_slice);
    for pod in facts.pods.iter().filter(|pod| pod.node == node) {
        for place in &pod.places {
            if mount_of(&place.path, mounts) != Some(mountpoint) {
                continue;
            }
            match place.volume.as_str() {
                "" => felt.add(
                    pod,
                    Certainty::Likely,
                    "its containers' layers and logs are on it",
                    Vec::new(),
                ),
                volume => {
                    let why = format!("its volume {volume} is on it");
                    felt.add(pod, Certainty::Certain, &why, Vec::new());
                }
            }
        }
    }
    felt.workloads()
}

/// Folders below which mounts are not measured: what is there cannot be blamed on the root.
const UNMEASURED: [&str; 6] = ["/dev/", "/proc/", "/run/", "/sys/", "/mnt/", "/media/"];

/// The mount that a path is on.
fn mount_of<'a>(path: &str, mounts: &'a [String]) -> Option<&'a str> {
    let below = |mount: &str| {
        let rest = path.strip_prefix(mount.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let found = mounts.iter().filter(|mount| below(mount));
    let found = found.max_by_key(|mount| mount.len())?;
    (found != "/" || !UNMEASURED.iter().any(|folder| path.starts_with(folder)))
        .then_some(found.as_str())
}

/// Pods that feel something, gathered by workload.
#[derive(Default)]
struct Felt(BTreeMap<(String, Workload), Affected>);

impl Felt {
    /// The surest reason is told; evidence is kept of it only.
    fn add(&mut self, pod: &PodPlaces, certainty: Certainty, why: &str, evidence: Vec<Evidence>) {
        let key = (pod.namespace.clone(), pod.workload.clone());
        let affected = self.0.entry(key).or_insert_with(|| Affected {
            kind: pod.workload.kind.clone(),
            namespace: pod.namespace.clone(),
            name: pod.workload.name.clone(),
            pods: Vec::new(),
            certainty,
            why: why.to_owned(),
            evidence: Vec::new(),
        });
        if certainty < affected.certainty {
            affected.certainty = certainty;
            affected.why = why.to_owned();
            affected.evidence.clear();
        }
        if certainty == affected.certainty {
            affected.evidence.extend(evidence);
        }
        if !affected.pods.contains(&pod.name) {
            affected.pods.push(pod.name.clone());
        }
    }

    /// The surest first.
    fn workloads(self) -> Vec<Affected> {
        let mut all: Vec<Affected> = self.0.into_values().collect();
        all.sort_by_key(|affected| affected.certainty);
        all
    }
}

/// What touches one pod, and only as far as it touches it.
pub(crate) fn of_pod(problems: Vec<Problem>, pod: &PodPlaces) -> Vec<Problem> {
    let touches = |affected: &Affected| {
        affected.namespace == pod.namespace && affected.pods.contains(&pod.name)
    };
    let narrowed = |mut problem: Problem| {
        problem.affected.retain(&touches);
        for affected in &mut problem.affected {
            affected.pods.retain(|name| *name == pod.name);
        }
        (!problem.affected.is_empty()).then_some(problem)
    };
    problems.into_iter().filter_map(narrowed).collect()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
