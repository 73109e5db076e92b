//! Values, times and selectors as Kubernetes writes them. Pure.

use jiff::Timestamp;
use minicloud_api::quantity::Quantity;
use minicloud_api::selector::{LabelSelector, Requirement};
use serde_json::{Value, json};

/// `metav1.Time` of Unix time in seconds: whole seconds.
pub(crate) fn time(seconds: f64) -> String {
    rfc3339(Timestamp::from_millisecond((seconds * 1e3).floor() as i64).unwrap_or_default())
}

/// `metav1.Time`: whole seconds.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let whole = Timestamp::from_second(time.as_second());
    whole.unwrap_or_default().to_string()
}

/// A quantity in thousandths, as the adapters give it; none for what is no number or beyond all measure.
pub(crate) fn quantity(value: f64) -> Option<String> {
    let millis = value * 1e3;
    // Within a whole number's range, less one bit.
    (millis.abs() < 4.6e18).then(|| Quantity::from_millis(millis.round() as i64).to_string())
}

/// `metav1.LabelSelector` of a selector that was given as text.
pub(crate) fn selector(selector: &LabelSelector) -> Value {
    let each = selector.requirements().iter().map(|requirement| {
        let (key, operator, values) = match requirement {
            Requirement::In(key, values) => (key, "In", values.clone()),
            Requirement::NotIn(key, values) => (key, "NotIn", values.clone()),
            Requirement::Exists(key) => (key, "Exists", Vec::new()),
            Requirement::DoesNotExist(key) => (key, "DoesNotExist", Vec::new()),
            Requirement::GreaterThan(key, bound) => (key, "Gt", vec![bound.to_string()]),
            Requirement::LessThan(key, bound) => (key, "Lt", vec![bound.to_string()]),
        };
        let mut expression = json!({ "key": key, "operator": operator });
        if !values.is_empty() {
            expression["values"] = json!(values);
        }
        expression
    });
    json!({ "matchExpressions": each.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (value, expect) in [
            (0.0, Some("0")),
            (1.0, Some("1")),
            (1500.0, Some("1500")),
            (0.25, Some("250m")),
            (0.000_4, Some("0")),
            (-2.5, Some("-2500m")),
            (1e15, Some("1P")),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (1e17, None),
        ] {
            assert_eq!(quantity(value).as_deref(), expect, "{value}");
        }
    }

    #[test]
    fn times_are_whole_seconds() {
        assert_eq!(time(1_435_781_430.781), "2015-07-01T20:10:30Z");
        assert_eq!(time(f64::NAN), "1970-01-01T00:00:00Z");
    }
}
