//! Clients that take more than their share, or take places without using them.

use std::time::Duration;

use http::Method;
use minicloud_apiserver::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::{MAPS, Server, call, eventually};

/// A connection of a user, or of nobody.
async fn connect(server: &Server, user: Option<&str>) -> TlsStream<TcpStream> {
    let identity = user.map(|user| server.identity(user, &["system:masters"]));
    let tls =
        minicloud_auth::pki::client_config(&server.pki.ca_pem(), identity.as_ref(), &["http/1.1"])
            .unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    tokio_rustls::TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .unwrap()
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// The status code of the next answer.
async fn code(stream: &mut TlsStream<TcpStream>) -> String {
    let mut begin = [0; 12];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut begin))
        .await
        .expect("an answer in time")
        .unwrap();
    String::from_utf8_lossy(&begin[9..]).into_owned()
}

async fn get(server: &Server, user: &str, path: &str) -> String {
    let mut stream = connect(server, Some(user)).await;
    ask(&mut stream, path).await;
    code(&mut stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_does_not_get_every_connection() {
    let server = Server::with(Limits {
        connections_per_client: 3,
        ..Limits::default()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    // The kernel accepts the fourth, the server closes it.
    let mut fourth = TcpStream::connect(server.address).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(5), fourth.read(&mut [0])).await;
    assert!(!matches!(end, Err(_) | Ok(Ok(1..))), "{end:?}");
    held.clear();
    eventually("a place", async || {
        let mut stream = TcpStream::connect(server.address).await.ok()?;
        let open = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0])).await;
        open.is_err().then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_stay() {
    let server = Server::with(Limits {
        handshake_timeout: Duration::from_millis(200),
        stranger_timeout: Duration::from_millis(600),
        ..Limits::default()
    })
    .await;
    let mut stranger = connect(&server, None).await;
    let mut known = connect(&server, Some("jane")).await;
    for stream in [&mut stranger, &mut known] {
        ask(stream, "/livez").await;
        assert_eq!(code(stream).await, "200");
    }
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stranger.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the connection is still open");
    ask(&mut known, "/livez").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_closed() {
    let server = Server::with(Limits {
        handshake_timeout: Duration::from_millis(200),
        stall_timeout: Duration::from_secs(1),
        reads_in_flight: 1,
        users_share: 1,
        ..Limits::default()
    })
    .await;
    let c = server.admin().await;
    let text = "x".repeat(900_000);
    for i in 0..16 {
        let map = json!({"metadata": {"name": format!("big-{i}")}, "data": {"a": text}});
        assert_eq!(call(&c, Method::POST, MAPS, &map).await.0, 201);
    }
    let mut lazy = connect(&server, Some("lazy")).await;
    ask(&mut lazy, MAPS).await;
    // The only place is taken until the answer is read, and free again when the lazy client is closed.
    let version = "/api/v1/namespaces/default";
    eventually("a list that is not read", async || {
        (get(&server, "jane", version).await == "429").then_some(())
    })
    .await;
    eventually("the place", async || {
        (get(&server, "jane", version).await == "200").then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_does_not_get_every_place() {
    let server = Server::with(Limits {
        long_running: 4,
        users_share: 2,
        ..Limits::default()
    })
    .await;
    let path = format!(
        "{MAPS}?watch=1&timeoutSeconds=60&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    );
    let mut held = Vec::new();
    for (user, expect) in [
        ("jane", "200"),
        ("jane", "200"),
        ("jane", "429"),
        ("joe", "200"),
    ] {
        let mut stream = connect(&server, Some(user)).await;
        ask(&mut stream, &path).await;
        assert_eq!(code(&mut stream).await, expect, "{user}");
        held.push(stream);
    }
    server.stop().await;
}
