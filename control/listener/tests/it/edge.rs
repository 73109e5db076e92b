//! What the listener does whatever the parts do: limits, bugs, hostile bytes, shutdown.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use minicloud_auth::pki;
use minicloud_listener::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Cluster, eventually, request};

#[tokio::test(flavor = "multi_thread")]
async fn limits_bugs_and_ids() {
    let limits = Limits {
        max_body_bytes: 1000,
        max_in_flight: 2,
        answer_timeout: Duration::from_secs(2),
        grace: Duration::from_secs(1),
        ..Limits::default()
    };
    let cluster = Cluster::with(limits).await;
    let root = cluster.root();
    // Request ids: the client's, if it is harmless.
    let given = cluster
        .send(
            Some(&root),
            request("GET", "/livez", "", &[("x-request-id", "abc-1.2_3")]),
        )
        .await;
    assert_eq!(given.header("x-request-id"), "abc-1.2_3");
    for bad in ["a b", "", "<x>", &"x".repeat(65)] {
        let made = cluster
            .send(
                Some(&root),
                request("GET", "/livez", "", &[("x-request-id", bad)]),
            )
            .await;
        assert_eq!(made.header("x-request-id").len(), 36, "{made:?}");
    }
    // Bodies.
    let echo = |size: usize| request("POST", "/v1/echo", &"x".repeat(size), &[]);
    assert_eq!(cluster.send(Some(&root), echo(1000)).await.body.len(), 1000);
    cluster
        .send(Some(&root), echo(1001))
        .await
        .is_problem(413, "larger than 1000 bytes");
    // What axum refuses in plain text comes out as a problem, too.
    let json = |body: &str| {
        request(
            "POST",
            "/v1/json",
            body,
            &[("content-type", "application/json")],
        )
    };
    cluster
        .send(Some(&root), json("{"))
        .await
        .is_problem(400, "Failed to parse");
    cluster
        .send(Some(&root), request("POST", "/v1/json", "{}", &[]))
        .await
        .is_problem(415, "Content-Type");
    let wrong = cluster
        .send(Some(&root), request("DELETE", "/v1/echo", "", &[]))
        .await;
    wrong.is_problem(405, "/v1/echo does not take DELETE");
    // A bug of a part is a 500, and the next request is served.
    cluster
        .get(Some(&root), "/v1/panic")
        .await
        .is_problem(500, "a bug of the server");
    assert_eq!(cluster.get(Some(&root), "/v1/whoami").await.status, 200);
    // Too slow, and too many.
    let slow = |_| cluster.get(Some(&root), "/v1/slow");
    let answers = futures::future::join_all((0..5).map(slow)).await;
    let count = |status: u16| answers.iter().filter(|a| a.status == status).count();
    assert_eq!((count(504), count(503)), (2, 3), "{answers:?}");
    let busy = answers.iter().find(|a| a.status == 503).unwrap();
    busy.is_problem(503, "too many requests");
    assert_eq!(busy.header("retry-after"), "1");
    // The part's background work failed once and was started again.
    assert!(cluster.starts.load(Ordering::SeqCst) >= 1);
    eventually("the second start", async || {
        cluster.starts.load(Ordering::SeqCst) == 2
            && cluster.get(None, "/readyz").await.status == 200
    })
    .await;
    let verbose = cluster.get(None, "/readyz?verbose").await;
    assert_eq!(verbose.body, "[+]test ok\nreadyz check passed\n");
    // HTTP/2 works the same.
    let answer = cluster
        .try_send(
            Some(&root),
            request("GET", "https://localhost/v1/whoami", "", &[]),
            &["h2"],
        )
        .await;
    assert_eq!(answer.unwrap().status, 200);
    cluster.stop().await;
}

/// Sends bytes over TLS and reads until the other side closes or a second of silence.
async fn raw(cluster: &Cluster, bytes: &[u8]) -> String {
    let tls = pki::client_config(&cluster.pki.ca_pem(), None, &["http/1.1"]).unwrap();
    let stream = TcpStream::connect(cluster.address).await.unwrap();
    let mut stream = TlsConnector::from(tls)
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    // The server may close while we are still sending.
    let _ = stream.write_all(bytes).await;
    let mut out = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut out)).await;
    String::from_utf8_lossy(&out).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bytes() {
    let limits = Limits {
        head_timeout: Duration::from_millis(700),
        idle_timeout: Duration::from_secs(2),
        grace: Duration::from_secs(1),
        ..Limits::default()
    };
    let cluster = Cluster::with(limits).await;
    let long = format!(
        "GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(100_000)
    );
    let many = format!(
        "GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "a: b\r\n".repeat(1000)
    );
    for bytes in [
        "\0\u{1}\u{2}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        &long,
        &many,
    ] {
        let answer = raw(&cluster, bytes.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    for path in [
        "/v1/%00",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//",
        "/v1/web/maps/%ff",
        "/livez/../v1/whoami",
    ] {
        let answer = raw(
            &cluster,
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
    // A head that never ends is cut off, and so is a handshake that never begins.
    let start = Instant::now();
    let answer = raw(&cluster, b"GET /livez HTTP/1.1\r\nhost: x\r\n").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    let mut silent = TcpStream::connect(cluster.address).await.unwrap();
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(5), silent.read(&mut byte)).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    // After the handshake, silence.
    for alpn in ["h2", "http/1.1"] {
        let tls = pki::client_config(&cluster.pki.ca_pem(), None, &[alpn]).unwrap();
        let stream = TcpStream::connect(cluster.address).await.unwrap();
        let mut stream = TlsConnector::from(tls)
            .connect("localhost".try_into().unwrap(), stream)
            .await
            .unwrap();
        let mut out = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut out)).await;
        assert!(read.is_ok(), "{alpn}: still open");
    }
    // Plain HTTP on the TLS port.
    let mut plain = TcpStream::connect(cluster.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut out = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), plain.read_to_end(&mut out)).await;
    assert!(!out.starts_with(b"HTTP"));
    assert_eq!(cluster.get(None, "/livez").await.status, 200);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_answers_but_not_for_ever() {
    let cluster = Cluster::with(Limits {
        grace: Duration::from_secs(1),
        ..Limits::default()
    })
    .await;
    // An idle connection does not hold it up.
    let tls = pki::client_config(&cluster.pki.ca_pem(), None, &["http/1.1"]).unwrap();
    let stream = TcpStream::connect(cluster.address).await.unwrap();
    let _idle = TlsConnector::from(tls)
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    let address = cluster.address;
    let took = cluster.stop().await;
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the port is free"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_does_not_get_every_connection() {
    let cluster = Cluster::with(Limits {
        max_connections_per_client: 2,
        ..Limits::default()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(TcpStream::connect(cluster.address).await.unwrap());
    }
    // The kernel accepts the third, the listener closes it.
    let mut third = TcpStream::connect(cluster.address).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(5), third.read(&mut [0])).await;
    assert!(!matches!(end, Err(_) | Ok(Ok(1..))), "{end:?}");
    held.clear();
    eventually("a place", async || {
        let mut stream = TcpStream::connect(cluster.address).await.unwrap();
        let read = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0])).await;
        read.is_err()
    })
    .await;
    cluster.stop().await;
}
