//! The paths under `/v1`: asking the sources at once, and putting together what they say.
//!
//! Kubernetes' objects are the frame: without them there is no answer. What Prometheus or Devices do not say is missing, and the
//! answer says so.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Json, Response};
use futures::future::join_all;
use http::StatusCode;
use minicloud_api::problem::Problem;
use minicloud_prometheus_client::QueryError;
use serde::Deserialize;
use serde_json::json;

use crate::found::Found;
use crate::impact::events;
use crate::kubernetes;
use crate::nodes::{self, MINUTES, NodeAnswer};
use crate::objects::{Amounts, PodFacts};
use crate::part::Sources;
use crate::pods::{self, ByThing, NamespaceAnswer, PodAnswer};
use crate::queries::{self, NAMESPACE, NODE_AVERAGE, NODE_NOW, POD_AVERAGE, POD_NOW};

/// What counts as now: as short as scrapes every fifteen seconds, or thirty, allow.
const NOW: &str = "2m";
/// Pods of a page, when nothing is said, and at most.
const PAGE: u32 = 500;
const MAX_PAGE: u32 = 1000;

/// What was found now and over each of [`MINUTES`], or why not.
struct Measured {
    now: Found,
    averages: Vec<Found>,
    missing: Option<String>,
}

async fn measured(
    sources: &Sources,
    now: &[queries::Query],
    average: &[queries::Query],
    namespace: Option<&str>,
) -> Measured {
    let windows = MINUTES.map(|minutes| format!("{minutes}m"));
    let ask = |queries, window| Found::ask(&sources.prometheus, queries, window, namespace);
    let averages = join_all(windows.iter().map(|window| ask(average, window)));
    let (now, averages) = futures::join!(ask(now, NOW), averages);
    let averages: Result<Vec<Found>, QueryError> = averages.into_iter().collect();
    let missing = now.as_ref().err().or(averages.as_ref().err());
    Measured {
        missing: missing.map(ToString::to_string),
        now: now.unwrap_or_default(),
        averages: averages.unwrap_or_default(),
    }
}

/// `GET /v1/nodes`.
pub(crate) async fn list_nodes(sources: &Sources) -> Result<Response, Problem> {
    let (nodes, missing) = node_answers(sources, None).await?;
    Ok(Json(json!({ "nodes": nodes, "missing": missing })).into_response())
}

/// `GET /v1/nodes/{name}`.
pub(crate) async fn one_node(
    State(sources): State<Arc<Sources>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let (mut nodes, missing) = node_answers(&sources, Some(&name)).await?;
    Ok(Json(json!({ "node": nodes.pop(), "missing": missing })).into_response())
}

async fn node_answers(
    sources: &Sources,
    name: Option<&str>,
) -> Result<(Vec<NodeAnswer>, Vec<String>), Problem> {
    let client = &sources.client;
    let (facts, pods, devices, measured, events) = futures::join!(
        kubernetes::nodes(client, name),
        kubernetes::pods(client, None, name),
        kubernetes::devices(client),
        measured(sources, NODE_NOW, NODE_AVERAGE, None),
        events::history(&sources.prometheus),
    );
    let mut missing: Vec<String> = measured.missing.iter().cloned().collect();
    let mut events = events.unwrap_or_else(|error| {
        missing.push(format!("health_events: {error}"));
        Default::default()
    });
    let (pods, more) = pods?;
    if more {
        missing.push("requested: there are more pods than are counted".to_owned());
    }
    let devices = devices.unwrap_or_else(|problem| {
        missing.push(format!("hardware: {}", problem.detail));
        Default::default()
    });
    let mut answer = |facts: crate::objects::NodeFacts| {
        let name = facts.name.clone();
        let measurements = nodes::measurements(&measured.now, &name);
        let unknown = || {
            let why = measured.missing.clone();
            why.unwrap_or_else(|| "Prometheus has nothing of this node in the last minutes".into())
        };
        NodeAnswer {
            requested: requested(&pods, &name),
            hardware: devices.get(&name).map(nodes::hardware).unwrap_or_default(),
            measurements_missing: measurements.is_none().then(unknown),
            measurements,
            averages: nodes::averages(&measured.averages, &name),
            health_events: events.remove(&name).unwrap_or_default(),
            facts,
        }
    };
    Ok((facts?.into_iter().map(&mut answer).collect(), missing))
}

fn requested(pods: &[PodFacts], node: &str) -> Amounts {
    let mut requested = Amounts {
        pods: Some(0.0),
        ..Amounts::default()
    };
    let one = Amounts {
        pods: Some(1.0),
        ..Amounts::default()
    };
    for pod in pods
        .iter()
        .filter(|pod| pod.node.as_deref() == Some(node) && pod.is_active())
    {
        requested.add(&pod.requests);
        requested.add(&one);
    }
    requested
}

/// The query of `/v1/pods`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct PodsQuery {
    namespace: Option<String>,
    node: Option<String>,
    limit: Option<u32>,
    #[serde(rename = "continue")]
    continue_token: Option<String>,
}

impl PodsQuery {
    /// The namespace, if one is asked about.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref().filter(|name| !name.is_empty())
    }
}

/// `GET /v1/pods`.
pub(crate) async fn list_pods(
    State(sources): State<Arc<Sources>>,
    Query(query): Query<PodsQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let detail = format!("limit is {limit}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail)
            .hint(format!("give a limit from 1 to {MAX_PAGE}")));
    }
    let namespace = query.namespace();
    let exists = async {
        match namespace {
            Some(name) => kubernetes::require_namespace(&sources.client, name).await,
            None => Ok(()),
        }
    };
    let (exists, page, measured) = futures::join!(
        exists,
        kubernetes::pod_page(
            &sources.client,
            namespace,
            query.node.as_deref(),
            limit,
            query.continue_token.as_deref(),
        ),
        measured(&sources, POD_NOW, POD_AVERAGE, namespace),
    );
    exists?;
    let (facts, next) = page?;
    let now = ByThing::new(&measured.now, pods::pod_of);
    let averages: Vec<_> = measured
        .averages
        .iter()
        .map(|found| ByThing::new(found, pods::pod_of))
        .collect();
    let answer = |facts: PodFacts| {
        let key = (facts.namespace.clone(), facts.name.clone());
        PodAnswer {
            measurements: now.of(&key),
            averages: pods::averages(&averages, &key),
            facts,
        }
    };
    let pods: Vec<_> = facts.into_iter().map(answer).collect();
    let missing: Vec<_> = measured.missing.into_iter().collect();
    let mut told = json!({ "pods": pods, "missing": missing });
    if let Some(next) = next {
        told["continue"] = next.into();
    }
    Ok(Json(told).into_response())
}

/// `GET /v1/namespaces`.
pub(crate) async fn list_namespaces(
    State(sources): State<Arc<Sources>>,
) -> Result<Response, Problem> {
    let (names, pods, measured) = futures::join!(
        kubernetes::namespaces(&sources.client),
        kubernetes::pods(&sources.client, None, None),
        measured(&sources, NAMESPACE, NAMESPACE, None),
    );
    let (facts, more) = pods?;
    let mut missing: Vec<String> = measured.missing.into_iter().collect();
    if more {
        missing.push("pods: there are more than are counted".to_owned());
    }
    let of = |sample: &minicloud_prometheus_client::Sample| sample.label("namespace").to_owned();
    let now = ByThing::new(&measured.now, of);
    let averages: Vec<_> = measured
        .averages
        .iter()
        .map(|f| ByThing::new(f, of))
        .collect();
    let mut counted = pods::counted(&facts);
    let answer = |(name, phase): (String, String)| NamespaceAnswer {
        measurements: now.of(&name),
        averages: pods::averages(&averages, &name),
        phase,
        ..NamespaceAnswer {
            name: name.clone(),
            ..counted.remove(&name).unwrap_or_default()
        }
    };
    let namespaces: Vec<_> = names?.into_iter().map(answer).collect();
    Ok(Json(json!({ "namespaces": namespaces, "missing": missing })).into_response())
}
