//! `pods/log`, `exec`, `attach` and `portforward`: passed on to the node agent, byte for byte both ways.
//!
//! The agent is reached at the address that its Node object names, and must show a certificate of the cluster's CA for that
//! node's name; it trusts our client certificate. Whatever a pod's node answers can hurt nobody but the one who asked.

mod target;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::header::{CONNECTION, HOST, HeaderName, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyDataStream, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use minicloud_api::status::ApiStatus;
use minicloud_auth::authz::Attributes;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::api::Api;
use crate::http::body::{Body, BodyError};
use crate::http::limits::Place;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::path::ResourceRequest;
use crate::registry::Resource;

/// How long the agent may take to be reached and to begin its answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) async fn serve(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Resource,
    wanted: &ResourceRequest,
    permit: Option<Place>,
) -> Result<Answer, ApiStatus> {
    // A WebSocket begins with GET, but what it does is what POST does.
    if wanted.subresource != "log" && call.parts.method != Method::POST {
        api.authorizer.require(
            &Attributes::resource(&call.user, "create", "", "pods")
                .subresource(&wanted.subresource)
                .in_namespace(&wanted.namespace)
                .named(&wanted.name),
        )?;
    }
    let pod = api.object(resource, &wanted.namespace, &wanted.name)?;
    let target = target::of(&pod, wanted, &call.query)?;
    let node_name = pod
        .pointer("/spec/nodeName")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if node_name.is_empty() && wanted.subresource == "log" {
        // Nothing has been said yet.
        return Ok(respond::no_content());
    }
    if node_name.is_empty() {
        return Err(ApiStatus::bad_request(format!(
            "pod {} does not have a host assigned",
            wanted.name
        )));
    }
    let node = api
        .find("", "nodes", "", node_name)
        .ok_or_else(|| ApiStatus::not_found("", "nodes", node_name))?;
    let (address, port) = target::endpoint(&node).ok_or_else(|| {
        ApiStatus::internal(format!(
            "node {node_name:?} has no address yet; its agent reports one when it runs"
        ))
    })?;
    let upgrade = call.parts.headers.contains_key(UPGRADE);
    if !upgrade && wanted.subresource != "log" {
        return Err(ApiStatus::bad_request("Upgrade request required"));
    }
    let (mut sender, connection) = connect(api, node_name, &address, port)
        .await
        .map_err(|e| ApiStatus::internal(format!("error dialing backend: {e}")))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a node agent ended early");
        }
    });
    let mut request = Request::new(Empty::<bytes::Bytes>::new());
    call.parts.method.clone_into(request.method_mut());
    *request.uri_mut() = target
        .parse()
        .map_err(|_| ApiStatus::bad_request("the request cannot be passed on to the node"))?;
    *request.headers_mut() = passed_on(&call.parts.headers, upgrade);
    if let Ok(host) = format!("{node_name}:{port}").parse() {
        request.headers_mut().insert(HOST, host);
    }
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request))
        .await
        .map_err(|_| ApiStatus::timeout("the node agent did not answer in time"))?
        .map_err(|e| ApiStatus::internal(format!("error talking to the node agent: {e}")))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS && upgrade {
        return Ok(join(call, answer, permit, api));
    }
    Ok(pass_back(answer, permit))
}

/// Joins the client's connection and the agent's once both have switched protocols.
fn join(
    call: &mut Call,
    mut answer: Response<Incoming>,
    permit: Option<Place>,
    api: &Api,
) -> Answer {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.extensions = std::mem::take(&mut call.parts.extensions);
    let client = hyper::upgrade::on(Request::from_parts(parts, ()));
    let agent = hyper::upgrade::on(&mut answer);
    let mut ending = api.ending();
    tokio::spawn(async move {
        let _permit = permit;
        let (client, agent) = match tokio::try_join!(client, agent) {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%error, "a stream to a pod could not be joined");
                return;
            }
        };
        let (mut client, mut agent) = (TokioIo::new(client), TokioIo::new(agent));
        tokio::select! {
            result = tokio::io::copy_bidirectional(&mut client, &mut agent) => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a stream to a pod broke off");
                }
            }
            _ = ending.wait_for(|ending| *ending) => {}
        }
    });
    let mut switched = Response::new(Body::empty());
    *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *switched.headers_mut() = std::mem::take(answer.headers_mut());
    switched
}

fn pass_back(answer: Response<Incoming>, permit: Option<Place>) -> Answer {
    let (parts, incoming) = answer.into_parts();
    let stream = BodyDataStream::new(incoming).map(move |piece| {
        let _held = &permit;
        piece.map_err(BodyError::from)
    });
    let mut passed = Response::new(Body::Stream(stream.boxed()));
    *passed.status_mut() = parts.status;
    for name in [http::header::CONTENT_TYPE, http::header::CACHE_CONTROL] {
        if let Some(value) = parts.headers.get(&name) {
            passed.headers_mut().insert(name, value.clone());
        }
    }
    passed
}

type Connection = hyper::client::conn::http1::Connection<
    TokioIo<tokio_rustls::client::TlsStream<TcpStream>>,
    Empty<bytes::Bytes>,
>;
type Sender = hyper::client::conn::http1::SendRequest<Empty<bytes::Bytes>>;

async fn connect(
    api: &Api,
    node: &str,
    address: &str,
    port: u16,
) -> Result<(Sender, Connection), BodyError> {
    let tls = api
        .config
        .agent_tls
        .clone()
        .ok_or("this server has no client certificate for node agents")?;
    let dial = async {
        let stream = TcpStream::connect((address, port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(node.to_owned())?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        Ok::<_, BodyError>(hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, dial)
        .await
        .map_err(|_| format!("dial tcp {address}:{port}: i/o timeout"))?
}

/// Hop-by-hop headers and credentials stay here; those of an upgrade go along.
fn passed_on(headers: &HeaderMap, upgrade: bool) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in headers {
        let goes = match name.as_str() {
            "connection" | "upgrade" => upgrade,
            name => {
                name.starts_with("sec-websocket-")
                    || name == "x-stream-protocol-version"
                    || name == "accept"
            }
        };
        if goes {
            out.append(HeaderName::clone(name), value.clone());
        }
    }
    if !upgrade {
        out.remove(CONNECTION);
    }
    out
}
