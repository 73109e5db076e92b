//! The part: routes, what each needs, and their description.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use http::request::Parts;
use minicloud_api::part::{Need, Part};
use minicloud_api::problem::Problem;
use minicloud_live::follow::Live;
use serde::Deserialize;
use serde_json::{Value, json};

/// The part.
pub fn part(live: Live) -> Part {
    let (shown, counted) = (live.clone(), live.clone());
    Part {
        name: "monitoring",
        routes: Router::new()
            .route("/v1/nodes", get(nodes))
            .with_state(shown),
        permit: Arc::new(permit),
        openapi: openapi(),
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

fn permit(head: &Parts) -> Need {
    let query: Result<Query<NodesQuery>, _> = Query::try_from_uri(&head.uri);
    let watch = query.is_ok_and(|query| query.watch);
    Need::cluster(if watch { "watch" } else { "list" }, "", "nodes")
}

/// The query of `/v1/nodes`.
#[derive(Debug, Deserialize)]
struct NodesQuery {
    #[serde(default)]
    watch: bool,
}

async fn nodes(
    State(live): State<Live>,
    Query(query): Query<NodesQuery>,
) -> Result<Response, Problem> {
    if query.watch {
        return Ok(live.answer());
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, "nodes can only be watched").hint("give watch=true"))
}

fn openapi() -> Value {
    json!({ "paths": { "/v1/nodes": { "get": {
        "operationId": "watchNodes",
        "summary": "How the nodes are doing, a JSON object per line whenever a node's measurements change",
        "description": "Needs the permission to watch nodes.",
        "parameters": [{ "name": "watch", "in": "query", "required": true, "schema": { "const": true } }],
        "responses": { "200": {
            "description": "First a line for each node, then lines until one side ends, an hour at most",
            "content": { "application/jsonl": { "schema": { "type": "object" } } },
        } },
    } } } })
}
