//! `GET /v1/impact`: what is wrong with machines now, and which workloads feel it; the seed's open challenge (D3.1, section 3.3).
//!
//! [`rules`] has what counts as trouble, [`judge`] finds who feels it, [`places`] where pods keep things; here is the asking.

pub(crate) mod events;
mod judge;
pub(crate) mod places;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Json, Response};
use futures::future::join_all;
use http::StatusCode;
use jiff::Timestamp;
use minicloud_api::problem::Problem;
use minicloud_prometheus_client::{Prometheus, QueryError, Sample, Series};
use serde::Deserialize;
use serde_json::json;

use crate::found::{Found, now};
use crate::kubernetes;
use crate::objects::NodeFacts;
use crate::part::Sources;
use crate::queries;
use judge::{Facts, NotReady, PodPlaces, Shown, Violation};
use rules::{MOUNTS, RULES, Resource, Rule, SIGNS};

/// Over which rates are taken.
const WINDOW: &str = "2m";
/// How far back the beginning of a problem is looked for, and how finely.
const BACK_SECONDS: f64 = 6.0 * 3600.0;
const STEP_SECONDS: f64 = 60.0;
/// How long what is not there any more is missed.
const GONE: &str = "1h";

/// The query of `/v1/impact`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ImpactQuery {
    node: Option<String>,
    pod: Option<String>,
}

/// What is asked about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum About {
    Everything,
    Node(String),
    /// Namespace and name.
    Pod(String, String),
}

impl ImpactQuery {
    /// `None` when it is unclear.
    pub(crate) fn about(self) -> Option<About> {
        match (self.node, self.pod) {
            (None, None) => Some(About::Everything),
            (Some(node), None) if !node.is_empty() => Some(About::Node(node)),
            (None, Some(pod)) => {
                let (namespace, name) = pod.split_once('/')?;
                let plain = kubernetes::can_be_namespace(namespace)
                    && minicloud_api::names::dns1123_subdomain(name).is_empty();
                plain.then(|| About::Pod(namespace.to_owned(), name.to_owned()))
            }
            _ => None,
        }
    }
}

/// `GET /v1/impact`.
pub(crate) async fn impact(
    State(sources): State<Arc<Sources>>,
    Query(query): Query<ImpactQuery>,
) -> Result<Response, Problem> {
    let Some(about) = query.about() else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "it is not clear what is asked about",
        )
        .hint("give node=NAME, pod=NAMESPACE/NAME, or neither for everything"));
    };
    let (facts, mut missing) = gather(&sources, &about).await?;
    let mut problems = judge::judge(&facts, &|promql| written(promql));
    match &about {
        About::Everything => {}
        About::Node(node) => problems.retain(|problem| problem.node == *node),
        About::Pod(namespace, name) => {
            let pod = facts
                .pods
                .iter()
                .find(|p| p.namespace == *namespace && p.name == *name);
            problems = pod
                .map(|pod| judge::of_pod(problems, pod))
                .unwrap_or_default();
        }
    }
    if let Err(error) = date(&sources.prometheus, &mut problems).await {
        missing.push(format!("since: {error}"));
    }
    let told = json!({ "time": Timestamp::now(), "problems": problems, "missing": missing });
    Ok(Json(told).into_response())
}

/// A query as somebody would ask it again.
fn written(promql: &str) -> String {
    queries::fill(promql, WINDOW, None).replace("$back", GONE)
}

/// Everything that is judged, and what could not be found out.
async fn gather(sources: &Sources, about: &About) -> Result<(Facts, Vec<String>), Problem> {
    let client = &sources.client;
    let (nodes, pods, volumes, trouble, signs, mounts) = futures::join!(
        kubernetes::nodes(client, None),
        kubernetes::pods_as(client, |pod| places::of(pod, &sources.node_data_dir)),
        kubernetes::volumes(client),
        ask(
            &sources.prometheus,
            RULES.iter().map(|r| (r.kind, rules::violation(r)))
        ),
        ask(
            &sources.prometheus,
            SIGNS.iter().map(|s| (s.measure, rules::shown(s)))
        ),
        Found::ask(&sources.prometheus, &[MOUNTS], WINDOW, None),
    );
    let nodes = nodes?;
    let (pods, more) = pods?;
    let mut missing = Vec::new();
    if more {
        missing.push("affected: there are more pods than are looked at".to_owned());
    }
    let volumes = volumes.unwrap_or_else(|problem| {
        missing.push(format!("volumes: {}", problem.detail));
        BTreeMap::new()
    });
    let pods: Vec<PodPlaces> = pods
        .into_iter()
        .flatten()
        .map(|p| p.resolve(&volumes))
        .collect();
    known(about, &nodes, &pods).map_err(|problem| *problem)?;
    missing.extend(unmeasured(
        trouble.as_ref().err(),
        signs.as_ref().err(),
        mounts.as_ref().err(),
    ));
    let facts = Facts {
        violations: RULES
            .iter()
            .flat_map(|rule| violations(rule, trouble.as_ref().ok()))
            .collect(),
        signs: SIGNS
            .iter()
            .flat_map(|sign| {
                let samples = signs
                    .as_ref()
                    .map_or(&[][..], |found| found.named(sign.measure));
                samples.iter().map(|sample| Shown {
                    measure: sign.measure,
                    namespace: sample.label("namespace").to_owned(),
                    pod: sample.label("pod").to_owned(),
                    value: sample.value(),
                })
            })
            .collect(),
        pods,
        not_ready: nodes
            .iter()
            .filter(|node| !node.ready)
            .map(not_ready)
            .collect(),
        mounts: by_node(mounts.as_ref().map_or(&[][..], |found| found.of(&MOUNTS))),
    };
    Ok((facts, missing))
}

/// What an answer lacks when Prometheus did not answer some of the queries.
fn unmeasured<E: std::fmt::Display>(
    trouble: Option<&E>,
    signs: Option<&E>,
    mounts: Option<&E>,
) -> Vec<String> {
    if let Some(error) = trouble {
        return vec![format!("everything that is measured: {error}")];
    }
    let lacking = [
        ("affected by what pods take", signs),
        ("affected by file systems", mounts),
    ];
    lacking
        .into_iter()
        .filter_map(|(what, error)| Some(format!("{what}: {}", error?)))
        .collect()
}

/// Passes when there is what is asked about.
fn known(about: &About, nodes: &[NodeFacts], pods: &[PodPlaces]) -> Result<(), Box<Problem>> {
    match about {
        About::Node(name) if nodes.iter().all(|node| node.name != *name) => {
            let names: Vec<_> = nodes
                .iter()
                .take(50)
                .map(|node| node.name.as_str())
                .collect();
            let detail = format!("there is no node {name:?}");
            Err(Box::new(
                Problem::new(StatusCode::NOT_FOUND, detail)
                    .hint(format!("the nodes are {}", names.join(", "))),
            ))
        }
        About::Pod(namespace, name)
            if pods
                .iter()
                .all(|pod| pod.namespace != *namespace || pod.name != *name) =>
        {
            let detail = format!("no pod {namespace}/{name} runs on a node");
            Err(Box::new(Problem::new(StatusCode::NOT_FOUND, detail).hint(
                format!("`kubectl --namespace {namespace} get pods` shows which do"),
            )))
        }
        _ => Ok(()),
    }
}

/// Asks several expressions at once.
async fn ask(
    prometheus: &Prometheus,
    named: impl Iterator<Item = (&'static str, String)>,
) -> Result<Found, QueryError> {
    let named: Vec<(&str, String)> = named.collect();
    let asked = now();
    let text = queries::join(named.iter().map(|(name, promql)| (*name, written(promql))));
    Ok(Found::new(prometheus.query(&text).await?, asked))
}

fn violations(rule: &'static Rule, found: Option<&Found>) -> Vec<Violation> {
    let samples = found.map_or(&[][..], |found| found.named(rule.kind));
    samples
        .iter()
        .map(|sample| Violation {
            kind: rule.kind,
            node: sample.label("node").to_owned(),
            subject: subject(rule, sample),
            pod: (rule.resource == Resource::Limit).then(|| {
                (
                    sample.label("namespace").to_owned(),
                    sample.label("pod").to_owned(),
                )
            }),
            value: sample.value(),
        })
        .collect()
}

fn subject(rule: &Rule, sample: &Sample) -> String {
    let labels = rule.subject.iter().map(|label| sample.label(label));
    labels.collect::<Vec<_>>().join(" ")
}

fn not_ready(node: &NodeFacts) -> NotReady {
    NotReady {
        node: node.name.clone(),
        message: node.not_ready_message.clone(),
        since: node.ready_changed_at.clone(),
    }
}

fn by_node(mounts: &[Sample]) -> BTreeMap<String, Vec<String>> {
    let mut by_node: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sample in mounts {
        let of_node = by_node.entry(sample.label("node").to_owned()).or_default();
        of_node.push(sample.label("mountpoint").to_owned());
    }
    by_node
}

/// Finds out since when the problems are. Each kind is asked about once; the error is that of one whose history is missing.
async fn date(prometheus: &Prometheus, problems: &mut [judge::Problem]) -> Result<(), QueryError> {
    let kinds = RULES.iter().filter(|rule| {
        problems
            .iter()
            .any(|p| p.kind == rule.kind && p.since.is_none())
    });
    let end = now();
    let range = (end - BACK_SECONDS, end);
    let histories = join_all(kinds.map(|rule| async move {
        let asked = prometheus
            .query_range(&written(&rules::violation(rule)), range, STEP_SECONDS)
            .await;
        (rule, asked)
    }))
    .await;
    for problem in problems.iter_mut().filter(|p| p.since.is_none()) {
        let Some((rule, Ok(series))) = histories.iter().find(|(rule, _)| rule.kind == problem.kind)
        else {
            continue;
        };
        let history = series.iter().find(|series| is_of(rule, series, problem));
        problem.since = history.and_then(|series| beginning(series, end));
    }
    // Without its history a problem has no beginning; that is all.
    histories
        .into_iter()
        .try_for_each(|(_, asked)| asked.map(drop))
}

fn is_of(rule: &Rule, series: &Series, problem: &judge::Problem) -> bool {
    let label = |name: &str| series.labels.get(name).map_or("", String::as_str);
    let subject = if rule.resource == Resource::Limit {
        format!("{}/{}", label("namespace"), label("pod"))
    } else {
        let labels = rule.subject.iter().map(|name| label(name));
        labels.collect::<Vec<_>>().join(" ")
    };
    label("node") == problem.node && subject == problem.subject
}

/// When the run of points began that is still going on.
fn beginning(series: &Series, end: f64) -> Option<String> {
    let last = events::runs(series, end).pop()?;
    last.goes_on.then(|| events::time(last.since))
}

#[cfg(test)]
#[path = "impact_tests.rs"]
mod tests;
