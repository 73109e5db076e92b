//! Reading a schema as it was written. A null counts as not given, as it does in Kubernetes.

use serde_json::{Map, Value};

/// A schema object.
#[derive(Clone, Copy)]
pub(crate) struct Raw<'a>(&'a Map<String, Value>);

impl<'a> Raw<'a> {
    pub(crate) fn new(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// The keyword's value, if it is given.
    pub(crate) fn get(self, keyword: &str) -> Option<&'a Value> {
        self.0.get(keyword).filter(|value| !value.is_null())
    }

    pub(crate) fn text(self, keyword: &str) -> &'a str {
        self.get(keyword)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(crate) fn kind(self) -> &'a str {
        self.text("type")
    }

    pub(crate) fn flag(self, keyword: &str) -> bool {
        self.get(keyword).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The schema below a keyword.
    pub(crate) fn sub(self, keyword: &str) -> Option<Self> {
        self.get(keyword).and_then(Self::new)
    }

    /// The schemas in the list of a keyword.
    pub(crate) fn list(self, keyword: &str) -> impl Iterator<Item = Self> {
        self.get(keyword)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Self::new)
    }

    /// The schemas in the map of a keyword.
    pub(crate) fn map(self, keyword: &str) -> impl Iterator<Item = (&'a str, Self)> {
        let map = self.get(keyword).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_str(), Self::new(value)?)))
    }

    /// Strings in the list of a keyword.
    pub(crate) fn texts(self, keyword: &str) -> impl Iterator<Item = &'a str> {
        self.get(keyword)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    pub(crate) fn property(self, name: &str) -> Option<Self> {
        self.sub("properties")
            .and_then(|all| all.0.get(name))
            .and_then(Self::new)
    }

    /// The keywords that are given.
    pub(crate) fn keywords(self) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, _)| name.as_str())
    }
}
