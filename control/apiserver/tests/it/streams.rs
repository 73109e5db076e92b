//! log and exec against an agent that this test plays.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use minicloud_auth::pki::{self, CertSpec, Identity, ServerNames, ServingCert};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::harness::{Server, call, send};

const NODE: &str = "edge-1";

/// An agent that answers log requests with their own path and echoes what an exec sends. Returns its port.
async fn agent(server: &Server) -> u16 {
    let identity = server
        .pki
        .issue(
            &CertSpec::agent_server(NODE, &ServerNames::default()),
            Timestamp::now(),
        )
        .unwrap();
    let serving = ServingCert::new(&identity).unwrap();
    let tls = pki::server_config(serving, &server.pki.ca_pem(), true, &[]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(tls);
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .with_upgrades();
                let _ = connection.await;
            });
        }
    });
    port
}

async fn answer(
    mut request: Request<Incoming>,
) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let asked = request.uri().to_string();
    let protocols = request.headers().get("sec-websocket-protocol").cloned();
    if !asked.starts_with("/exec/") {
        return Ok(Response::new(Full::from(format!("log of {asked}\n"))));
    }
    tokio::spawn(async move {
        let mut stream = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
        let mut buffer = [0; 64];
        while let Ok(count) = stream.read(&mut buffer).await {
            if count == 0 || stream.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    });
    let mut switch = Response::new(Full::default());
    *switch.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    switch
        .headers_mut()
        .insert("connection", "Upgrade".parse().unwrap());
    switch
        .headers_mut()
        .insert("upgrade", "SPDY/3.1".parse().unwrap());
    switch
        .headers_mut()
        .insert("x-asked", asked.parse().unwrap());
    if let Some(protocols) = protocols {
        switch.headers_mut().insert("x-protocols", protocols);
    }
    Ok(switch)
}

/// A connection of an administrator with an upgrade request sent.
async fn stream_to(server: &Server, line: &str, headers: &str) -> TlsStream<TcpStream> {
    let admin = server.identity("admin", &["system:masters"]);
    stream_as(server, Some(&admin), line, headers).await
}

/// A connection of anybody with an upgrade request sent.
async fn stream_as(
    server: &Server,
    who: Option<&Identity>,
    line: &str,
    headers: &str,
) -> TlsStream<TcpStream> {
    let tls = pki::client_config(&server.pki.ca_pem(), who, &["http/1.1"]);
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::clone(&tls.unwrap()))
        .connect(name, stream)
        .await
        .unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The head of the answer.
async fn head(stream: &mut TlsStream<TcpStream>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn with_pod(server: &Server, c: &kube::Client, port: u16) {
    let account = json!({"metadata": {"name": "default"}});
    assert_eq!(
        call(
            c,
            Method::POST,
            "/api/v1/namespaces/default/serviceaccounts",
            &account
        )
        .await
        .0,
        201
    );
    let node = json!({"metadata": {"name": NODE}});
    assert_eq!(call(c, Method::POST, "/api/v1/nodes", &node).await.0, 201);
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
    let (code, answer) = call(
        c,
        Method::PATCH,
        &format!("/api/v1/nodes/{NODE}/status"),
        &status,
    )
    .await;
    assert_eq!(code, 200, "{answer}");
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": NODE, "containers": [{"name": "c", "image": "i"}]}});
    let (code, answer) = call(c, Method::POST, "/api/v1/namespaces/default/pods", &pod).await;
    assert_eq!(code, 201, "{answer}");
    let _ = server;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_exec_reach_the_agent() {
    let server = Server::start().await;
    let c = server.admin().await;
    let port = agent(&server).await;
    with_pod(&server, &c, port).await;
    let (code, _, log) = send(
        &c,
        Method::GET,
        "/api/v1/namespaces/default/pods/p/log?tailLines=3&follow=true",
        &[],
        "",
    )
    .await;
    assert_eq!(
        (code, log.as_str()),
        (
            200,
            "log of /containerLogs/default/p/c?follow=true&tailLines=3\n"
        )
    );
    let (code, refused) = call(
        &c,
        Method::POST,
        "/api/v1/namespaces/default/pods/p/exec?command=sh",
        &Value::Null,
    )
    .await;
    assert_eq!(code, 400, "{refused}");

    let mut stream = stream_to(
        &server,
        "POST /api/v1/namespaces/default/pods/p/exec?command=sh&stdin=true",
        "x-stream-protocol-version: v4.channel.k8s.io\r\ncontent-length: 0\r\n",
    )
    .await;
    let head = head(&mut stream).await;
    assert!(
        head.starts_with("HTTP/1.1 101 ")
            && head.contains("x-asked: /exec/default/p/c?command=sh&input=1"),
        "{head}"
    );
    for word in ["hello", "\u{0}\u{1}binary\u{ff}"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut echo = vec![0; word.len()];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, word.as_bytes());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_commands_arrive_whole() {
    let server = Server::start().await;
    let c = server.admin().await;
    let port = agent(&server).await;
    with_pod(&server, &c, port).await;
    let exec = "/api/v1/namespaces/default/pods/p/exec?stdin=true";
    // More arguments and a longer one than a query usually has.
    let many: String = (0..1000).map(|i| format!("&command=a{i}")).collect();
    let long = format!("&command={}", "x".repeat(60_000));
    for command in [&many, &long] {
        let mut stream = stream_to(&server, &format!("GET {exec}{command}"), "").await;
        let head = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head:.200}");
        // Dashes and underlines apart, the agent is asked with what the client wrote.
        assert!(
            head.contains(command.trim_start_matches('&')),
            "{head:.200}"
        );
    }
    // What does not fit is refused, not cut short.
    let too_many = "&c=".repeat(10_000);
    for (command, codes) in [
        (too_many, &["400"][..]),
        (format!("&command={}", "x".repeat(100_000)), &["414"]),
    ] {
        let mut stream = stream_to(&server, &format!("GET {exec}{command}"), "").await;
        let head = head(&mut stream).await;
        let code = head.split(' ').nth(1).unwrap();
        assert!(codes.contains(&code), "{head:.200}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_token_goes_no_further() {
    use base64::Engine as _;
    let server = Server::start().await;
    let c = server.admin().await;
    let port = agent(&server).await;
    with_pod(&server, &c, port).await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let (code, issued) = call(&c, Method::POST, accounts, &json!({"spec": {}})).await;
    assert_eq!(code, 201, "{issued}");
    let token = issued["status"]["token"].as_str().unwrap();
    let admins = json!({"metadata": {"name": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": "default"}]});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    assert_eq!(call(&c, Method::POST, bindings, &admins).await.0, 201);
    let coded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token);
    let exec = "GET /api/v1/namespaces/default/pods/p/exec?command=sh&stdin=true";
    let ask = async |protocols: &str| {
        let header = format!("sec-websocket-protocol: {protocols}\r\n");
        let mut stream = stream_as(&server, None, exec, &header).await;
        head(&mut stream).await
    };
    let bearer = format!("base64url.bearer.authorization.k8s.io.{coded}");
    let accepted = ask(&format!("v4.channel.k8s.io, {bearer}")).await;
    assert!(accepted.starts_with("HTTP/1.1 101 "), "{accepted}");
    assert!(
        accepted.contains("x-protocols: v4.channel.k8s.io\r\n"),
        "{accepted}"
    );
    assert!(!accepted.contains("bearer"), "{accepted}");
    for protocols in [
        "v4.channel.k8s.io".to_owned(),
        "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.!!".to_owned(),
        format!("v4.channel.k8s.io, {bearer}x"),
    ] {
        let refused = ask(&protocols).await;
        assert!(
            refused.starts_with("HTTP/1.1 401 "),
            "{protocols}: {refused}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_a_node_has_said_nothing() {
    let server = Server::start().await;
    let c = server.admin().await;
    let port = agent(&server).await;
    with_pod(&server, &c, port).await;
    let pods = "/api/v1/namespaces/default/pods";
    let waiting = json!({"metadata": {"name": "waiting"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(call(&c, Method::POST, pods, &waiting).await.0, 201);
    let (code, _, log) = send(&c, Method::GET, &format!("{pods}/waiting/log"), &[], "").await;
    assert_eq!((code, log.as_str()), (204, ""));
    let (code, refused) = call(
        &c,
        Method::POST,
        &format!("{pods}/waiting/exec?command=sh"),
        &Value::Null,
    )
    .await;
    assert_eq!(code, 400, "{refused}");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("does not have a host assigned"),
        "{refused}"
    );
    let (code, refused) = call(
        &c,
        Method::GET,
        &format!("{pods}/waiting/log?tailLines=-1"),
        &Value::Null,
    )
    .await;
    assert_eq!(
        (code, refused["message"].as_str()),
        (
            422,
            Some(
                "PodLogOptions \"waiting\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"
            )
        )
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_must_be_who_the_node_says() {
    let server = Server::start().await;
    let c = server.admin().await;
    // A listener that speaks no TLS of the cluster stands where the agent should be.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nstolen").await;
        }
    });
    with_pod(&server, &c, port).await;
    let (code, _, body) = send(
        &c,
        Method::GET,
        "/api/v1/namespaces/default/pods/p/log",
        &[],
        "",
    )
    .await;
    assert_eq!(code, 500);
    assert!(body.contains("error dialing backend"), "{body}");
    server.stop().await;
}
