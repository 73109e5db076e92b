//! Short access to JSON that was decoded: a missing field reads as its zero value, as in Go.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// Reading.
pub(crate) trait Get {
    /// The field, or null.
    fn at(&self, name: &str) -> &Value;
    /// True if the field is there.
    fn has(&self, name: &str) -> bool {
        !self.at(name).is_null()
    }
    /// The text, or "".
    fn text(&self, name: &str) -> &str {
        self.at(name).as_str().unwrap_or_default()
    }
    /// The number, if there is one.
    fn int(&self, name: &str) -> Option<i64> {
        self.at(name).as_i64()
    }
    /// The flag, or false.
    fn flag(&self, name: &str) -> bool {
        self.at(name).as_bool().unwrap_or_default()
    }
    /// The list's items.
    fn items(&self, name: &str) -> &[Value] {
        self.at(name).as_array().map_or(&[], Vec::as_slice)
    }
    /// The map's entries.
    fn entries(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.at(name).own_entries()
    }
    /// The entries of this very map.
    fn own_entries(&self) -> impl Iterator<Item = (&str, &Value)>;
}

impl Get for Value {
    fn at(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&NULL)
    }

    fn own_entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.as_str(), v))
    }
}

/// Writing. Does nothing where the value is not an object, so that arbitrary JSON never panics.
pub(crate) trait Set {
    /// Sets a field that is missing, null or an empty text.
    fn default_to(&mut self, name: &str, value: impl Into<Value>);
    /// Sets a field.
    fn put(&mut self, name: &str, value: impl Into<Value>);
    /// Takes a field away.
    fn take_out(&mut self, name: &str) -> Option<Value>;
    /// Makes the field equal to that of `old`, absent if it is absent there.
    fn copy_from(&mut self, old: &Value, name: &str);
    /// The field as an object, made if it is missing.
    fn object(&mut self, name: &str) -> &mut Value;
    /// The field as a list, made if it is missing.
    fn list_mut(&mut self, name: &str) -> &mut Vec<Value>;
    /// The items of a list.
    fn items_mut(&mut self, name: &str) -> std::slice::IterMut<'_, Value>;
    /// The field, if it is there.
    fn some(&mut self, name: &str) -> Option<&mut Value>;
}

impl Set for Value {
    fn default_to(&mut self, name: &str, value: impl Into<Value>) {
        if let Some(map) = self.as_object_mut() {
            match map.get_mut(name) {
                None => {
                    map.insert(name.to_owned(), value.into());
                }
                Some(old) if old.is_null() || old.as_str() == Some("") => *old = value.into(),
                Some(_) => {}
            }
        }
    }

    fn put(&mut self, name: &str, value: impl Into<Value>) {
        if let Some(map) = self.as_object_mut() {
            map.insert(name.to_owned(), value.into());
        }
    }

    fn take_out(&mut self, name: &str) -> Option<Value> {
        self.as_object_mut().and_then(|map| map.remove(name))
    }

    fn copy_from(&mut self, old: &Value, name: &str) {
        match old.get(name) {
            Some(value) => self.put(name, value.clone()),
            None => {
                self.take_out(name);
            }
        }
    }

    fn object(&mut self, name: &str) -> &mut Value {
        if !self.is_object() {
            *self = Value::Object(Map::new());
        }
        let field = &mut self[name];
        if !field.is_object() {
            *field = Value::Object(Map::new());
        }
        field
    }

    fn list_mut(&mut self, name: &str) -> &mut Vec<Value> {
        if !self.is_object() {
            *self = Value::Object(Map::new());
        }
        let field = &mut self[name];
        if !field.is_array() {
            *field = Value::Array(Vec::new());
        }
        match field {
            Value::Array(items) => items,
            _ => unreachable!("made a list above"),
        }
    }

    fn items_mut(&mut self, name: &str) -> std::slice::IterMut<'_, Value> {
        self.get_mut(name)
            .and_then(Value::as_array_mut)
            .map_or([].iter_mut(), |items| items.iter_mut())
    }

    fn some(&mut self, name: &str) -> Option<&mut Value> {
        self.get_mut(name).filter(|v| !v.is_null())
    }
}

/// Equal as Kubernetes' semantic comparison sees it: a missing field, an empty text, list or map and zero are the same.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            x.iter().all(|(k, v)| same(v, y.get(k).unwrap_or(&NULL)))
                && y.iter().all(|(k, v)| x.contains_key(k) || same(v, &NULL))
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Value::Null, other) | (other, Value::Null) => match other {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        },
        _ => a == b,
    }
}
