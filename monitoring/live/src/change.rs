//! Whether measurements moved enough to be told. Pure.
//!
//! The unit at the end of a name says what counts as moving. The comparison is with what was told last, so that what creeps is
//! told too.

use serde_json::Value;

/// What has to be exceeded: an absolute step and a part of the old value, whichever is more.
struct Quantum {
    step: f64,
    part: f64,
}

/// By the end of a name, the longest first. Names that end otherwise have values that count whenever they change.
const QUANTA: [(&str, Quantum); 8] = [
    (
        "_bytes_per_second",
        Quantum {
            step: 4096.0,
            part: 0.1,
        },
    ),
    (
        "_per_second",
        Quantum {
            step: 0.5,
            part: 0.1,
        },
    ),
    (
        "_latency_seconds",
        Quantum {
            step: 0.002,
            part: 0.5,
        },
    ),
    (
        "_bytes",
        Quantum {
            step: 1_048_576.0,
            part: 0.005,
        },
    ),
    (
        "_ratio",
        Quantum {
            step: 0.01,
            part: 0.0,
        },
    ),
    (
        "_cores",
        Quantum {
            step: 0.05,
            part: 0.0,
        },
    ),
    (
        "celsius",
        Quantum {
            step: 0.5,
            part: 0.0,
        },
    ),
    (
        "m",
        Quantum {
            step: 0.05,
            part: 0.02,
        },
    ), // load_1m, load_5m, load_15m
];

/// Whether `now` is worth telling to somebody who knows `told`.
pub(crate) fn moved(told: &Value, now: &Value) -> bool {
    differs("", told, now)
}

fn differs(name: &str, told: &Value, now: &Value) -> bool {
    match (told, now) {
        (Value::Object(told), Value::Object(now)) => {
            // What a write took, when there was one: no news that there was none for a second.
            let counts = |key: &str| !key.ends_with("_latency_seconds");
            told.keys().any(|key| counts(key) && !now.contains_key(key))
                || now.iter().any(|(key, now)| match told.get(key) {
                    Some(told) => differs(key, told, now),
                    None => counts(key),
                })
        }
        (Value::Array(told), Value::Array(now)) => {
            told.len() != now.len() || told.iter().zip(now).any(|(a, b)| differs(name, a, b))
        }
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => beyond(name, a, b),
            _ => a != b,
        },
        (told, now) => told != now,
    }
}

fn beyond(name: &str, told: f64, now: f64) -> bool {
    let quantum = QUANTA.iter().find(|(end, _)| name.ends_with(end));
    match quantum {
        Some((_, Quantum { step, part })) => (now - told).abs() >= step.max(part * told.abs()),
        None => now.total_cmp(&told).is_ne(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn small_steps_are_no_news() {
        let check = |name: &str, told: f64, now: f64, expected: bool| {
            let of = |value: f64| json!({"a": [{ name: value }]});
            assert_eq!(moved(&of(told), &of(now)), expected, "{name} {told} {now}");
        };
        check("used_ratio", 0.50, 0.505, false);
        check("used_ratio", 0.50, 0.49, true);
        check("available_bytes", 1e6, 1.5e6, false);
        check("available_bytes", 1e6, 2.1e6, true);
        check("available_bytes", 4e9, 4.01e9, false);
        check("available_bytes", 4e9, 4.03e9, true);
        check("read_bytes_per_second", 0.0, 4095.0, false);
        check("read_bytes_per_second", 0.0, 4096.0, true);
        check("read_bytes_per_second", 1e6, 1.09e6, false);
        check("celsius", 50.0, 50.4, false);
        check("celsius", 50.0, 50.5, true);
        check("load_1m", 0.0, 0.04, false);
        check("load_15m", 0.0, 0.06, true);
        check("cores", 4.0, 3.0, true);
    }

    #[test]
    fn what_comes_and_goes_is_news() {
        let check = |told: Value, now: Value, expected: bool| {
            assert_eq!(moved(&told, &now), expected, "{told} {now}");
        };
        check(json!({}), json!({}), false);
        check(json!({"used_ratio": 0.1}), json!({}), true);
        check(json!({}), json!({"used_ratio": 0.1}), true);
        check(json!({"read_latency_seconds": 0.1}), json!({}), false);
        check(json!({}), json!({"read_latency_seconds": 0.1}), false);
        check(json!({"disks": [1, 2]}), json!({"disks": [1]}), true);
        check(json!({"device": "sda"}), json!({"device": "sdb"}), true);
        check(
            json!({"read_only": false}),
            json!({"read_only": true}),
            true,
        );
    }
}
