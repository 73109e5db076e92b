//! Names and amounts of resources.

use minicloud_api::field::{ErrorList, FieldError};
use minicloud_api::names;
use minicloud_api::quantity::Quantity;
use serde_json::Value;

use super::super::text::name_if_set;
use crate::at::{At, report};
use crate::json::Get;
use crate::seen::Seen;

/// `resources` of a container.
pub(super) fn check(resources: &Value, claims: &Seen<&str>, at: &At<'_>, errors: &mut ErrorList) {
    requirements(resources, container_name, at, errors);
    claim_names(resources, claims, &at.child("claims"), errors);
}

/// `resources` of a pod as a whole.
pub(super) fn check_pod(spec: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let resources = spec.at("resources");
    if !resources.items("claims").is_empty() {
        at.child("claims")
            .forbidden(errors, "claims cannot be set for Resources at pod-level");
    }
    requirements(resources, pod_name, at, errors);
    let list = at.child("containers");
    for (i, container) in spec.items("containers").iter().enumerate() {
        for (name, limit) in container.at("resources").entries("limits") {
            let pod = resources.at("limits").at(name);
            if !pod.is_null() && amount(limit) > amount(pod) {
                let shown = pod.as_str().unwrap_or_default();
                let detail = format!("must be less than or equal to pod limits of {shown}");
                list.index(i)
                    .key(name)
                    .child("limits")
                    .invalid(errors, limit.clone(), &detail);
            }
        }
    }
}

type NameRule = fn(&str, &At<'_>, &mut ErrorList);

fn requirements(resources: &Value, name_rule: NameRule, at: &At<'_>, errors: &mut ErrorList) {
    let (limits, requests) = (at.child("limits"), at.child("requests"));
    let (mut compute, mut huge) = (false, false);
    for (name, value) in resources.entries("limits") {
        let at = limits.key(name);
        name_rule(name, &at, errors);
        quantity(name, value, &at, errors);
        compute |= matches!(name, "cpu" | "memory");
        huge |= huge_pages(name, value, &at, errors);
    }
    for (name, value) in resources.entries("requests") {
        let at = requests.key(name);
        name_rule(name, &at, errors);
        quantity(name, value, &at, errors);
        compute |= matches!(name, "cpu" | "memory");
        huge |= huge_pages(name, value, &at, errors);
        let limit = resources.at("limits").at(name);
        let overcommit = is_native(name) && !name.starts_with("hugepages-");
        if limit.is_null() {
            if !overcommit {
                limits.required(errors, "Limit must be set for non overcommitable resources");
            }
        } else {
            let shown = limit.as_str().unwrap_or_default();
            if !overcommit && amount(value) != amount(limit) {
                requests.invalid(
                    errors,
                    value.clone(),
                    &format!("must be equal to {name} limit of {shown}"),
                );
            } else if amount(value) > amount(limit) {
                let detail = format!("must be less than or equal to {name} limit of {shown}");
                requests.invalid(errors, value.clone(), &detail);
            }
        }
    }
    if huge && !compute {
        at.forbidden(errors, "HugePages require cpu or memory");
    }
}

/// An amount may not be below zero, and is whole where half of a thing makes no sense.
pub(in crate::kinds) fn quantity(name: &str, value: &Value, at: &At<'_>, errors: &mut ErrorList) {
    let Some(quantity) = amount(value) else {
        return at.invalid(errors, value.clone(), "must be a valid resource quantity");
    };
    if quantity.is_negative() {
        at.invalid(errors, value.clone(), "must be greater than or equal to 0");
    }
    let whole = matches!(
        name,
        "pods" | "services" | "persistentvolumeclaims" | "secrets" | "configmaps"
    ) || is_extended(name);
    if whole && !quantity.is_whole() {
        at.invalid(errors, value.clone(), "must be an integer");
    }
}

pub(in crate::kinds) fn amount(value: &Value) -> Option<Quantity> {
    value.as_str().and_then(|text| text.parse().ok())
}

fn huge_pages(name: &str, value: &Value, at: &At<'_>, errors: &mut ErrorList) -> bool {
    let Some(size) = name.strip_prefix("hugepages-") else {
        return false;
    };
    let size = size.parse::<Quantity>().map_or(0, |q| q.units());
    let units = amount(value).map_or(0, |q| q.units());
    if size <= 0 || units < 0 || units % size != 0 {
        let detail = format!(
            "{} is not positive integer multiple of {name}",
            value.as_str().unwrap_or_default()
        );
        at.invalid(errors, value.clone(), &detail);
    }
    true
}

/// Without a prefix, or with one of Kubernetes' own.
fn is_native(name: &str) -> bool {
    name.split_once('/')
        .is_none_or(|(domain, _)| domain == "kubernetes.io" || domain.ends_with(".kubernetes.io"))
}

/// A device plugin's resource.
fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

fn container_name(name: &str, at: &At<'_>, errors: &mut ErrorList) {
    let complaints = names::qualified_name(name);
    if !complaints.is_empty() {
        return at.complain(errors, name, complaints);
    }
    if !name.contains('/') {
        let standard = matches!(name, "cpu" | "memory" | "ephemeral-storage")
            || name.starts_with("hugepages-");
        if !standard {
            if !matches!(
                name,
                "storage" | "pods" | "services" | "secrets" | "configmaps"
            ) {
                at.invalid(
                    errors,
                    name,
                    "must be a standard resource type or fully qualified",
                );
            }
            at.invalid(errors, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        at.invalid(
            errors,
            name,
            "doesn't follow extended resource name standard",
        );
    }
}

fn pod_name(name: &str, at: &At<'_>, errors: &mut ErrorList) {
    let complaints = names::qualified_name(name);
    if !complaints.is_empty() {
        at.complain(errors, name, complaints);
    } else if !matches!(name, "cpu" | "memory") && !name.starts_with("hugepages-") {
        at.unsupported(errors, name, &["cpu", "hugepages-", "memory"]);
    }
}

fn claim_names(resources: &Value, claims: &Seen<&str>, list: &At<'_>, errors: &mut ErrorList) {
    // Whole claims, claims of which a part is asked for, and those parts.
    let (mut whole, mut parts, mut requests) = (Seen::new(), Seen::new(), Seen::new());
    for (i, claim) in resources.items("claims").iter().enumerate() {
        let at = list.index(i);
        let (name, request) = (claim.text("name"), claim.text("request"));
        if name.is_empty() {
            at.required(errors, "");
            continue;
        }
        name_if_set(claim, "request", names::dns1123_label, &at, errors);
        let new = if request.is_empty() {
            whole.insert(name) && !parts.contains(&name)
        } else {
            parts.insert(name);
            requests.insert((name, request)) && !whole.contains(&name)
        };
        if !new {
            let slash = if request.is_empty() { "" } else { "/" };
            at.duplicate(errors, format!("{name}{slash}{request}"));
        }
        if !claims.contains(&name) {
            let mut error = FieldError::not_found(at.path(), name);
            error.detail = "must be one of the names in pod.spec.resourceClaims".into();
            report(errors, error);
        }
    }
}
