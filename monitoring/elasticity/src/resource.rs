//! `metrics.k8s.io/v1beta1`: what nodes and pods use now, as the metrics server says it.

mod shape;
mod usage;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Json;
use axum::routing::get;
use jiff::Timestamp;
use minicloud_api::status::ApiStatus;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::objects::{self, Wanted};
use crate::promql::Matchers;
use crate::{Context, METRICS, refusal};

/// From how far back samples are looked at. The last two count, so this bounds how far apart scrapes may be: a minute, with one
/// that failed in between.
const BACK: &str = "2m30s";

pub(crate) fn routes() -> Router<Context> {
    let base = format!("/apis/{METRICS}/v1beta1");
    Router::new()
        .route(&format!("{base}/nodes"), get(nodes))
        .route(&format!("{base}/nodes/{{name}}"), get(node))
        .route(&format!("{base}/pods"), get(all_pods))
        .route(&format!("{base}/namespaces/{{namespace}}/pods"), get(pods))
        .route(
            &format!("{base}/namespaces/{{namespace}}/pods/{{name}}"),
            get(pod),
        )
}

/// The selectors of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Selectors {
    #[serde(rename = "labelSelector")]
    labels: String,
    #[serde(rename = "fieldSelector")]
    fields: String,
}

impl From<Selectors> for Wanted {
    fn from(Selectors { labels, fields }: Selectors) -> Self {
        Self { labels, fields }
    }
}

fn list(kind: &str, items: Vec<Value>) -> Json<Value> {
    Json(json!({
        "kind": kind, "apiVersion": format!("{METRICS}/v1beta1"), "metadata": {}, "items": items,
    }))
}

/// One object as it is answered by itself.
fn alone(kind: &str, mut item: Value) -> Json<Value> {
    item["kind"] = kind.into();
    item["apiVersion"] = format!("{METRICS}/v1beta1").into();
    Json(item)
}

async fn nodes(
    State(context): State<Context>,
    Query(selectors): Query<Selectors>,
) -> Result<Json<Value>, ApiStatus> {
    let items = measured_nodes(&context, &selectors.into()).await?;
    Ok(list("NodeMetricsList", items))
}

async fn node(
    State(context): State<Context>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiStatus> {
    let items = measured_nodes(&context, &Wanted::named(&name)).await?;
    let item = items.into_iter().next();
    let item = item.ok_or_else(|| ApiStatus::not_found(METRICS, "nodemetrics", &name))?;
    Ok(alone("NodeMetrics", item))
}

async fn all_pods(
    State(context): State<Context>,
    Query(selectors): Query<Selectors>,
) -> Result<Json<Value>, ApiStatus> {
    let items = measured_pods(&context, "", &selectors.into()).await?;
    Ok(list("PodMetricsList", items))
}

async fn pods(
    State(context): State<Context>,
    Path(namespace): Path<String>,
    Query(selectors): Query<Selectors>,
) -> Result<Json<Value>, ApiStatus> {
    let items = measured_pods(&context, &namespace, &selectors.into()).await?;
    Ok(list("PodMetricsList", items))
}

async fn pod(
    State(context): State<Context>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiStatus> {
    let items = measured_pods(&context, &namespace, &Wanted::named(&name)).await?;
    let item = items.into_iter().next();
    let item = item.ok_or_else(|| {
        ApiStatus::not_found(METRICS, "podmetrics", &format!("{namespace}/{name}"))
    })?;
    Ok(alone("PodMetrics", item))
}

async fn measured_nodes(context: &Context, wanted: &Wanted) -> Result<Vec<Value>, ApiStatus> {
    let nodes = objects::nodes(&context.client, wanted).await?;
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    // What is not idle is used: two series a core instead of eight.
    let idle = format!("node_cpu_seconds_total{{node!=\"\",mode=~\"idle|iowait\"}}[{BACK}]");
    let memory =
        "node_memory_MemTotal_bytes{node!=\"\"} - node_memory_MemAvailable_bytes{node!=\"\"}";
    let (idle, memory) = tokio::try_join!(
        context.prometheus.samples(&idle),
        context.prometheus.query(memory)
    )
    .map_err(refusal::query)?;
    let used = usage::nodes(&idle, &memory);
    let now = Timestamp::now();
    let items = nodes.into_iter().filter_map(|((_, name), labels)| {
        let usage = used.get(&name)?;
        Some(shape::node(&name, labels, usage, now))
    });
    Ok(items.collect())
}

async fn measured_pods(
    context: &Context,
    namespace: &str,
    wanted: &Wanted,
) -> Result<Vec<Value>, ApiStatus> {
    let pods = objects::pods(&context.client, namespace, wanted).await?;
    if pods.is_empty() {
        return Ok(Vec::new());
    }
    let mut matchers = Matchers::default();
    if !namespace.is_empty() {
        let names: Vec<String> = pods.keys().map(|(_, name)| name.clone()).collect();
        matchers = matchers.equal("namespace", namespace).one_of("pod", &names);
    }
    // What has no container is the whole pod, and POD is what only keeps its network.
    let real = format!("{{container!=\"\",container!=\"POD\",pod!=\"\",{matchers}}}");
    let cpu = format!("container_cpu_usage_seconds_total{real}[{BACK}]");
    let memory = format!("container_memory_working_set_bytes{real}");
    let (cpu, memory) = tokio::try_join!(
        context.prometheus.samples(&cpu),
        context.prometheus.query(&memory)
    )
    .map_err(refusal::query)?;
    let used = usage::pods(&cpu, &memory);
    let now = Timestamp::now();
    let items = pods.into_iter().filter_map(|((namespace, name), labels)| {
        let containers = used.get(&(namespace.clone(), name.clone()))?;
        shape::pod(&namespace, &name, labels, containers, now)
    });
    Ok(items.collect())
}
