//! Nodes.

use minicloud_api::field::{ErrorList, FieldError};
use minicloud_api::names;
use serde_json::{Value, json};

use super::pod::{resources, scheduling};
use super::text::{cidr, label_name, one_per_family};
use super::{Common, Rules, shape};
use crate::at::{At, report};
use crate::json::{Get, Set, same};
use crate::seen::Seen;

const SPEC: At<'static> = At::root("spec");
const STATUS: At<'static> = At::root("status");

pub(super) struct Node;

impl Rules for Node {
    const COMMON: Common = Common {
        status: true,
        initial_status: true,
        ..Common::cluster()
    };
    shape!(k8s_openapi::api::core::v1::Node);

    fn default(value: &mut Value) {
        let spec = value.object("spec");
        // The first of the ranges has a field of its own, which older clients read and write.
        if !spec.text("podCIDR").is_empty() && spec.items("podCIDRs").is_empty() {
            let range = spec.at("podCIDR").clone();
            spec.put("podCIDRs", json!([range]));
        } else if let Some(first) = spec.items("podCIDRs").first().cloned() {
            spec.default_to("podCIDR", first);
        }
        let status = value.object("status");
        if !status.has("allocatable") && status.has("capacity") {
            let capacity = status.at("capacity").clone();
            status.put("allocatable", capacity);
        }
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        taints(value, errors);
        for field in ["capacity", "allocatable"] {
            for (name, amount) in value.at("status").entries(field) {
                resources::quantity(name, amount, &STATUS.child(field).child(name), errors);
            }
        }
        let list = SPEC.child("podCIDRs");
        let ranges: Vec<&str> = value
            .at("spec")
            .items("podCIDRs")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut seen = Seen::new();
        for (i, range) in ranges.iter().enumerate() {
            cidr(range, &list.index(i), errors);
            if !seen.insert(range) {
                list.index(i).duplicate(errors, *range);
            }
        }
        if !one_per_family(&ranges) {
            let detail = "may specify no more than one CIDR for each IP family";
            list.invalid(errors, value.at("spec").at("podCIDRs").clone(), detail);
        }
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        let (spec, before) = (new.at("spec"), old.at("spec"));
        if !before.items("podCIDRs").is_empty() && !same(spec.at("podCIDRs"), before.at("podCIDRs"))
        {
            let detail = "node updates may not change podCIDR except from \"\" to valid";
            SPEC.child("podCIDRs").forbidden(errors, detail);
        }
        if !before.text("providerID").is_empty()
            && spec.text("providerID") != before.text("providerID")
        {
            let detail = "node updates may not change providerID except from \"\" to valid";
            SPEC.child("providerID").forbidden(errors, detail);
        }
        addresses(new, errors);
    }

    fn check_status(new: &Value, _old: &Value, errors: &mut ErrorList) {
        for field in ["capacity", "allocatable"] {
            for (name, amount) in new.at("status").entries(field) {
                resources::quantity(name, amount, &STATUS.child(field).child(name), errors);
            }
        }
        addresses(new, errors);
    }
}

fn addresses(value: &Value, errors: &mut ErrorList) {
    let addresses = value.at("status").items("addresses");
    let mut seen = Seen::new();
    for (i, address) in addresses.iter().enumerate() {
        if !seen.insert(address) {
            STATUS
                .child("addresses")
                .index(i)
                .duplicate(errors, address.clone());
        }
    }
}

fn taints(value: &Value, errors: &mut ErrorList) {
    // Kubernetes reports taints below metadata.
    let list = At::root("metadata");
    let list = list.child("taints");
    let mut seen = Seen::new();
    for (i, taint) in value.at("spec").items("taints").iter().enumerate() {
        let at = list.index(i);
        let (key, effect) = (taint.text("key"), taint.text("effect"));
        label_name(key, &at.child("key"), errors);
        let complaints = names::label_value(taint.text("value"));
        if !complaints.is_empty() {
            at.child("value")
                .invalid(errors, taint.text("value"), &complaints.join(";"));
        }
        if effect.is_empty() {
            at.child("effect").required(errors, "");
        } else {
            scheduling::taint_effect(effect, &at.child("effect"), errors);
        }
        if !seen.insert((key, effect)) {
            let mut error = FieldError::duplicate(at.path(), taint.clone());
            error.detail = "taints must be unique by key and effect pair".into();
            report(errors, error);
        }
    }
}
