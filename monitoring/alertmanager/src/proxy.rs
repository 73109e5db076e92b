//! `/alertmanager` on port 3000: who is told of what, and silences, for `amtool`, Grafana and people.
//!
//! The one thing to know: only what is listed in [`SERVED`] is passed on. Alerts are Prometheus' to give: who could post them here could
//! make the site cry wolf. The permission is on the path, as `nonResourceURLs` of a ClusterRole give it: `minicloud:monitoring-view`
//! sees, `minicloud:alerts-silence` silences.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderName, Method, StatusCode, header};
use minicloud_api::part::{Need, Part};
use minicloud_api::problem::{Foreign, Problem};
use rustls::ClientConfig;
use serde_json::{Map, Value, json};

/// Where Alertmanager's own paths begin.
const BASE: &str = "/alertmanager";

/// The largest request and answer that are passed on, in bytes.
const MAX_REQUEST: usize = 64 << 10;
const MAX_ANSWER: usize = 16 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is passed on: method, path as axum has it, and what it is.
const SERVED: &[(Method, &str, &str)] = &[
    (
        Method::GET,
        "/api/v2/status",
        "The version, and the configuration without secrets",
    ),
    (
        Method::GET,
        "/api/v2/alerts",
        "Alerts, and whether they are silenced",
    ),
    (
        Method::GET,
        "/api/v2/alerts/groups",
        "Alerts by group, as messages have them",
    ),
    (Method::GET, "/api/v2/receivers", "Who can be told"),
    (Method::GET, "/api/v2/silences", "Silences"),
    (
        Method::POST,
        "/api/v2/silences",
        "Make a silence, or change one",
    ),
    (Method::GET, "/api/v2/silence/{id}", "One silence"),
    (Method::DELETE, "/api/v2/silence/{id}", "End a silence"),
];

/// What of a request Alertmanager gets to see, and the caller of an answer.
const HEADERS: &[HeaderName] = &[header::ACCEPT, header::CONTENT_TYPE];

/// Where requests go.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// The one that we run.
    Managed {
        /// Its port on 127.0.0.1.
        port: u16,
        /// How it is talked to.
        tls: Arc<ClientConfig>,
    },
    /// One that people can ask themselves.
    Elsewhere,
    /// None.
    Off,
}

/// The part.
pub fn part(upstream: Upstream) -> Part {
    Part {
        name: "alertmanager",
        routes: Router::new()
            .route(BASE, any(not_served))
            .route(&format!("{BASE}/{{*rest}}"), any(pass_on))
            .with_state(upstream),
        permit: Arc::new(|head| need(&head.method, head.uri.path())),
        openapi: openapi(),
        metrics: Arc::new(String::new),
        run: None,
    }
}

/// A path that is served, without the name of one silence.
fn served(method: &Method, below: &str) -> Option<String> {
    let method = if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let found = SERVED.iter().find(|(served, path, _)| {
        let same = match path.strip_suffix("{id}") {
            Some(start) => below.strip_prefix(start).is_some_and(is_id),
            None => below == *path,
        };
        served == method && same
    });
    found.map(|(_, path, _)| path.trim_end_matches("/{id}").to_owned())
}

/// A UUID, or what could be one: nothing that leads elsewhere.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn need(method: &Method, path: &str) -> Need {
    let below = path.strip_prefix(BASE).unwrap_or_default();
    match served(method, below) {
        Some(path) => Need::Path {
            verb: match *method {
                Method::POST => "post",
                Method::DELETE => "delete",
                _ => "get",
            },
            path: format!("{BASE}{path}"),
        },
        // It is not served, and says so to everybody who has credentials.
        None => Need::Credentials,
    }
}

async fn pass_on(State(upstream): State<Upstream>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let asked = head.uri.path_and_query().map_or("", |asked| asked.as_str());
    let below = asked.strip_prefix(BASE).unwrap_or_default();
    let path = below.split('?').next().unwrap_or_default();
    if served(&head.method, path).is_none() {
        return Err(unknown(&head.method, path));
    }
    let (port, tls) = match &upstream {
        Upstream::Managed { port, tls } => (*port, tls),
        Upstream::Elsewhere => {
            return Err(away("Alertmanager is elsewhere")
                .hint("ask the one that the setting --alertmanager names"));
        }
        Upstream::Off => {
            return Err(away("Alertmanager is switched off")
                .hint("--alertmanager managed has the server run one"));
        }
    };
    let body = to_bytes(body, MAX_REQUEST).await.map_err(|_| {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request is larger than {MAX_REQUEST} bytes"),
        )
        .hint("a silence needs less")
    })?;
    let mut passed = http::Request::new(body);
    *passed.method_mut() = head.method;
    *passed.uri_mut() = below.parse().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, format!("{below} is no path"))
            .hint("escape what is not a letter or a digit")
    })?;
    for name in HEADERS {
        if let Some(value) = head.headers.get(name) {
            passed.headers_mut().insert(name, value.clone());
        }
    }
    let answer = minicloud_daemon::send(port, passed, tls, MAX_ANSWER, PATIENCE).await;
    let answer: http::Response<Bytes> = answer.map_err(|error| {
        away(format!("Alertmanager is away: {error}"))
            .hint("try again in a moment; `minicloud status` shows what is wrong with Alertmanager")
    })?;
    let mut response = Response::new(Body::from(answer.body().clone()));
    *response.status_mut() = answer.status();
    if let Some(kind) = answer.headers().get(header::CONTENT_TYPE) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    // Its clients read its own error bodies.
    response.extensions_mut().insert(Foreign);
    Ok(response)
}

fn away(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.into())
}

fn unknown(method: &Method, path: &str) -> Problem {
    let served: Vec<String> = SERVED
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("{method} {BASE}{path} is not served"),
    )
    .hint(format!("below {BASE} there are {}", served.join(", ")))
}

async fn not_served(method: Method, rest: Option<Path<String>>) -> Response {
    let rest = rest.map_or(String::new(), |Path(rest)| format!("/{rest}"));
    unknown(&method, &rest).into_response()
}

fn openapi() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (method, path, summary) in SERVED {
        let method = method.as_str().to_ascii_lowercase();
        let id = path
            .trim_start_matches("/api/v2")
            .replace(['/', '{', '}'], "_");
        let mut operation = json!({
            "operationId": format!("alertmanager_{method}{id}"),
            "summary": summary,
            "description": format!("As Alertmanager's own API v2 has it. Needs the permission to {method} the path (nonResourceURLs)."),
            "externalDocs": { "url": "https://github.com/prometheus/alertmanager/blob/v0.25.0/api/v2/openapi.yaml" },
            "responses": { "200": { "description": "Alertmanager's answer" } },
        });
        if path.contains('{') {
            operation["parameters"] = json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }]);
        }
        let operations = paths
            .entry(format!("{BASE}{path}"))
            .or_insert_with(|| json!({}));
        operations[method] = operation;
    }
    json!({ "paths": paths })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_needs_a_permission_on_its_path() {
        let check = |method: Method, path: &str, expected: Option<(&str, &str)>| {
            let found = match need(&method, &format!("{BASE}{path}")) {
                Need::Path { verb, path } => Some((verb.to_owned(), path)),
                _ => None,
            };
            let expected = expected.map(|(verb, path)| (verb.to_owned(), format!("{BASE}{path}")));
            assert_eq!(found, expected, "{method} {path}");
        };
        check(
            Method::GET,
            "/api/v2/alerts",
            Some(("get", "/api/v2/alerts")),
        );
        check(
            Method::HEAD,
            "/api/v2/status",
            Some(("get", "/api/v2/status")),
        );
        check(
            Method::POST,
            "/api/v2/silences",
            Some(("post", "/api/v2/silences")),
        );
        let one = "/api/v2/silence/5b2b4ab1-0e42-4f8a-9f3a-0d2a1c9e4f7d";
        check(Method::GET, one, Some(("get", "/api/v2/silence")));
        check(Method::DELETE, one, Some(("delete", "/api/v2/silence")));
        for (method, path) in [
            (Method::POST, "/api/v2/alerts"),
            (Method::POST, "/-/reload"),
            (Method::GET, "/metrics"),
            (Method::GET, "/debug/pprof/heap"),
            (Method::DELETE, "/api/v2/silence/"),
            (Method::DELETE, "/api/v2/silence/a%2F..%2Fb"),
            (Method::DELETE, "/api/v2/silence/a/b"),
            (Method::PUT, "/api/v2/silences"),
            (Method::GET, ""),
        ] {
            check(method, path, None);
        }
    }
}
