//! The part: routes, and what each needs.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::StatusCode;
use http::request::Parts;
use kube::Client;
use minicloud_api::part::{Need, Part, Permission};
use minicloud_api::problem::Problem;
use minicloud_api::user::UserInfo;
use minicloud_live::follow::Live;
use minicloud_prometheus_client::Prometheus;
use serde::Deserialize;

use crate::impact::{About, ImpactQuery};
use crate::v1::{self, PodsQuery};
use crate::{figures, impact, kubernetes, openapi};

/// What the answers are made of.
#[derive(Clone)]
pub struct Sources {
    /// The identity that reads Kubernetes' objects.
    pub client: Client,
    /// What was measured.
    pub prometheus: Prometheus,
    /// What is measured now.
    pub live: Live,
    /// Where nodes keep layers, logs and volumes of pods.
    pub node_data_dir: PathBuf,
}

/// The part.
pub fn part(sources: Sources) -> Part {
    let (live, counted) = (sources.live.clone(), sources.live.clone());
    Part {
        name: "monitoring",
        routes: Router::new()
            .route("/monitoring", get(monitoring))
            .route("/v1/nodes", get(nodes))
            .route("/v1/nodes/{name}", get(v1::one_node))
            .route("/v1/impact", get(impact::impact))
            .route("/v1/pods", get(v1::list_pods))
            .route("/v1/namespaces", get(v1::list_namespaces))
            .with_state(Arc::new(sources)),
        permit: Arc::new(permit),
        openapi: openapi::fragment(),
        metrics: Arc::new(move || {
            let watchers = counted.watchers();
            format!(
                "# HELP minicloud_live_watchers Who watches the live stream of measurements.\n\
                 # TYPE minicloud_live_watchers gauge\n\
                 minicloud_live_watchers {watchers}\n"
            )
        }),
        run: Some(Arc::new(move |shutdown| {
            Box::pin(live.clone().run(shutdown))
        })),
    }
}

/// What a request needs: the right to list what it asks about.
fn permit(head: &Parts) -> Need {
    let pods = |namespace: Option<String>| {
        Need::Resource(Permission {
            namespace,
            ..Permission::cluster("list", "", "pods")
        })
    };
    match head.uri.path() {
        "/monitoring" => match asked(head).map(MonitoringQuery::question) {
            Some(Ok(Question::Physical)) => Need::cluster("list", "", "nodes"),
            Some(Ok(Question::Pods(namespace))) => pods(Some(namespace)),
            Some(Ok(Question::Namespaces)) => pods(None),
            // It will hear only what is wrong with its question.
            Some(Err(_)) | None => Need::Credentials,
        },
        "/v1/pods" => match asked(head) {
            Some(query @ PodsQuery { .. }) => pods(query.namespace().map(str::to_owned)),
            None => Need::Credentials,
        },
        // All workloads of a node, or of all, may be named; of a pod only what touches it.
        "/v1/impact" => match asked(head).and_then(ImpactQuery::about) {
            Some(About::Everything | About::Node(_)) => pods(None),
            Some(About::Pod(namespace, name)) => Need::Resource(Permission {
                namespace: Some(namespace),
                name: Some(name),
                ..Permission::cluster("get", "", "pods")
            }),
            None => Need::Credentials,
        },
        // It counts pods, and what they take, of all namespaces: that tells more than what these are called.
        "/v1/namespaces" => pods(None),
        path if path.starts_with("/v1/nodes/") => Need::Resource(Permission {
            name: name(path.trim_start_matches("/v1/nodes/")),
            ..Permission::cluster("get", "", "nodes")
        }),
        _ => {
            let watch = asked(head).is_some_and(|query: NodesQuery| query.watch);
            Need::cluster(if watch { "watch" } else { "list" }, "", "nodes")
        }
    }
}

/// The last part of a path as a name; names of nodes need no escaping, so what is escaped is none.
fn name(path: &str) -> Option<String> {
    (!path.contains(['%', '/'])).then(|| path.to_owned())
}

/// The query of a request, where it reads.
fn asked<T: serde::de::DeserializeOwned>(head: &Parts) -> Option<T> {
    Query::try_from_uri(&head.uri)
        .ok()
        .map(|Query(query)| query)
}

/// The query of `/monitoring`.
#[derive(Debug, Default, Deserialize)]
struct MonitoringQuery {
    #[serde(default)]
    metric: String,
    #[serde(default)]
    namespace: String,
}

/// Why a question is none, and what to ask instead.
#[derive(Debug)]
struct Unclear {
    detail: String,
    hint: &'static str,
}

impl From<Unclear> for Problem {
    fn from(unclear: Unclear) -> Self {
        Self::new(StatusCode::BAD_REQUEST, unclear.detail).hint(unclear.hint)
    }
}

/// What it asks.
#[derive(Debug, PartialEq, Eq)]
enum Question {
    Physical,
    Pods(String),
    Namespaces,
}

impl MonitoringQuery {
    fn question(self) -> Result<Question, Unclear> {
        let problem = |detail: String, hint: &'static str| Err(Unclear { detail, hint });
        match (self.metric.as_str(), self.namespace.as_str()) {
            ("physical_metrics", "") => Ok(Question::Physical),
            // Figure 11 gives no metric; with the one of pods it is the same question.
            ("" | "virtual_metrics", "all") => Ok(Question::Namespaces),
            ("virtual_metrics", "") => problem(
                "virtual_metrics are those of a namespace, and none is given".into(),
                "give namespace=NAME, or namespace=all for all namespaces together",
            ),
            ("virtual_metrics", _) => Ok(Question::Pods(self.namespace)),
            ("physical_metrics", _) => problem(
                "physical_metrics are those of machines, which are in no namespace".into(),
                "leave out namespace, or give metric=virtual_metrics",
            ),
            ("", "") => problem("no metric is given".into(), ALLOWED),
            ("", _) => problem(
                format!("namespace={} is given without a metric", self.namespace),
                ALLOWED,
            ),
            (other, _) => problem(format!("there is no metric {other:?}"), ALLOWED),
        }
    }
}

const ALLOWED: &str =
    "give metric=physical_metrics, metric=virtual_metrics&namespace=NAME, or namespace=all";

async fn monitoring(
    State(sources): State<Arc<Sources>>,
    Query(query): Query<MonitoringQuery>,
) -> Result<Response, Problem> {
    let prometheus = &sources.prometheus;
    let figure = match query.question()? {
        Question::Physical => figures::physical(prometheus).await?,
        Question::Namespaces => figures::namespaces(prometheus).await?,
        Question::Pods(namespace) => {
            let (exists, figure) = futures::join!(
                kubernetes::require_namespace(&sources.client, &namespace),
                figures::pods(prometheus, &namespace)
            );
            exists?;
            figure?
        }
    };
    Ok(Json(figure).into_response())
}

/// The query of `/v1/nodes`.
#[derive(Debug, Deserialize)]
struct NodesQuery {
    #[serde(default)]
    watch: bool,
}

async fn nodes(
    State(sources): State<Arc<Sources>>,
    Extension(user): Extension<UserInfo>,
    Query(query): Query<NodesQuery>,
) -> Result<Response, Problem> {
    if query.watch {
        return Ok(sources.live.answer(&user.username));
    }
    v1::list_nodes(&sources).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(uri: &str) -> Need {
        let request = http::Request::get(uri).body(()).unwrap();
        permit(&request.into_parts().0)
    }

    #[test]
    fn who_asks_about_something_may_list_it() {
        let pods = |namespace: Option<&str>| {
            Need::Resource(Permission {
                namespace: namespace.map(str::to_owned),
                ..Permission::cluster("list", "", "pods")
            })
        };
        let nodes = |verb| Need::cluster(verb, "", "nodes");
        for (uri, expected) in [
            ("/monitoring?metric=physical_metrics", nodes("list")),
            (
                "/monitoring?metric=virtual_metrics&namespace=shop",
                pods(Some("shop")),
            ),
            (
                "/monitoring?metric=virtual_metrics&namespace=all",
                pods(None),
            ),
            ("/monitoring?namespace=all", pods(None)),
            (
                "/monitoring?metric=physical_metrics&namespace=shop",
                Need::Credentials,
            ),
            ("/monitoring?metric=other", Need::Credentials),
            (
                "/monitoring?metric=virtual_metrics&metric=x",
                Need::Credentials,
            ),
            ("/monitoring", Need::Credentials),
            ("/v1/nodes", nodes("list")),
            ("/v1/nodes?watch=true", nodes("watch")),
            ("/v1/nodes?watch=false", nodes("list")),
            (
                "/v1/nodes/edge-1",
                Need::Resource(Permission {
                    name: Some("edge-1".into()),
                    ..Permission::cluster("get", "", "nodes")
                }),
            ),
            // Whoever may get any node may ask about one that cannot be.
            ("/v1/nodes/edge%2d1", nodes("get")),
            ("/v1/pods", pods(None)),
            ("/v1/pods?namespace=", pods(None)),
            ("/v1/pods?namespace=shop&limit=5", pods(Some("shop"))),
            ("/v1/pods?namespace=shop&limit=many", Need::Credentials),
            ("/v1/namespaces", pods(None)),
            ("/v1/impact", pods(None)),
            ("/v1/impact?node=edge-1", pods(None)),
            (
                "/v1/impact?pod=shop/web-0",
                Need::Resource(Permission {
                    namespace: Some("shop".into()),
                    name: Some("web-0".into()),
                    ..Permission::cluster("get", "", "pods")
                }),
            ),
            ("/v1/impact?pod=web-0", Need::Credentials),
        ] {
            assert_eq!(need(uri), expected, "{uri}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_question_is_named() {
        for (metric, namespace, said) in [
            ("", "", "no metric is given"),
            ("cpu", "", "there is no metric \"cpu\""),
            ("", "shop", "namespace=shop is given without a metric"),
            ("virtual_metrics", "", "none is given"),
            ("physical_metrics", "all", "in no namespace"),
        ] {
            let query = MonitoringQuery {
                metric: metric.into(),
                namespace: namespace.into(),
            };
            let problem = Problem::from(query.question().unwrap_err());
            assert_eq!(problem.status, 400);
            assert!(problem.detail.contains(said), "{problem}");
            assert!(problem.hint.contains("namespace"), "{problem}");
        }
    }
}
