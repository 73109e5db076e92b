//! exec, attach and port-forward: the client's upgraded connection is passed to the runtime's streaming server byte for byte, whatever
//! is spoken in it (SPDY or WebSocket). Know before changing: nothing of the protocol is understood here, and that is the point.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::TcpStream;

use super::{Refusal, Where, find_pod, query, truth};
use crate::pod;
use crate::runtime::{ContainerState, StreamIo, StreamRequest};
use crate::shared::Shared;

/// Longest wait for the runtime's streaming server.
const ANSWER: Duration = Duration::from_secs(30);
/// Most ports in one request.
const PORTS: usize = 64;

pub(super) async fn exec(
    State(shared): State<Arc<Shared>>,
    path: Where,
    request: Request,
) -> Result<Response, Refusal> {
    let params = query(&request);
    let command: Vec<String> = params
        .iter()
        .filter(|(k, _)| k == "command")
        .map(|(_, v)| v.clone())
        .collect();
    if command.is_empty() {
        return Err(Refusal::bad_request(
            "you must specify at least 1 command for the container",
        ));
    }
    let container_id = running(&shared, &path.0).await?;
    let io = io(&params)?;
    pass(
        &shared,
        StreamRequest::Exec {
            container_id,
            command,
            io,
        },
        request,
    )
    .await
}

pub(super) async fn attach(
    State(shared): State<Arc<Shared>>,
    path: Where,
    request: Request,
) -> Result<Response, Refusal> {
    let container_id = running(&shared, &path.0).await?;
    let io = io(&query(&request))?;
    pass(&shared, StreamRequest::Attach { container_id, io }, request).await
}

pub(super) async fn port_forward(
    State(shared): State<Arc<Shared>>,
    path: Where,
    request: Request,
) -> Result<Response, Refusal> {
    let pod = find_pod(&shared, &path.0)?;
    let mut ports = Vec::new();
    for (_, value) in query(&request)
        .iter()
        .filter(|(k, _)| k == "port" || k == "ports")
    {
        for port in value.split(',') {
            ports.push(
                port.parse::<u16>()
                    .ok()
                    .filter(|p| *p > 0)
                    .ok_or_else(|| Refusal::bad_request(format!("{port:?} is not a port")))?,
            );
        }
    }
    if ports.len() > PORTS {
        return Err(Refusal::bad_request(format!(
            "at most {PORTS} ports at once"
        )));
    }
    let observed = shared
        .runtime
        .pod(pod::uid(&pod))
        .await?
        .unwrap_or_default();
    let sandbox = observed
        .sandboxes
        .iter()
        .filter(|s| s.ready)
        .max_by_key(|s| s.attempt);
    let sandbox_id = sandbox
        .map(|s| s.id.clone())
        .ok_or_else(|| Refusal::bad_request(format!("pod {} is not running", pod::key(&pod))))?;
    pass(
        &shared,
        StreamRequest::PortForward { sandbox_id, ports },
        request,
    )
    .await
}

/// Which streams: the kubelet's own words, and those of the API.
fn io(params: &[(String, String)]) -> Result<StreamIo, Refusal> {
    let is = |names: [&str; 2]| {
        params
            .iter()
            .any(|(k, v)| names.contains(&k.as_str()) && truth(v))
    };
    let tty = is(["tty", "tty"]);
    let io = StreamIo {
        stdin: is(["input", "stdin"]),
        stdout: is(["output", "stdout"]),
        // A terminal has one output.
        stderr: is(["error", "stderr"]) && !tty,
        tty,
    };
    if !io.stdin && !io.stdout && !io.stderr {
        return Err(Refusal::bad_request(
            "you must specify at least 1 of stdin, stdout, stderr",
        ));
    }
    Ok(io)
}

async fn running(shared: &Shared, path: &HashMap<String, String>) -> Result<String, Refusal> {
    let pod = find_pod(shared, path)?;
    let name = path
        .get("container")
        .map(String::as_str)
        .unwrap_or_default();
    known(&pod, name)?;
    let observed = shared
        .runtime
        .pod(pod::uid(&pod))
        .await?
        .unwrap_or_default();
    let found = observed
        .containers
        .iter()
        .filter(|c| c.name == name && matches!(c.state, ContainerState::Running { .. }));
    let newest = found.max_by_key(|c| c.attempt);
    newest.map(|c| c.id.clone()).ok_or_else(|| {
        Refusal::not_found(format!(
            "container not found (\"{name}\"): it is not running"
        ))
    })
}

fn known(pod: &Pod, name: &str) -> Result<(), Refusal> {
    match pod::container(pod, name) {
        Some(_) => Ok(()),
        None => Err(Refusal::not_found(format!(
            "container {name} is not valid for pod {}",
            pod::name(pod)
        ))),
    }
}

/// Asks the runtime for the stream and joins the two connections.
async fn pass(
    shared: &Shared,
    stream: StreamRequest,
    mut request: Request,
) -> Result<Response, Refusal> {
    if !request.headers().contains_key(header::UPGRADE) {
        return Err(Refusal::bad_request(
            "this path needs a connection upgrade (SPDY/3.1 or websocket)",
        ));
    }
    let gateway = |e: String| {
        Refusal(
            StatusCode::BAD_GATEWAY,
            format!("the runtime's streaming server: {e}"),
        )
    };
    let url = shared.runtime.stream_url(&stream).await?;
    let target: http::Uri = url
        .parse()
        .map_err(|_| gateway(format!("{url:?} is not a URL")))?;
    let authority = target
        .authority()
        .cloned()
        .ok_or_else(|| gateway(format!("{url:?} has no address")))?;
    let address = (
        authority.host().trim_matches(['[', ']']).to_owned(),
        authority.port_u16().unwrap_or(80),
    );
    let socket = TcpStream::connect(address)
        .await
        .map_err(|e| gateway(e.to_string()))?;
    let _ = socket.set_nodelay(true);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(socket))
            .await
            .map_err(|e| gateway(e.to_string()))?;
    tokio::spawn(connection.with_upgrades());

    let path = target.path_and_query().map_or("/", |p| p.as_str());
    let mut onward = http::Request::builder().method(request.method()).uri(path);
    if let Some(headers) = onward.headers_mut() {
        *headers = kept(request.headers());
        let host = authority
            .as_str()
            .parse()
            .map_err(|_| gateway("its address is not a host".into()))?;
        headers.insert(header::HOST, host);
    }
    let onward = onward
        .body(Body::empty())
        .map_err(|e| gateway(e.to_string()))?;
    let answer = tokio::time::timeout(ANSWER, sender.send_request(onward)).await;
    let mut answer = answer
        .map_err(|_| gateway("no answer".into()))?
        .map_err(|e| gateway(e.to_string()))?;
    let status = answer.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let (parts, body) = answer.into_parts();
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = parts.status;
        if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, kind.clone());
        }
        return Ok(response);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = kept(answer.headers());
    let theirs = hyper::upgrade::on(&mut answer);
    let ours = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (Ok(theirs), Ok(ours)) = tokio::join!(theirs, ours) else {
            return;
        };
        let (mut theirs, mut ours) = (TokioIo::new(theirs), TokioIo::new(ours));
        // Whichever side ends, the other is told; errors are ends too.
        let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
    });
    Ok(response)
}

/// Headers that go along: the upgrade's own and the protocol's, no credentials.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        let text = name.as_str();
        let along = matches!(
            text,
            "connection"
                | "upgrade"
                | "x-stream-protocol-version"
                | "x-accepted-stream-protocol-versions"
                | "origin"
                | "user-agent"
        ) || text.starts_with("sec-websocket-");
        if along {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_streams() {
        let check = |text: &str, expect: Option<(bool, bool, bool, bool)>| {
            let params: Vec<(String, String)> = text
                .split('&')
                .filter_map(|p| p.split_once('='))
                .map(|(k, v)| (k.into(), v.into()))
                .collect();
            let found = io(&params)
                .ok()
                .map(|io| (io.stdin, io.stdout, io.stderr, io.tty));
            assert_eq!(found, expect, "{text}");
        };
        check("input=1&output=1&error=1", Some((true, true, true, false)));
        check(
            "input=1&output=1&error=1&tty=1",
            Some((true, true, false, true)),
        );
        check("stdout=true", Some((false, true, false, false)));
        check("tty=1", None);
        check("", None);
    }

    #[test]
    fn no_credentials_go_along() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("cookie", "y"),
            ("upgrade", "SPDY/3.1"),
            ("sec-websocket-key", "k"),
        ] {
            headers.insert(name, value.parse().expect("a value"));
        }
        let names: Vec<String> = kept(&headers)
            .keys()
            .map(|k| k.as_str().to_owned())
            .collect();
        assert_eq!(names.len(), 2);
        assert!(
            names.contains(&"upgrade".to_owned())
                && names.contains(&"sec-websocket-key".to_owned())
        );
    }
}
