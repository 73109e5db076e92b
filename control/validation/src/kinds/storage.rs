//! Storage classes.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::meta::immutable;
use super::text::{label_name, one_of, one_of_if_set};
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set, same};
use crate::seen::Seen;

const ROOT: At<'static> = At::root("");
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_MAX_BYTES: usize = 256 << 10;

pub(super) struct StorageClass;

impl Rules for StorageClass {
    const COMMON: Common = Common::cluster();
    shape!(k8s_openapi::api::storage::v1::StorageClass);

    fn default(value: &mut Value) {
        value.default_to("reclaimPolicy", "Delete");
        value.default_to("volumeBindingMode", "Immediate");
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let provisioner = value.text("provisioner");
        if provisioner.is_empty() {
            At::root("provisioner").required(errors, "");
        } else {
            let complaints = names::qualified_name(&provisioner.to_lowercase());
            At::root("provisioner").complain(errors, provisioner, complaints);
        }
        parameters(value, errors);
        one_of_if_set(value, "reclaimPolicy", &["Delete", "Retain"], &ROOT, errors);
        one_of(
            value,
            "volumeBindingMode",
            &["Immediate", "WaitForFirstConsumer"],
            &ROOT,
            errors,
        );
        topologies(value, errors);
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        for field in ["parameters", "provisioner", "reclaimPolicy"] {
            if !same(new.at(field), old.at(field)) {
                At::root(field).forbidden(errors, &format!("updates to {field} are forbidden."));
            }
        }
        immutable(new, old, "volumeBindingMode", &ROOT, errors);
    }
}

fn parameters(value: &Value, errors: &mut ErrorList) {
    let at = At::root("parameters");
    let (mut count, mut bytes) = (0, 0);
    for (key, text) in value.entries("parameters") {
        count += 1;
        bytes += key.len() + text.as_str().map_or(0, str::len);
        if key.is_empty() {
            at.invalid(errors, key, "field must not be empty");
        }
    }
    if count > PARAMETERS_MAX {
        At::root("Provisioner Parameters Length").too_long(errors, PARAMETERS_MAX);
    } else if bytes > PARAMETERS_MAX_BYTES {
        at.too_long(errors, PARAMETERS_MAX_BYTES);
    }
}

fn topologies(value: &Value, errors: &mut ErrorList) {
    let list = At::root("allowedTopologies");
    let terms = value.items("allowedTopologies");
    let mut seen = Seen::new();
    for (i, term) in terms.iter().enumerate() {
        let at = list.index(i);
        if !seen.insert(term) {
            at.child("matchLabelExpressions").duplicate(errors, "");
        }
        let list = at.child("matchLabelExpressions");
        let mut keys = Seen::new();
        for (j, requirement) in term.items("matchLabelExpressions").iter().enumerate() {
            let at = list.index(j);
            let (key, values) = (requirement.text("key"), requirement.items("values"));
            if values.is_empty() {
                at.child("values").required(errors, "");
            }
            let mut seen = Seen::new();
            for (k, value) in values.iter().enumerate() {
                if !seen.insert(value) {
                    at.child("values").index(k).duplicate(errors, value.clone());
                }
            }
            label_name(key, &at.child("key"), errors);
            if !keys.insert(key) {
                at.child("key").duplicate(errors, key);
            }
        }
    }
}
