//! A board's lines as the body of an answer.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::{StatusCode, header};
use minicloud_api::problem::Problem;
use tokio::time::Instant;

use crate::board::{Board, Reader};

/// Watchers at a time.
const MAX_WATCHERS: usize = 256;
/// How long a watcher may watch: rights are looked at when a stream begins.
const LONGEST: Duration = Duration::from_secs(3600);

/// The lines of `board` from now on; with `heartbeat`, an empty line whenever there was none for that long.
pub(crate) fn answer(board: &Board, heartbeat: Option<Duration>) -> Response {
    let Some(reader) = board.read(MAX_WATCHERS) else {
        let detail = format!("there are {MAX_WATCHERS} watchers already");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .hint("try again in a moment")
            .into_response();
    };
    let end = Instant::now() + LONGEST;
    let lines = stream::unfold(reader, move |mut reader| async move {
        let chunk = chunk(&mut reader, heartbeat, end).await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), reader))
    });
    let headers = [(header::CONTENT_TYPE, "application/jsonl")];
    (headers, Body::from_stream(lines)).into_response()
}

async fn chunk(reader: &mut Reader, heartbeat: Option<Duration>, end: Instant) -> Option<Bytes> {
    let wait = heartbeat.map_or(end, |every| end.min(Instant::now() + every));
    match tokio::time::timeout_at(wait, reader.next()).await {
        Ok(lines) => Some(lines?.concat().into()),
        Err(_) if Instant::now() < end => Some(Bytes::from_static(b"\n")),
        Err(_) => None,
    }
}
