//! The error body of Minicloud's own APIs: RFC 9457 problem details with a `hint`.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// `application/problem+json`. `hint` is our extension member: what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A URI that names the kind of problem; `about:blank` when `title` says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP reason phrase or a short name of the problem.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// What is wrong this time, and where.
    pub detail: String,
    /// What to do next; empty when nothing can be said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// The request's id, to be found in the log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
}

/// A mark in a response's extensions: its body is another API's own error body, which goes to the caller as it is. Without it
/// the listener makes a [`Problem`] of an error that is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign;

impl Problem {
    /// A problem with the standard title of `status`.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            hint: String::new(),
            request_id: String::new(),
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        // The listener finds the problem here and adds the request's id.
        response.extensions_mut().insert(self);
        response
    }
}
