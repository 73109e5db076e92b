//! `external.metrics.k8s.io`: metrics that are about no object. Every series that the labels select is a value; an autoscaler adds
//! them up.
//!
//! By convention only series of the namespace that is asked in are seen, or a right in one namespace would show all. A rule may
//! say otherwise: whoever writes it decides for everyone.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Json;
use axum::routing::get;
use minicloud_api::selector::LabelSelector;
use minicloud_api::status::ApiStatus;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::promql::Matchers;
use crate::rules::{self, Request};
use crate::{Context, EXTERNAL, known, refusal, value};

pub(crate) fn routes() -> Router<Context> {
    let base = format!("/apis/{EXTERNAL}/v1beta1");
    Router::new().route(&base, get(resources)).route(
        &format!("{base}/namespaces/{{namespace}}/{{metric}}"),
        get(values),
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Selectors {
    #[serde(rename = "labelSelector")]
    series: String,
}

async fn values(
    State(context): State<Context>,
    Path((namespace, metric)): Path<(String, String)>,
    Query(selectors): Query<Selectors>,
) -> Result<Json<Value>, ApiStatus> {
    let missing = || refusal::no_metric(&metric, "");
    let selector = LabelSelector::parse(&selectors.series)
        .map_err(|error| ApiStatus::bad_request(error.to_string()))?;
    let matchers = Matchers::default().equal("namespace", &namespace);
    let request = Request {
        metric: &metric,
        matchers: matchers.selected(&selector)?,
        group_by: "",
        selects: !selector.is_empty(),
    };
    let rules = rules::read(&context.client).await?;
    let expression = rules::expression(&rules, &request)?.ok_or_else(missing)?;
    let samples = context.prometheus.query(&expression).await;
    let samples = samples.map_err(|error| rules.refused(&metric, error))?;
    refusal::bounded(samples.len())?;
    let items: Vec<Value> = samples
        .into_iter()
        .filter_map(|mut sample| {
            let quantity = value::quantity(sample.value())?;
            sample.labels.remove("__name__");
            Some(json!({
                "metricName": metric,
                "metricLabels": sample.labels,
                "timestamp": value::time(sample.point.time),
                "value": quantity,
            }))
        })
        .collect();
    if items.is_empty() {
        return Err(missing());
    }
    Ok(Json(json!({
        "kind": "ExternalMetricValueList",
        "apiVersion": format!("{EXTERNAL}/v1beta1"),
        "metadata": {},
        "items": items,
    })))
}

async fn resources(State(context): State<Context>) -> Result<Json<Value>, ApiStatus> {
    let (rules, known) = tokio::join!(
        rules::read(&context.client),
        known::metrics(&context.prometheus, "namespace!=\"\"")
    );
    let mut names: Vec<String> = rules?.names().cloned().collect();
    names.extend(known);
    let group_version = format!("{EXTERNAL}/v1beta1");
    Ok(Json(known::resource_list(&group_version, names, |_| {
        (true, "ExternalMetricValueList")
    })))
}
