//! HorizontalPodAutoscalers (`autoscaling/v2`).

mod metric;

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::{Value, json};

use super::meta::not_negative;
use super::pod::resources::amount;
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set};

const SPEC: At<'static> = At::root("spec");
const STATUS: At<'static> = At::root("status");

/// What is scaled by when no metric is named: this share of the CPU that is requested.
const DEFAULT_CPU_PERCENT: i64 = 80;
const WINDOW_MAX_SECONDS: i64 = 3600;
const PERIOD_MAX_SECONDS: i64 = 1800;

pub(super) struct HorizontalPodAutoscaler;

impl Rules for HorizontalPodAutoscaler {
    const COMMON: Common = Common {
        status: true,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler);

    fn default(value: &mut Value) {
        let spec = value.object("spec");
        spec.default_to("minReplicas", 1);
        if spec.items("metrics").is_empty() {
            let target = json!({"type": "Utilization", "averageUtilization": DEFAULT_CPU_PERCENT});
            spec.put(
                "metrics",
                json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]),
            );
        }
        // Whoever says something about one direction gets the defaults of both.
        if let Some(behavior) = spec.some("behavior") {
            let policy =
                |kind: &str, value: i64| json!({"type": kind, "value": value, "periodSeconds": 15});
            let up = behavior.object("scaleUp");
            up.default_to("stabilizationWindowSeconds", 0);
            rules(up, vec![policy("Pods", 4), policy("Percent", 100)]);
            // How long it looks back is the controller's to say.
            rules(behavior.object("scaleDown"), vec![policy("Percent", 100)]);
        }
    }

    fn create(value: &mut Value) {
        value.put("status", json!({"desiredReplicas": 0}));
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let spec = value.at("spec");
        let (min, max) = (
            spec.int("minReplicas"),
            spec.int("maxReplicas").unwrap_or(0),
        );
        if let Some(min) = min.filter(|min| *min < 1) {
            let detail = "must be greater than or equal to 1";
            SPEC.child("minReplicas").invalid(errors, min, detail);
        }
        let at = SPEC.child("maxReplicas");
        if max < 1 {
            at.invalid(errors, max, "must be greater than 0");
        }
        if min.is_some_and(|min| max < min) {
            let detail = "must be greater than or equal to `minReplicas`";
            at.invalid(errors, max, detail);
        }
        reference(
            spec.at("scaleTargetRef"),
            &SPEC.child("scaleTargetRef"),
            errors,
        );
        let at = SPEC.child("metrics");
        for (i, one) in spec.items("metrics").iter().enumerate() {
            metric::check(one, &at.index(i), errors);
        }
        let at = SPEC.child("behavior");
        for direction in ["scaleUp", "scaleDown"] {
            let rules = spec.at("behavior").at(direction);
            if !rules.is_null() {
                check_rules(rules, &at.child(direction), errors);
            }
        }
    }

    fn check_status(new: &Value, _old: &Value, errors: &mut ErrorList) {
        for field in ["currentReplicas", "desiredReplicas"] {
            not_negative(new.at("status"), field, &STATUS, errors);
        }
    }
}

fn rules(rules: &mut Value, policies: Vec<Value>) {
    rules.default_to("selectPolicy", "Max");
    if !rules.has("policies") {
        rules.put("policies", policies);
    }
}

/// A reference to an object of any kind.
fn reference(reference: &Value, at: &At<'_>, errors: &mut ErrorList) {
    for field in ["kind", "name"] {
        match reference.text(field) {
            "" => at.child(field).required(errors, ""),
            text => at
                .child(field)
                .complain(errors, text, names::path_segment(text)),
        }
    }
    let version = reference.text("apiVersion");
    if version.matches('/').count() > 1 {
        let detail = format!("unexpected GroupVersion string: {version}");
        at.child("apiVersion").invalid(errors, version, &detail);
    }
}

fn check_rules(rules: &Value, at: &At<'_>, errors: &mut ErrorList) {
    if let Some(window) = rules.int("stabilizationWindowSeconds") {
        let at = at.child("stabilizationWindowSeconds");
        if window < 0 {
            at.invalid(errors, window, "must be greater than or equal to zero");
        }
        if window > WINDOW_MAX_SECONDS {
            let detail = format!("must be less than or equal to {WINDOW_MAX_SECONDS}");
            at.invalid(errors, window, &detail);
        }
    }
    let select = rules.text("selectPolicy");
    if rules.has("selectPolicy") && !["Disabled", "Max", "Min"].contains(&select) {
        let supported = ["Disabled", "Max", "Min"];
        at.child("selectPolicy")
            .unsupported(errors, select, &supported);
    }
    let policies = at.child("policies");
    if rules.items("policies").is_empty() {
        policies.required(errors, "must specify at least one Policy");
    }
    for (i, policy) in rules.items("policies").iter().enumerate() {
        check_policy(policy, &policies.index(i), errors);
    }
    if amount(rules.at("tolerance")).is_some_and(|tolerance| tolerance.is_negative()) {
        at.child("tolerance").invalid(
            errors,
            rules.at("tolerance").clone(),
            "must be greater than or equal to 0",
        );
    }
}

fn check_policy(policy: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let kind = policy.text("type");
    if !["Percent", "Pods"].contains(&kind) {
        at.child("type")
            .unsupported(errors, kind, &["Percent", "Pods"]);
    }
    for field in ["value", "periodSeconds"] {
        let number = policy.int(field).unwrap_or(0);
        if number <= 0 {
            at.child(field)
                .invalid(errors, number, "must be greater than zero");
        }
    }
    if let Some(period) = policy
        .int("periodSeconds")
        .filter(|p| *p > PERIOD_MAX_SECONDS)
    {
        let detail = format!("must be less than or equal to {PERIOD_MAX_SECONDS}");
        at.child("periodSeconds").invalid(errors, period, &detail);
    }
}
