//! A node's half: `GET /v1/measurements` beside the node's metrics, measured while somebody listens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use minicloud_api::part::{Need, Part, Shutdown};
use minicloud_api::user::UserInfo;
use minicloud_exporter::{Meter, Reading, Settings};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::board::Board;
use crate::change::moved;
use crate::measurements::{COLLECTORS, Measurements, measure};
use crate::stream::Watched;

/// Where a node tells how it is doing.
pub(crate) const PATH: &str = "/v1/measurements";
/// How often an empty line says that the node is there.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);

/// Between two looks at the machine.
const PERIOD: Duration = Duration::from_secs(1);
/// Between the first two, so that who comes first need not wait.
const FIRST_PERIOD: Duration = Duration::from_millis(250);
/// How old what was told last may become when nothing moves.
const OLDEST: Duration = Duration::from_secs(10);

/// One line of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeLine {
    /// When it was measured, by the node's clock.
    pub(crate) time: Timestamp,
    #[serde(flatten)]
    pub(crate) measurements: Measurements,
}

/// The part, of the machine below `root`.
pub fn part(root: &Path) -> Part {
    let board = Board::default();
    let (root, counted) = (root.to_owned(), board.clone());
    let shown = Watched::new(board.clone());
    Part {
        name: "measurements",
        routes: Router::new().route(PATH, get(answer)).with_state(shown),
        permit: Arc::new(|_| Need::path(PATH)),
        openapi: openapi(),
        metrics: Arc::new(move || {
            let watchers = counted.readers();
            format!(
                "# HELP minicloud_measurements_watchers Who listens to this node's measurements.\n\
                 # TYPE minicloud_measurements_watchers gauge\n\
                 minicloud_measurements_watchers {watchers}\n"
            )
        }),
        run: Some(Arc::new(move |shutdown| {
            Box::pin(run(root.clone(), board.clone(), shutdown))
        })),
    }
}

async fn answer(State(watched): State<Watched>, Extension(user): Extension<UserInfo>) -> Response {
    watched.answer(&user.username, Some(HEARTBEAT))
}

async fn run(root: PathBuf, board: Board, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = board.first_reader() => {}
            () = shutdown.wait() => break,
        }
        tokio::select! {
            () = sample(&root, &board) => {}
            () = board.no_reader() => {}
            () = shutdown.wait() => break,
        }
        board.clear();
    }
    board.close();
}

/// Measures until dropped.
async fn sample(root: &Path, board: &Board) {
    let mut meter = Meter::new(root, &Settings::default(), &COLLECTORS);
    let mut told: Option<(Instant, Value)> = None;
    let mut before: Option<(Instant, Vec<Reading>)> = None;
    let mut pause = FIRST_PERIOD;
    loop {
        // It reads files, which may block.
        let read = tokio::task::spawn_blocking(move || {
            let readings = meter.read();
            (meter, readings)
        });
        let Ok((used, now)) = read.await else {
            tracing::error!("measuring this machine broke off");
            return;
        };
        meter = used;
        let at = Instant::now();
        if let Some((then, before)) = before.replace((at, now.clone())) {
            let seconds = at.duration_since(then).as_secs_f64();
            let measurements = measure(&before, &now, seconds);
            let value = serde_json::to_value(&measurements).unwrap_or_default();
            if told.as_ref().is_none_or(|(when, told)| {
                at.duration_since(*when) >= OLDEST || moved(told, &value)
            }) {
                told = Some((at, value));
                let line = NodeLine {
                    time: Timestamp::now(),
                    measurements,
                };
                if let Ok(line) = serde_json::to_string(&line) {
                    board.put("", (line + "\n").into());
                }
            }
            pause = PERIOD;
        }
        tokio::time::sleep_until(at + pause).await;
    }
}

fn openapi() -> Value {
    json!({ "paths": { PATH: { "get": {
        "operationId": "watchMeasurements",
        "summary": "How this machine is doing, a JSON object per line whenever something moved",
        "description": "Needs the permission to get the path /v1/measurements. The objects are those of port 3000's \
                        /v1/nodes?watch=true without node and health; an empty line every 2 s says that the node is there.",
        "responses": { "200": {
            "description": "Lines until one side ends",
            "content": { "application/jsonl": { "schema": { "type": "object" } } },
        } },
    } } } })
}
