//! Kinds that are asked, not kept: token and access reviews, token requests, evictions, options of a delete.

use minicloud_api::field::ErrorList;
use serde_json::{Map, Value};

use super::text::one_of_if_set;
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set};

const SPEC: At<'static> = At::root("spec");
const ASKED: Common = Common {
    metadata: false,
    ..Common::cluster()
};

pub(super) struct TokenReview;

impl Rules for TokenReview {
    const COMMON: Common = ASKED;
    shape!(k8s_openapi::api::authentication::v1::TokenReview);

    fn check(value: &Value, errors: &mut ErrorList) {
        if value.at("spec").text("token").is_empty() {
            SPEC.child("token").required(
                errors,
                "token is required for TokenReview in authentication",
            );
        }
    }
}

pub(super) struct TokenRequest;

impl Rules for TokenRequest {
    const COMMON: Common = ASKED;
    shape!(k8s_openapi::api::authentication::v1::TokenRequest);

    fn default(value: &mut Value) {
        value.object("spec").default_to("expirationSeconds", 3600);
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let seconds = value.at("spec").int("expirationSeconds").unwrap_or(0);
        let at = SPEC.child("expirationSeconds");
        if seconds < 600 {
            at.invalid(
                errors,
                seconds,
                "may not specify a duration less than 10 minutes",
            );
        }
        if seconds > 1 << 32 {
            at.invalid(
                errors,
                seconds,
                "may not specify a duration larger than 2^32 seconds",
            );
        }
    }
}

pub(super) struct SelfSubjectReview;

impl Rules for SelfSubjectReview {
    const COMMON: Common = ASKED;
    shape!(k8s_openapi::api::authentication::v1::SelfSubjectReview);
}

pub(super) struct SubjectAccessReview;

impl Rules for SubjectAccessReview {
    const COMMON: Common = ASKED;
    shape!(k8s_openapi::api::authorization::v1::SubjectAccessReview);

    fn check(value: &Value, errors: &mut ErrorList) {
        attributes(value, errors);
        somebody(value, errors);
        no_metadata(value, errors);
    }
}

pub(super) struct SelfSubjectAccessReview;

impl Rules for SelfSubjectAccessReview {
    const COMMON: Common = ASKED;
    shape!(k8s_openapi::api::authorization::v1::SelfSubjectAccessReview);

    fn check(value: &Value, errors: &mut ErrorList) {
        attributes(value, errors);
        no_metadata(value, errors);
    }
}

pub(super) struct LocalSubjectAccessReview;

impl Rules for LocalSubjectAccessReview {
    const COMMON: Common = ASKED;
    shape!(k8s_openapi::api::authorization::v1::LocalSubjectAccessReview);

    fn check(value: &Value, errors: &mut ErrorList) {
        attributes(value, errors);
        somebody(value, errors);
        let spec = value.at("spec");
        let resource = spec.at("resourceAttributes");
        if !resource.is_null()
            && resource.text("namespace") != value.at("metadata").text("namespace")
        {
            let at = SPEC.child("resourceAttributes");
            at.child("namespace").invalid(
                errors,
                resource.text("namespace"),
                "must match metadata.namespace",
            );
        }
        if spec.has("nonResourceAttributes") {
            let at = SPEC.child("nonResourceAttributes");
            at.invalid(
                errors,
                spec.at("nonResourceAttributes").clone(),
                "disallowed on this kind of request",
            );
        }
    }
}

pub(super) struct SelfSubjectRulesReview;

impl Rules for SelfSubjectRulesReview {
    const COMMON: Common = ASKED;
    shape!(k8s_openapi::api::authorization::v1::SelfSubjectRulesReview);
}

fn attributes(value: &Value, errors: &mut ErrorList) {
    let spec = value.at("spec");
    match (
        spec.has("resourceAttributes"),
        spec.has("nonResourceAttributes"),
    ) {
        (true, true) => SPEC.child("nonResourceAttributes").invalid(
            errors,
            spec.at("nonResourceAttributes").clone(),
            "cannot be specified in combination with resourceAttributes",
        ),
        (false, false) => SPEC.child("resourceAttributes").invalid(
            errors,
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        _ => {}
    }
}

fn somebody(value: &Value, errors: &mut ErrorList) {
    let spec = value.at("spec");
    if spec.text("user").is_empty() && spec.items("groups").is_empty() {
        SPEC.child("user").invalid(
            errors,
            "",
            "at least one of user or group must be specified",
        );
    }
}

/// A review has no name. Managed fields come by themselves.
fn no_metadata(value: &Value, errors: &mut ErrorList) {
    let ours = ["managedFields", "creationTimestamp"];
    let given = value
        .at("metadata")
        .as_object()
        .map_or(0, |m: &Map<String, Value>| {
            m.iter()
                .filter(|(field, v)| !ours.contains(&field.as_str()) && !v.is_null())
                .count()
        });
    if given > 0 {
        At::root("metadata").invalid(errors, value.at("metadata").clone(), "must be empty");
    }
}

pub(super) struct Eviction;

impl Rules for Eviction {
    const COMMON: Common = Common {
        metadata: false,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::policy::v1::Eviction);

    fn check(value: &Value, errors: &mut ErrorList) {
        if value.has("deleteOptions") {
            delete_options(
                value.at("deleteOptions"),
                &At::root("deleteOptions"),
                errors,
            );
        }
    }
}

pub(super) struct DeleteOptions;

impl Rules for DeleteOptions {
    const COMMON: Common = ASKED;
    shape!(k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions);

    fn check(value: &Value, errors: &mut ErrorList) {
        delete_options(value, &At::root(""), errors);
    }
}

fn delete_options(value: &Value, at: &At<'_>, errors: &mut ErrorList) {
    if value.has("orphanDependents") && value.has("propagationPolicy") {
        at.child("propagationPolicy").invalid(
            errors,
            value.text("propagationPolicy"),
            "orphanDependents and deletionPropagation cannot be both set",
        );
    }
    if value.has("propagationPolicy") {
        let policies = ["Foreground", "Background", "Orphan", "nil"];
        one_of_if_set(value, "propagationPolicy", &policies, at, errors);
    }
    if value.items("dryRun").iter().any(|v| v != "All") {
        at.child("dryRun")
            .unsupported(errors, value.at("dryRun").clone(), &["All"]);
    }
}
