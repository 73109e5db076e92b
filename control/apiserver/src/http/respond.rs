//! Answers: JSON, text and `Status` objects with the headers that Kubernetes sends.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use minicloud_api::status::ApiStatus;
use serde_json::Value;

use super::body::Body;

/// An answer of the API server.
pub type Answer = Response<Body>;

/// JSON that is already bytes.
pub fn json_bytes(code: u16, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// A JSON value.
pub fn json(code: u16, value: &Value) -> Answer {
    json_bytes(code, value.to_string())
}

/// Plain text.
pub fn text(code: u16, body: impl Into<Bytes>) -> Answer {
    let mut answer = json_bytes(code, body.into());
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

/// 204: there is nothing to say.
pub fn no_content() -> Answer {
    let mut answer = text(204, Bytes::new());
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

/// The answer of a path that nothing is behind, as Go's HTTP server says it.
pub fn no_page() -> Answer {
    text(404, "404 page not found\n")
}

/// A refusal.
pub fn status(status: &ApiStatus) -> Answer {
    let mut body = status.to_value();
    // An expired list says how to go on, and Kubernetes says that in the metadata.
    if let Some(token) = body
        .get_mut("details")
        .and_then(Value::as_object_mut)
        .and_then(|d| d.remove("continue"))
    {
        body["metadata"]["continue"] = token;
    }
    let mut answer = json(status.code, &body);
    if let Some(seconds) = status.retry_after_seconds() {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status.code == 401 {
        answer.headers_mut().insert(
            http::header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"minicloud\""),
        );
    }
    answer
}

/// A `Warning` header as RFC 7234 and Kubernetes write it; what cannot be in a header is left out.
pub fn warning(text: &str) -> Option<HeaderValue> {
    let quoted: String = text
        .chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            c => vec![c],
        })
        .collect();
    HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()).ok()
}

/// Whether JSON is to be indented: as the parameter `pretty` says, else when the one who asks is a person with a terminal or a
/// browser (`isPrettyPrint` of Kubernetes).
pub fn wants_indented(query: &str, headers: &HeaderMap) -> bool {
    let asked = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("pretty="))
        .filter(|value| !value.is_empty());
    if let Some(value) = asked {
        return matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
    }
    let agent = headers
        .get(USER_AGENT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"]
        .iter()
        .any(|prefix| agent.starts_with(prefix))
}

/// Indents an answer that is JSON.
pub fn indent(answer: Answer) -> Answer {
    let json = HeaderValue::from_static("application/json");
    if answer.headers().get(CONTENT_TYPE) == Some(&json) {
        answer.map(Body::indented)
    } else {
        answer
    }
}
