//! Events, in the core group (as most reporters still write them) and in events.k8s.io.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::text::required;
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set};

const ROOT: At<'static> = At::root("");
const NOTE_MAX_BYTES: usize = 1024;
const FIELD_MAX_BYTES: usize = 128;

pub(super) struct CoreEvent;

impl Rules for CoreEvent {
    const COMMON: Common = Common::namespaced();
    shape!(k8s_openapi::api::core::v1::Event);

    fn default(value: &mut Value) {
        // Go writes these whether or not they say anything.
        value.object("source");
        for field in ["reportingComponent", "reportingInstance"] {
            if !value.has(field) {
                value.put(field, "");
            }
        }
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let namespace = value.at("metadata").text("namespace");
        let about = value.at("involvedObject").text("namespace");
        // One with a time is of the new style, whose reporter says who it is.
        let modern = value.has("eventTime");
        let good = match (modern, about.is_empty()) {
            (false, false) => about == namespace,
            (false, true) => matches!(namespace, "" | "default"),
            (true, false) => true,
            (true, true) => matches!(namespace, "default" | "kube-system"),
        };
        if !good {
            let at = At::root("involvedObject");
            at.child("namespace")
                .invalid(errors, about, "does not match event.namespace");
        }
        if modern {
            reporter(value, "reportingComponent", errors);
            note(value, "message", errors);
        }
    }
}

pub(super) struct Event;

impl Rules for Event {
    const COMMON: Common = Common::namespaced();
    shape!(k8s_openapi::api::events::v1::Event);

    fn check(value: &Value, errors: &mut ErrorList) {
        let (namespace, about) = (
            value.at("metadata").text("namespace"),
            value.at("regarding").text("namespace"),
        );
        let good = if about.is_empty() {
            matches!(namespace, "" | "default" | "kube-system")
        } else {
            about == namespace
        };
        if !good {
            At::root("regarding").child("namespace").invalid(
                errors,
                about,
                "does not match event.namespace",
            );
        }
    }

    fn check_create(value: &Value, errors: &mut ErrorList) {
        if !value.has("eventTime") {
            At::root("eventTime").required(errors, "");
        }
        reporter(value, "reportingController", errors);
        if !matches!(value.text("type"), "Normal" | "Warning") {
            At::root("type").invalid(
                errors,
                value.text("type"),
                "has invalid value: must be Normal or Warning",
            );
        }
        note(value, "note", errors);
    }
}

fn reporter(value: &Value, controller: &str, errors: &mut ErrorList) {
    for field in [controller, "reportingInstance", "action", "reason"] {
        required(value, field, &ROOT, errors);
        if value.text(field).len() > FIELD_MAX_BYTES {
            let detail = format!("can have at most {FIELD_MAX_BYTES} characters");
            At::root(field).invalid(errors, "", &detail);
        }
    }
    let name = value.text(controller);
    if !name.is_empty() {
        At::root(controller).complain(errors, name, names::qualified_name(name));
    }
}

fn note(value: &Value, field: &str, errors: &mut ErrorList) {
    if value.text(field).len() > NOTE_MAX_BYTES {
        let detail = format!("can have at most {NOTE_MAX_BYTES} characters");
        At::root(field).invalid(errors, "", &detail);
    }
}
