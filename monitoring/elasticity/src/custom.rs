//! `custom.metrics.k8s.io`: metrics about objects, of one by its name or (by `*`) of all that labels select.

mod described;
mod shape;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Json;
use axum::routing::get;
use jiff::Timestamp;
use minicloud_api::selector::LabelSelector;
use minicloud_api::status::ApiStatus;
use minicloud_prometheus_client::Sample;
use serde::Deserialize;
use serde_json::{Value, json};

use self::described::Described;
use self::shape::Version;
use crate::objects::{self, Wanted};
use crate::promql::Matchers;
use crate::rules::{self, Request};
use crate::{CUSTOM, Context, known, refusal};

pub(crate) fn routes() -> Router<Context> {
    let base = format!("/apis/{CUSTOM}/{{version}}");
    Router::new()
        .route(&base, get(resources))
        .route(
            &format!("{base}/namespaces/{{namespace}}/metrics/{{metric}}"),
            get(of_namespace),
        )
        .route(
            &format!("{base}/namespaces/{{namespace}}/{{resource}}/{{name}}/{{metric}}"),
            get(in_namespace),
        )
        .route(
            &format!("{base}/{{resource}}/{{name}}/{{metric}}"),
            get(of_cluster),
        )
}

/// Which objects, and which of a metric's series.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Selectors {
    #[serde(rename = "labelSelector")]
    objects: String,
    #[serde(rename = "metricLabelSelector")]
    series: String,
}

/// What is asked for.
struct Asked {
    version: Version,
    /// Empty for what has none.
    namespace: String,
    /// `pods`, `deployments.apps`.
    resource: String,
    /// `*` for all that are selected.
    name: String,
    metric: String,
    selectors: Selectors,
}

async fn in_namespace(
    State(context): State<Context>,
    Path((version, namespace, resource, name, metric)): Path<(
        Version,
        String,
        String,
        String,
        String,
    )>,
    Query(selectors): Query<Selectors>,
) -> Result<Json<Value>, ApiStatus> {
    let asked = Asked {
        version,
        namespace,
        resource,
        name,
        metric,
        selectors,
    };
    answer(&context, asked).await
}

/// A metric about a namespace itself.
async fn of_namespace(
    State(context): State<Context>,
    Path((version, namespace, metric)): Path<(Version, String, String)>,
    Query(selectors): Query<Selectors>,
) -> Result<Json<Value>, ApiStatus> {
    let asked = Asked {
        version,
        name: namespace.clone(),
        namespace,
        resource: "namespaces".to_owned(),
        metric,
        selectors,
    };
    answer(&context, asked).await
}

async fn of_cluster(
    State(context): State<Context>,
    Path((version, resource, name, metric)): Path<(Version, String, String, String)>,
    Query(selectors): Query<Selectors>,
) -> Result<Json<Value>, ApiStatus> {
    // Such a path is authorized as one of a resource called like the metric.
    if resource == "namespaces" {
        return Err(ApiStatus::no_such_path());
    }
    let asked = Asked {
        version,
        namespace: String::new(),
        resource,
        name,
        metric,
        selectors,
    };
    answer(&context, asked).await
}

async fn answer(context: &Context, asked: Asked) -> Result<Json<Value>, ApiStatus> {
    let described = Described::find(&context.client, &asked.resource).await?;
    if described.namespaced == asked.namespace.is_empty() && asked.resource != "namespaces" {
        return Err(ApiStatus::no_such_path());
    }
    let selector = LabelSelector::parse(&asked.selectors.series)
        .map_err(|error| ApiStatus::bad_request(error.to_string()))?;
    let missing = || asked.missing();
    // All of a kind that cannot be listed here: whatever the series name.
    let names = asked.names(context).await?;
    if names.as_ref().is_some_and(Vec::is_empty) {
        return Err(missing());
    }
    let mut matchers = Matchers::default();
    if !asked.namespace.is_empty() {
        matchers = matchers.equal("namespace", &asked.namespace);
    }
    matchers = match &names {
        Some(_) if asked.resource == "namespaces" => matchers,
        Some(names) => matchers.one_of(&described.label, names),
        None => matchers.present(&described.label),
    };
    let request = Request {
        metric: &asked.metric,
        matchers: matchers.selected(&selector)?,
        group_by: &described.label,
        selects: !selector.is_empty(),
    };
    let rules = rules::read(&context.client).await?;
    let expression = rules::expression(&rules, &request)?.ok_or_else(missing)?;
    let samples = context.prometheus.query(&expression).await;
    let samples = samples.map_err(|error| rules.refused(&asked.metric, error))?;
    let wanted = |sample: &&Sample| {
        let name = sample.label(&described.label);
        !name.is_empty()
            && names
                .as_ref()
                .is_none_or(|names| names.iter().any(|n| n == name))
    };
    let wanted: Vec<&Sample> = samples.iter().filter(wanted).collect();
    if wanted.is_empty() {
        return Err(missing());
    }
    refusal::bounded(wanted.len())?;
    let items = wanted.into_iter().filter_map(|sample| {
        let about = described.reference(&asked.namespace, sample.label(&described.label));
        shape::value(asked.version, about, &asked.metric, &selector, sample)
    });
    Ok(Json(json!({
        "kind": "MetricValueList",
        "apiVersion": format!("{CUSTOM}/{}", asked.version.name()),
        "metadata": {},
        "items": items.collect::<Vec<_>>(),
    })))
}

impl Asked {
    /// The names of the objects that are asked for; none for whatever there is.
    async fn names(&self, context: &Context) -> Result<Option<Vec<String>>, ApiStatus> {
        if self.name != "*" {
            return Ok(Some(vec![self.name.clone()]));
        }
        let wanted = Wanted {
            labels: self.selectors.objects.clone(),
            fields: String::new(),
        };
        let labels = match self.resource.as_str() {
            "pods" => objects::pods(&context.client, &self.namespace, &wanted).await?,
            "nodes" => objects::nodes(&context.client, &wanted).await?,
            _ if wanted.labels.is_empty() => return Ok(None),
            other => {
                return Err(ApiStatus::bad_request(format!(
                    "of {other}, none can be selected by labels here; that works for pods and nodes"
                )));
            }
        };
        Ok(Some(labels.into_keys().map(|(_, name)| name).collect()))
    }

    fn missing(&self) -> ApiStatus {
        let name = match self.name.as_str() {
            "*" => String::new(),
            name => format!(" {name}"),
        };
        refusal::no_metric(&self.metric, &format!("{}{name}", self.resource))
    }
}

/// The metrics that there are, as resources: by the rules, and by what pods and Services say.
async fn resources(
    State(context): State<Context>,
    Path(version): Path<Version>,
) -> Result<Json<Value>, ApiStatus> {
    let began = Timestamp::now();
    let (rules, pods, services) = tokio::join!(
        rules::read(&context.client),
        known::metrics(&context.prometheus, "namespace!=\"\",pod!=\"\""),
        known::metrics(&context.prometheus, "namespace!=\"\",service!=\"\"")
    );
    let mut names: Vec<String> = Vec::new();
    for metric in rules?.names() {
        names.extend(["namespaces", "pods", "services"].map(|of| format!("{of}/{metric}")));
    }
    names.extend(pods.into_iter().map(|metric| format!("pods/{metric}")));
    names.extend(
        services
            .into_iter()
            .map(|metric| format!("services/{metric}")),
    );
    let took = Timestamp::now().duration_since(began);
    tracing::debug!(metrics = names.len(), ?took, "listed custom metrics");
    let group_version = format!("{CUSTOM}/{}", version.name());
    Ok(Json(known::resource_list(&group_version, names, |name| {
        (!name.starts_with("namespaces/"), "MetricValueList")
    })))
}
