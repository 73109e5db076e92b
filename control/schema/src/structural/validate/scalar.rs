//! Validation of strings and numbers.

use std::cmp::Ordering;

use minicloud_api::field::{ErrorList, FieldError};
use serde_json::{Number, Value};

use super::super::format;
use super::super::schema::Checks;
use super::{At, invalid};

pub(super) fn scalar(checks: &Checks, value: &Value, at: At<'_>, errors: &mut ErrorList) {
    match value {
        Value::String(text) => self::text(checks, text, value, at, errors),
        Value::Number(number) => {
            let bound = |bound: f64| {
                if number.is_f64() {
                    format::float(bound)
                } else {
                    format!("{}", bound as i64)
                }
            };
            let compare = |bound: f64| compare(number, bound);
            if let Some(max) = checks.maximum {
                let bad = if checks.exclusive_maximum {
                    compare(max).is_ge()
                } else {
                    compare(max).is_gt()
                };
                if bad {
                    let than = if checks.exclusive_maximum {
                        "less than"
                    } else {
                        "less than or equal to"
                    };
                    invalid(
                        value,
                        at,
                        format!("should be {than} {}", bound(max)),
                        errors,
                    );
                }
            }
            if let Some(min) = checks.minimum {
                let bad = if checks.exclusive_minimum {
                    compare(min).is_le()
                } else {
                    compare(min).is_lt()
                };
                if bad {
                    let than = if checks.exclusive_minimum {
                        "greater than"
                    } else {
                        "greater than or equal to"
                    };
                    invalid(
                        value,
                        at,
                        format!("should be {than} {}", bound(min)),
                        errors,
                    );
                }
            }
            if let Some(factor) = checks.multiple_of
                && !multiple_of(number, factor)
            {
                invalid(
                    value,
                    at,
                    format!("should be a multiple of {}", bound(factor)),
                    errors,
                );
            }
        }
        _ => {}
    }
}

/// Compares exactly: a large integer is not rounded to a float when the bound is whole.
fn compare(number: &Number, bound: f64) -> Ordering {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if bound.fract() == 0.0 && bound.abs() <= EXACT {
        if let Some(n) = number.as_i64() {
            return n.cmp(&(bound as i64));
        }
        if number.is_u64() {
            return Ordering::Greater;
        }
    }
    number
        .as_f64()
        .unwrap_or(f64::NAN)
        .partial_cmp(&bound)
        .unwrap_or(Ordering::Equal)
}

fn multiple_of(number: &Number, factor: f64) -> bool {
    if factor <= 0.0 {
        return true;
    }
    if factor.fract() == 0.0
        && factor < i64::MAX as f64
        && let Some(n) = number.as_i64()
    {
        return n % (factor as i64) == 0;
    }
    let Some(value) = number.as_f64() else {
        return true;
    };
    let times = if factor < 1.0 {
        1.0 / factor * value
    } else {
        value / factor
    };
    // The tolerance of Kubernetes' library: 0.3 is a multiple of 0.1.
    (times - times.round()).abs() <= 1e-9 * times.abs().max(1.0)
}

fn text(checks: &Checks, text: &str, value: &Value, at: At<'_>, errors: &mut ErrorList) {
    if checks.max_length.is_some() || checks.min_length.is_some() {
        let length = text.chars().count();
        if let Some(max) = checks.max_length.filter(|max| length > *max) {
            errors.push(FieldError::too_long(at.path(), max));
        }
        if let Some(min) = checks.min_length.filter(|min| length < *min) {
            invalid(
                value,
                at,
                format!("should be at least {min} chars long"),
                errors,
            );
        }
    }
    if let Some(pattern) = &checks.pattern
        && !pattern.matches(text)
    {
        invalid(
            value,
            at,
            format!("should match '{}'", pattern.text()),
            errors,
        );
    }
    if let Some(name) = &checks.format
        && !format::valid(name, text)
    {
        errors.push(FieldError::type_invalid(
            at.path(),
            text,
            format!("{} in body must be of type {name}: {text:?}", at.name()),
        ));
    }
}
