//! The shape of the built-in types, read from `k8s-openapi`, and the strict decoder that walks values by it.

use serde_json::Value;

/// A decoded object.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The object without unknown fields and nulls.
    pub value: Value,
    /// One message per unknown field, as Kubernetes' strict decoder says it: `unknown field "spec.foo"`.
    pub unknown: Vec<String>,
}

/// A field has the wrong type. Its text is Go's: `json: cannot unmarshal string into Go struct field
/// DeploymentSpec.spec.replicas of type int32`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// The dotted path of the field, without indices (as Go names it).
    pub path: String,
    /// The whole message.
    pub message: String,
}
