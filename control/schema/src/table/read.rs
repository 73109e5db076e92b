//! Reading objects for cells: what is missing or of another type reads as empty, for a table must show what there is.

use std::collections::BTreeMap;
use std::str::FromStr;

use minicloud_api::quantity::Quantity;
use minicloud_api::selector::{LabelSelector, Requirement};
use serde_json::Value;

/// A string at a JSON pointer; empty if there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The string, or `other` if it is empty.
pub(super) fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

/// A number at a JSON pointer; 0 if there is none.
pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// A boolean at a JSON pointer; false if there is none.
pub(super) fn flag(object: &Value, pointer: &str) -> bool {
    object
        .pointer(pointer)
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

/// The items of a list at a JSON pointer.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// How many entries a map at a JSON pointer has.
pub(super) fn count(object: &Value, pointer: &str) -> usize {
    object
        .pointer(pointer)
        .and_then(Value::as_object)
        .map_or(0, serde_json::Map::len)
}

/// The object's name.
pub(super) fn name(object: &Value) -> Value {
    text(object, "/metadata/name").into()
}

/// Whether a condition of this type is true.
pub(super) fn is_true(object: &Value, condition: &str) -> bool {
    list(object, "/status/conditions")
        .iter()
        .any(|c| text(c, "/type") == condition && text(c, "/status") == "True")
}

/// A quantity in its canonical form; as given if it is none.
pub(super) fn quantity(object: &Value, pointer: &str) -> String {
    let given = text(object, pointer);
    if given.is_empty() {
        return "0".to_owned();
    }
    Quantity::from_str(given).map_or_else(|_| given.to_owned(), |quantity| quantity.to_string())
}

/// A map of labels, `a=b,c=d`, or `<none>`.
pub(super) fn labels(object: &Value, pointer: &str) -> String {
    let map: BTreeMap<&str, &str> = object
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
        .collect();
    if map.is_empty() {
        return "<none>".to_owned();
    }
    map.iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// A `metav1.LabelSelector`, `a=b,c in (d,e),!f`; `None` if it is not one.
pub(super) fn selector(object: &Value, pointer: &str) -> Option<String> {
    let selector = LabelSelector::from_value(object.pointer(pointer)?).ok()?;
    let mut terms: Vec<(&str, String)> = selector.requirements().iter().map(term).collect();
    terms.sort_by(|a, b| a.0.cmp(b.0));
    Some(
        terms
            .into_iter()
            .map(|(_, text)| text)
            .collect::<Vec<_>>()
            .join(","),
    )
}

fn term(requirement: &Requirement) -> (&str, String) {
    let sorted = |values: &[String]| {
        let mut values = values.to_vec();
        values.sort_unstable();
        values.join(",")
    };
    match requirement {
        Requirement::In(key, values) if values.len() == 1 => (key, format!("{key}={}", values[0])),
        Requirement::In(key, values) => (key, format!("{key} in ({})", sorted(values))),
        Requirement::NotIn(key, values) => (key, format!("{key} notin ({})", sorted(values))),
        Requirement::Exists(key) => (key, key.clone()),
        Requirement::DoesNotExist(key) => (key, format!("!{key}")),
        Requirement::GreaterThan(key, bound) => (key, format!("{key}>{bound}")),
        Requirement::LessThan(key, bound) => (key, format!("{key}<{bound}")),
    }
}

/// Up to three things, and how many more there are; `none` if there is nothing.
pub(super) fn first_three(mut things: impl Iterator<Item = String>, none: &str) -> String {
    let shown: Vec<String> = things.by_ref().take(3).collect();
    match (shown.is_empty(), things.count()) {
        (true, _) => none.to_owned(),
        (false, 0) => shown.join(","),
        (false, more) => format!("{} + {more} more...", shown.join(",")),
    }
}
