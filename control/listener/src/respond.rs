//! From a request to its answer: id, limits, authentication, the routes, and a problem body for whatever went wrong.
//!
//! Parts' handlers run inside [`handle`]; whatever they do (panic, hang, answer with plain text) comes out as a proper
//! answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use minicloud_api::part::{Need, Part};
use minicloud_api::problem::{Foreign, Problem};
use minicloud_api::user::UserInfo;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::Limits;
use crate::access::{Access, decide};
use crate::health::{self, Health};
use crate::metrics::Metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// An error body of a part that is no problem yet is read up to here for the problem's detail.
const MAX_DETAIL_BYTES: usize = 4096;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) access: Access,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Metrics,
    pub(crate) limits: Limits,
    pub(crate) in_flight: Semaphore,
    pub(crate) openapi: Vec<u8>,
    pub(crate) part_metrics: Vec<Arc<dyn Fn() -> String + Send + Sync>>,
}

/// The part that answered, for the metrics.
#[derive(Clone, Copy)]
struct AnsweredBy(&'static str);

/// The parts' routes, each behind its part's permission, and the listener's own.
pub(crate) fn router(shared: &Arc<Shared>, parts: Vec<Part>) -> Router {
    let own = |state: &Arc<Shared>| {
        let (live, ready) = (axum::routing::get(async || health::live()), state.clone());
        Router::new()
            .route("/livez", live)
            .route(
                "/readyz",
                axum::routing::get(async move |uri: http::Uri| {
                    health::ready(
                        &ready.health,
                        uri.query()
                            .is_some_and(|q| q.split('&').any(|p| p == "verbose")),
                    )
                }),
            )
            .route(
                "/openapi.json",
                axum::routing::get(openapi).with_state(state.clone()),
            )
            .route(
                "/metrics",
                axum::routing::get(metrics).with_state(state.clone()),
            )
    };
    let mut router = own(shared).fallback(not_found);
    for part in parts {
        if !part.routes.has_routes() {
            continue;
        }
        let (shared, name, permit) = (shared.clone(), part.name, part.permit);
        // `route_layer`: only a request that matches one of the part's routes asks for the part's permission.
        let guarded = part.routes.route_layer(axum::middleware::from_fn(
            move |request: axum::extract::Request, next: axum::middleware::Next| {
                let (shared, permit) = (shared.clone(), permit.clone());
                async move {
                    let (mut head, body) = request.into_parts();
                    let need = permit(&head);
                    let allowed = shared.access.require(head.extensions.get(), &need).await;
                    if need != Need::Credentials {
                        // The part has no use for them, so it cannot leak them.
                        head.headers.remove(header::AUTHORIZATION);
                    }
                    let mut response = match allowed {
                        Ok(()) => next.run(Request::from_parts(head, body)).await,
                        Err(problem) => problem.into_response(),
                    };
                    response.extensions_mut().insert(AnsweredBy(name));
                    response
                }
            },
        ));
        router = router.merge(guarded);
    }
    // The body limit is ours, below.
    router
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::extract::DefaultBodyLimit::disable())
}

async fn openapi(
    axum::extract::State(shared): axum::extract::State<Arc<Shared>>,
    user: Option<axum::Extension<UserInfo>>,
) -> Result<Response, Problem> {
    let need = Need::Credentials;
    shared.access.require(user.as_deref(), &need).await?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, shared.openapi.clone()).into_response())
}

async fn metrics(
    axum::extract::State(shared): axum::extract::State<Arc<Shared>>,
    user: Option<axum::Extension<UserInfo>>,
) -> Result<Response, Problem> {
    let need = Need::path("/metrics");
    shared.access.require(user.as_deref(), &need).await?;
    // A part may have to read files for them.
    let rendering = tokio::task::spawn_blocking(move || {
        shared
            .metrics
            .render(shared.part_metrics.iter().map(|part| &**part as _))
    });
    let text = rendering.await.map_err(|error| {
        tracing::error!(%error, "the metrics of a part broke off");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be collected",
        )
        .hint("the server's log says which part failed")
    })?;
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response())
}

/// Who has no credentials does not learn what is served.
fn stranger(user: Option<&UserInfo>) -> Option<Problem> {
    user.is_none()
        .then(|| decide::unauthorized("this path needs credentials"))
}

async fn not_found(user: Option<axum::Extension<UserInfo>>, uri: http::Uri) -> Problem {
    if let Some(refusal) = stranger(user.as_deref()) {
        return refusal;
    }
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("nothing is served at {}", uri.path()),
    )
    .hint("GET /openapi.json lists what is served; the Kubernetes API is on another port (6443)")
}

async fn wrong_method(
    user: Option<axum::Extension<UserInfo>>,
    method: http::Method,
    uri: http::Uri,
) -> Problem {
    if let Some(refusal) = stranger(user.as_deref()) {
        return refusal;
    }
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    )
    .hint("GET /openapi.json lists the methods of each path")
}

/// The id that a client gave, if it is one that a log can hold, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let fit = |id: &&HeaderValue| {
        (1..=64).contains(&id.len())
            && id
                .as_bytes()
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    headers
        .get(&REQUEST_ID)
        .filter(fit)
        .cloned()
        .unwrap_or_else(|| {
            HeaderValue::from_str(&uuid::Uuid::new_v4().to_string())
                .unwrap_or(HeaderValue::from_static("none"))
        })
}

/// Answers one request. `peer` is the certificate of the connection's other end, DER.
pub(crate) async fn handle<B>(
    shared: Arc<Shared>,
    router: Router,
    peer: Option<&[u8]>,
    request: Request<B>,
) -> Response
where
    B: http_body::Body<Data = axum::body::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let start = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let in_flight = shared.metrics.in_flight.enter();
    let response = match guard(&shared, router, peer, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    drop(in_flight);
    let response = finish(response, &id).await;
    let part = response
        .extensions()
        .get()
        .map_or("listener", |AnsweredBy(part)| *part);
    let (status, took) = (response.status(), start.elapsed());
    shared.metrics.answered(part, status.as_u16(), took);
    let id = id.to_str().unwrap_or_default();
    // That something behind us is away is told by whoever watches over it, once.
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        tracing::warn!(%method, path, status = status.as_u16(), request_id = id, "request failed");
    } else {
        tracing::debug!(%method, path, status = status.as_u16(), request_id = id, ms = took.as_millis() as u64, "request");
    }
    response
}

async fn guard<B>(
    shared: &Arc<Shared>,
    router: Router,
    peer: Option<&[u8]>,
    request: Request<B>,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = axum::body::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let busy = || {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are waiting for an answer",
        )
        .hint("try again in a second")
    };
    let _permit = shared.in_flight.try_acquire().map_err(|_| busy())?;
    let limit = shared.limits.max_body_bytes;
    if request.body().size_hint().lower() > limit as u64 {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {limit} bytes"),
        ));
    }
    let mut request = request.map(|body| Body::new(Limited::new(body, limit)));
    let answer = async {
        if !decide::is_anonymous(request.uri().path())
            && let Some(user) = authenticate(shared, peer, request.headers()).await?
        {
            request.extensions_mut().insert(user);
        }
        router
            .oneshot(request)
            .await
            .map_err(|never| match never {})
    };
    match tokio::time::timeout(
        shared.limits.answer_timeout,
        AssertUnwindSafe(answer).catch_unwind(),
    )
    .await
    {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the request ran into a bug of the server",
        )
        .hint("report it with the request's id and the server's log")),
        Err(_) => {
            let seconds = shared.limits.answer_timeout.as_secs();
            Err(Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("no answer within {seconds} s"),
            )
            .hint("ask for less at a time, or try again when the machine is less busy"))
        }
    }
}

/// Who calls; nobody when there are no credentials at all. What does not hold is refused, also where nothing is needed.
async fn authenticate(
    shared: &Shared,
    peer: Option<&[u8]>,
    headers: &HeaderMap,
) -> Result<Option<UserInfo>, Problem> {
    if let Some(der) = peer {
        let now = jiff::Timestamp::now().as_second();
        return decide::certificate_user(der, now).map(Some).ok_or_else(|| {
            decide::unauthorized(
                "the client certificate names no user or is not valid at this time",
            )
        });
    }
    let Some(header) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = header
        .to_str()
        .ok()
        .and_then(decide::bearer)
        .ok_or_else(|| {
            decide::unauthorized("the Authorization header is not of the form \"Bearer TOKEN\"")
        })?;
    shared.access.token_user(token).await.map(Some)
}

/// Adds the id, and turns errors that are no problems yet (axum's own rejections) into problems.
async fn finish(mut response: Response, id: &HeaderValue) -> Response {
    let status = response.status();
    let mut problem: Option<Problem> = response.extensions_mut().remove();
    let foreign = response.extensions_mut().remove::<Foreign>().is_some();
    if problem.is_none()
        && !foreign
        && (status.is_client_error() || status.is_server_error())
        && !is_problem(&response)
    {
        let by: Option<AnsweredBy> = response.extensions_mut().remove();
        let headers = std::mem::take(response.headers_mut());
        let body = Limited::new(response.into_body(), MAX_DETAIL_BYTES)
            .collect()
            .await;
        let detail = body
            .map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned())
            .unwrap_or_default();
        response = Response::new(Body::empty());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if let Some(by) = by {
            response.extensions_mut().insert(by);
        }
        problem = Some(Problem::new(status, detail));
    }
    if let Some(mut problem) = problem {
        problem.request_id = id.to_str().unwrap_or_default().to_owned();
        let (mut old, mut new) = (response.into_parts().0, problem.into_response());
        old.headers.remove(header::CONTENT_LENGTH);
        old.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        *new.headers_mut() = old.headers;
        *new.extensions_mut() = old.extensions;
        response = new;
    }
    let headers = response.headers_mut();
    match status {
        StatusCode::UNAUTHORIZED => {
            headers
                .entry(header::WWW_AUTHENTICATE)
                .or_insert(HeaderValue::from_static("Bearer realm=\"minicloud\""));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers
                .entry(header::RETRY_AFTER)
                .or_insert(HeaderValue::from_static("1"));
        }
        _ => {}
    }
    headers.insert(REQUEST_ID, id.clone());
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn is_problem(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"))
}
