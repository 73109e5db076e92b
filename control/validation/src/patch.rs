//! The three patch formats of the Kubernetes API besides apply. All work on whole objects and return a new one or an
//! error that says what the client did wrong; the object may be invalid afterwards: decode and validate it again.

use std::sync::LazyLock;

use serde_json::Value;

use crate::schema::Struct;

mod json;
mod lists;
mod order;
mod strategic;
mod strategies;
#[cfg(test)]
mod test;

pub use json::{COPY_MAX_BYTES, DEPTH_MAX, OPERATIONS_MAX};

/// Why a patch was refused.
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
/// See [`PatchError`]; a failed `test` is `Unprocessable`, more than [`OPERATIONS_MAX`] operations or more than
/// [`COPY_MAX_BYTES`] copied, a result deeper than [`DEPTH_MAX`] and patches that move long lists again and again are `TooLarge`.
pub fn json_patch(original: &Value, patch: &Value) -> Result<Value, PatchError> {
    json::apply(original, patch)
}

/// Applies a JSON merge patch (RFC 7386).
///
/// # Errors
/// A patch that is not an object is `Malformed`.
pub fn merge_patch(original: &Value, patch: &Value) -> Result<Value, PatchError> {
    object(patch)?;
    let mut result = original.clone();
    json_patch::merge(&mut result, patch);
    Ok(result)
}

/// Applies a strategic merge patch to an object of a built-in kind.
///
/// # Errors
/// Wrong types or directives are `Malformed`; directives that do not fit each other are `Unprocessable`; so is a kind without
/// strategies (custom resources), for which the API server should have answered 415.
pub fn strategic_merge_patch(
    original: &Value,
    patch: &Value,
    group: &str,
    version: &str,
    kind: &str,
) -> Result<Value, PatchError> {
    if (group, kind) == ("apiextensions.k8s.io", "CustomResourceDefinition") {
        return strategic::apply(original, object(patch)?, &DEFINITION);
    }
    let Some(rules) = crate::rules(group, version, kind) else {
        let kind = format!("{group}/{version}, Kind={kind}");
        return Err(PatchError::Unprocessable(format!(
            "strategic merge patch is not supported for {kind}"
        )));
    };
    strategic::apply(original, object(patch)?, rules.shape())
}

/// What a strategic patch needs to know of definitions: none of their lists merges but those of the metadata.
static DEFINITION: LazyLock<Struct> = LazyLock::new(|| {
    let metadata =
        crate::rules("", "v1", "ConfigMap").and_then(|rules| rules.shape().field("metadata"));
    let fields = metadata.map(|ty| ("metadata", ty.clone())).into_iter();
    Struct::new("CustomResourceDefinition", fields.collect())
});

fn object(patch: &Value) -> Result<&serde_json::Map<String, Value>, PatchError> {
    patch.as_object().ok_or_else(|| {
        let what = match patch {
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            _ => "null",
        };
        PatchError::Malformed(format!(
            "json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
        ))
    })
}
