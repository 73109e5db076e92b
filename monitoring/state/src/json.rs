//! Reading objects as the API lists them. What is missing or of another type reads as nothing: whoever wrote the object is not
//! here to mend it, and the other objects still count.

use jiff::Timestamp;
use minicloud_api::quantity::Quantity;
use serde_json::Value;

/// The text at a JSON pointer, or nothing.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// The number at a JSON pointer.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer)?.as_f64()
}

/// A whole number or a text, as it is written: ports are either.
pub(crate) fn written(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// The truth at a JSON pointer, where there is one.
pub(crate) fn truth(value: &Value, pointer: &str) -> Option<bool> {
    value.pointer(pointer)?.as_bool()
}

/// `true` or `false`, as a label says it.
pub(crate) fn word(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

/// The list at a JSON pointer.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// The keys and values at a JSON pointer, by key.
pub(crate) fn map<'a>(value: &'a Value, pointer: &str) -> Vec<(&'a str, &'a Value)> {
    let found = value.pointer(pointer).and_then(Value::as_object);
    let mut entries: Vec<_> = found
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

/// The RFC 3339 time at a JSON pointer, in whole seconds since 1970.
pub(crate) fn seconds(value: &Value, pointer: &str) -> Option<f64> {
    let time: Timestamp = value.pointer(pointer)?.as_str()?.parse().ok()?;
    Some(time.as_second() as f64)
}

/// The quantity at a JSON pointer, in its base unit: cores, bytes or pieces.
pub(crate) fn quantity(value: &Value, pointer: &str) -> Option<f64> {
    amount(value.pointer(pointer)?)
}

/// A quantity, in its base unit: cores, bytes or pieces.
pub(crate) fn amount(value: &Value) -> Option<f64> {
    let quantity: Quantity = match value {
        Value::String(text) => text.parse().ok()?,
        Value::Number(number) => number.to_string().parse().ok()?,
        _ => return None,
    };
    Some(quantity.as_f64())
}

/// The text at a JSON pointer, or this default of the API's.
pub(crate) fn text_or<'a>(value: &'a Value, pointer: &str, default: &'a str) -> &'a str {
    match text(value, pointer) {
        "" => default,
        text => text,
    }
}
