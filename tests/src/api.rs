//! A bare client of the Kubernetes API: HTTP/1.1, kept alive, over TLS with the administrator's certificate.
//!
//! Benchmarks and tests under load use it instead of a Kubernetes client, so that what they see is the server and not a
//! client's queues, caches and retries: one [`Connection`] sends one request at a time and reports every failure.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the server is and who asks it.
#[derive(Debug, Clone)]
pub struct Credentials {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

impl Credentials {
    /// Those of a kubeconfig whose server is an address and whose user has a certificate.
    ///
    /// # Errors
    /// When the file is not of that kind.
    pub fn read(kubeconfig: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(kubeconfig)?;
        // The file is the server's own, one key in a line; a YAML parser would add nothing.
        let field = |name: &str| {
            let found = text.lines().find_map(|line| {
                let line = line.trim().trim_start_matches("- ");
                Some(line.strip_prefix(name)?.trim().trim_matches(['"', '\'']))
            });
            found.with_context(|| format!("{} has no {name}", kubeconfig.display()))
        };
        let url = field("server:")?;
        let address = url
            .strip_prefix("https://")
            .and_then(|a| a.parse().ok())
            .with_context(|| format!("{url:?} is not of the form https://ADDRESS:PORT"))?;
        let ca = decode(field("certificate-authority-data:")?)?;
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&ca) {
            roots.add(root?)?;
        }
        let certificate = decode(field("client-certificate-data:")?)?;
        let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&decode(field("client-key-data:")?)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        Ok(Self {
            address,
            tls: Arc::new(tls),
        })
    }

    /// The same user at another address that the certificate's `127.0.0.1` stands for.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When nobody answers, or it is somebody else.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let connect = async {
            let tcp = TcpStream::connect(self.address).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::from(self.address.ip());
            let tls = tokio_rustls::TlsConnector::from(self.tls.clone())
                .connect(name, tcp)
                .await?;
            let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
            tokio::spawn(connection);
            anyhow::Ok(Connection { sender })
        };
        tokio::time::timeout(PATIENCE, connect)
            .await
            .context("no connection in time")?
    }
}

fn decode(data: &str) -> anyhow::Result<Vec<u8>> {
    use base64::Engine;
    Ok(base64::engine::general_purpose::STANDARD.decode(data)?)
}

/// One connection; one request at a time.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<hyper::Response<Incoming>> {
        let kind = if method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "minicloud")
            .header("accept", "application/json")
            .header("content-type", kind)
            .body(Full::new(body))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection breaks: nobody knows then whether the request was carried out.
    pub async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let whole = async {
            let answer = self.send(method, path, body).await?;
            let status = answer.status();
            anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        tokio::time::timeout(PATIENCE, whole)
            .await
            .context("no answer in time")?
    }

    /// [`Connection::request`] for what must succeed.
    ///
    /// # Errors
    /// Also when the server refuses.
    pub async fn ok(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let (status, answer) = self.request(method.clone(), path, body).await?;
        ensure!(
            status.is_success(),
            "{method} {path}: {status} {:.300}",
            String::from_utf8_lossy(&answer)
        );
        Ok(answer)
    }

    /// Reads an object or a list.
    ///
    /// # Errors
    /// When the connection breaks or the server refuses.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let body = self.ok(Method::GET, path, Bytes::new()).await?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Creates an object in a collection.
    ///
    /// # Errors
    /// When the connection breaks or the server refuses.
    pub async fn create(&mut self, path: &str, object: &Value) -> anyhow::Result<Value> {
        let body = self
            .ok(Method::POST, path, object.to_string().into())
            .await?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Starts a watch, which takes the connection.
    ///
    /// # Errors
    /// When the connection breaks or the server refuses.
    pub async fn watch(mut self, path: &str) -> anyhow::Result<Watch> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        if !answer.status().is_success() {
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            bail!("watch {path}: {status} {}", String::from_utf8_lossy(&body));
        }
        Ok(Watch {
            body: answer.into_body(),
            buffer: BytesMut::new(),
            _connection: self,
        })
    }
}

/// The events of a watch, as lines of JSON.
#[derive(Debug)]
pub struct Watch {
    body: Incoming,
    buffer: BytesMut,
    _connection: Connection,
}

impl Watch {
    /// The next line, unparsed.
    ///
    /// # Errors
    /// When the watch ended.
    pub async fn line(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                return Ok(self.buffer.split_to(end + 1).freeze());
            }
            let frame = self.body.frame().await.context("the watch ended")??;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// When the watch ended.
    pub async fn event(&mut self) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.line().await?)?)
    }
}
