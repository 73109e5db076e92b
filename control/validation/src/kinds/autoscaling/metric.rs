//! One metric of an autoscaler: its type says which of the sources must be there, and no other may be.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::super::meta::label_selector;
use super::super::pod::resources::amount;
use super::reference;
use crate::at::At;
use crate::json::Get;

const TYPES: [&str; 5] = [
    "ContainerResource",
    "External",
    "Object",
    "Pods",
    "Resource",
];

type Check = fn(&Value, &At<'_>, &mut ErrorList);

/// The fields of the sources, and what holds for each.
const SOURCES: [(&str, Check); 5] = [
    ("object", object),
    ("external", external),
    ("pods", pods),
    ("resource", resource),
    ("containerResource", container_resource),
];

pub(super) fn check(metric: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let kind = metric.text("type");
    if kind.is_empty() {
        at.child("type")
            .required(errors, "must specify a metric source type");
    }
    if !TYPES.contains(&kind) {
        at.child("type").unsupported(errors, kind, &TYPES);
    }
    let expected = match kind {
        "ContainerResource" => "containerResource",
        "External" => "external",
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        _ => "",
    };
    let mut first = true;
    for (field, check) in SOURCES {
        let source = metric.at(field);
        if source.is_null() {
            if field == expected {
                let detail = "must populate information for the given metric source";
                at.child(field).required(errors, detail);
            }
            continue;
        }
        // As Kubernetes, which looks into no second one.
        if std::mem::take(&mut first) {
            check(source, &at.child(field), errors);
        }
        if field != expected && TYPES.contains(&kind) {
            let detail = "must populate the given metric source only";
            at.child(field).forbidden(errors, detail);
        }
    }
}

fn object(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    reference(
        source.at("describedObject"),
        &at.child("describedObject"),
        errors,
    );
    identifier(source, at, errors);
    target(source, at, errors);
    value_or_average(source, at, errors);
}

fn external(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    identifier(source, at, errors);
    target(source, at, errors);
    value_or_average(source, at, errors);
    let wanted = source.at("target");
    if wanted.has("value") && wanted.has("averageValue") {
        let detail = "may not set both a target value for metric and a per-pod target";
        at.child("target").child("value").forbidden(errors, detail);
    }
}

fn pods(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    identifier(source, at, errors);
    target(source, at, errors);
    if !positive(source.at("target").at("averageValue")) {
        let detail = "must specify a positive target averageValue";
        at.child("target")
            .child("averageValue")
            .required(errors, detail);
    }
}

fn resource(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    if source.text("name").is_empty() {
        at.child("name")
            .required(errors, "must specify a resource name");
    }
    target(source, at, errors);
    let wanted = source.at("target");
    let at = at.child("target");
    match (wanted.has("averageUtilization"), wanted.has("averageValue")) {
        (false, false) => {
            let detail = "must set either a target raw value or a target utilization";
            at.child("averageUtilization").required(errors, detail);
        }
        (true, true) => {
            let detail = "may not set both a target raw value and a target utilization";
            at.child("averageValue").forbidden(errors, detail);
        }
        _ => {}
    }
}

fn container_resource(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    if source.text("container").is_empty() {
        at.child("container")
            .required(errors, "must specify a container");
    }
    resource(source, at, errors);
}

fn identifier(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let at = at.child("metric");
    let metric = source.at("metric");
    match metric.text("name") {
        "" => at
            .child("name")
            .required(errors, "must specify a metric name"),
        name => at
            .child("name")
            .complain(errors, name, names::path_segment(name)),
    }
    // Kubernetes takes any selector and fails with it every time that it asks for the metric.
    if metric.has("selector") {
        label_selector(metric.at("selector"), &at.child("selector"), errors);
    }
}

fn value_or_average(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let wanted = source.at("target");
    if !wanted.has("value") && !wanted.has("averageValue") {
        let detail = "must set either a target value for metric or a per-pod target";
        at.child("target")
            .child("averageValue")
            .required(errors, detail);
    }
}

fn target(source: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let (target, at) = (source.at("target"), at.child("target"));
    let kind = target.text("type");
    if kind.is_empty() {
        at.child("type")
            .required(errors, "must specify a metric target type");
    }
    if !["AverageValue", "Utilization", "Value"].contains(&kind) {
        let detail = "must be either Utilization, Value, or AverageValue";
        at.child("type").invalid(errors, kind, detail);
    }
    for field in ["value", "averageValue"] {
        if target.has(field) && !positive(target.at(field)) {
            at.child(field)
                .invalid(errors, target.at(field).clone(), "must be positive");
        }
    }
    if let Some(percent) = target.int("averageUtilization").filter(|p| *p < 1) {
        at.child("averageUtilization")
            .invalid(errors, percent, "must be greater than 0");
    }
}

fn positive(value: &Value) -> bool {
    amount(value).is_some_and(|amount| !amount.is_zero() && !amount.is_negative())
}
