//! The strict decoder: one walk over a value, in place.
//!
//! It leaves a value in the form that Go's encoder would give it: without unknown fields, nulls, and empty lists and maps where
//! `omitempty` drops them, with canonical quantities and timestamps. Rules and comparisons rely on that form.

use std::fmt::Write as _;

use jiff::Timestamp;
use minicloud_api::{meta, quantity::Quantity};
use serde_json::{Map, Value};

use super::{Struct, Ty};

/// A decoded object.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The object without unknown fields and nulls.
    pub value: Value,
    /// One message per unknown field, as Kubernetes' strict decoder says it: `unknown field "spec.foo"`.
    pub unknown: Vec<String>,
}

/// A field has the wrong type: answer 400. Its text is Go's: `json: cannot unmarshal string into Go struct field
/// DeploymentSpec.spec.replicas of type int32`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// The dotted path of the field, without indices (as Go names it).
    pub path: String,
    /// The whole message.
    pub message: String,
}

/// Kubernetes' decoder reports at most this many unknown fields.
const UNKNOWN_MAX: usize = 100;

/// Lists that Go writes even when they are empty (no `omitempty`).
const KEPT_EMPTY: [(&str, &str); 4] = [
    ("EndpointSlice", "endpoints"),
    ("Role", "rules"),
    ("ClusterRole", "rules"),
    ("PolicyRule", "verbs"),
];

/// Decodes an object of the structure type `shape`.
///
/// # Errors
/// The first field of a wrong type.
pub fn decode(mut value: Value, shape: &'static Struct) -> Result<Decoded, DecodeError> {
    let mut cx = Walk {
        trail: Vec::with_capacity(16),
        unknown: Vec::new(),
    };
    match &mut value {
        Value::Object(map) => cx.structure(map, shape)?,
        other => {
            let message = format!(
                "json: cannot unmarshal {} into Go value of type v1.{}",
                kind(other),
                shape.name
            );
            return Err(DecodeError {
                path: String::new(),
                message,
            });
        }
    }
    Ok(Decoded {
        value,
        unknown: cx.unknown,
    })
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

struct Walk {
    trail: Vec<Step<'static>>,
    unknown: Vec<String>,
}

impl Walk {
    fn structure(
        &mut self,
        map: &mut Map<String, Value>,
        shape: &'static Struct,
    ) -> Result<(), DecodeError> {
        let mut drop = false;
        for (name, value) in map.iter_mut() {
            let Some((field, ty)) = shape.entry(name) else {
                if self.unknown.len() < UNKNOWN_MAX {
                    self.unknown
                        .push(format!("unknown field {:?}", self.full_path(name)));
                }
                *value = Value::Null;
                drop = true;
                continue;
            };
            if value.is_null() {
                drop = true;
                continue;
            }
            self.trail.push(Step::Field(field));
            self.value(value, ty, shape)?;
            self.trail.pop();
            let empty = match (ty, &*value) {
                (Ty::List(_), Value::Array(items)) => {
                    items.is_empty() && !KEPT_EMPTY.contains(&(shape.name, *field))
                }
                (Ty::Map(_), Value::Object(entries)) => entries.is_empty(),
                _ => false,
            };
            if empty {
                *value = Value::Null;
                drop = true;
            }
        }
        if drop {
            map.retain(|_, value| !value.is_null());
        }
        Ok(())
    }

    fn value(
        &mut self,
        value: &mut Value,
        ty: &'static Ty,
        parent: &'static Struct,
    ) -> Result<(), DecodeError> {
        match (ty, &mut *value) {
            (Ty::Any, _)
            | (Ty::Bool, Value::Bool(_))
            | (Ty::Text, Value::String(_))
            | (Ty::Float, Value::Number(_))
            | (Ty::IntOrString, Value::String(_)) => Ok(()),
            (Ty::Int32 | Ty::IntOrString, Value::Number(n))
                if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
            {
                Ok(())
            }
            (Ty::Int64, Value::Number(n)) if n.is_i64() => Ok(()),
            (Ty::Struct(shape), Value::Object(map)) => self.structure(map, shape),
            (Ty::List(item), Value::Array(items)) => {
                for (i, each) in items.iter_mut().enumerate() {
                    if each.is_null() {
                        *each = zero(item);
                        continue;
                    }
                    self.trail.push(Step::Index(i));
                    self.value(each, item, parent)?;
                    self.trail.pop();
                }
                Ok(())
            }
            (Ty::Map(item), Value::Object(entries)) => self.entries(entries, item, parent),
            (Ty::Quantity, Value::String(text)) => {
                if let Some(canonical) = self.quantity(text)? {
                    *text = canonical;
                }
                Ok(())
            }
            (Ty::Quantity, Value::Number(n)) => {
                let text = n.to_string();
                *value = Value::String(self.quantity(&text)?.unwrap_or(text));
                Ok(())
            }
            (Ty::Time | Ty::MicroTime, Value::String(text)) => {
                self.time(text, matches!(ty, Ty::MicroTime))
            }
            (Ty::Bytes, Value::String(text)) => self.bytes(text),
            (_, other) => Err(self.mismatch(other, ty, parent)),
        }
    }

    /// Keys of maps are not part of Go's field paths. No served type has a map of structures, so no unknown field lies below one.
    fn entries(
        &mut self,
        entries: &mut Map<String, Value>,
        item: &'static Ty,
        parent: &'static Struct,
    ) -> Result<(), DecodeError> {
        for each in entries.values_mut() {
            if each.is_null() {
                *each = zero(item);
            } else {
                self.value(each, item, parent)?;
            }
        }
        Ok(())
    }

    /// The canonical form, if the text is not in it.
    fn quantity(&self, text: &str) -> Result<Option<String>, DecodeError> {
        // Small whole numbers without a leading zero are the common case and canonical as they are.
        let plain = !text.starts_with('0')
            && text.len() < 3
            && text.bytes().all(|b| b.is_ascii_digit())
            && !text.is_empty();
        if plain {
            return Ok(None);
        }
        let quantity: Quantity = text.parse().map_err(|e| self.broken(format!("{e}")))?;
        let canonical = quantity.to_string();
        Ok((canonical != text).then_some(canonical))
    }

    fn time(&self, text: &mut String, micro: bool) -> Result<(), DecodeError> {
        let at: Timestamp = text.parse().map_err(|_| {
            let layout = if micro {
                "2006-01-02T15:04:05.000000Z07:00"
            } else {
                "2006-01-02T15:04:05Z07:00"
            };
            self.broken(format!(
                "parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""
            ))
        })?;
        *text = if micro {
            meta::micro_time(at)
        } else {
            meta::time(at)
        };
        Ok(())
    }

    fn bytes(&self, text: &mut String) -> Result<(), DecodeError> {
        if text.contains(['\n', '\r']) {
            text.retain(|c| c != '\n' && c != '\r');
        }
        match base64_fault(text.as_bytes()) {
            None => Ok(()),
            Some(at) => Err(self.broken(format!("illegal base64 data at input byte {at}"))),
        }
    }

    fn mismatch(&self, value: &Value, ty: &Ty, parent: &Struct) -> DecodeError {
        let path = self.go_path();
        let what = match (ty, value) {
            (Ty::Int32 | Ty::Int64 | Ty::IntOrString, Value::Number(n)) => format!("number {n}"),
            _ => kind(value).to_owned(),
        };
        let message = format!(
            "json: cannot unmarshal {what} into Go struct field {}.{path} of type {}",
            parent.name,
            go_type(ty)
        );
        DecodeError { path, message }
    }

    /// An error of a type's own parser: Kubernetes does not say where; we do.
    fn broken(&self, what: String) -> DecodeError {
        let path = self.go_path();
        let message = format!("{what} (in field {path})");
        DecodeError { path, message }
    }

    fn go_path(&self) -> String {
        let mut path = String::new();
        for step in &self.trail {
            if let Step::Field(name) = step {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
        }
        path
    }

    fn full_path(&self, last: &str) -> String {
        let mut path = String::new();
        for step in self.trail.iter().copied().chain([Step::Field(last)]) {
            match step {
                Step::Index(i) => {
                    let _ = write!(path, "[{i}]");
                }
                Step::Field(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
            }
        }
        path
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_type(ty: &Ty) -> String {
    match ty {
        Ty::Bool => "bool".into(),
        Ty::Int32 => "int32".into(),
        Ty::Int64 => "int64".into(),
        Ty::Float => "float64".into(),
        Ty::Text => "string".into(),
        Ty::Bytes => "[]uint8".into(),
        Ty::Time => "v1.Time".into(),
        Ty::MicroTime => "v1.MicroTime".into(),
        Ty::Quantity => "resource.Quantity".into(),
        Ty::IntOrString => "intstr.IntOrString".into(),
        Ty::Any => "runtime.RawExtension".into(),
        Ty::List(item) => format!("[]{}", go_type(item)),
        Ty::Map(item) => format!("map[string]{}", go_type(item)),
        Ty::Struct(shape) => format!("v1.{}", shape.name),
    }
}

/// What Go makes of a null in a list or map.
fn zero(ty: &Ty) -> Value {
    match ty {
        Ty::Bool => false.into(),
        Ty::Int32 | Ty::Int64 | Ty::Float | Ty::IntOrString => 0.into(),
        Ty::Text | Ty::Bytes => "".into(),
        Ty::Quantity => "0".into(),
        Ty::Time | Ty::MicroTime | Ty::Any => Value::Null,
        Ty::List(_) => Value::Array(Vec::new()),
        Ty::Map(_) | Ty::Struct(_) => Value::Object(Map::new()),
    }
}

/// Where standard, padded base64 is broken, if it is. Nothing is decoded: a Secret may hold a mebibyte.
pub(super) fn base64_fault(text: &[u8]) -> Option<usize> {
    let body = text
        .iter()
        .rev()
        .take(2)
        .take_while(|b| **b == b'=')
        .count();
    let data = text.len() - body;
    let alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    if let Some(at) = text[..data].iter().position(|b| !alphabet(b)) {
        return Some(at);
    }
    // One character alone cannot hold a byte, and padding fills up the last group of four exactly.
    let broken = !text.len().is_multiple_of(4) || data % 4 == 1;
    broken.then(|| text.len() - text.len() % 4)
}
