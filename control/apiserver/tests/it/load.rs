//! Figures under load, printed. Not run by default: `cargo nextest run --release -p minicloud-apiserver --run-ignored only
//! --no-capture`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use minicloud_auth::pki;
use serde_json::json;
use tokio::net::TcpStream;

use crate::harness::{MAPS, Server};

const CLIENTS: usize = 32;
const OBJECTS: usize = 10_000;
const WATCHERS: usize = 100;

type Sender = SendRequest<Full<Bytes>>;

async fn connect(server: &Server) -> Sender {
    let identity = server.identity("admin", &["system:masters"]);
    let tls = pki::client_config(&server.pki.ca_pem(), Some(&identity), &["http/1.1"]).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let stream = tokio_rustls::TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(
    sender: &mut Sender,
    method: Method,
    path: &str,
    body: String,
) -> (u16, usize, Duration) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "x")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    sender.ready().await.unwrap();
    let began = Instant::now();
    let answer = sender.send_request(request).await.unwrap();
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (code, bytes.len(), began.elapsed())
}

fn object(i: usize) -> String {
    json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"name": format!("m{i}"), "labels": {"tenth": (i % 10).to_string()}},
        "data": {"a": "x".repeat(700)},
    })
    .to_string()
}

fn report(what: &str, mut times: Vec<Duration>, whole: Duration) {
    times.sort();
    let at = |p: f64| times[((times.len() - 1) as f64 * p) as usize];
    println!(
        "{what}: {} in {whole:.2?} = {:.0}/s, p50 {:.2?}, p99 {:.2?}",
        times.len(),
        times.len() as f64 / whole.as_secs_f64(),
        at(0.5),
        at(0.99)
    );
}

async fn many(
    server: &Server,
    what: &str,
    make: impl Fn(usize) -> (Method, String, String) + Clone + Send + 'static,
) {
    let mut senders = Vec::new();
    for _ in 0..CLIENTS {
        senders.push(connect(server).await);
    }
    let began = Instant::now();
    let tasks: Vec<_> = senders
        .into_iter()
        .enumerate()
        .map(|(n, mut sender)| {
            let make = make.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                for i in (n..OBJECTS).step_by(CLIENTS) {
                    let (method, path, body) = make(i);
                    let (code, _, took) = ask(&mut sender, method, &path, body).await;
                    assert!(code < 300, "{code}");
                    times.push(took);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    report(what, times, began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; of use in a release build only"]
async fn figures() {
    let server = Server::start().await;
    many(&server, "create", |i| {
        (Method::POST, MAPS.to_owned(), object(i))
    })
    .await;
    many(&server, "get", |i| {
        (Method::GET, format!("{MAPS}/m{i}"), String::new())
    })
    .await;
    let mut one = connect(&server).await;
    for (what, path) in [
        ("list", MAPS.to_owned()),
        ("list by label", format!("{MAPS}?labelSelector=tenth%3D3")),
        (
            "list by field",
            format!("{MAPS}?fieldSelector=metadata.name!%3Dm1"),
        ),
    ] {
        let mut times = Vec::new();
        let (began, mut size) = (Instant::now(), 0);
        for _ in 0..10 {
            let (code, bytes, took) = ask(&mut one, Method::GET, &path, String::new()).await;
            assert_eq!(code, 200);
            size = bytes;
            times.push(took);
        }
        report(&format!("{what} ({size} bytes)"), times, began.elapsed());
    }
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let mut sender = connect(&server).await;
        let path = format!(
            "{MAPS}?watch=1&timeoutSeconds=20&labelSelector=watched%3Dyes&resourceVersion=0"
        );
        let request = Request::builder()
            .uri(path)
            .header("host", "x")
            .body(Full::new(Bytes::new()))
            .unwrap();
        watchers.push((
            sender.send_request(request).await.unwrap().into_body(),
            sender,
        ));
    }
    let mut times = Vec::new();
    let began = Instant::now();
    for round in 0..20 {
        let body = json!({"metadata": {"name": format!("w{round}"), "labels": {"watched": "yes"}}, "data": {"a": "x".repeat(700)}});
        let sent = Instant::now();
        let (code, _, _) = ask(&mut one, Method::POST, MAPS, body.to_string()).await;
        assert_eq!(code, 201);
        let seen = futures::future::join_all(watchers.iter_mut().map(async |(body, _)| {
            body.frame().await.unwrap().unwrap();
            sent.elapsed()
        }));
        times.extend(seen.await);
    }
    report(
        "event to 100 watchers (with the write)",
        times,
        began.elapsed(),
    );
    server.stop().await;
}
