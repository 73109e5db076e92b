//! Bodies in both directions: what an answer may be made of, and reading a request's body within its limit.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use minicloud_api::status::ApiStatus;

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
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::Full(None)
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
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Incoming(incoming) => incoming.is_end_stream(),
            Self::Pieces(_) | Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Incoming(incoming) => incoming.size_hint(),
            Self::Pieces(_) | Self::Stream(_) => SizeHint::default(),
        }
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
