//! On port 3000, for Prometheus: `GET /metrics/state`.
//!
//! Nothing is kept between scrapes. Objects are listed in pages through the Kubernetes API when someone asks, and the text of
//! a kind leaves as soon as the kind is read, so memory holds one page of objects and one kind's text, whatever the site has.
//! An answer that cannot be finished is broken off: half the objects would look like all of them.

mod list;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use http::{StatusCode, header};
use minicloud_api::part::{Need, Part};
use minicloud_api::problem::Problem;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::Kind;

/// How long one scrape may take, the sending included.
const DEADLINE: Duration = Duration::from_secs(30);
/// Scrapes at a time; each may hold a kind's text.
const MAX_SCRAPES: usize = 4;

struct Context {
    client: kube::Client,
    scrapes: Arc<Semaphore>,
}

/// The part. `client` is the identity that lists: it needs `list` on every [`Kind`].
pub fn part(client: kube::Client) -> Part {
    let context = Arc::new(Context {
        client,
        scrapes: Arc::new(Semaphore::new(MAX_SCRAPES)),
    });
    Part {
        name: "state-metrics",
        routes: Router::new()
            .route("/metrics/state", get(answer))
            .with_state(context),
        permit: Arc::new(|_| Need::path("/metrics/state")),
        openapi: openapi(),
        metrics: Arc::new(String::new),
        run: None,
    }
}

/// What the task that lists tells the answer. When it ends without [`Told::All`], something broke.
enum Told {
    Text(String),
    Failed(Problem),
    All,
}

async fn answer(State(context): State<Arc<Context>>) -> Result<Response, Problem> {
    let Ok(scrape) = context.scrapes.clone().try_acquire_owned() else {
        let detail = format!("{MAX_SCRAPES} scrapes of /metrics/state are under way");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .hint("scrape less often, or from fewer places"));
    };
    let client = context.client.clone();
    // A client that reads slowly must not keep the place for ever, so the work is not the stream's own.
    let (send, mut told) = mpsc::channel(1);
    tokio::spawn(async move {
        let _scrape = scrape;
        if tokio::time::timeout(DEADLINE, tell(&client, &send))
            .await
            .is_err()
        {
            tracing::warn!(?DEADLINE, "a scrape of /metrics/state took too long");
        }
    });
    // The status says whether the API could be asked at all.
    let first = match told.recv().await {
        Some(Told::Text(text)) => text,
        Some(Told::Failed(problem)) => return Err(problem),
        Some(Told::All) => String::new(),
        None => return Err(list::away("it took too long")),
    };
    let rest = stream::unfold(Some((first, told)), |state| async move {
        let (text, mut told) = state?;
        let next = match told.recv().await {
            Some(Told::Text(next)) => Some((next, told)),
            Some(Told::All) => None,
            Some(Told::Failed(problem)) => return Some((Err(broken(&problem.detail)), None)),
            None => return Some((Err(broken("it took too long")), None)),
        };
        Some((Ok(Bytes::from(text)), next))
    });
    let text = (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    Ok(([text], Body::from_stream(rest)).into_response())
}

fn broken(why: &str) -> std::io::Error {
    tracing::warn!(why, "an answer of /metrics/state was broken off");
    std::io::Error::other(why.to_owned())
}

/// Lists every kind and tells its text. Ends early when nobody listens any more.
async fn tell(client: &kube::Client, send: &mpsc::Sender<Told>) {
    for kind in Kind::ALL {
        let (told, failed) = match list::text(client, kind).await {
            Ok(text) => (Told::Text(text), false),
            Err(problem) => (Told::Failed(problem), true),
        };
        if send.send(told).await.is_err() || failed {
            return;
        }
    }
    let _ = send.send(Told::All).await;
}

fn openapi() -> Value {
    json!({ "paths": { "/metrics/state": { "get": {
        "operationId": "getStateMetrics",
        "summary": "Metrics about Kubernetes objects under kube-state-metrics' names",
        "description": "Needs the permission to get the path /metrics/state, which the ClusterRole system:minicloud-metrics gives.",
        "responses": {
            "200": {
                "description": "Prometheus' text format 0.0.4",
                "content": { "text/plain": { "schema": { "type": "string" } } },
            },
            "503": { "description": "The Kubernetes API could not be asked" },
        },
    } } } })
}
