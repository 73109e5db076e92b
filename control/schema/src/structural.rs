//! Structural schemas of CustomResourceDefinitions (apiextensions v1): compile, default, prune, validate.

use std::sync::Arc;

use minicloud_api::field::{ErrorList, Path};
use serde_json::Value;

/// A compiled structural schema. Cheap to clone and to share.
#[derive(Debug, Clone)]
pub struct Structural {
    #[allow(dead_code)]
    root: Arc<Value>,
}

impl Structural {
    /// Compiles `schema` (the value of `openAPIV3Schema`, found at `at` for messages).
    pub fn compile(schema: &Value, _at: &Path) -> Result<Self, ErrorList> {
        Ok(Self { root: Arc::new(schema.clone()) })
    }

    /// Fills in what the schema has defaults for, in place.
    pub fn apply_defaults(&self, _object: &mut Value) {}

    /// Removes fields that the schema does not know; returns their paths, sorted, as strict field validation names them.
    pub fn prune(&self, _object: &mut Value) -> Vec<String> {
        Vec::new()
    }

    /// What is wrong with `object`.
    pub fn validate(&self, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    /// As `validate`, but what was wrong in `old` already and did not change is let pass (ratcheting, KEP-4008).
    pub fn validate_update(&self, new: &Value, _old: &Value) -> ErrorList {
        self.validate(new)
    }
}
