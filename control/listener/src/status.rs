//! The part `status`: `GET /v1/status` says what runs and how it is doing. It shows how a part is made.
//!
//! [`part`] is all that the listener sees. Everything is read through the Kubernetes API when someone asks (and remembered
//! for two seconds), so nothing is kept in memory for a question that is seldom asked.

mod collect;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use jiff::Timestamp;
use minicloud_api::part::{Need, Part};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

const REMEMBER: Duration = Duration::from_secs(2);

/// The answer of `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Minicloud's version.
    pub version: String,
    /// The version of the Kubernetes API; absent when it did not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kubernetes_version: Option<String>,
    /// When the server started, RFC 3339.
    pub started_at: Timestamp,
    /// For how long it has been running.
    pub uptime_seconds: u64,
    /// True when the Kubernetes API is ready and every node is.
    pub ready: bool,
    /// The nodes; absent when they could not be listed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nodes: Option<Vec<NodeStatus>>,
    /// Pods by phase; absent when they could not be listed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pods: Option<Pods>,
    /// The checks of the Kubernetes API's `/readyz`, and the programs beside the server.
    pub components: Vec<Component>,
    /// What this answer lacks, and why. Empty when it is complete.
    pub missing: Vec<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its condition `Ready` is `True`.
    pub ready: bool,
    /// Cordoned: no new pods.
    pub unschedulable: bool,
    /// The version of its agent.
    pub version: String,
    /// Why it is not ready; empty when it is.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub message: String,
}

/// How many pods are in which phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pods {
    /// All of them.
    pub total: usize,
    /// Not all containers have started.
    pub pending: usize,
    /// Running.
    pub running: usize,
    /// Ended well.
    pub succeeded: usize,
    /// Ended badly.
    pub failed: usize,
    /// The node does not say.
    pub unknown: usize,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name, as `/readyz?verbose` has it.
    pub name: String,
    /// It passed.
    pub healthy: bool,
    /// What is wrong and what to do; empty when it is healthy, or when nothing more is known.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub message: String,
}

/// A program beside the server that is one of the components: its name, and what is wrong with it now.
#[derive(Clone)]
pub struct Check {
    /// Its name, e.g. `prometheus`.
    pub name: &'static str,
    /// What is wrong and what to do; nothing when it is healthy. Must not block.
    pub trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Check {
    fn component(&self) -> Component {
        let trouble = (self.trouble)();
        Component {
            name: self.name.to_owned(),
            healthy: trouble.is_none(),
            message: trouble.unwrap_or_default(),
        }
    }
}

struct Context {
    client: kube::Client,
    version: String,
    checks: Vec<Check>,
    started_at: Timestamp,
    started: Instant,
    last: Mutex<Option<(Instant, Arc<Status>)>>,
}

/// The part. `version` is Minicloud's; `client` is the identity that reads nodes, pods and `/readyz`; `checks` are components
/// beyond those of `/readyz`, whose trouble does not make the site unready.
pub fn part(client: kube::Client, version: impl Into<String>, checks: Vec<Check>) -> Part {
    let context = Arc::new(Context {
        client,
        version: version.into(),
        checks,
        started_at: Timestamp::now(),
        started: Instant::now(),
        last: Mutex::default(),
    });
    let started = context.started_at.as_second();
    Part {
        name: "status",
        routes: Router::new()
            .route("/v1/status", get(answer))
            .with_state(context),
        // The status tells about all nodes, so whoever may list them may see it.
        permit: Arc::new(|_| Need::cluster("list", "", "nodes")),
        openapi: openapi(),
        metrics: Arc::new(move || {
            format!(
                "# HELP minicloud_start_time_seconds When the server started, in seconds since 1970.\n\
                 # TYPE minicloud_start_time_seconds gauge\n\
                 minicloud_start_time_seconds {started}\n"
            )
        }),
        run: None,
    }
}

async fn answer(State(context): State<Arc<Context>>) -> Response {
    // Held while collecting: callers that come meanwhile wait for the same answer instead of asking again.
    let mut last = context.last.lock().await;
    let status = match &*last {
        Some((at, status)) if at.elapsed() < REMEMBER => status.clone(),
        _ => {
            let mut status = collect::collect(&context.client).await;
            status.version.clone_from(&context.version);
            status
                .components
                .extend(context.checks.iter().map(Check::component));
            status.started_at = context.started_at;
            status.uptime_seconds = context.started.elapsed().as_secs();
            let status = Arc::new(status);
            *last = Some((Instant::now(), status.clone()));
            status
        }
    };
    Json(&*status).into_response()
}

pub(crate) fn openapi() -> serde_json::Value {
    let text = || json!({ "type": "string" });
    let count = || json!({ "type": "integer", "minimum": 0 });
    let flag = || json!({ "type": "boolean" });
    let list = |item: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{item}") } });
    json!({
        "paths": { "/v1/status": { "get": {
            "operationId": "getStatus",
            "summary": "What runs and how it is doing",
            "description": "Needs the permission to list nodes.",
            "responses": { "200": {
                "description": "The status; `missing` says what could not be found out",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Status" } } },
            } },
        } } },
        "components": { "schemas": {
            "Status": {
                "type": "object",
                "required": ["version", "started_at", "uptime_seconds", "ready", "components", "missing"],
                "properties": {
                    "version": text(),
                    "kubernetes_version": text(),
                    "started_at": { "type": "string", "format": "date-time" },
                    "uptime_seconds": count(),
                    "ready": flag(),
                    "nodes": list("NodeStatus"),
                    "pods": { "$ref": "#/components/schemas/PodCounts" },
                    "components": list("Component"),
                    "missing": { "type": "array", "items": text() },
                },
            },
            "NodeStatus": {
                "type": "object",
                "required": ["name", "ready", "unschedulable", "version"],
                "properties": {
                    "name": text(), "ready": flag(), "unschedulable": flag(), "version": text(), "message": text(),
                },
            },
            "PodCounts": {
                "type": "object",
                "required": ["total", "pending", "running", "succeeded", "failed", "unknown"],
                "properties": {
                    "total": count(), "pending": count(), "running": count(), "succeeded": count(),
                    "failed": count(), "unknown": count(),
                },
            },
            "Component": {
                "type": "object",
                "required": ["name", "healthy"],
                "properties": { "name": text(), "healthy": flag(), "message": text() },
            },
        } },
    })
}
