//! Custom resources: `additionalPrinterColumns`.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, age, read};
use crate::crd::PrinterColumn;
use crate::jsonpath::JsonPath;

/// AGE, for a resource that names no columns.
pub(super) fn default_columns() -> Arc<[PrinterColumn]> {
    let column = |path| PrinterColumn {
        name: AGE.name.to_owned(),
        kind: "date".to_owned(),
        format: String::new(),
        description: AGE.description.to_owned(),
        priority: 0,
        path,
    };
    JsonPath::parse(".metadata.creationTimestamp")
        .map(column)
        .into_iter()
        .collect()
}

pub(super) fn cells(columns: &[PrinterColumn], object: &Value, now: Timestamp) -> Vec<Value> {
    let cell = |column: &PrinterColumn| {
        let found = column.path.find(object).unwrap_or_default();
        found
            .first()
            .map_or(Value::Null, |value| self::cell(&column.kind, value, now))
    };
    std::iter::once(read::name(object))
        .chain(columns.iter().map(cell))
        .collect()
}

/// A value as its column's type has it; null where it is of another.
fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        ("string", Value::String(text)) => text.as_str().into(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(number)) => match number.as_i64() {
            Some(number) => number.into(),
            // A float is cut off.
            None => number
                .as_f64()
                .map_or(Value::Null, |float| (float as i64).into()),
        },
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) if text.is_empty() => "<unknown>".into(),
        ("date", Value::String(text)) => match text.parse() {
            Ok(at) => age::since(Some(at), now).into(),
            Err(_) => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}
