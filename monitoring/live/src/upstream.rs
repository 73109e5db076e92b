//! The connection to one node: its lines, one after the other, or why there are none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::node::{HEARTBEAT, NodeLine, PATH};

/// How long a node may take to answer.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a node may say nothing, not even that it is there.
const SILENCE: Duration = HEARTBEAT.saturating_mul(3);
/// The longest line that is read.
const MAX_LINE: usize = 64 << 10;

/// Why a node does not tell how it is doing. Say so, and try again later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silent {
    #[error("{address} does not answer: {why}")]
    Connect { address: SocketAddr, why: String },
    #[error("{0} answers {1} to GET /v1/measurements; is that port Minicloud's?")]
    Refused(SocketAddr, StatusCode),
    #[error("nothing was heard for {} s", SILENCE.as_secs())]
    Hung,
    #[error("it ended the stream")]
    Ended,
    #[error("the stream broke off: {0}")]
    Broken(String),
    #[error("what it says is not understood: {0}")]
    Garbled(String),
}

/// An open stream of a node.
pub(crate) struct Upstream {
    body: Incoming,
    buffer: Vec<u8>,
    connection: JoinHandle<()>,
}

impl Upstream {
    /// Opens the stream of the node at `address`, whose certificate has to name that address.
    pub(crate) async fn open(
        address: SocketAddr,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<Self, Silent> {
        let connect = |why: String| Silent::Connect { address, why };
        let opened = async {
            let tcp = TcpStream::connect(address)
                .await
                .map_err(|error| connect(error.to_string()))?;
            let tls = tokio_rustls::TlsConnector::from(tls)
                .connect(ServerName::from(address.ip()), tcp)
                .await
                .map_err(|error| connect(error.to_string()))?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(tls))
                .await
                .map_err(|error| connect(error.to_string()))?;
            let connection = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%address, %error, "a node's stream ended");
                }
            });
            let request = Request::get(PATH)
                .header(header::HOST, address.to_string())
                .body(Body::empty())
                .map_err(|error| connect(error.to_string()))?;
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| connect(error.to_string()))?;
            if answer.status() != StatusCode::OK {
                return Err(Silent::Refused(address, answer.status()));
            }
            Ok(Self {
                body: answer.into_body(),
                buffer: Vec::new(),
                connection,
            })
        };
        timeout(CONNECT, opened)
            .await
            .unwrap_or_else(|_| Err(connect(format!("not within {} s", CONNECT.as_secs()))))
    }

    /// The next line that is not empty.
    pub(crate) async fn next(&mut self) -> Result<NodeLine, Silent> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.len() > 1 {
                    return serde_json::from_slice(&line)
                        .map_err(|error| Silent::Garbled(error.to_string()));
                }
            }
            if self.buffer.len() > MAX_LINE {
                let what = format!("a line of more than {MAX_LINE} bytes");
                return Err(Silent::Garbled(what));
            }
            let frame = timeout(SILENCE, self.body.frame())
                .await
                .map_err(|_| Silent::Hung)?
                .ok_or(Silent::Ended)?
                .map_err(|error| Silent::Broken(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
