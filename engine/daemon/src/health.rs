//! Asking a daemon: whether it is ready, and what else it tells.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How much one says that is only asked whether it is ready.
const MAX_ASKED: usize = 64 << 10;

/// Why there is no good answer. Try again later.
#[derive(Debug, thiserror::Error)]
pub enum Silence {
    /// Nobody listens, or it is somebody else.
    #[error("no connection: {0}")]
    Connection(#[from] std::io::Error),
    /// It does not speak HTTP to the end.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The path is none.
    #[error("no request can be made: {0}")]
    Request(#[from] http::Error),
    /// It says no.
    #[error("it answers {0}")]
    Status(StatusCode),
    /// It says too much.
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It says nothing.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Whether a path answers 200. On a connection of its own: that new ones are taken is part of the answer.
pub(crate) async fn ask(port: u16, path: &str, tls: &Arc<ClientConfig>) -> Result<(), Silence> {
    get(port, path, tls, MAX_ASKED, ANSWER).await.map(drop)
}

/// What a daemon on 127.0.0.1 answers to a path with its query: text of `max_bytes` at most, within `patience`.
///
/// # Errors
/// When there is no answer, or none that is good.
pub async fn get(
    port: u16,
    path: &str,
    tls: &Arc<ClientConfig>,
    max_bytes: usize,
    patience: Duration,
) -> Result<String, Silence> {
    let request = Request::get(path).body(Bytes::new())?;
    let answer = send(port, request, tls, max_bytes, patience).await?;
    match answer.status() {
        status if status.is_success() => Ok(String::from_utf8_lossy(answer.body()).into_owned()),
        status => Err(Silence::Status(status)),
    }
}

/// What a daemon on 127.0.0.1 answers to a request for a path, whatever it is: `max_bytes` at most, within `patience`. On a connection of
/// its own.
///
/// # Errors
/// When there is no answer.
pub async fn send(
    port: u16,
    mut request: Request<Bytes>,
    tls: &Arc<ClientConfig>,
    max_bytes: usize,
    patience: Duration,
) -> Result<Response<Bytes>, Silence> {
    let asking = async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(tls.clone())
            .connect(name, stream)
            .await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let host = HeaderValue::from_static("127.0.0.1");
        request.headers_mut().insert(header::HOST, host);
        let answer = async {
            let (head, body) = sender
                .send_request(request.map(Full::new))
                .await?
                .into_parts();
            let body = Limited::new(body, max_bytes).collect().await;
            let body = body.map_err(|_| Silence::TooLarge(max_bytes))?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        tokio::pin!(answer);
        tokio::select! {
            // The answer first: a server may close the connection with it.
            biased;
            answer = &mut answer => answer,
            ended = connection => {
                ended?;
                answer.await
            }
        }
    };
    tokio::time::timeout(patience, asking)
        .await
        .unwrap_or(Err(Silence::Timeout(patience)))
}
