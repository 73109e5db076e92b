//! `/kubernetes/{path}`: the Kubernetes API for programs that a browser loaded from here, and so may ask nobody else.
//!
//! The caller's bearer token goes on, and nothing else that could stand for rights: no cookies, no certificate of ours, no
//! impersonation. The Kubernetes API authenticates and authorizes as on its own port. Because only a header that a page's own
//! script sets carries rights, another site's page cannot use them.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use http_body_util::BodyExt;
use minicloud_api::problem::{Foreign, Problem};
use minicloud_api::share::{Share, Shares};
use minicloud_api::user::UserInfo;

/// What of a request goes on. Hop-by-hop headers are none of these.
const UP: [HeaderName; 3] = [header::AUTHORIZATION, header::ACCEPT, header::CONTENT_TYPE];
/// What of an answer goes back.
const DOWN: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::RETRY_AFTER,
    header::WARNING,
];
/// The methods that go on.
const METHODS: [Method; 5] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];
/// Kubernetes' own limit for a request's body.
const MAX_BODY_BYTES: usize = 3 << 20;

/// Requests passed on at a time, streams among them. Each is a connection to the Kubernetes API, which takes so many from one
/// machine, and this one's own parts need some.
const MOST: usize = 256;
/// Of these, one user's. A tab has some ten open.
const MOST_OF_A_USER: usize = 64;

/// The way to the Kubernetes API.
#[derive(Clone)]
pub(crate) struct Proxy {
    nobody: kube::Client,
    all: Arc<Shares<()>>,
    users: Arc<Shares<String>>,
}

impl Proxy {
    pub(crate) fn new(nobody: kube::Client) -> Self {
        Self {
            nobody,
            all: Shares::new(MOST),
            users: Shares::new(MOST_OF_A_USER),
        }
    }

    /// A place among the open requests, kept until the answer's end.
    fn place(&self, user: &str) -> Result<(Share<()>, Share<String>), Box<Problem>> {
        let problem = |detail: String, hint: &str| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).hint(hint)
        };
        let own = self.users.take(user.to_owned()).ok_or_else(|| {
            problem(
                format!("{MOST_OF_A_USER} requests of {user:?} are open already"),
                "close some of the console's tabs, or use the Kubernetes API's own port (6443)",
            )
        })?;
        let place = self.all.take(()).ok_or_else(|| {
            let detail = format!("{MOST} requests to the Kubernetes API are open already");
            problem(detail, "try again in a moment")
        })?;
        Ok((place, own))
    }
}

/// Passes a request on, and streams the answer back.
pub(crate) async fn answer(
    State(proxy): State<Proxy>,
    Extension(user): Extension<UserInfo>,
    request: Request,
) -> Response {
    match forward(&proxy, &user, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn forward(proxy: &Proxy, user: &UserInfo, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let target = target(&head).map_err(|problem| *problem)?;
    let place = proxy.place(&user.username).map_err(|problem| *problem)?;
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is larger than {MAX_BODY_BYTES} bytes, or broke off"),
            )
            .hint("send less at a time")
        })?;
    let mut up = http::Request::new(kube::client::Body::from(body));
    *up.method_mut() = head.method;
    *up.uri_mut() = target;
    *up.headers_mut() = picked(&head.headers, &UP);
    let answer = proxy.nobody.send(up).await.map_err(away)?;
    let (head, body) = answer.into_parts();
    // The place is taken for as long as the body is read.
    let body = body.map_frame(move |frame| {
        let _held = &place;
        frame
    });
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = head.status;
    *response.headers_mut() = picked(&head.headers, &DOWN);
    response.extensions_mut().insert(Foreign);
    Ok(response)
}

/// Path and query on the Kubernetes API, when the request is one that goes on.
fn target(head: &http::request::Parts) -> Result<http::Uri, Box<Problem>> {
    if !METHODS.contains(&head.method) {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{} is not passed on to the Kubernetes API", head.method),
        )
        .hint("use GET, POST, PUT, PATCH or DELETE")
        .into());
    }
    if !head.headers.contains_key(header::AUTHORIZATION) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "a client certificate cannot be passed on to the Kubernetes API",
        )
        .hint("send a token as \"Authorization: Bearer TOKEN\", or use the certificate on the Kubernetes API's own port (6443)")
        .into());
    }
    let path = head
        .uri
        .path_and_query()
        .map(http::uri::PathAndQuery::as_str);
    path.and_then(|path| path.strip_prefix("/kubernetes"))
        .and_then(|path| path.parse().ok())
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the path cannot be passed on").into())
}

fn picked(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut picked = HeaderMap::new();
    for name in names {
        for value in headers.get_all(name) {
            picked.append(name, value.clone());
        }
    }
    picked
}

fn away(error: kube::Error) -> Problem {
    tracing::warn!(%error, "the Kubernetes API did not answer a request of the console");
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "the Kubernetes API did not answer",
    )
    .hint("try again in a moment; `kubectl get --raw /readyz` tells whether the Kubernetes API is well")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: Method, uri: &str, headers: &[(&str, &str)]) -> http::request::Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("request").into_parts().0
    }

    #[test]
    fn paths_go_on_as_they_are() {
        let bearer = [("authorization", "Bearer x")];
        for (method, uri, expected) in [
            (
                Method::GET,
                "/kubernetes/api/v1/pods?watch=1&fieldSelector=a%3Db",
                Ok("/api/v1/pods?watch=1&fieldSelector=a%3Db"),
            ),
            (Method::PATCH, "/kubernetes/apis/a%2Fb", Ok("/apis/a%2Fb")),
            (
                Method::GET,
                "/kubernetes//evil.example/api",
                Ok("//evil.example/api"),
            ),
            (Method::CONNECT, "/kubernetes/api", Err(405)),
            (Method::TRACE, "/kubernetes/api", Err(405)),
        ] {
            let found = target(&head(method, uri, &bearer));
            let found = found
                .as_ref()
                .map(|uri| uri.path_and_query().expect("path").as_str());
            assert_eq!(found.map_err(|p| p.status), expected, "{uri}");
        }
        // A path with two slashes is a path, not another host.
        let uri =
            target(&head(Method::GET, "/kubernetes//evil.example/api", &bearer)).expect("goes on");
        assert_eq!(uri.host(), None);
    }

    #[tokio::test]
    async fn nobody_takes_all_places() {
        let config = kube::Config::new("http://127.0.0.1:9".parse().expect("address"));
        let proxy = Proxy::new(kube::Client::try_from(config).expect("client"));
        let held: Vec<_> = (0..MOST_OF_A_USER)
            .map(|_| proxy.place("ann").expect("a place"))
            .collect();
        let refused = proxy.place("ann").expect_err("no place");
        assert_eq!(refused.status, 503);
        assert!(refused.detail.contains("\"ann\""), "{refused}");
        assert!(proxy.place("ben").is_ok());
        drop(held);
        assert!(proxy.place("ann").is_ok());
    }

    #[test]
    fn a_certificate_is_told_where_to_go() {
        let problem = target(&head(Method::GET, "/kubernetes/api", &[])).expect_err("no token");
        assert_eq!(problem.status, 401);
        assert!(problem.hint.contains("6443"), "{problem}");
    }

    #[test]
    fn nothing_but_the_token_stands_for_rights() {
        let head = head(
            Method::GET,
            "/kubernetes/api",
            &[
                ("authorization", "Bearer x"),
                ("accept", "application/json"),
                ("accept", "*/*"),
                ("cookie", "a=b"),
                ("impersonate-user", "root"),
                ("x-remote-user", "root"),
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("host", "evil.example"),
                ("x-forwarded-for", "1.2.3.4"),
            ],
        );
        let names: Vec<_> = picked(&head.headers, &UP)
            .iter()
            .map(|(n, v)| format!("{n}: {v:?}"))
            .collect();
        assert_eq!(
            names,
            [
                "authorization: \"Bearer x\"",
                "accept: \"application/json\"",
                "accept: \"*/*\""
            ]
        );
    }
}
