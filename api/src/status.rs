//! Kubernetes' error body: `meta/v1.Status`, with the codes, reasons and texts that Kubernetes uses.
//!
//! Clients decide by `reason` (kubectl's `IsNotFound`, `IsConflict`, …), so the constructors here are the only way in
//! which the API server refuses something.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use crate::field::ErrorList;
use crate::problem::Foreign;

/// A refusal of the Kubernetes API, ready to be sent as a `Status` object.
///
/// A caller that gets one should show `message`; whether to retry follows from `code` (409, 429, 500, 503 and 504 may
/// pass, all others stay).
#[derive(Debug, Clone, PartialEq)]
pub struct ApiStatus {
    /// HTTP status code.
    pub code: u16,
    /// Kubernetes' machine-readable reason, e.g. `NotFound`.
    pub reason: &'static str,
    /// The sentence a person reads.
    pub message: String,
    /// `details` of the Status object (name, group, kind, causes, retryAfterSeconds), absent when `None`.
    pub details: Option<Box<Value>>,
}

impl std::fmt::Display for ApiStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiStatus {}

/// `resource.group`, as Kubernetes writes a group resource in messages: `pods`, `deployments.apps`.
fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    }
}

fn named_details(group: &str, resource: &str, name: &str) -> Option<Box<Value>> {
    let mut details = Map::new();
    if !name.is_empty() {
        details.insert("name".into(), name.into());
    }
    if !group.is_empty() {
        details.insert("group".into(), group.into());
    }
    if !resource.is_empty() {
        details.insert("kind".into(), resource.into());
    }
    Some(Box::new(Value::Object(details)))
}

impl ApiStatus {
    /// Any code and reason; prefer the named constructors.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    /// 404 for an object that does not exist.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        Self {
            details: named_details(group, resource, name),
            ..Self::new(
                404,
                "NotFound",
                format!("{} {name:?} not found", qualified(group, resource)),
            )
        }
    }

    /// 404 for a path that no resource serves.
    pub fn no_such_path() -> Self {
        Self {
            details: Some(Box::new(json!({}))),
            ..Self::new(
                404,
                "NotFound",
                "the server could not find the requested resource",
            )
        }
    }

    /// 409 for a create of a name that is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        Self {
            details: named_details(group, resource, name),
            ..Self::new(
                409,
                "AlreadyExists",
                format!("{} {name:?} already exists", qualified(group, resource)),
            )
        }
    }

    /// 409 for a write that is based on an old revision or a precondition that does not hold.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        Self {
            details: named_details(group, resource, name),
            ..Self::new(
                409,
                "Conflict",
                format!(
                    "Operation cannot be fulfilled on {} {name:?}: {why}",
                    qualified(group, resource)
                ),
            )
        }
    }

    /// 409 with the text Kubernetes uses for an optimistic-lock failure.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        Self::conflict(
            group,
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 422 with one cause per field error. `kind` is the object's kind, e.g. `Pod`.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &ErrorList) -> Self {
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| json!({"reason": e.kind.reason(), "message": e.body(), "field": e.path.to_string()}))
            .collect();
        let mut details = named_details(group, kind, name);
        if let Some(Value::Object(map)) = details.as_deref_mut() {
            map.insert("causes".into(), causes.into());
        }
        Self {
            details,
            ..Self::new(
                422,
                "Invalid",
                format!("{} {name:?} is invalid: {errors}", qualified(group, kind)),
            )
        }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 about an object (`name` may be empty); `why` follows Kubernetes' `X is forbidden: `.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let subject = if name.is_empty() {
            qualified(group, resource)
        } else {
            format!("{} {name:?}", qualified(group, resource))
        };
        Self {
            details: named_details(group, resource, name),
            ..Self::new(403, "Forbidden", format!("{subject} is forbidden: {why}"))
        }
    }

    /// 405 for a verb that the resource does not serve.
    pub fn method_not_allowed() -> Self {
        Self {
            details: Some(Box::new(json!({}))),
            ..Self::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        }
    }

    /// 406; `accepted` lists the media types that would do.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        Self::new(
            406,
            "NotAcceptable",
            format!(
                "only the following media types are accepted: {}",
                accepted.join(", ")
            ),
        )
    }

    /// 415; `accepted` lists the media types that would do.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// 410 for a watch or a `continue` token that is older than the history kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// 429; the client should come back after `retry_after_seconds`.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self {
            details: Some(Box::new(json!({"retryAfterSeconds": retry_after_seconds}))),
            ..Self::new(429, "TooManyRequests", message)
        }
    }

    /// 500.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let message = message.to_string();
        Self {
            details: Some(Box::new(json!({"causes": [{"message": message}]}))),
            ..Self::new(
                500,
                "InternalError",
                format!("Internal error occurred: {message}"),
            )
        }
    }

    /// 503; the server cannot do it now, retry later.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 504.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(504, "Timeout", message)
    }

    /// The seconds that a `Retry-After` header should carry, if any.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.details.as_deref()?.get("retryAfterSeconds")?.as_u64()
    }

    /// The `Status` object.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = (**details).clone();
        }
        status
    }
}

/// For parts that answer below the Kubernetes API.
impl IntoResponse for ApiStatus {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, self.to_value().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Foreign);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{FieldError, Path};

    #[test]
    fn texts_are_those_of_kubernetes() {
        assert_eq!(
            ApiStatus::not_found("apps", "deployments", "x").message,
            "deployments.apps \"x\" not found"
        );
        assert_eq!(
            ApiStatus::already_exists("", "pods", "x").message,
            "pods \"x\" already exists"
        );
        assert!(
            ApiStatus::modified("", "pods", "x")
                .message
                .starts_with("Operation cannot be fulfilled on pods \"x\": the")
        );
        let errors = ErrorList::from(vec![FieldError::required(
            Path::new("spec").child("containers"),
            "",
        )]);
        let status = ApiStatus::invalid("", "Pod", "x", &errors);
        assert_eq!(
            status.message,
            "Pod \"x\" is invalid: spec.containers: Required value"
        );
        assert_eq!(
            status.to_value()["details"]["causes"][0],
            json!({"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers"})
        );
    }
}
