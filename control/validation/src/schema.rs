//! The shape of the built-in types, read from `k8s-openapi`, and the strict decoder that walks values by it.
//!
//! A type is probed once: its `Deserialize` implementation is driven by a deserializer that only records what it is asked
//! for ([`probe`]). The names of fields stay the static strings of `k8s-openapi`, so the whole table of all served kinds takes
//! well under 100 KB. Types are shared between kinds and never freed: there are as many as there are types in Kubernetes.

use std::sync::OnceLock;

mod decode;
mod probe;
#[cfg(test)]
mod test;

pub use decode::{DecodeError, Decoded, decode};
pub(crate) use probe::probe;

/// The type of a value.
#[derive(Debug, Clone)]
pub enum Ty {
    /// `bool`.
    Bool,
    /// `int32`.
    Int32,
    /// `int64`.
    Int64,
    /// `float64`.
    Float,
    /// `string`.
    Text,
    /// `[]byte`, base64 text in JSON.
    Bytes,
    /// `metav1.Time`: RFC 3339 with whole seconds.
    Time,
    /// `metav1.MicroTime`: RFC 3339 with microseconds.
    MicroTime,
    /// `resource.Quantity`.
    Quantity,
    /// `intstr.IntOrString`.
    IntOrString,
    /// Any JSON (`runtime.RawExtension`, managed fields).
    Any,
    /// A list of items of one type.
    List(Box<Ty>),
    /// A map from text to one type.
    Map(Box<Ty>),
    /// A structure.
    Struct(&'static Struct),
}

/// A structure type, named as in Go.
#[derive(Debug)]
pub struct Struct {
    /// Go's name, such as `PodSpec`.
    pub name: &'static str,
    fields: OnceLock<Vec<(&'static str, Ty)>>,
}

impl Struct {
    /// A structure of these fields, sorted by name.
    pub(crate) fn new(name: &'static str, fields: Vec<(&'static str, Ty)>) -> Self {
        Self {
            name,
            fields: OnceLock::from(fields),
        }
    }

    /// The type of a field, if there is such a field.
    pub fn field(&self, name: &str) -> Option<&Ty> {
        self.entry(name).map(|(_, ty)| ty)
    }

    fn entry(&self, name: &str) -> Option<&(&'static str, Ty)> {
        let fields = self.fields();
        fields
            .binary_search_by(|(field, _)| (*field).cmp(name))
            .ok()
            .and_then(|i| fields.get(i))
    }

    /// All fields by their JSON names, sorted.
    pub fn fields(&self) -> &[(&'static str, Ty)] {
        self.fields.get().map_or(&[], Vec::as_slice)
    }
}
