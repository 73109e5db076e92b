//! Deployments, ReplicaSets, and the scale of either.

use minicloud_api::field::ErrorList;
use minicloud_api::selector::LabelSelector;
use serde_json::{Value, json};

use super::meta::{immutable, label_selector, not_negative};
use super::{Common, Rules, pod, shape};
use crate::at::At;
use crate::json::{Get, Set, same};

const SPEC: At<'static> = At::root("spec");
const STATUS: At<'static> = At::root("status");

pub(super) struct Deployment;

impl Rules for Deployment {
    const COMMON: Common = Common {
        status: true,
        generation: true,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::apps::v1::Deployment);

    fn default(value: &mut Value) {
        let spec = value.object("spec");
        spec.default_to("replicas", 1);
        spec.default_to("revisionHistoryLimit", 10);
        spec.default_to("progressDeadlineSeconds", 600);
        let strategy = spec.object("strategy");
        strategy.default_to("type", "RollingUpdate");
        if strategy.text("type") == "RollingUpdate" {
            let rolling = strategy.object("rollingUpdate");
            rolling.default_to("maxUnavailable", "25%");
            rolling.default_to("maxSurge", "25%");
        }
        pod::default_template(spec.object("template"));
        value.object("status");
    }

    fn create(value: &mut Value) {
        value.put("status", json!({}));
    }

    fn status_update(new: &mut Value, old: &Value) {
        new.object("metadata")
            .copy_from(old.at("metadata"), "labels");
    }

    fn changed(new: &Value, old: &Value) -> bool {
        let annotations = |v: &Value| v.at("metadata").at("annotations").clone();
        !same(new.at("spec"), old.at("spec")) || !same(&annotations(new), &annotations(old))
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let spec = value.at("spec");
        workload(spec, errors);
        strategy(spec, &SPEC.child("strategy"), errors);
        for field in [
            "minReadySeconds",
            "revisionHistoryLimit",
            "progressDeadlineSeconds",
        ] {
            not_negative(spec, field, &SPEC, errors);
        }
        if let Some(deadline) = spec.int("progressDeadlineSeconds")
            && deadline <= spec.int("minReadySeconds").unwrap_or(0)
        {
            let detail = "must be greater than minReadySeconds";
            SPEC.child("progressDeadlineSeconds")
                .invalid(errors, deadline, detail);
        }
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        immutable(new.at("spec"), old.at("spec"), "selector", &SPEC, errors);
    }

    fn check_status(new: &Value, old: &Value, errors: &mut ErrorList) {
        counts(
            new.at("status"),
            &["updatedReplicas", "readyReplicas", "availableReplicas"],
            errors,
        );
        let count = |v: &Value| v.at("status").int("collisionCount");
        if let Some(before) = count(old)
            && count(new).is_none_or(|now| now < before)
        {
            let detail = "cannot be decremented";
            STATUS.child("collisionCount").invalid(
                errors,
                new.at("status").at("collisionCount").clone(),
                detail,
            );
        }
    }
}

pub(super) struct ReplicaSet;

impl Rules for ReplicaSet {
    const COMMON: Common = Common {
        status: true,
        generation: true,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::apps::v1::ReplicaSet);

    fn default(value: &mut Value) {
        let spec = value.object("spec");
        spec.default_to("replicas", 1);
        pod::default_template(spec.object("template"));
        value.object("status");
    }

    fn create(value: &mut Value) {
        value.put("status", json!({"replicas": 0}));
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        workload(value.at("spec"), errors);
        not_negative(value.at("spec"), "minReadySeconds", &SPEC, errors);
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        immutable(new.at("spec"), old.at("spec"), "selector", &SPEC, errors);
    }

    fn check_status(new: &Value, _old: &Value, errors: &mut ErrorList) {
        counts(
            new.at("status"),
            &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
            errors,
        );
    }
}

pub(super) struct Scale;

impl Rules for Scale {
    const COMMON: Common = Common::namespaced();
    shape!(k8s_openapi::api::autoscaling::v1::Scale);

    fn check(value: &Value, errors: &mut ErrorList) {
        not_negative(value.at("spec"), "replicas", &SPEC, errors);
    }
}

/// What Deployments and ReplicaSets share: replicas, a selector, and a template that it matches.
fn workload(spec: &Value, errors: &mut ErrorList) {
    not_negative(spec, "replicas", &SPEC, errors);
    let selector = spec.at("selector");
    let at = SPEC.child("selector");
    let before = errors.len();
    if selector.is_null() {
        at.required(errors, "");
    } else {
        label_selector(selector, &at, errors);
        if errors.len() > before {
            // As Kubernetes, which has nothing to say about a template then.
            return at.invalid(errors, selector.clone(), "invalid label selector");
        }
        if selector.entries("matchLabels").next().is_none()
            && selector.items("matchExpressions").is_empty()
        {
            // Kubernetes says so for ReplicaSets, too.
            at.invalid(
                errors,
                selector.clone(),
                "empty selector is invalid for deployment",
            );
        }
    }
    let (template, at) = (spec.at("template"), SPEC.child("template"));
    let labels = template.at("metadata").at("labels");
    let matches =
        |selector: LabelSelector| selector.matches(|key| labels.get(key).and_then(Value::as_str));
    if selector.is_null() || !LabelSelector::from_value(selector).is_ok_and(matches) {
        let labels = if labels.is_null() {
            json!({})
        } else {
            labels.clone()
        };
        let detail = "`selector` does not match template `labels`";
        at.child("metadata")
            .child("labels")
            .invalid(errors, labels, detail);
    }
    pod::check_template(template, &at, errors);
    let (pod, at) = (template.at("spec"), at.child("spec"));
    if pod.text("restartPolicy") != "Always" {
        at.child("restartPolicy")
            .unsupported(errors, pod.text("restartPolicy"), &["Always"]);
    }
    if pod.has("activeDeadlineSeconds") {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        at.child("activeDeadlineSeconds").forbidden(errors, detail);
    }
}

fn strategy(spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let strategy = spec.at("strategy");
    let rolling = strategy.at("rollingUpdate");
    match strategy.text("type") {
        "Recreate" => {
            if !rolling.is_null() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                at.child("rollingUpdate").forbidden(errors, detail);
            }
        }
        "RollingUpdate" => {
            let at = at.child("rollingUpdate");
            if rolling.is_null() {
                return at.required(errors, "this should be defaulted and never be nil");
            }
            let unavailable = share(rolling, "maxUnavailable", &at, errors);
            let surge = share(rolling, "maxSurge", &at, errors);
            let value = rolling.at("maxUnavailable").clone();
            if (unavailable, surge) == (Some(0), Some(0)) {
                at.child("maxUnavailable").invalid(
                    errors,
                    value,
                    "may not be 0 when `maxSurge` is 0",
                );
            } else if value.is_string() && unavailable.is_some_and(|percent| percent > 100) {
                at.child("maxUnavailable")
                    .invalid(errors, value, "must not be greater than 100%");
            }
        }
        other => at
            .child("type")
            .unsupported(errors, other, &["Recreate", "RollingUpdate"]),
    }
}

/// A number or a percentage, not below zero.
fn share(object: &Value, field: &str, at: &At<'_>, errors: &mut ErrorList) -> Option<i64> {
    match object.at(field) {
        Value::String(text) => {
            let digits = text
                .strip_suffix('%')
                .filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
            if digits.is_none() {
                let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                              '93%', regex used for validation is '[0-9]+%')";
                at.child(field).invalid(errors, text.as_str(), detail);
            }
            digits.map(|digits| digits.parse().unwrap_or(i64::MAX))
        }
        other => {
            not_negative(object, field, at, errors);
            Some(other.as_i64().unwrap_or(0))
        }
    }
}

fn counts(status: &Value, parts: &[&str], errors: &mut ErrorList) {
    let count = |field: &str| status.int(field).unwrap_or(0);
    for field in ["replicas", "observedGeneration"].iter().chain(parts) {
        not_negative(status, field, &STATUS, errors);
    }
    for field in parts {
        if count(field) > count("replicas") {
            STATUS.child(field).invalid(
                errors,
                count(field),
                "cannot be greater than status.replicas",
            );
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let detail = "cannot be greater than readyReplicas";
        STATUS
            .child("availableReplicas")
            .invalid(errors, count("availableReplicas"), detail);
    }
}
