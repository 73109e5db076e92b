//! The pipeline that every request passes, in this order: id, path, budget, who, as whom, may they, what they want.
//!
//! Nothing behind it can take the server down: a panic becomes a 500, a request that takes too long a 504, and writes run in a
//! task of their own, so that a client that hangs up cannot leave one half done.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use http::header::HeaderName;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use minicloud_api::selector::FieldSelector;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::UserInfo;
use minicloud_auth::authz::Attributes;

use super::body::{self, Body};
use super::limits::{Lane, Place};
use super::respond::{self, Answer};
use crate::api::Api;
use crate::authn::Peer;
use crate::metrics::Labels;
use crate::path::{self, ResourceRequest, Target, Verb};
use crate::query::Query;
use crate::{authn, dispatch};

/// A request after authentication, as handlers see it.
pub struct Call {
    /// Method, URI, headers and the upgrade handle.
    pub parts: http::request::Parts,
    /// The query parameters.
    pub query: Query,
    /// Who asks (after impersonation).
    pub user: UserInfo,
    /// What to say in `Warning` headers.
    pub warnings: Vec<String>,
}

impl Call {
    /// Adds a warning; more than a hundred help nobody.
    pub fn warn(&mut self, text: impl Into<String>) {
        if self.warnings.len() < 100 {
            self.warnings.push(text.into());
        }
    }
}

static AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The longest path and query: with room for a script that `kubectl exec` passes as an argument. The HTTP library takes no more.
const URI_BYTES_MAX: usize = (64 << 10) - 2;

/// Answers one request.
pub async fn serve(api: Arc<Api>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
    let began = Instant::now();
    let id = request
        .headers()
        .get(&AUDIT_ID)
        .filter(|v| v.len() <= 64)
        .cloned()
        .unwrap_or_else(|| {
            HeaderValue::from_str(&uuid::Uuid::new_v4().to_string())
                .unwrap_or(HeaderValue::from_static("none"))
        });
    let head_only = request.method() == Method::HEAD;
    let indented =
        respond::wants_indented(request.uri().query().unwrap_or_default(), request.headers());
    let mut seen = Seen::default();
    let mut answer = match AssertUnwindSafe(handle(&api, &peer, request, &mut seen))
        .catch_unwind()
        .await
    {
        Ok(Ok(answer)) => answer,
        Ok(Err(refusal)) => respond::status(&refusal),
        Err(_) => {
            tracing::error!(
                path = seen.path,
                verb = seen.labels.verb(),
                "a request panicked; answered 500"
            );
            respond::status(&ApiStatus::internal(
                "the server failed to handle the request",
            ))
        }
    };
    answer.headers_mut().insert(AUDIT_ID.clone(), id);
    if indented {
        answer = respond::indent(answer);
    }
    if head_only {
        *answer.body_mut() = Body::empty();
    }
    let took = (!seen.long).then(|| began.elapsed());
    let code = answer.status().as_u16();
    api.metrics.request(&api.registry, &seen.labels, code, took);
    answer
}

/// What is known about a request for metrics and logs, filled in as it becomes known.
#[derive(Default)]
struct Seen {
    labels: Labels,
    path: String,
    long: bool,
}

async fn handle(
    api: &Arc<Api>,
    peer: &Peer,
    request: Request<Incoming>,
    seen: &mut Seen,
) -> Result<Answer, ApiStatus> {
    let (mut parts, incoming) = request.into_parts();
    let path = parts.uri.path();
    let query_text = parts.uri.query().unwrap_or_default();
    seen.labels = Labels::of_path(&parts.method, path);
    if path.len() + query_text.len() > URI_BYTES_MAX {
        return Err(ApiStatus::new(
            414,
            "RequestURITooLong",
            "the path of the request is too long",
        ));
    }
    path.clone_into(&mut seen.path);
    let query = Query::read(query_text)?;
    let target = path::parse(&parts.method, path, &query)?;
    if let Target::Other(path) = &target
        && let Some(answer) = crate::health::open(api, path, &parts.method, &query)
    {
        return Ok(answer);
    }
    let lane = lane(&target);
    seen.long = lane == Lane::Long;
    if let Target::Resource(r) = &target
        && let Some(row) = api.registry.get(&r.group, &r.version, &r.resource)
        && let Some(labels) = Labels::of_resource(&row, r, &parts.method, &query)
    {
        seen.labels = labels;
    }
    let mut permit = api.in_flight.enter(lane)?;
    let user = authn::authenticate(api, &mut parts.headers, peer)?;
    api.in_flight.count(&mut permit, lane, &user.username)?;
    let user = authn::impersonate(api, &parts.headers, user)?;
    authorize(api, &user, &target, &parts, &query)?;
    if seen.long {
        permit.gauge = Some(api.metrics.long_running(&api.registry, &seen.labels));
    }

    let mut call = Call {
        parts,
        query,
        user,
        warnings: Vec::new(),
    };
    match target {
        Target::Resource(wanted) => {
            let body = if wanted.verb.writes() && !dispatch::is_stream(&wanted) {
                let reading = body::read(incoming, api.config.limits.body_bytes);
                tokio::time::timeout(api.config.limits.request_timeout, reading)
                    .await
                    .map_err(|_| {
                        ApiStatus::timeout("the request's body did not arrive in time")
                    })??
            } else {
                Bytes::new()
            };
            let watched = Watched {
                lane,
                permit,
                sends: &peer.sends,
            };
            resource(api, call, *wanted, body, watched).await
        }
        other => {
            let answer = dispatch::other(api, &mut call, &other).await?;
            drop(permit);
            Ok(answer)
        }
    }
}

/// The place of a request, and where its answer is noted while it is sent.
struct Watched<'a> {
    lane: Lane,
    permit: Place,
    sends: &'a Arc<body::Sends>,
}

async fn resource(
    api: &Arc<Api>,
    mut call: Call,
    wanted: ResourceRequest,
    body: Bytes,
    Watched {
        lane,
        permit,
        sends,
    }: Watched<'_>,
) -> Result<Answer, ApiStatus> {
    if lane == Lane::Long {
        let mut answer = dispatch::resource(api, &mut call, &wanted, body, Some(permit)).await?;
        warn(&mut answer, &call);
        // The user of a log or a terminal may rest; a watcher that does must watch anew.
        return Ok(match wanted.verb {
            Verb::Watch => answer.map(|body| body.watched(sends, None)),
            _ => answer,
        });
    }
    let limit = api.config.limits.request_timeout;
    let work = {
        let api = Arc::clone(api);
        async move {
            let result = dispatch::resource(&api, &mut call, &wanted, body, None).await;
            let mut answer = result.unwrap_or_else(|refusal| respond::status(&refusal));
            warn(&mut answer, &call);
            answer
        }
    };
    let late = |_| ApiStatus::timeout("request did not complete within the allotted timeout");
    let answer = if lane == Lane::Write {
        let task = tokio::spawn(work);
        match tokio::time::timeout(limit, task).await.map_err(late)? {
            Ok(answer) => answer,
            Err(failed) => {
                tracing::error!(%failed, "a write panicked; answered 500");
                return Err(ApiStatus::internal(
                    "the server failed to handle the request",
                ));
            }
        }
    } else {
        tokio::time::timeout(limit, work).await.map_err(late)?
    };
    Ok(answer.map(|body| body.watched(sends, Some(permit))))
}

fn warn(answer: &mut Answer, call: &Call) {
    for value in call
        .warnings
        .iter()
        .filter_map(|text| respond::warning(text))
    {
        answer.headers_mut().append(http::header::WARNING, value);
    }
}

fn lane(target: &Target) -> Lane {
    match target {
        // A log that does not follow ends by itself, but only when the node says so.
        Target::Resource(r) if r.verb == Verb::Watch || dispatch::is_stream(r) => Lane::Long,
        Target::Resource(r) if r.verb.writes() => Lane::Write,
        _ => Lane::Read,
    }
}

fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "other",
    }
}

fn authorize(
    api: &Api,
    user: &UserInfo,
    target: &Target,
    parts: &http::request::Parts,
    query: &Query,
) -> Result<(), ApiStatus> {
    let raw_path;
    let field_selector;
    let mut terms: Vec<(&str, &str)> = Vec::new();
    let attributes = match target {
        Target::Resource(r) => {
            let mut name = r.name.as_str();
            if matches!(r.verb, Verb::List | Verb::Watch | Verb::DeleteCollection)
                && let Some(text) = query.non_empty("fieldSelector")
            {
                field_selector = FieldSelector::parse(text).unwrap_or_default();
                terms = field_selector
                    .terms
                    .iter()
                    .filter(|(_, _, equal)| *equal)
                    .map(|(field, value, _)| (field.as_str(), value.as_str()))
                    .collect();
                if name.is_empty() {
                    name = field_selector.required("metadata.name").unwrap_or_default();
                }
            }
            Attributes {
                api_version: &r.version,
                subresource: &r.subresource,
                namespace: &r.namespace,
                name,
                field_selector: &terms,
                ..Attributes::resource(user, r.verb.as_str(), &r.group, &r.resource)
            }
        }
        Target::Other(path) => Attributes::path(user, method_word(&parts.method), path),
        _ => {
            raw_path = parts.uri.path().trim_end_matches('/').to_owned();
            Attributes::path(user, method_word(&parts.method), &raw_path)
        }
    };
    api.authorizer.require(&attributes)
}

/// How long a watch lasts when the client does not say: between half an hour and an hour, as Kubernetes, so that watches that
/// began together do not end together.
pub fn watch_duration(seconds: Option<u64>) -> Duration {
    match seconds {
        Some(seconds) => Duration::from_secs(seconds.min(7 * 24 * 3600)),
        None => Duration::from_secs(1800 + u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * 7),
    }
}
