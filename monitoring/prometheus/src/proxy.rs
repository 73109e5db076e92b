//! `/prometheus` on port 3000: Prometheus' query API and `/federate`, for whoever may read the site's metrics.
//!
//! The one thing to know: only what is listed in [`SERVED`] is passed on. Prometheus can be ended, emptied and read whole by other
//! paths of the same port. The permission is on the path, as `nonResourceURLs` of a ClusterRole gives it; the role
//! `minicloud:monitoring-view` has all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use axum::{Extension, Router};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use http_body_util::BodyExt;
use minicloud_api::part::{Need, Part};
use minicloud_api::problem::{Foreign, Problem};
use minicloud_api::user::UserInfo;
use minicloud_prometheus_client::{CREDENTIALS, Prometheus, credentials};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where Prometheus' own paths begin.
const BASE: &str = "/prometheus";

/// What is passed on: path as axum has it, whether a form may be posted to it, and what it is.
const SERVED: &[(&str, bool, &str)] = &[
    (
        "/api/v1/query",
        true,
        "The value of an expression at one time",
    ),
    (
        "/api/v1/query_range",
        true,
        "The values of an expression over a range of time",
    ),
    (
        "/api/v1/query_exemplars",
        true,
        "Exemplars of an expression's series",
    ),
    ("/api/v1/format_query", true, "An expression, formatted"),
    ("/api/v1/series", true, "The series that match"),
    ("/api/v1/labels", true, "Names of labels"),
    ("/api/v1/label/{name}/values", false, "Values of a label"),
    (
        "/api/v1/metadata",
        false,
        "What metrics say about themselves",
    ),
    ("/api/v1/targets", false, "What is scraped"),
    (
        "/api/v1/targets/metadata",
        false,
        "What the metrics of targets say about themselves",
    ),
    ("/api/v1/rules", false, "Rules and their state"),
    ("/api/v1/alerts", false, "Alerts that are pending or firing"),
    ("/api/v1/alertmanagers", false, "Where alerts go"),
    ("/api/v1/status/buildinfo", false, "The version"),
    (
        "/api/v1/status/runtimeinfo",
        false,
        "Since when it runs, and how much it keeps",
    ),
    ("/api/v1/status/tsdb", false, "What the store is made of"),
    (
        "/federate",
        false,
        "Current values of the series that match, for another Prometheus",
    ),
];

/// Questions passed on at a time. Each is a connection to Prometheus, which takes 64: whoever does not read his answers must leave
/// room for others, and for the question whether it is well.
const MOST: usize = 48;
/// Of these, one user's.
const MOST_OF_A_USER: usize = 16;
/// How long one waits for a place.
const WAIT: Duration = Duration::from_secs(10);

/// What of a request Prometheus gets to see.
const ASKED: &[HeaderName] = &[
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
];
/// What of an answer the caller gets to see. Not its CORS headers: any page could read the answers then.
const ANSWERED: &[HeaderName] = &[
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::VARY,
];

/// The part.
pub fn part(prometheus: Prometheus) -> Part {
    let mut routes = Router::new();
    for (path, form, _) in SERVED {
        let methods: MethodRouter<Proxy> = if *form {
            get(pass_on).post(pass_on)
        } else {
            get(pass_on)
        };
        routes = routes.route(&format!("{BASE}{path}"), methods);
    }
    Part {
        name: "prometheus",
        routes: routes
            .route(BASE, any(not_served))
            .route(&format!("{BASE}/{{*rest}}"), any(not_served))
            .with_state(Proxy::new(prometheus)),
        permit: Arc::new(|head| need(&head.method, head.uri.path())),
        openapi: openapi(),
        metrics: Arc::new(String::new),
        run: None,
    }
}

/// The permission for a path: few different ones, so that a label's name does not make a permission of its own.
fn need(method: &Method, path: &str) -> Need {
    let verb = if *method == Method::POST {
        "post"
    } else {
        "get"
    };
    let below = path.strip_prefix(BASE).unwrap_or_default();
    let served = |path: &str| SERVED.iter().any(|(served, ..)| *served == path);
    let path = if served(below) {
        path.to_owned()
    } else if label_name(below).is_some() {
        format!("{BASE}/api/v1/label")
    } else {
        // It is not served, and says so to everybody who has credentials.
        return Need::Credentials;
    };
    Need::Path { verb, path }
}

fn label_name(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/api/v1/label/")?;
    let name = rest.strip_suffix("/values")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// The way to Prometheus.
#[derive(Clone)]
struct Proxy {
    prometheus: Prometheus,
    all: Arc<Semaphore>,
    /// Those of users who have a question open or wait for a place.
    users: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

/// A place among the open questions, of a user's and of all.
type Place = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Proxy {
    fn new(prometheus: Prometheus) -> Self {
        Self {
            prometheus,
            all: Arc::new(Semaphore::new(MOST)),
            users: Arc::default(),
        }
    }

    fn of_user(&self, user: &str) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = users.get(user).and_then(Weak::upgrade) {
            return known;
        }
        users.retain(|_, known| known.strong_count() > 0);
        let new = Arc::new(Semaphore::new(MOST_OF_A_USER));
        users.insert(user.to_owned(), Arc::downgrade(&new));
        new
    }

    /// Waits for a place: a dashboard asks dozens of questions at once.
    async fn place(&self, user: &str) -> Result<Place, Problem> {
        let turn = async {
            let own = self.of_user(user).acquire_owned().await.ok()?;
            Some((own, self.all.clone().acquire_owned().await.ok()?))
        };
        let place = tokio::time::timeout(WAIT, turn).await.ok().flatten();
        place.ok_or_else(|| {
            let detail = format!(
                "too many questions to Prometheus are open: {MOST} in all or {MOST_OF_A_USER} of {user:?}"
            );
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
                .hint("read the answers to their end, or try again in a moment")
        })
    }
}

async fn pass_on(
    State(proxy): State<Proxy>,
    Extension(user): Extension<UserInfo>,
    request: Request,
) -> Result<Response, Problem> {
    let place = proxy.place(&user.username).await?;
    let (head, body) = request.into_parts();
    let mut passed = Request::new(body);
    *passed.method_mut() = head.method;
    *passed.uri_mut() = below(&head.uri).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, format!("{} is no path", head.uri))
            .hint("escape what is not a letter or a digit")
    })?;
    *passed.headers_mut() = only(&head.headers, ASKED);
    let answer = proxy.prometheus.forward(passed).await?;
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE && !is_json(answer.headers()) {
        // While it starts it says so in plain text; a query that timed out comes as JSON.
        return Err(
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Prometheus is starting")
                .hint("try again in a moment; `minicloud status` shows how it is doing"),
        );
    }
    if credentials(answer.status()) {
        let detail = format!("Prometheus answers {}", answer.status());
        return Err(Problem::new(StatusCode::BAD_GATEWAY, detail).hint(CREDENTIALS));
    }
    if answer.status().is_redirection() {
        return Err(Problem::new(
            StatusCode::BAD_GATEWAY,
            format!("Prometheus answers {}", answer.status()),
        )
        .hint("look at what the setting --prometheus names: is there a path missing?"));
    }
    let (answered, body) = answer.into_parts();
    // The place is taken for as long as the answer is read.
    let body = body.map_frame(move |frame| {
        let _held = &place;
        frame
    });
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = answered.status;
    *response.headers_mut() = only(&answered.headers, ANSWERED);
    // Its clients read Prometheus' own error bodies.
    response.extensions_mut().insert(Foreign);
    Ok(response)
}

/// Path and query without our prefix.
fn below(uri: &Uri) -> Option<Uri> {
    uri.path_and_query()?
        .as_str()
        .strip_prefix(BASE)?
        .parse()
        .ok()
}

fn only(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let kept = names
        .iter()
        .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    kept.collect()
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

async fn not_served(rest: Option<Path<String>>) -> Response {
    let rest = rest.map_or(String::new(), |Path(rest)| rest);
    let paths: Vec<&str> = SERVED.iter().map(|(path, ..)| *path).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("{BASE}/{rest} is not served: only queries are passed on to Prometheus"),
    )
    .hint(format!("below {BASE} there are {}", paths.join(", ")))
    .into_response()
}

fn openapi() -> Value {
    let mut paths = Map::new();
    for (path, form, summary) in SERVED {
        let operation = |method: &str| {
            let id = path
                .trim_start_matches("/api/v1")
                .replace(['/', '{', '}'], "_");
            let mut operation = json!({
                "operationId": format!("prometheus_{method}{id}"),
                "summary": summary,
                "description": format!("As Prometheus' own HTTP API has it. Needs the permission to {method} the path (nonResourceURLs)."),
                "externalDocs": { "url": "https://prometheus.io/docs/prometheus/latest/querying/api/" },
                "responses": { "200": { "description": "Prometheus' answer" } },
            });
            if path.contains('{') {
                operation["parameters"] = json!([{ "name": "name", "in": "path", "required": true, "schema": { "type": "string" } }]);
            }
            operation
        };
        let mut methods = json!({ "get": operation("get") });
        if *form {
            methods["post"] = operation("post");
        }
        paths.insert(format!("{BASE}{path}"), methods);
    }
    json!({ "paths": paths })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_few_and_on_the_path() {
        let check = |method: Method, path: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map_or(Need::Credentials, |(verb, path)| Need::Path {
                verb: if verb == "get" { "get" } else { "post" },
                path: path.to_owned(),
            });
            assert_eq!(need(&method, path), expected, "{method} {path}");
        };
        check(
            Method::GET,
            "/prometheus/api/v1/query",
            Some(("get", "/prometheus/api/v1/query")),
        );
        check(
            Method::HEAD,
            "/prometheus/federate",
            Some(("get", "/prometheus/federate")),
        );
        check(
            Method::POST,
            "/prometheus/api/v1/labels",
            Some(("post", "/prometheus/api/v1/labels")),
        );
        let label = Some(("get", "/prometheus/api/v1/label"));
        check(Method::GET, "/prometheus/api/v1/label/job/values", label);
        check(Method::GET, "/prometheus/api/v1/label/a%2Fb/values", label);
        for path in [
            "/prometheus",
            "/prometheus/-/quit",
            "/prometheus/api/v1/admin/tsdb/delete_series",
            "/prometheus/api/v1/write",
            "/prometheus/api/v1/label/a/b/values",
            "/prometheus/api/v1/label//values",
            "/prometheus/api/v1/query/",
            "/prometheus/api/v1/status/config",
        ] {
            check(Method::POST, path, None);
        }
    }

    #[test]
    fn headers_and_prefix_stay_here() {
        let uri: Uri = "/prometheus/api/v1/query?query=up%7Ba%3D%22b%22%7D"
            .parse()
            .unwrap();
        assert_eq!(
            below(&uri).unwrap(),
            "/api/v1/query?query=up%7Ba%3D%22b%22%7D"
        );
        let headers: HeaderMap = [
            (header::AUTHORIZATION, "Bearer a"),
            (header::COOKIE, "a=b"),
            (header::ACCEPT, "*/*"),
        ]
        .map(|(name, value)| (name, value.parse().unwrap()))
        .into_iter()
        .collect();
        let kept = only(&headers, ASKED);
        assert_eq!(kept.len(), 1);
        assert!(kept.contains_key(header::ACCEPT));
    }
}
