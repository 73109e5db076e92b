//! Where a pod may run: affinity, tolerations, spread constraints, scheduling gates.

use std::collections::HashMap;

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::super::text::{label_name, one_of_if_set};
use super::selector_if_set;
use crate::at::At;
use crate::json::Get;
use crate::seen::Seen;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn check(spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let affinity = spec.at("affinity");
    if affinity.is_object() {
        let at = at.child("affinity");
        node_affinity(
            affinity.at("nodeAffinity"),
            &at.child("nodeAffinity"),
            errors,
        );
        for kind in ["podAffinity", "podAntiAffinity"] {
            pod_affinity(affinity.at(kind), &at.child(kind), errors);
        }
    }
    gates(spec, &at.child("schedulingGates"), errors);
    spread(
        spec.items("topologySpreadConstraints"),
        &at.child("topologySpreadConstraints"),
        errors,
    );
    tolerations(spec, &at.child("tolerations"), errors);
}

fn node_affinity(affinity: &Value, at: &At<'_>, errors: &mut ErrorList) {
    if affinity.has(REQUIRED) {
        node_selector(affinity.at(REQUIRED), &at.child(REQUIRED), errors);
    }
    let list = at.child(PREFERRED);
    for (i, term) in affinity.items(PREFERRED).iter().enumerate() {
        weight(term, &list.index(i), errors);
        // A bad value here cannot match, and harms nobody.
        node_term(
            term.at("preference"),
            false,
            &list.index(i).child("preference"),
            errors,
        );
    }
}

fn weight(term: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let weight = term.int("weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        at.child("weight")
            .invalid(errors, weight, "must be in the range 1-100");
    }
}

/// A `NodeSelector`, of a pod or a volume.
pub(in crate::kinds) fn node_selector(selector: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let list = at.child("nodeSelectorTerms");
    let terms = selector.items("nodeSelectorTerms");
    if terms.is_empty() {
        return list.required(errors, "must have at least one node selector term");
    }
    for (i, term) in terms.iter().enumerate() {
        node_term(term, true, &list.index(i), errors);
    }
}

fn node_term(term: &Value, check_values: bool, at: &At<'_>, errors: &mut ErrorList) {
    let list = at.child("matchExpressions");
    for (i, requirement) in term.items("matchExpressions").iter().enumerate() {
        let at = list.index(i);
        let values = requirement.items("values");
        match requirement.text("operator") {
            "In" | "NotIn" if values.is_empty() => {
                at.child("values").required(
                    errors,
                    "must be specified when `operator` is 'In' or 'NotIn'",
                );
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                at.child("values").forbidden(
                    errors,
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "Gt" | "Lt" if values.len() != 1 => {
                at.child("values").required(
                    errors,
                    "must be specified single value when `operator` is 'Lt' or 'Gt'",
                );
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => at
                .child("operator")
                .invalid(errors, other, "not a valid selector operator"),
        }
        label_name(requirement.text("key"), &at.child("key"), errors);
        let list = at.child("values");
        for (j, value) in values
            .iter()
            .filter_map(Value::as_str)
            .enumerate()
            .filter(|_| check_values)
        {
            list.index(j)
                .complain(errors, value, names::label_value(value));
        }
    }
    let list = at.child("matchFields");
    for (i, requirement) in term.items("matchFields").iter().enumerate() {
        let at = list.index(i);
        let values = requirement.items("values");
        match requirement.text("operator") {
            "In" | "NotIn" => {
                if values.len() != 1 {
                    let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                    at.child("values").required(errors, detail);
                }
            }
            other => at
                .child("operator")
                .invalid(errors, other, "not a valid selector operator"),
        }
        if requirement.text("key") == "metadata.name" {
            for (j, value) in values.iter().filter_map(Value::as_str).enumerate() {
                at.child("values").index(j).complain(
                    errors,
                    value,
                    names::dns1123_subdomain(value),
                );
            }
        } else {
            at.child("key").invalid(
                errors,
                requirement.text("key"),
                "not a valid field selector key",
            );
        }
    }
}

fn pod_affinity(affinity: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let list = at.child(REQUIRED);
    for (i, term) in affinity.items(REQUIRED).iter().enumerate() {
        pod_term(term, &list.index(i), errors);
    }
    let list = at.child(PREFERRED);
    for (i, term) in affinity.items(PREFERRED).iter().enumerate() {
        weight(term, &list.index(i), errors);
        pod_term(
            term.at("podAffinityTerm"),
            &list.index(i).child("podAffinityTerm"),
            errors,
        );
    }
}

fn pod_term(term: &Value, at: &At<'_>, errors: &mut ErrorList) {
    selector_if_set(term, at, errors);
    if term.has("namespaceSelector") {
        let selector = term.at("namespaceSelector");
        super::label_selector(selector, &at.child("namespaceSelector"), errors);
    }
    for name in term.items("namespaces").iter().filter_map(Value::as_str) {
        at.child("namespace")
            .complain(errors, name, names::dns1123_label(name));
    }
    let (matching, mismatching) = (
        term.items("matchLabelKeys"),
        term.items("mismatchLabelKeys"),
    );
    for (field, keys) in [
        ("matchLabelKeys", matching),
        ("mismatchLabelKeys", mismatching),
    ] {
        if !keys.is_empty() && !term.has("labelSelector") {
            at.child(field).forbidden(
                errors,
                "must not be specified when labelSelector is not set",
            );
            continue;
        }
        let list = at.child(field);
        for (i, key) in keys.iter().filter_map(Value::as_str).enumerate() {
            label_name(key, &list.index(i), errors);
        }
    }
    let excluded: Seen<&Value> = mismatching.iter().collect();
    for (i, key) in matching
        .iter()
        .enumerate()
        .filter(|(_, key)| excluded.contains(key))
    {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        at.child("matchLabelKeys")
            .index(i)
            .invalid(errors, key.clone(), detail);
    }
    let key = term.text("topologyKey");
    if key.is_empty() {
        at.child("topologyKey").required(errors, "can not be empty");
    }
    label_name(key, &at.child("topologyKey"), errors);
}

fn gates(spec: &Value, list: &At<'_>, errors: &mut ErrorList) {
    let mut seen = Seen::new();
    for (i, gate) in spec.items("schedulingGates").iter().enumerate() {
        let (at, name) = (list.index(i), gate.text("name"));
        at.complain(errors, name, names::qualified_name(name));
        if !seen.insert(name) {
            at.duplicate(errors, name);
        }
    }
}

fn spread(constraints: &[Value], list: &At<'_>, errors: &mut ErrorList) {
    // The last of those that are alike is the good one.
    fn place(constraint: &Value) -> (&str, &str) {
        (
            constraint.text("topologyKey"),
            constraint.text("whenUnsatisfiable"),
        )
    }
    let last: HashMap<_, usize> = constraints
        .iter()
        .enumerate()
        .map(|(i, c)| (place(c), i))
        .collect();
    for (i, constraint) in constraints.iter().enumerate() {
        let at = list.index(i);
        let (key, action) = (
            constraint.text("topologyKey"),
            constraint.text("whenUnsatisfiable"),
        );
        let skew = constraint.int("maxSkew").unwrap_or(0);
        if skew <= 0 {
            at.child("maxSkew")
                .invalid(errors, skew, "must be greater than zero");
        }
        if key.is_empty() {
            at.child("topologyKey").required(errors, "can not be empty");
        }
        if !matches!(action, "DoNotSchedule" | "ScheduleAnyway") {
            at.child("whenUnsatisfiable").unsupported(
                errors,
                action,
                &["DoNotSchedule", "ScheduleAnyway"],
            );
        }
        if last.get(&(key, action)).is_some_and(|last| *last > i) {
            at.child("{topologyKey, whenUnsatisfiable}")
                .duplicate(errors, format!("{{{key}, {action}}}"));
        }
        if let Some(domains) = constraint.int("minDomains") {
            if domains <= 0 {
                at.child("minDomains")
                    .invalid(errors, domains, "must be greater than zero");
            }
            if action != "DoNotSchedule" {
                let detail = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                );
                at.child("minDomains").invalid(errors, domains, &detail);
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            one_of_if_set(constraint, field, &["Honor", "Ignore"], &at, errors);
        }
        let keys = constraint.items("matchLabelKeys");
        if !keys.is_empty() && !constraint.has("labelSelector") {
            at.child("matchLabelKeys").forbidden(
                errors,
                "must not be specified when labelSelector is not set",
            );
        }
        let selector = constraint.at("labelSelector");
        let expressions = selector.items("matchExpressions").iter();
        let expressions: Seen<&str> = expressions
            .map(|expression| expression.text("key"))
            .collect();
        for (j, key) in keys.iter().filter_map(Value::as_str).enumerate() {
            let list = at.child("matchLabelKeys");
            let at = list.index(j);
            label_name(key, &at, errors);
            if selector.at("matchLabels").has(key) || expressions.contains(&key) {
                at.invalid(
                    errors,
                    key,
                    "exists in both matchLabelKeys and labelSelector",
                );
            }
        }
        selector_if_set(constraint, &at, errors);
    }
}

pub(super) fn tolerations(spec: &Value, list: &At<'_>, errors: &mut ErrorList) {
    for (i, toleration) in spec.items("tolerations").iter().enumerate() {
        let at = list.index(i);
        let (key, operator, value) = (
            toleration.text("key"),
            toleration.text("operator"),
            toleration.text("value"),
        );
        let effect = toleration.text("effect");
        if !key.is_empty() {
            label_name(key, &at.child("key"), errors);
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            at.child("operator").invalid(errors, operator, detail);
        }
        if toleration.has("tolerationSeconds") && effect != "NoExecute" {
            at.child("effect").invalid(
                errors,
                effect,
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            );
        }
        match operator {
            "" | "Equal" => {
                let complaints = names::label_value(value);
                if !complaints.is_empty() {
                    at.child("operator")
                        .invalid(errors, value, &complaints.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                at.child("operator").invalid(
                    errors,
                    value,
                    "value must be empty when `operator` is 'Exists'",
                );
            }
            "Exists" => {}
            _ => at
                .child("operator")
                .unsupported(errors, operator, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            taint_effect(effect, &at.child("effect"), errors);
        }
    }
}

/// The effect of a taint, or of a toleration that has one.
pub(in crate::kinds) fn taint_effect(effect: &str, at: &At<'_>, errors: &mut ErrorList) {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    if !EFFECTS.contains(&effect) {
        at.unsupported(errors, effect, &EFFECTS);
    }
}
