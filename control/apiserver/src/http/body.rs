//! Bodies in both directions: what an answer may be made of, and reading a request's body within its limit.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use minicloud_api::status::ApiStatus;
use serde_json::Value;

use super::limits::Place;

/// An error in the middle of a body: the connection is closed, as the head is already out.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub enum Body {
    /// All of it at once; `None` when it has been taken.
    Full(Option<Bytes>),
    /// Pieces made when they are wanted, so that a long list is never whole in memory.
    Pieces(Box<dyn Iterator<Item = Bytes> + Send>),
    /// Pieces that come over time (watches, logs).
    Stream(BoxStream<'static, Result<Bytes, BodyError>>),
    /// What another server answered.
    Incoming(Incoming),
    /// Another body, of which is known whether the client takes it.
    Watched(Box<Body>, Sending),
}

/// How much of a whole body is handed to the connection at once, which then holds it until the client takes it.
const CHUNK_BYTES: usize = 64 << 10;

/// The largest answer that is indented: it is parsed for that, which takes several times its size.
const INDENTED_BYTES_MAX: usize = 4 << 20;

fn indent(json: Bytes) -> Bytes {
    match serde_json::from_slice::<Value>(&json).and_then(|v| serde_json::to_vec_pretty(&v)) {
        Ok(mut pretty) => {
            pretty.push(b'\n');
            pretty.into()
        }
        Err(_) => json,
    }
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::Full(None)
    }

    /// This body with its JSON indented, unless it is large or comes over time.
    pub fn indented(self) -> Self {
        match self {
            Self::Full(Some(bytes)) => indent(bytes).into(),
            Self::Pieces(mut pieces) => {
                let mut whole = BytesMut::new();
                for piece in pieces.by_ref() {
                    whole.extend_from_slice(&piece);
                    if whole.len() > INDENTED_BYTES_MAX {
                        let begun = std::iter::once(whole.freeze());
                        return Self::Pieces(Box::new(begun.chain(pieces)));
                    }
                }
                indent(whole.freeze()).into()
            }
            Self::Watched(inner, sending) => Self::Watched(Box::new(inner.indented()), sending),
            other => other,
        }
    }

    /// This body, noted among those that the client of a connection is to take; `place` is kept until it has. A small one is
    /// handed over whole and needs neither.
    pub fn watched(self, sends: &Arc<Sends>, place: Option<Place>) -> Self {
        let inner = match self {
            Self::Full(Some(mut bytes)) if bytes.len() > CHUNK_BYTES => {
                Self::Pieces(Box::new(std::iter::from_fn(move || {
                    let piece = bytes.split_to(bytes.len().min(CHUNK_BYTES));
                    (!piece.is_empty()).then_some(piece)
                })))
            }
            Self::Full(bytes) => return Self::Full(bytes),
            other => other,
        };
        Self::Watched(Box::new(inner), sends.begin(place))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(Some(bytes).filter(|b| !b.is_empty()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Pieces(pieces) => Poll::Ready(pieces.next().map(|b| Ok(Frame::data(b)))),
            Self::Stream(stream) => stream
                .as_mut()
                .poll_next(cx)
                .map(|next| next.map(|piece| piece.map(Frame::data))),
            Self::Incoming(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map(|next| next.map(|frame| frame.map_err(Into::into))),
            Self::Watched(inner, sending) => {
                let next = Pin::new(inner.as_mut()).poll_frame(cx);
                sending.note(matches!(next, Poll::Ready(Some(_))));
                next
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Incoming(incoming) => incoming.is_end_stream(),
            Self::Watched(inner, _) => inner.is_end_stream(),
            Self::Pieces(_) | Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Incoming(incoming) => incoming.size_hint(),
            Self::Watched(inner, _) => inner.size_hint(),
            Self::Pieces(_) | Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// The answers of one connection that are on their way, and since when the client has not taken the piece that it was handed.
///
/// A client that does not read is found out here rather than by a timer in the body: nobody asks a body for more while the
/// connection cannot take it.
#[derive(Debug, Default)]
pub struct Sends {
    waiting: Mutex<HashMap<u64, Instant>>,
    count: AtomicU64,
}

/// One answer on its way.
#[derive(Debug)]
pub struct Sending {
    of: Arc<Sends>,
    id: u64,
    _place: Option<Place>,
}

impl Sends {
    fn begin(self: &Arc<Self>, place: Option<Place>) -> Sending {
        Sending {
            of: Arc::clone(self),
            id: self.count.fetch_add(1, Ordering::Relaxed),
            _place: place,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when a piece has not been taken for so long.
    pub fn stalled(&self, limit: Duration) -> bool {
        self.waiting().values().any(|since| since.elapsed() > limit)
    }
}

impl Sending {
    /// The connection asked for more, so it has taken what it had; `handed` is whether it got something new.
    fn note(&self, handed: bool) {
        let mut waiting = self.of.waiting();
        if handed {
            waiting.insert(self.id, Instant::now());
        } else {
            waiting.remove(&self.id);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.of.waiting().remove(&self.id);
    }
}

/// Takes in and drops the rest of a body, within bounds: a client that is still sending when it is answered would see a broken
/// connection instead of the answer.
async fn drain(mut incoming: Incoming, limit_bytes: usize) {
    let mut left = limit_bytes.saturating_mul(4);
    let reading = async {
        while let Some(Ok(frame)) = incoming.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Whether it ended or was cut off, the refusal is the same.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, reading).await;
}

/// How long the rest of a body that is refused may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a whole request body; 413 beyond `limit_bytes`, 400 when the client breaks off.
pub async fn read(mut incoming: Incoming, limit_bytes: usize) -> Result<Bytes, ApiStatus> {
    let too_large =
        || ApiStatus::too_large(format!("Request entity too large: limit is {limit_bytes}"));
    if incoming.size_hint().lower() > limit_bytes as u64 {
        drain(incoming, limit_bytes).await;
        return Err(too_large());
    }
    let mut first: Option<Bytes> = None;
    let mut whole: Option<BytesMut> = None;
    while let Some(frame) = incoming.frame().await {
        let frame = frame
            .map_err(|e| ApiStatus::bad_request(format!("error reading the request body: {e}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let so_far = whole
            .as_ref()
            .map_or_else(|| first.as_ref().map_or(0, Bytes::len), BytesMut::len);
        if so_far + data.len() > limit_bytes {
            drain(incoming, limit_bytes).await;
            return Err(too_large());
        }
        // Most bodies are one frame, which is then used as it is.
        match (&mut whole, &first) {
            (Some(whole), _) => whole.extend_from_slice(&data),
            (None, None) => first = Some(data),
            (None, Some(begin)) => {
                let mut joined = BytesMut::with_capacity((begin.len() + data.len()) * 2);
                joined.extend_from_slice(begin);
                joined.extend_from_slice(&data);
                whole = Some(joined);
            }
        }
    }
    Ok(whole.map(BytesMut::freeze).or(first).unwrap_or_default())
}
