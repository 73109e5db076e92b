//! Asking a daemon whether it is ready.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    #[error("no connection: {0}")]
    Connection(#[from] std::io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("no request can be made: {0}")]
    Request(#[from] http::Error),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("no answer within {ANSWER:?}")]
    Timeout,
}

/// Asks on a connection of its own: that new ones are taken is part of the answer.
pub(crate) async fn ask(port: u16, path: &str, tls: &Arc<ClientConfig>) -> Result<(), Silence> {
    let asking = async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(tls.clone())
            .connect(name, stream)
            .await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path)
            .header("host", "127.0.0.1")
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request);
        tokio::select! {
            // The answer first: a server may close the connection with it.
            biased;
            answer = answer => match answer?.status() {
                status if status.is_success() => Ok(()),
                status => Err(Silence::Status(status)),
            },
            ended = connection => {
                ended?;
                Err(Silence::Timeout)
            }
        }
    };
    tokio::time::timeout(ANSWER, asking)
        .await
        .unwrap_or(Err(Silence::Timeout))
}
