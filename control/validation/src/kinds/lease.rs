//! Leases.

use minicloud_api::field::ErrorList;
use serde_json::Value;

use super::meta::not_negative;
use super::text::one_of_if_set;
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::Get;

const SPEC: At<'static> = At::root("spec");

pub(super) struct Lease;

impl Rules for Lease {
    const COMMON: Common = Common {
        unconditional: false,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::coordination::v1::Lease);

    fn check(value: &Value, errors: &mut ErrorList) {
        let spec = value.at("spec");
        if let Some(seconds) = spec.int("leaseDurationSeconds").filter(|s| *s <= 0) {
            SPEC.child("leaseDurationSeconds")
                .invalid(errors, seconds, "must be greater than 0");
        }
        not_negative(spec, "leaseTransitions", &SPEC, errors);
        one_of_if_set(spec, "strategy", &["OldestEmulationVersion"], &SPEC, errors);
    }
}
