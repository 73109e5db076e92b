//! The agent's HTTPS server, as the API server uses it.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::bench::Bench;

/// A connection to the agent as `name`, or as nobody.
async fn connect(bench: &Bench, name: Option<&str>) -> TlsStream<TcpStream> {
    let port = bench
        .until("a port", || {
            let node = bench.api.read("nodes", "node-1");
            node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64()
        })
        .await;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(bench.pki.ca_pem.as_bytes()).expect("a CA"))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match name {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let (certificate, key) = bench
                .pki
                .issue(name, rcgen::ExtendedKeyUsagePurpose::ClientAuth);
            let chain = vec![
                CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate"),
            ];
            builder
                .with_client_auth_cert(
                    chain,
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
                )
                .expect("credentials")
        }
    };
    let socket = TcpStream::connect(("127.0.0.1", u16::try_from(port).expect("a port")))
        .await
        .expect("connects");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector
        .connect(ServerName::try_from("localhost").expect("a name"), socket)
        .await
        .expect("TLS")
}

/// The whole answer to a GET.
async fn get(bench: &Bench, name: Option<&str>, path: &str) -> String {
    let mut stream = connect(bench, name).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut text = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text))
        .await
        .expect("in time");
    String::from_utf8_lossy(&text).into_owned()
}

const API: Option<&str> = Some("kube-apiserver");

#[tokio::test]
async fn only_the_api_server_may_enter() {
    let bench = Bench::new().await;
    let code = |text: &str| text.get(9..12).unwrap_or_default().to_owned();
    for (name, path, expect) in [
        (None, "/healthz", "200"),
        (None, "/pods", "401"),
        (None, "/containerLogs/n/p/c", "401"),
        (Some("somebody"), "/pods", "403"),
        (Some("somebody"), "/exec/n/p/c?command=id&output=1", "403"),
        (API, "/pods", "200"),
        (API, "/stats/summary", "200"),
        (API, "/containerLogs/n/none/c", "404"),
        (API, "/exec/n/none/c?command=id&output=1", "404"),
        (API, "/exec/n/none/c", "400"),
        (API, "/portForward/n/none", "404"),
        (API, "/nothing", "404"),
        (API, "/containerLogs/..%2f..%2fetc/p/c", "404"),
    ] {
        assert_eq!(
            code(&get(&bench, name, path).await),
            expect,
            "{name:?} {path}"
        );
    }
}

#[tokio::test]
async fn logs_are_read_and_followed() {
    let bench = Bench::new().await;
    bench
        .api
        .set_pod("p", json!({"containers": [{"name": "c"}]}));
    bench.ready("p").await;
    let log = bench.path("logs/n_p_u-p/c/0.log");
    let write = |text: &str| {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("opens");
        writeln!(file, "2026-01-02T03:04:05.000000000Z stdout F {text}").expect("writes");
    };
    write("one");
    write("two");
    let text = get(&bench, API, "/containerLogs/n/p/c?tailLines=1").await;
    assert!(text.contains("two\n") && !text.contains("one"), "{text}");
    let text = get(&bench, API, "/containerLogs/n/p/c?previous=true").await;
    assert!(
        text.contains("400") && text.contains("previous terminated container"),
        "{text}"
    );
    let text = get(&bench, API, "/containerLogs/n/p/x").await;
    assert!(text.contains("404"), "{text}");

    let mut stream = connect(&bench, API).await;
    let request =
        "GET /containerLogs/n/p/c?follow=true HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    let mut wrote = false;
    loop {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer))
            .await
            .expect("in time");
        let Ok(read @ 1..) = read else { break };
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if seen.contains("two") && !wrote {
            wrote = true;
            write("three");
        }
        if seen.contains("three") && bench.sim.running("p", "c").is_some() {
            bench.sim.exit("p", "c", 0);
        }
    }
    assert!(seen.contains("three\n"), "{seen}");
}

#[tokio::test]
async fn upgrades_are_passed_byte_for_byte() {
    let bench = Bench::new().await;
    bench
        .api
        .set_pod("p", json!({"containers": [{"name": "c"}]}));
    bench.ready("p").await;
    // The runtime's streaming server: answers the upgrade, then gives every byte back with one more.
    let server = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    bench.sim.state().stream_url = format!(
        "http://{}/exec/TOKEN",
        server.local_addr().expect("an address")
    );
    let serving = tokio::spawn(async move {
        let (mut socket, _) = server.accept().await.expect("a client");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.expect("a byte"));
        }
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\nx-stream-protocol-version: v4.channel.k8s.io\r\n\r\n";
        socket.write_all(answer.as_bytes()).await.expect("writes");
        while let Ok(byte) = socket.read_u8().await {
            socket.write_u8(byte.wrapping_add(1)).await.expect("writes");
        }
        String::from_utf8(head).expect("text")
    });
    let mut stream = connect(&bench, API).await;
    let request = "POST /exec/n/p/c?command=sh&input=1&output=1&tty=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\
        connection: Upgrade\r\nupgrade: SPDY/3.1\r\nx-stream-protocol-version: v4.channel.k8s.io\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(Duration::from_secs(20), stream.read_u8())
            .await
            .expect("in time");
        head.push(byte.expect("a byte"));
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    assert!(
        head.starts_with("http/1.1 101")
            && head.contains("upgrade: spdy/3.1")
            && head.contains("v4.channel.k8s.io"),
        "{head}"
    );
    let sent: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let (mut read, mut written) = tokio::io::split(stream);
    let outgoing = sent.clone();
    let writing = tokio::spawn(async move {
        written.write_all(&outgoing).await.expect("writes");
        written
    });
    let mut got = vec![0; sent.len()];
    tokio::time::timeout(Duration::from_secs(20), read.read_exact(&mut got))
        .await
        .expect("in time")
        .expect("reads");
    assert!(sent.iter().zip(&got).all(|(a, b)| a.wrapping_add(1) == *b));
    drop((read, writing.await.expect("writes")));
    let head = tokio::time::timeout(Duration::from_secs(20), serving)
        .await
        .expect("ends")
        .expect("serves");
    assert!(head.starts_with("POST /exec/TOKEN HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains("secret"), "no credentials go along");
    let text = get(&bench, API, "/exec/n/p/c?command=id&output=1").await;
    assert!(text.contains("400") && text.contains("upgrade"), "{text}");
}
