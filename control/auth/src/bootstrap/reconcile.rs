//! Putting back what is missing from a standard role or binding, and leaving alone what an administrator added.
//!
//! As Kubernetes: at every start, rules, aggregation selectors and subjects are only ever added; the annotation
//! `rbac.authorization.kubernetes.io/autoupdate: "false"` on the stored object turns this off for it.

use minicloud_api::meta;
use serde_json::{Value, json};

use crate::authz::{PolicyRule, missing};

/// What to do about one standard object.
#[derive(Debug, Clone, PartialEq)]
pub enum Reconciled {
    /// It is as it should be, or protected.
    Unchanged,
    /// It is not there: create this.
    Create(Value),
    /// Replace the stored object by this.
    Update(Value),
    /// A binding to another role (roleRef cannot change): delete the stored one and create this.
    Recreate(Value),
}

/// Compares a standard object with the stored one.
pub fn reconcile(stored: Option<&Value>, standard: &Value) -> Reconciled {
    let Some(stored) = stored else {
        return Reconciled::Create(standard.clone());
    };
    if meta::annotation(stored, "rbac.authorization.kubernetes.io/autoupdate") == Some("false") {
        return Reconciled::Unchanged;
    }
    if stored.get("roleRef") != standard.get("roleRef") {
        let mut wanted = standard.clone();
        add_missing(&mut wanted, stored, "/subjects");
        return Reconciled::Recreate(wanted);
    }
    let mut wanted = stored.clone();
    for field in ["labels", "annotations"] {
        let pointer = format!("/metadata/{field}");
        for (key, value) in standard
            .pointer(&pointer)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            // What is stored wins, so a label that an administrator changed stays.
            if stored.pointer(&pointer).and_then(|m| m.get(key)).is_none() {
                wanted["metadata"][field][key] = value.clone();
            }
        }
    }
    add_missing(&mut wanted, standard, "/subjects");
    if standard.get("aggregationRule").is_some() {
        add_missing(
            &mut wanted,
            standard,
            "/aggregationRule/clusterRoleSelectors",
        );
    } else {
        let lacking = missing(
            &PolicyRule::list_from(stored),
            &PolicyRule::list_from(standard),
        );
        if !lacking.is_empty() {
            let mut rules = stored
                .get("rules")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            rules.extend(lacking.iter().map(|rule| json!(rule)));
            wanted["rules"] = rules.into();
        }
    }
    if wanted == *stored {
        Reconciled::Unchanged
    } else {
        Reconciled::Update(wanted)
    }
}

/// Adds to the list at `pointer` in `object` the items of the same list in `from` that it lacks.
fn add_missing(object: &mut Value, from: &Value, pointer: &str) {
    let Some(wanted) = from.pointer(pointer).and_then(Value::as_array) else {
        return;
    };
    let mut items = object
        .pointer(pointer)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let before = items.len();
    for item in wanted {
        if !items.iter().any(|have| same(have, item)) {
            items.push(item.clone());
        }
    }
    if items.len() == before {
        return;
    }
    let mut place = object;
    for field in pointer.trim_start_matches('/').split('/') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[field];
    }
    *place = items.into();
}

/// Equal, where an absent field equals an empty one (`apiGroup` of a ServiceAccount subject).
fn same(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else {
        return a == b;
    };
    let empty = |v: &Value| v.as_str() == Some("");
    let covers = |a: &serde_json::Map<String, Value>, b: &serde_json::Map<String, Value>| {
        a.iter()
            .all(|(key, value)| b.get(key).map_or(empty(value), |other| other == value))
    };
    covers(a, b) && covers(b, a)
}
