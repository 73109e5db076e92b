//! A board's lines as the body of an answer.
//!
//! The one thing to know: a body is asked for more only while its client reads, so what has to end in time is not in the body but
//! in a task beside it, which holds the place among the watchers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::{StatusCode, header};
use minicloud_api::problem::Problem;
use minicloud_api::share::{Share, Shares};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::board::{Board, Reader};

/// Watchers at a time.
const MOST: usize = 256;
/// Of these, one user's. A tab of the console has one.
const MOST_OF_A_USER: usize = 32;
/// How long a watcher may watch: rights are looked at when a stream begins.
const LONGEST: Duration = Duration::from_secs(3600);

/// A board, and who watches it.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) board: Board,
    users: Arc<Shares<String>>,
}

impl Watched {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            board,
            users: Shares::new(MOST_OF_A_USER),
        }
    }

    /// The lines from now on, for `user`; with `heartbeat`, an empty line whenever there was none for that long.
    pub(crate) fn answer(&self, user: &str, heartbeat: Option<Duration>) -> Response {
        self.answer_for(LONGEST, user, heartbeat)
    }

    fn answer_for(&self, longest: Duration, user: &str, heartbeat: Option<Duration>) -> Response {
        let place = match self.place(user) {
            Ok(place) => place,
            Err(problem) => return problem.into_response(),
        };
        // One chunk waits at most; a client that is slow skips lines that are no longer true.
        let (lines, body) = mpsc::channel(1);
        let end = Instant::now() + longest;
        tokio::spawn(async move {
            let gone = lines.clone();
            tokio::select! {
                () = feed(place, &lines, heartbeat) => {}
                () = gone.closed() => {}
                () = tokio::time::sleep_until(end) => {}
            }
        });
        let body = stream::unfold(body, |mut body| async move {
            let chunk: Bytes = body.recv().await?;
            Some((Ok::<_, Infallible>(chunk), body))
        });
        let headers = [(header::CONTENT_TYPE, "application/jsonl")];
        (headers, Body::from_stream(body)).into_response()
    }

    /// A place among the watchers.
    fn place(&self, user: &str) -> Result<(Share<String>, Reader), Box<Problem>> {
        let problem = |detail: String, hint: &str| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).hint(hint)
        };
        let own = self.users.take(user.to_owned()).ok_or_else(|| {
            problem(
                format!("{user:?} has {MOST_OF_A_USER} streams open already"),
                "close some: tabs of the console, or programs of yours that watch",
            )
        })?;
        let reader = self.board.read(MOST).ok_or_else(|| {
            let detail = format!("there are {MOST} watchers already");
            problem(detail, "try again in a moment")
        })?;
        Ok((own, reader))
    }
}

/// Hands lines on until the board is closed.
async fn feed(
    (_own, mut reader): (Share<String>, Reader),
    lines: &mpsc::Sender<Bytes>,
    heartbeat: Option<Duration>,
) {
    // Lines are looked up once there is room for them, so that they are the newest.
    while let Ok(room) = lines.reserve().await {
        let next = reader.next();
        let new = match heartbeat {
            Some(every) => tokio::time::timeout(every, next).await,
            None => Ok(next.await),
        };
        match new {
            Ok(Some(new)) => room.send(new.concat().into()),
            Ok(None) => return,
            Err(_) => room.send(Bytes::from_static(b"\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn line(body: &mut Body) -> Option<String> {
        let frame = body.frame().await?;
        let data = frame.ok()?.into_data().ok()?;
        Some(String::from_utf8_lossy(&data).into_owned())
    }

    #[tokio::test]
    async fn lines_and_empty_ones() {
        let watched = Watched::new(Board::default());
        let beat = Some(Duration::from_millis(10));
        let mut body = watched.answer("ann", beat).into_body();
        assert_eq!(line(&mut body).await.as_deref(), Some("\n"));
        watched.board.put("a", "a1\n".into());
        while line(&mut body).await.expect("lines") != "a1\n" {}
        watched.board.close();
        while let Some(line) = line(&mut body).await {
            assert_eq!(line, "\n");
        }
    }

    #[tokio::test]
    async fn nobody_takes_all_places() {
        let watched = Watched::new(Board::default());
        let held: Vec<_> = (0..MOST_OF_A_USER)
            .map(|_| watched.answer("ann", None))
            .collect();
        assert!(held.iter().all(|answer| answer.status() == 200));
        let refused = watched.answer("ann", None);
        assert_eq!(refused.status(), 503);
        let told = refused.into_body().collect().await.expect("body");
        let told = String::from_utf8_lossy(&told.to_bytes()).into_owned();
        assert!(told.contains("ann"), "{told}");
        assert_eq!(watched.answer("ben", None).status(), 200);
        drop(held);
        watched.board.no_reader().await;
        assert_eq!(watched.answer("ann", None).status(), 200);
    }

    // Its body is never asked for anything, so nothing in the body can end it.
    #[tokio::test]
    async fn who_does_not_read_loses_the_place_in_time() {
        let watched = Watched::new(Board::default());
        let longest = Duration::from_millis(20);
        let unread = watched.answer_for(longest, "ann", None);
        for n in 0..3 {
            watched.board.put("a", format!("a{n}\n").into());
            tokio::task::yield_now().await;
        }
        assert_eq!(watched.board.readers(), 1);
        tokio::time::timeout(Duration::from_secs(10), watched.board.no_reader())
            .await
            .expect("it is still a watcher");
        let mut body = unread.into_body();
        while let Some(line) = line(&mut body).await {
            assert!(line.starts_with('a'), "{line}");
        }
    }
}
