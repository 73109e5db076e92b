//! Nobody may grant what they do not hold, unless they may `escalate` or `bind`.
//!
//! Called for a create or update of a role or binding, after authorization. `system:masters` holds everything.

use minicloud_api::status::ApiStatus;
use minicloud_api::user::{GROUP_MASTERS, UserInfo};
use serde_json::Value;

use crate::authz::{Attributes, Authorizer, PolicyRule, RbacKind, describe, missing, quoted};

const GROUP: &str = "rbac.authorization.k8s.io";

fn resource(kind: RbacKind) -> &'static str {
    match kind {
        RbacKind::Role => "roles",
        RbacKind::ClusterRole => "clusterroles",
        RbacKind::RoleBinding => "rolebindings",
        RbacKind::ClusterRoleBinding => "clusterrolebindings",
    }
}

/// Checks a create (`old` is `None`) or update of a role or binding in `namespace` (empty for the cluster kinds).
pub fn check(
    authorizer: &Authorizer,
    user: &UserInfo,
    kind: RbacKind,
    namespace: &str,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), ApiStatus> {
    if user.in_group(GROUP_MASTERS) {
        return Ok(());
    }
    let name = minicloud_api::meta::name(object);
    let ask = |verb, resource, name| {
        let asked = Attributes::resource(user, verb, GROUP, resource)
            .in_namespace(namespace)
            .named(name);
        authorizer.authorize(&asked).is_allowed()
    };
    let unchanged = |field: &str| old.is_some_and(|old| old.get(field) == object.get(field));
    if old.is_some_and(|old| only_for_collection(object, old)) {
        return Ok(());
    }
    let (wanted, cluster_scope) = match kind {
        RbacKind::Role | RbacKind::ClusterRole => {
            if ask("escalate", resource(kind), name) {
                return Ok(());
            }
            // Whoever lets a role gather any rules, or changes one that does, must hold all of them.
            if aggregates(object) || old.is_some_and(aggregates) {
                let held = authorizer.rules_for(user, "");
                if !missing(&held.rules, &[all_resources(), all_paths()]).is_empty() {
                    let why = "must have cluster-admin privileges to use the aggregationRule";
                    return Err(ApiStatus::forbidden(GROUP, resource(kind), name, why));
                }
            }
            // Also when the rules stay: by its labels a role's rules may become another's.
            (PolicyRule::list_from(object), kind == RbacKind::ClusterRole)
        }
        RbacKind::RoleBinding | RbacKind::ClusterRoleBinding => {
            if unchanged("roleRef") && unchanged("subjects") {
                return Ok(());
            }
            let text = |pointer: &str| {
                object
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let (cluster_role, role) = (
                text("/roleRef/kind") == "ClusterRole",
                text("/roleRef/name"),
            );
            let role_kind = if cluster_role {
                RbacKind::ClusterRole
            } else {
                RbacKind::Role
            };
            if ask("bind", resource(role_kind), role) {
                return Ok(());
            }
            let rules = authorizer
                .role_rules(cluster_role, namespace, role)
                .ok_or_else(|| ApiStatus::not_found(GROUP, resource(role_kind), role))?;
            (rules.to_vec(), kind == RbacKind::ClusterRoleBinding)
        }
    };
    let held = authorizer.rules_for(user, if cluster_scope { "" } else { namespace });
    let lacking = missing(&held.rules, &wanted);
    if lacking.is_empty() {
        return Ok(());
    }
    Err(ApiStatus::forbidden(
        GROUP,
        resource(kind),
        name,
        &message(user, &lacking, &held.evaluation_error),
    ))
}

/// True when nothing changes but what garbage collection changes: an object that may not be written must still be able to go.
fn only_for_collection(new: &Value, old: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in ["ownerReferences", "finalizers", "resourceVersion"] {
                metadata.remove(field);
            }
        }
        object
    };
    rest(new) == rest(old)
}

fn aggregates(role: &Value) -> bool {
    role.pointer("/aggregationRule/clusterRoleSelectors")
        .and_then(Value::as_array)
        .is_some_and(|selectors| !selectors.is_empty())
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

fn all_resources() -> PolicyRule {
    PolicyRule {
        verbs: all(),
        api_groups: all(),
        resources: all(),
        ..PolicyRule::default()
    }
}

fn all_paths() -> PolicyRule {
    PolicyRule {
        verbs: all(),
        non_resource_urls: all(),
        ..PolicyRule::default()
    }
}

/// Kubernetes' text: one line per right that is not held, sorted.
fn message(user: &UserInfo, lacking: &[PolicyRule], evaluation_error: &str) -> String {
    let mut lines: Vec<String> = lacking.iter().map(describe).collect();
    lines.sort();
    lines.dedup();
    let mut text = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.username,
        quoted(&user.groups),
        lines.join("\n")
    );
    if !evaluation_error.is_empty() {
        text.push_str(&format!("; resolution errors: [{evaluation_error}]"));
    }
    text
}
