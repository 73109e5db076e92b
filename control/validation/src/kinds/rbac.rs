//! Roles and bindings.

use minicloud_api::field::ErrorList;
use minicloud_api::names;
use serde_json::Value;

use super::meta::label_selector;
use super::{Common, Rules, shape};
use crate::at::At;
use crate::json::{Get, Set, same};

const GROUP: &str = "rbac.authorization.k8s.io";
const SUBJECTS: At<'static> = At::root("subjects");
const ROLE_REF: At<'static> = At::root("roleRef");

pub(super) struct Role;

impl Rules for Role {
    const COMMON: Common = Common {
        name: names::path_segment,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::rbac::v1::Role);

    fn check(value: &Value, errors: &mut ErrorList) {
        rules(value, true, errors);
    }
}

pub(super) struct ClusterRole;

impl Rules for ClusterRole {
    const COMMON: Common = Common {
        name: names::path_segment,
        ..Common::cluster()
    };
    shape!(k8s_openapi::api::rbac::v1::ClusterRole);

    fn check(value: &Value, errors: &mut ErrorList) {
        rules(value, false, errors);
        let aggregation = value.at("aggregationRule");
        if aggregation.is_null() {
            return;
        }
        let list = At::root("aggregationRule");
        let list = list.child("clusterRoleSelectors");
        let selectors = aggregation.items("clusterRoleSelectors");
        if selectors.is_empty() {
            list.required(
                errors,
                "at least one clusterRoleSelector required if aggregationRule is non-nil",
            );
        }
        for (i, selector) in selectors.iter().enumerate() {
            label_selector(selector, &list.index(i), errors);
        }
    }
}

fn rules(value: &Value, namespaced: bool, errors: &mut ErrorList) {
    let list = At::root("rules");
    for (i, rule) in value.items("rules").iter().enumerate() {
        let at = list.index(i);
        let some = |field: &str| !rule.items(field).is_empty();
        if !some("verbs") {
            at.child("verbs")
                .required(errors, "verbs must contain at least one value");
        }
        if some("nonResourceURLs") {
            let (at, urls) = (
                at.child("nonResourceURLs"),
                rule.at("nonResourceURLs").clone(),
            );
            if namespaced {
                at.invalid(
                    errors,
                    urls.clone(),
                    "namespaced rules cannot apply to non-resource URLs",
                );
            }
            if some("apiGroups") || some("resources") || some("resourceNames") {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                at.invalid(errors, urls, detail);
            }
            continue;
        }
        if !some("apiGroups") {
            at.child("apiGroups")
                .required(errors, "resource rules must supply at least one api group");
        }
        if !some("resources") {
            at.child("resources")
                .required(errors, "resource rules must supply at least one resource");
        }
    }
}

pub(super) struct RoleBinding;

impl Rules for RoleBinding {
    const COMMON: Common = Common {
        name: names::path_segment,
        ..Common::namespaced()
    };
    shape!(k8s_openapi::api::rbac::v1::RoleBinding);

    fn default(value: &mut Value) {
        binding_defaults(value);
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        role_ref(value, &["ClusterRole", "Role"], errors);
        subjects(value, true, errors);
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        same_role(new, old, errors);
    }
}

pub(super) struct ClusterRoleBinding;

impl Rules for ClusterRoleBinding {
    const COMMON: Common = Common {
        name: names::path_segment,
        ..Common::cluster()
    };
    shape!(k8s_openapi::api::rbac::v1::ClusterRoleBinding);

    fn default(value: &mut Value) {
        binding_defaults(value);
    }

    fn check(value: &Value, errors: &mut ErrorList) {
        role_ref(value, &["ClusterRole"], errors);
        subjects(value, false, errors);
    }

    fn check_update(new: &Value, old: &Value, errors: &mut ErrorList) {
        same_role(new, old, errors);
    }
}

fn binding_defaults(value: &mut Value) {
    if let Some(role) = value.some("roleRef") {
        role.default_to("apiGroup", GROUP);
    }
    for subject in value.items_mut("subjects") {
        if matches!(subject.text("kind"), "User" | "Group") {
            subject.default_to("apiGroup", GROUP);
        }
    }
}

fn role_ref(value: &Value, kinds: &[&str], errors: &mut ErrorList) {
    let role = value.at("roleRef");
    let (group, kind, name) = (role.text("apiGroup"), role.text("kind"), role.text("name"));
    if group != GROUP {
        ROLE_REF
            .child("apiGroup")
            .unsupported(errors, group, &[GROUP]);
    }
    if !kinds.contains(&kind) {
        ROLE_REF.child("kind").unsupported(errors, kind, kinds);
    }
    if name.is_empty() {
        ROLE_REF.child("name").required(errors, "");
    } else {
        ROLE_REF
            .child("name")
            .complain(errors, name, names::path_segment(name));
    }
}

fn subjects(value: &Value, namespaced: bool, errors: &mut ErrorList) {
    for (i, subject) in value.items("subjects").iter().enumerate() {
        let at = SUBJECTS.index(i);
        let (group, kind, name) = (
            subject.text("apiGroup"),
            subject.text("kind"),
            subject.text("name"),
        );
        if name.is_empty() {
            at.child("name").required(errors, "");
        }
        match kind {
            "ServiceAccount" => {
                if !name.is_empty() {
                    at.child("name")
                        .complain(errors, name, names::dns1123_subdomain(name));
                }
                if !group.is_empty() {
                    at.child("apiGroup").unsupported(errors, group, &[""]);
                }
                if !namespaced && subject.text("namespace").is_empty() {
                    at.child("namespace").required(errors, "");
                }
            }
            "User" | "Group" => {
                if group != GROUP {
                    at.child("apiGroup").unsupported(errors, group, &[GROUP]);
                }
            }
            _ => at
                .child("kind")
                .unsupported(errors, kind, &["ServiceAccount", "User", "Group"]),
        }
    }
}

fn same_role(new: &Value, old: &Value, errors: &mut ErrorList) {
    if !same(new.at("roleRef"), old.at("roleRef")) {
        ROLE_REF.invalid(errors, new.at("roleRef").clone(), "cannot change roleRef");
    }
}
