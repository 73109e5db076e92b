//! Who may do what: `system:masters`, then the node authorizer, then RBAC.
//!
//! [`Authorizer`] is fed by whoever watches the store ([`Authorizer::upsert`], [`Authorizer::upsert_pod`], …) and answers
//! from memory in a few microseconds. It must be fed before the API server serves, or everyone but `system:masters` is
//! refused.

mod attributes;
mod node;
mod rbac;
mod rules;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use minicloud_api::user::{GROUP_MASTERS, UserInfo};
use serde_json::Value;

pub use attributes::{Attributes, Decision, denial, forbidden};
pub(crate) use rules::quoted;
pub use rules::{PolicyRule, describe, missing};
use std::sync::Arc;

/// The four kinds that RBAC reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RbacKind {
    /// Role.
    Role,
    /// ClusterRole.
    ClusterRole,
    /// RoleBinding.
    RoleBinding,
    /// ClusterRoleBinding.
    ClusterRoleBinding,
}

impl RbacKind {
    /// By the plural resource name of `rbac.authorization.k8s.io`.
    pub fn from_resource(resource: &str) -> Option<Self> {
        Some(match resource {
            "roles" => Self::Role,
            "clusterroles" => Self::ClusterRole,
            "rolebindings" => Self::RoleBinding,
            "clusterrolebindings" => Self::ClusterRoleBinding,
            _ => return None,
        })
    }
}

#[derive(Debug, Default)]
struct State {
    rbac: rbac::Rbac,
    graph: node::Graph,
}

/// The authorizer. Shared by reference between all requests.
#[derive(Debug, Default)]
pub struct Authorizer {
    state: RwLock<State>,
}

/// What a user may do in a namespace: the answer of a SelfSubjectRulesReview.
#[derive(Debug, Clone, Default)]
pub struct UserRules {
    /// Every rule that applies, resources and paths.
    pub rules: Vec<PolicyRule>,
    /// True when some rules could not be found, or when an authorizer cannot list its rules (node agents).
    pub incomplete: bool,
    /// Why; empty when complete.
    pub evaluation_error: String,
}

impl Authorizer {
    /// An authorizer that knows no role yet.
    pub fn new() -> Self {
        Self::default()
    }

    // A panic while the lock was held leaves maps that are still consistent enough to refuse; go on.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds or replaces a role or binding.
    pub fn upsert(&self, kind: RbacKind, object: &Value) {
        self.write().rbac.upsert(kind, object);
    }

    /// Forgets a role or binding.
    pub fn remove(&self, kind: RbacKind, namespace: &str, name: &str) {
        self.write().rbac.remove(kind, namespace, name);
    }

    /// Tells the node authorizer about a pod; only what its node may read because of it is kept.
    pub fn upsert_pod(&self, pod: &Value) {
        self.write().graph.upsert_pod(pod);
    }

    /// Forgets a pod.
    pub fn remove_pod(&self, namespace: &str, name: &str) {
        self.write().graph.remove_pod(namespace, name);
    }

    /// Tells the node authorizer about a PersistentVolume.
    pub fn upsert_persistent_volume(&self, volume: &Value) {
        self.write().graph.upsert_volume(volume);
    }

    /// Forgets a PersistentVolume.
    pub fn remove_persistent_volume(&self, name: &str) {
        self.write().graph.remove_volume(name);
    }

    /// Decides one request.
    pub fn authorize(&self, request: &Attributes<'_>) -> Decision {
        if request.user.in_group(GROUP_MASTERS) {
            return Decision::Allow("".into());
        }
        let state = self.read();
        let mut node_reason = String::new();
        if let Some(node) = request.user.node_name() {
            match state.graph.authorize(node, request) {
                Decision::NoOpinion(reason) => node_reason = reason,
                allowed @ Decision::Allow(_) => return allowed,
            }
        }
        match state.rbac.authorize(request) {
            Decision::NoOpinion(reason) if reason.is_empty() => Decision::NoOpinion(node_reason),
            Decision::NoOpinion(reason) if !node_reason.is_empty() => {
                Decision::NoOpinion(format!("{node_reason}\n{reason}"))
            }
            decision => decision,
        }
    }

    /// [`Authorizer::authorize`], with Kubernetes' 403 when nothing allows the request.
    pub fn require(
        &self,
        request: &Attributes<'_>,
    ) -> Result<(), minicloud_api::status::ApiStatus> {
        match self.authorize(request) {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(forbidden(request, &reason)),
        }
    }

    /// The rules that apply to `user` in `namespace`.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> UserRules {
        if user.in_group(GROUP_MASTERS) {
            return UserRules {
                rules: everything(),
                ..UserRules::default()
            };
        }
        let (rules, mut problems) = self.read().rbac.rules_for(user, namespace);
        if user.node_name().is_some() {
            problems.push("node authorizer does not support user rule resolution".to_owned());
        }
        UserRules {
            rules,
            incomplete: !problems.is_empty(),
            evaluation_error: problems.join(", "),
        }
    }

    /// The rules of the role that a binding refers to; `None` when there is no such role.
    pub fn role_rules(
        &self,
        cluster_role: bool,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<[PolicyRule]>> {
        self.read().rbac.role_rules(cluster_role, namespace, name)
    }

    /// Aggregated ClusterRoles whose stored `rules` differ from what their selectors gather now: name and right rules.
    /// Decisions are right without it; whoever writes them back makes `kubectl describe clusterrole` right, too.
    pub fn outdated_aggregates(&self) -> Vec<(String, Arc<[PolicyRule]>)> {
        self.read().rbac.outdated_aggregates()
    }
}

/// The two rules that allow everything.
fn everything() -> Vec<PolicyRule> {
    let all = || vec!["*".to_owned()];
    vec![
        PolicyRule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            ..PolicyRule::default()
        },
        PolicyRule {
            verbs: all(),
            non_resource_urls: all(),
            ..PolicyRule::default()
        },
    ]
}
