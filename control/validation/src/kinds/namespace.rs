//! Namespaces. Their finalizers are removed through the `finalize` subresource only.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::{Value, json};

use super::meta::finalizer_name;
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set};

pub(super) struct Namespace;

impl Rules for Namespace {
    const COMMON: Common = Common {
        name: names::dns1123_label,
        status: true,
        ..Common::cluster()
    };
    shape!(k8s_openapi::api::core::v1::Namespace);

    fn default(value: &mut Value) {
        label(value);
        value.object("spec");
        value.object("status").default_to("phase", "Active");
    }

    fn create(value: &mut Value) {
        // The name may have been generated meanwhile.
        label(value);
        let finalizers = value.object("spec").list_mut("finalizers");
        if !finalizers.iter().any(|f| f == "kubernetes") {
            finalizers.push("kubernetes".into());
        }
        value.put("status", json!({"phase": "Active"}));
    }

    fn update(new: &mut Value, old: &Value) {
        label(new);
        new.object("spec").copy_from(old.at("spec"), "finalizers");
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        let at = At::root("spec");
        let at = at.child("finalizers");
        for finalizer in value
            .at("spec")
            .items("finalizers")
            .iter()
            .filter_map(Value::as_str)
        {
            finalizer_name(finalizer, &at, &at, errors);
        }
    }

    fn check_status(new: &Value, _old: &Value, errors: &mut ErrorList) {
        let phase = new.at("status").text("phase");
        let at = At::root("status");
        // Kubernetes spells it with a capital letter.
        let at = at.child("Phase");
        let deleting = new.at("metadata").has("deletionTimestamp");
        match (deleting, phase) {
            (false, "Active") | (true, "Terminating") => {}
            (false, _) => at.invalid(
                errors,
                phase,
                "may only be 'Active' if `deletionTimestamp` is empty",
            ),
            (true, _) => at.invalid(
                errors,
                phase,
                "may only be 'Terminating' if `deletionTimestamp` is not empty",
            ),
        }
    }
}

/// A label says the name, for selectors of namespaces.
fn label(value: &mut Value) {
    let name = value.at("metadata").text("name").to_owned();
    if !name.is_empty() {
        value
            .object("metadata")
            .object("labels")
            .put("kubernetes.io/metadata.name", name);
    }
}
