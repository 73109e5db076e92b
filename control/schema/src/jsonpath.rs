//! The part of Kubernetes' JSONPath that printer columns, selectable fields and scale paths use.

use serde_json::Value;

/// Why a path cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(crate) String);

/// A parsed JSONPath, as `.spec.replicas` or `{.status.conditions[?(@.type=="Ready")].status}`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {}

impl JsonPath {
    /// Parses a path, with or without the braces around it.
    pub fn parse(_text: &str) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Everything in `value` that the path points at; missing keys give nothing.
    pub fn find<'a>(&self, _value: &'a Value) -> Result<Vec<&'a Value>, Error> {
        Ok(Vec::new())
    }
}

/// A path of names only (`.spec.replicas`), as scale subresources and selectable fields have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimplePath(Vec<String>);

impl SimplePath {
    /// Parses `.a.b.c`.
    pub fn parse(_text: &str) -> Result<Self, Error> {
        Ok(Self(Vec::new()))
    }

    /// The value at the path, if there is one.
    pub fn get<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |at, name| at.get(name))
    }

    /// Puts `new` at the path and makes the objects on the way; fails where something else than an object is in the way.
    pub fn set(&self, _value: &mut Value, _new: Value) -> Result<(), Error> {
        Ok(())
    }
}
