//! On the node's metrics port: `GET /metrics/cadvisor`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use http::{StatusCode, header};
use minicloud_api::part::{Need, Part};
use minicloud_api::problem::Problem;
use serde_json::json;

use crate::{Exporter, Settings, Snapshot};

/// The text leaves in pieces of about this size: that of 110 pods is some megabytes.
const PIECE_BYTES: usize = 64 << 10;

/// The part.
pub fn part(settings: Settings) -> Part {
    Part {
        name: "container-metrics",
        routes: Router::new()
            .route("/metrics/cadvisor", get(answer))
            .with_state(Arc::new(Exporter::new(settings))),
        permit: Arc::new(|_| Need::path("/metrics/cadvisor")),
        openapi: json!({}),
        metrics: Arc::new(String::new),
        run: None,
    }
}

async fn answer(State(exporter): State<Arc<Exporter>>) -> Result<Response, Problem> {
    let snapshot = exporter.scrape().await.map_err(|error| {
        tracing::error!(%error, "measuring containers broke off");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the containers could not be measured",
        )
        .hint("the node's log says what failed")
    })?;
    let text = (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    Ok(([text], Body::from_stream(pieces(snapshot))).into_response())
}

/// The text, made as it is sent.
fn pieces(
    snapshot: Arc<Snapshot>,
) -> impl stream::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold((snapshot, 0), |(snapshot, mut number)| async move {
        let mut text = String::with_capacity(PIECE_BYTES);
        while number < Snapshot::PIECES && text.len() < PIECE_BYTES {
            snapshot.piece(number, &mut text);
            number += 1;
        }
        (!text.is_empty()).then(|| (Ok(Bytes::from(text)), (snapshot, number)))
    })
}
