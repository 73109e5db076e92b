//! Finding out that a connection has nothing to do.
//!
//! HTTP/2 answers keep-alive pings for ever, so an idle client would hold its place among the connections: whoever asks
//! nothing for a while is cut off.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

/// How many requests are open, and since when there are none.
#[derive(Debug)]
struct State {
    open: usize,
    idle_since: Instant,
}

/// What a connection is doing.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<State>>);

/// One open request; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Open(Activity);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            open: 0,
            idle_since: Instant::now(),
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn open(&self) -> Open {
        self.with(|state| state.open += 1);
        Open(self.clone())
    }

    /// Returns when no request has been open for `limit`.
    pub(crate) async fn idle(&self, limit: Duration) {
        loop {
            let wait = self.with(|state| match state.open {
                0 => limit.checked_sub(state.idle_since.elapsed()),
                _ => Some(limit),
            });
            match wait {
                Some(wait) if !wait.is_zero() => tokio::time::sleep(wait).await,
                _ => return,
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.with(|state| {
            state.open -= 1;
            state.idle_since = Instant::now();
        });
    }
}

/// A body that keeps its request open until it has been sent or given up.
struct Watched {
    body: Body,
    _open: Open,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The answer, which keeps `open` until its body has ended: a stream is no idleness.
pub(crate) fn until_sent(response: Response, open: Open) -> Response {
    response.map(|body| Body::new(Watched { body, _open: open }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idle_counts_from_the_end_of_the_last_answer() {
        let (activity, start) = (Activity::new(), Instant::now());
        let seconds = Duration::from_secs;
        let first = activity.open();
        let response = until_sent(Response::new(Body::from("x")), activity.open());
        let clone = activity.clone();
        tokio::spawn(async move {
            tokio::time::sleep(seconds(25)).await;
            drop(first);
            tokio::time::sleep(seconds(10)).await;
            drop(response);
            assert_eq!(clone.with(|state| state.open), 0);
        });
        activity.idle(seconds(10)).await;
        let took = start.elapsed();
        assert!(took >= seconds(45) && took < seconds(56), "{took:?}");
    }
}
