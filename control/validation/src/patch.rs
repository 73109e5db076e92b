//! The three patch formats of the Kubernetes API besides apply. All work on whole objects and return a new one or an
//! error that says what the client did wrong; the object may be invalid afterwards: decode and validate it again.

use serde_json::Value;

/// Why a patch was refused. `BadRequest`-like errors answer 400, `Unprocessable` 422, `TooLarge` 413.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: answer 400 BadRequest.
    #[error("{0}")]
    Malformed(String),
    /// The patch is well formed but cannot be applied to this object: answer 422 Invalid.
    #[error("{0}")]
    Unprocessable(String),
    /// The patch has too many operations or would make the object too large: answer 413 RequestEntityTooLarge.
    #[error("{0}")]
    TooLarge(String),
}

/// Applies a JSON patch (RFC 6902) given as the parsed body.
///
/// # Errors
/// See [`PatchError`]; a failed `test` is `Unprocessable`.
pub fn json_patch(_original: &Value, _patch: &Value) -> Result<Value, PatchError> {
    Err(PatchError::Malformed("unsupported".into()))
}

/// Applies a JSON merge patch (RFC 7386).
///
/// # Errors
/// A patch that is not an object is `Malformed`.
pub fn merge_patch(_original: &Value, _patch: &Value) -> Result<Value, PatchError> {
    Err(PatchError::Malformed("unsupported".into()))
}

/// Applies a strategic merge patch to an object of a built-in kind.
///
/// # Errors
/// Wrong types or directives are `Malformed`; a kind without strategies (custom resources) is `Malformed` too: the API server
/// should have answered 415.
pub fn strategic_merge_patch(_original: &Value, _patch: &Value, _group: &str, _version: &str, _kind: &str) -> Result<Value, PatchError> {
    Err(PatchError::Malformed("unsupported".into()))
}
