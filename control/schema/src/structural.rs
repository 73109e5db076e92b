//! Structural schemas of CustomResourceDefinitions (apiextensions v1): compile, default, prune, validate.
//!
//! Compiling first checks the schema as it was written ([`shape`], [`rules`], [`openapi`]) and then keeps only what the
//! other three need ([`schema`]). The order of use for a request is Kubernetes': prune, default, validate.

mod change;
pub(crate) mod format;
pub(crate) mod meta;
mod openapi;
mod pattern;
pub(crate) mod raw;
mod rules;
mod schema;
mod shape;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;

use minicloud_api::field::{ErrorList, FieldError, Path};
use serde_json::Value;

use raw::Raw;
use schema::Node;

/// A compiled structural schema. Cheap to clone and to share.
#[derive(Debug, Clone)]
pub struct Structural {
    root: Arc<Node>,
}

impl Structural {
    /// Compiles `schema` (the value of `openAPIV3Schema`; `at` is where it stands, for messages).
    ///
    /// # Errors
    /// Everything that apiextensions v1 would refuse, and `x-kubernetes-validations`, which are not evaluated.
    pub fn compile(schema: &Value, at: &Path) -> Result<Self, ErrorList> {
        let mut errors = ErrorList::new();
        shape::check(schema, at, &mut errors);
        let Some(raw) = Raw::new(schema).filter(|_| errors.is_empty()) else {
            return Err(errors);
        };
        rules::check(raw, at, &mut errors);
        let structural = errors.is_empty();
        openapi::check(raw, at, &mut errors);
        let root = schema::Builder::default().node(schema);
        if structural {
            defaults_fit(&root, at, &mut errors);
        }
        errors.into_result().map(|()| Self {
            root: Arc::new(root),
        })
    }

    /// Fills in what the schema has defaults for, in place, and drops nulls where they are neither allowed nor defaulted.
    pub fn apply_defaults(&self, object: &mut Value) {
        change::default(&self.root, object);
    }

    /// Removes fields that the schema does not know; returns their paths (`spec.a.b[0].c`), sorted, as strict field
    /// validation names them.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut pruner = change::Pruner {
            removed: Vec::new(),
        };
        pruner.resource(&self.root, object, "");
        pruner.removed.sort_unstable();
        pruner.removed
    }

    /// What is wrong with `object`. Its `apiVersion`, `kind` and `metadata` are not looked at beyond their JSON types.
    pub fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        validate::value(&self.root, object, None, validate::At::Root, &mut errors);
        errors
    }

    /// As [`Structural::validate`], but what is the same in `old` is let pass (ratcheting, KEP-4008).
    pub fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        validate::value(&self.root, new, Some(old), validate::At::Root, &mut errors);
        errors
    }
}

/// Defaults must be valid and known themselves.
fn defaults_fit(node: &Node, at: &Path, errors: &mut ErrorList) {
    if let Some(default) = &node.default {
        let mut pruned = default.clone();
        let mut pruner = change::Pruner {
            removed: Vec::new(),
        };
        pruner.default_value(node, &mut pruned);
        let path = at.child("default");
        if pruner.removed.is_empty() {
            let mut found = ErrorList::new();
            validate::value(node, default, None, validate::At::Root, &mut found);
            for error in found {
                let below = error.path.as_str();
                let whole = match below {
                    "" => path.clone(),
                    list if list.starts_with('[') => Path::new(&format!("{path}{list}")),
                    name => path.child(name),
                };
                errors.push(FieldError {
                    path: whole,
                    ..error
                });
            }
        } else {
            errors.push(FieldError::invalid(
                path,
                default.clone(),
                "must not have unknown fields",
            ));
        }
    }
    if let Some(items) = &node.items {
        defaults_fit(items, &at.child("items"), errors);
    }
    for (name, property) in &node.properties {
        defaults_fit(property, &at.child("properties").key(name), errors);
    }
    if let Some(schema::Additional::Schema(child)) = &node.additional {
        defaults_fit(child, &at.child("additionalProperties"), errors);
    }
}
