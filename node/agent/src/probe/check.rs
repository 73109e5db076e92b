//! Asks one question of a container: exec, httpGet, tcpSocket or grpc. The same for probes and lifecycle hooks. Know before changing:
//! an answer never takes longer than its timeout, and a body is read only as far as a message needs.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, Probe, TCPSocketAction,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{grpc, seconds};
use crate::pod;
use crate::runtime::{PodRuntime, RuntimeError};

/// Longest part of an answer that goes into a message.
const MESSAGE_BYTES: usize = 1024;

/// Where to ask.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) container_id: String,
    pub(crate) pod_ip: String,
}

/// Why a question was not answered well; goes into an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unhealthy {
    /// The container answered, and not well.
    Failed(String),
    /// It could not be asked (the container is gone, the runtime is down): says nothing about health.
    Unknown(String),
}

/// Asks a probe.
pub(crate) async fn probe(
    runtime: &dyn PodRuntime,
    container: &Container,
    probe: &Probe,
    target: &Target,
) -> Result<(), Unhealthy> {
    let timeout = seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1));
    if let Some(action) = &probe.exec {
        return exec(runtime, action, target, timeout).await;
    }
    let ask = async {
        if let Some(action) = &probe.http_get {
            http_get(container, action, target, "kube-probe/1.36").await
        } else if let Some(action) = &probe.tcp_socket {
            tcp(container, action, target).await
        } else if let Some(GRPCAction { port, service }) = &probe.grpc {
            grpc::check(
                &target.pod_ip,
                *port,
                service.as_deref().unwrap_or_default(),
            )
            .await
        } else {
            Err("the probe has no action".into())
        }
    };
    match tokio::time::timeout(timeout, ask).await {
        Ok(answer) => answer.map_err(Unhealthy::Failed),
        Err(_) => Err(Unhealthy::Failed(format!(
            "context deadline exceeded: no answer within {} s",
            timeout.as_secs()
        ))),
    }
}

/// Runs a lifecycle hook within `limit`.
pub(crate) async fn hook(
    runtime: &dyn PodRuntime,
    container: &Container,
    hook: &LifecycleHandler,
    target: &Target,
    limit: Duration,
) -> Result<(), String> {
    let words = |e| match e {
        Unhealthy::Failed(m) | Unhealthy::Unknown(m) => m,
    };
    if let Some(action) = &hook.exec {
        return exec(runtime, action, target, limit).await.map_err(words);
    }
    let run = async {
        if let Some(action) = &hook.http_get {
            http_get(container, action, target, "kube-lifecycle/1.36").await
        } else if let Some(sleep) = &hook.sleep {
            tokio::time::sleep(Duration::from_secs(
                u64::try_from(sleep.seconds).unwrap_or(0),
            ))
            .await;
            Ok(())
        } else {
            // tcpSocket is accepted by the API and has never done anything.
            Ok(())
        }
    };
    tokio::time::timeout(limit, run)
        .await
        .unwrap_or_else(|_| Err(format!("did not end within {} s", limit.as_secs())))
}

async fn exec(
    runtime: &dyn PodRuntime,
    action: &ExecAction,
    target: &Target,
    timeout: Duration,
) -> Result<(), Unhealthy> {
    let command = action.command.as_deref().unwrap_or_default();
    match runtime
        .exec_sync(&target.container_id, command, timeout)
        .await
    {
        Ok(output) if output.exit_code == 0 => Ok(()),
        Ok(output) => {
            let mut text = output.stdout;
            text.extend(output.stderr);
            text.truncate(MESSAGE_BYTES);
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            Err(Unhealthy::Failed(if text.is_empty() {
                format!("command exited with {}", output.exit_code)
            } else {
                text
            }))
        }
        Err(RuntimeError::Timeout(_)) => Err(Unhealthy::Failed(format!(
            "command {command:?} timed out after {} s",
            timeout.as_secs()
        ))),
        Err(RuntimeError::NotFound(m) | RuntimeError::Unavailable(m)) => Err(Unhealthy::Unknown(m)),
        Err(error) => Err(Unhealthy::Failed(error.to_string())),
    }
}

async fn tcp(
    container: &Container,
    action: &TCPSocketAction,
    target: &Target,
) -> Result<(), String> {
    let port = pod::port(container, &action.port)
        .ok_or("the probe's port is not one of the container's")?;
    let host = action
        .host
        .as_deref()
        .filter(|h| !h.is_empty())
        .unwrap_or(&target.pod_ip);
    dial(host, port).await.map(drop)
}

/// As people know it from elsewhere, and search for it.
fn refusal(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        _ => error.to_string(),
    }
}

pub(super) async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|e| format!("dial tcp {host}:{port}: {}", refusal(&e)))?;
    // A probe must not keep thousands of sockets waiting on the machine.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn http_get(
    container: &Container,
    action: &HTTPGetAction,
    target: &Target,
    agent: &str,
) -> Result<(), String> {
    let port = pod::port(container, &action.port)
        .ok_or("the probe's port is not one of the container's")?;
    let host = action
        .host
        .as_deref()
        .filter(|h| !h.is_empty())
        .unwrap_or(&target.pod_ip);
    let tls = action.scheme.as_deref() == Some("HTTPS");
    let path = action
        .path
        .as_deref()
        .filter(|p| !p.is_empty())
        .unwrap_or("/");
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let shown = format!(
        "{}://{}:{port}{path}",
        if tls { "https" } else { "http" },
        bracketed(host)
    );
    let stream = dial(host, port)
        .await
        .map_err(|e| format!("Get \"{shown}\": {e}"))?;
    let status = if tls {
        let name =
            rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
        let stream = unverified()
            .connect(name, stream)
            .await
            .map_err(|e| format!("Get \"{shown}\": {e}"))?;
        get(
            stream,
            action,
            &path,
            &format!("{}:{port}", bracketed(host)),
            agent,
        )
        .await
    } else {
        get(
            stream,
            action,
            &path,
            &format!("{}:{port}", bracketed(host)),
            agent,
        )
        .await
    };
    match status.map_err(|e| format!("Get \"{shown}\": {e}"))? {
        // A redirect counts as an answer: where it leads is not asked.
        200..=399 => Ok(()),
        status => Err(format!("HTTP probe failed with statuscode: {status}")),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.into()
    }
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    action: &HTTPGetAction,
    path: &str,
    authority: &str,
    agent: &str,
) -> Result<u16, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|e| e.to_string())?;
    let connection = AbortOnDrop(tokio::spawn(connection));
    let mut request = http::Request::get(path);
    let mut given = Vec::new();
    for header in action.http_headers.iter().flatten() {
        given.push(header.name.to_ascii_lowercase());
        request = request.header(&header.name, &header.value);
    }
    for (name, value) in [
        ("host", authority),
        ("user-agent", agent),
        ("accept", "*/*"),
        ("connection", "close"),
    ] {
        if !given.iter().any(|g| g == name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Empty::new()).map_err(|e| e.to_string())?;
    let mut response = sender
        .send_request(request)
        .await
        .map_err(|e| e.to_string())?;
    let mut read = 0;
    while let Some(Ok(frame)) = response.body_mut().frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > 10 * MESSAGE_BYTES {
            break;
        }
    }
    drop(connection);
    Ok(response.status().as_u16())
}

pub(super) struct AbortOnDrop<T>(pub(super) tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// TLS without verification: a probe asks whether something answers, not who it is (as in Kubernetes).
fn unverified() -> tokio_rustls::TlsConnector {
    static CONFIG: std::sync::LazyLock<Option<Arc<rustls::ClientConfig>>> =
        std::sync::LazyLock::new(|| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .ok()?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
                .with_no_client_auth();
            Some(Arc::new(config))
        });
    let config = CONFIG
        .clone()
        .expect("ring supports the default protocol versions");
    tokio_rustls::TlsConnector::from(config)
}

#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
