//! What Kubernetes 1.36 says about the objects of its built-in kinds: how they are decoded, defaulted, prepared and
//! validated, and how they are patched. Pure: JSON in, JSON or errors out.
//!
//! The one thing to know: objects stay [`serde_json::Value`]s throughout. The types of `k8s-openapi` are read once, when a
//! kind is first used, into a compact [`schema`]; decoding then walks the value in place. A typed round trip would cost
//! tens of microseconds and many allocations per write, and could not name the path of a mistake.

mod at;
mod json;
pub mod kinds;
pub mod patch;
pub mod schema;
mod seen;

pub use kinds::{KindRules, rules};
pub use schema::{DecodeError, Decoded};
