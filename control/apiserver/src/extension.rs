//! Groups that another server answers, as Kubernetes' aggregator does it: the caller is authenticated and authorized here, as for
//! any resource, then the request goes to that server with a certificate of our own.
//!
//! The one thing to know: what is passed on is the path that was authorized, written anew, not the one that came. Two readings of
//! one path would be a way around RBAC.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use minicloud_api::extension;
use minicloud_api::status::ApiStatus;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::config::Extension;
use crate::dispatch;
use crate::http::body::Body;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::path::{ResourceRequest, Verb};
use crate::registry::{Group, Snapshot};

/// How long a connection may take to be made, and how long it is kept for the next request.
const CONNECT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(30);
/// How long an answer may take to begin. Less than a request may take, so that the caller learns whose fault it was.
const ANSWER: Duration = Duration::from_secs(50);
/// How much is read of an answer that is a refusal and no Status.
const REFUSAL_BYTES: usize = 16 << 10;

/// What stands in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'*');

/// The servers behind the groups.
pub(crate) struct Extensions {
    servers: HashMap<&'static str, Server>,
}

struct Server {
    authority: Authority,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// True when the server behind a version lists the resources itself.
pub(crate) fn lists_itself(snapshot: &Snapshot, group: &str, version: &str) -> bool {
    let group = snapshot.group(group).filter(|g| g.extension);
    group.is_some_and(|g| {
        let mut versions = g.versions.iter();
        versions.any(|(v, rows)| v == version && rows.is_empty())
    })
}

impl Extensions {
    pub(crate) fn new(extensions: &[Extension]) -> Self {
        let servers = extensions.iter().map(|e| (e.group.name, Server::new(e)));
        Self {
            servers: servers.collect(),
        }
    }

    /// The resources of a version, from its server.
    pub(crate) async fn resources(
        &self,
        call: &Call,
        group: &str,
        version: &str,
    ) -> Result<Answer, ApiStatus> {
        let path = format!("{}/{version}", extension::path(group));
        self.pass_on(call, group, &path, Bytes::new()).await
    }

    /// A request for a resource of `group`, which the caller may do.
    pub(crate) async fn serve(
        &self,
        call: &Call,
        group: &Group,
        wanted: &ResourceRequest,
        body: Bytes,
    ) -> Result<Answer, ApiStatus> {
        let Some((_, rows)) = group.versions.iter().find(|(v, _)| *v == wanted.version) else {
            return Ok(respond::no_page());
        };
        // A namespace has no namespace. What lies below one by such a path is another's than the one that was authorized.
        if wanted.resource == "namespaces"
            && !wanted.namespace.is_empty()
            && (wanted.namespace != wanted.name || !wanted.subresource.is_empty())
        {
            return Err(ApiStatus::no_such_path());
        }
        if !rows.is_empty() {
            let row = rows.iter().find(|row| row.plural == wanted.resource);
            let row = row.ok_or_else(ApiStatus::no_such_path)?;
            dispatch::check_scope(row, wanted)?;
            if !row.serves(wanted.verb) {
                return Err(ApiStatus::method_not_allowed());
            }
        }
        // A stream has no end, and no place here that it would hold so long.
        if wanted.verb == Verb::Watch {
            return Err(ApiStatus::method_not_allowed());
        }
        self.pass_on(call, &group.name, &path(wanted), body).await
    }

    async fn pass_on(
        &self,
        call: &Call,
        group: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, ApiStatus> {
        let server = self.servers.get(group);
        let server = server.ok_or_else(ApiStatus::no_such_path)?;
        let uri = server
            .target(path, call.parts.uri.query())
            .ok_or_else(|| ApiStatus::bad_request("the request cannot be passed on"))?;
        let mut request = Request::new(Full::new(body));
        // The head of an answer is made of a whole one.
        if call.parts.method != Method::HEAD {
            call.parts.method.clone_into(request.method_mut());
        }
        *request.uri_mut() = uri;
        let names = [ACCEPT, CONTENT_TYPE, USER_AGENT];
        *request.headers_mut() = some(&call.parts.headers, names);
        let answer = tokio::time::timeout(ANSWER, server.http.request(request)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(away(group, &root(&error))),
            Err(_) => return Err(away(group, "it did not answer in time")),
        };
        pass_back(group, answer).await
    }
}

impl Server {
    fn new(extension: &Extension) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config((*extension.tls).clone())
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Self {
            authority: extension.authority.clone(),
            http: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .build(connector),
        }
    }

    fn target(&self, path: &str, query: Option<&str>) -> Option<Uri> {
        let path_and_query = match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        Uri::builder()
            .scheme("https")
            .authority(self.authority.clone())
            .path_and_query(PathAndQuery::try_from(path_and_query).ok()?)
            .build()
            .ok()
    }
}

/// The path of a request, written anew.
fn path(wanted: &ResourceRequest) -> String {
    let mut path = format!("{}/{}", extension::path(&wanted.group), wanted.version);
    let mut add = |segment: &str| {
        path.push('/');
        path.extend(utf8_percent_encode(segment, PLAIN));
    };
    // The request for a namespace itself names it once.
    if !wanted.namespace.is_empty() && wanted.resource != "namespaces" {
        add("namespaces");
        add(&wanted.namespace);
    }
    let rest = wanted.rest.split('/');
    [&wanted.resource, &wanted.name, &wanted.subresource]
        .into_iter()
        .map(String::as_str)
        .chain(rest)
        .filter(|segment| !segment.is_empty())
        .for_each(&mut add);
    path
}

fn some<const N: usize>(headers: &HeaderMap, names: [http::HeaderName; N]) -> HeaderMap {
    let mut out = HeaderMap::new();
    for name in names {
        if let Some(value) = headers.get(&name) {
            out.insert(name, value.clone());
        }
    }
    out
}

fn away(group: &str, why: &str) -> ApiStatus {
    tracing::debug!(group, why, "a group's server does not answer");
    ApiStatus::service_unavailable(format!(
        "the server is currently unable to handle the request: what answers for {group} is away: {why}"
    ))
}

/// What an error comes from in the end; the outer one only says that a request failed.
fn root(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

async fn pass_back(group: &str, answer: Response<Incoming>) -> Result<Answer, ApiStatus> {
    let (parts, incoming) = answer.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    if kind.is_some_and(|kind| kind.starts_with(b"application/problem+json")) {
        let body = Limited::new(incoming, REFUSAL_BYTES).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(refusal(group, parts.status.as_u16(), &body));
    }
    let mut passed = Response::new(Body::Incoming(incoming));
    *passed.status_mut() = parts.status;
    *passed.headers_mut() = some(&parts.headers, [CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER]);
    Ok(passed)
}

/// What a problem of port 3000 is in Kubernetes' words.
fn refusal(group: &str, code: u16, body: &[u8]) -> ApiStatus {
    #[derive(Deserialize, Default)]
    struct Problem {
        #[serde(default)]
        detail: String,
    }
    let Problem { detail } = serde_json::from_slice(body).unwrap_or_default();
    match code {
        400 => ApiStatus::bad_request(detail),
        404 => ApiStatus::no_such_path(),
        405 => ApiStatus::method_not_allowed(),
        413 => ApiStatus::too_large(detail),
        429 => ApiStatus::too_many_requests(detail, 1),
        // It is we who are not let in, or it is not well.
        401 | 403 | 502..=504 => away(group, &detail),
        _ => ApiStatus::internal(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{self, Target};
    use crate::query::Query;

    #[test]
    fn the_path_that_was_authorized_is_passed_on() {
        let check = |from: &str, to: &str| {
            let Ok(Target::Resource(wanted)) =
                path::parse(&Method::GET, from, &Query::read("").unwrap())
            else {
                panic!("{from} is no resource");
            };
            assert_eq!(super::path(&wanted), to, "{from}");
        };
        let base = "/apis/metrics.k8s.io/v1beta1";
        for same in [
            "/nodes",
            "/nodes/edge-1",
            "/namespaces/a/pods",
            "/namespaces/a/pods/p",
            "/namespaces/a/pods/*/http_requests",
            "/namespaces/a/deployments.apps/d/job:x",
            "/namespaces/a/metrics/m",
            "/namespaces/a",
            "/nodes/n/m/deeper/still",
        ] {
            let path = format!("{base}{same}");
            check(&path, &path);
        }
        for (from, to) in [
            ("/namespaces/a%2fpods%2Fp", "/namespaces/a/pods/p"),
            ("//nodes///edge-1/", "/nodes/edge-1"),
            ("/namespaces/a/pods/p%3Fx%23", "/namespaces/a/pods/p%3Fx%23"),
            ("/namespaces/a/pods/%252e", "/namespaces/a/pods/%252e"),
            ("/namespaces/a/pods/é", "/namespaces/a/pods/%C3%A9"),
        ] {
            check(&format!("{base}{from}"), &format!("{base}{to}"));
        }
    }

    #[test]
    fn problems_become_statuses() {
        let body = br#"{"type":"about:blank","status":503,"detail":"too many"}"#;
        for (code, reason, message) in [
            (
                503,
                "ServiceUnavailable",
                "the server is currently unable to handle the request: what answers for x.io is away: too many",
            ),
            (
                403,
                "ServiceUnavailable",
                "the server is currently unable to handle the request: what answers for x.io is away: too many",
            ),
            (
                404,
                "NotFound",
                "the server could not find the requested resource",
            ),
            (500, "InternalError", "Internal error occurred: too many"),
        ] {
            let status = refusal("x.io", code, body);
            assert_eq!(
                (status.reason, status.message.as_str()),
                (reason, message),
                "{code}"
            );
        }
        assert_eq!(refusal("x.io", 400, b"<html>").message, "");
    }
}
