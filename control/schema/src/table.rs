//! meta.k8s.io/v1 Table: what kubectl prints.

use jiff::Timestamp;
use serde_json::Value;

use crate::crd::PrinterColumn;

/// What each row carries in `object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// PartialObjectMetadata; the default.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// From the query parameter `includeObject`; `None` where it is not one of the three.
    pub fn from_query(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "None" => Some(Self::None),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

/// How to render.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What each row carries.
    pub include: IncludeObject,
    /// False for the second and later events of a watch, which carry no column definitions.
    pub headers: bool,
    /// The clock that ages are told by.
    pub now: Timestamp,
}

/// The columns of a kind.
#[derive(Debug, Clone)]
pub struct Columns {}

impl Columns {
    /// The columns of a built-in kind; NAME and AGE for kinds that have none of their own.
    pub fn builtin(_group: &str, _kind: &str) -> Self {
        Self {}
    }

    /// The columns of a custom resource: NAME, then the additional ones (AGE if there are none).
    pub fn custom(_columns: &[PrinterColumn]) -> Self {
        Self {}
    }

    /// A Table of a list: `list_meta` is the list's `metadata`.
    pub fn list<'a>(
        &self,
        _items: impl IntoIterator<Item = &'a Value>,
        _list_meta: &Value,
        _options: &Options,
    ) -> Value {
        Value::Null
    }

    /// A Table of one object (a get, or an event of a watch).
    pub fn object(&self, _object: &Value, _options: &Options) -> Value {
        Value::Null
    }
}
