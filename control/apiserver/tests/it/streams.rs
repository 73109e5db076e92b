//! log and exec against an agent that this test plays.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use minicloud_auth::pki::{self, CertSpec, ServerNames, ServingCert};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
    Ok(switch)
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

    let tls = pki::client_config(
        &server.pki.ca_pem(),
        Some(&server.identity("admin", &["system:masters"])),
        &["http/1.1"],
    );
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::clone(&tls.unwrap()))
        .connect(name, stream)
        .await
        .unwrap();
    stream
        .write_all(
            b"POST /api/v1/namespaces/default/pods/p/exec?command=sh&stdin=true HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\n\
              upgrade: SPDY/3.1\r\nx-stream-protocol-version: v4.channel.k8s.io\r\ncontent-length: 0\r\n\r\n",
        )
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
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
