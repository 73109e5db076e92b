//! The RBAC evaluator: roles and bindings, indexed by subject, kept up to date object by object.
//!
//! A decision looks up the user and each of its groups and walks the bindings found there, ClusterRoleBindings first and
//! then the RoleBindings of the namespace, as Kubernetes does; it never walks all bindings. Aggregated ClusterRoles are
//! resolved here at every change, so that a decision does not wait for a controller to rewrite their `rules`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use minicloud_api::selector::LabelSelector;
use minicloud_api::user::UserInfo;
use serde_json::Value;

use super::RbacKind;
use super::attributes::{Attributes, Decision};
use super::rules::PolicyRule;
use crate::json::text;

type Rules = Arc<[PolicyRule]>;

#[derive(Debug, Default)]
struct ClusterRole {
    own: Rules,
    effective: Rules,
    labels: BTreeMap<String, String>,
    /// `aggregationRule.clusterRoleSelectors`, when there is an aggregationRule.
    selectors: Option<Vec<LabelSelector>>,
}

#[derive(Debug)]
struct Binding {
    /// The role is a ClusterRole (else a Role of `namespace`).
    cluster_role: bool,
    role: String,
    /// Empty for a ClusterRoleBinding.
    namespace: String,
}

#[derive(Debug, Clone)]
struct Grant {
    /// `(namespace, name)` of the binding, to find the grant again when the binding goes.
    key: (String, String),
    binding: Arc<Binding>,
    reason: Arc<str>,
}

#[derive(Debug, Default)]
struct Grants {
    cluster: Vec<Grant>,
    namespaced: HashMap<String, Vec<Grant>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    User(String),
    Group(String),
}

/// Roles and bindings. See the module for how it decides.
#[derive(Debug, Default)]
pub(super) struct Rbac {
    cluster_roles: HashMap<String, ClusterRole>,
    roles: HashMap<String, HashMap<String, Rules>>,
    /// The subjects of each binding, by `(namespace, name)`.
    bindings: HashMap<(String, String), Vec<Subject>>,
    users: HashMap<String, Grants>,
    groups: HashMap<String, Grants>,
}

impl Rbac {
    /// Adds or replaces an object. Malformed parts grant nothing.
    pub(super) fn upsert(&mut self, kind: RbacKind, object: &Value) {
        let name = text(object, "/metadata/name").to_owned();
        let namespace = text(object, "/metadata/namespace").to_owned();
        match kind {
            RbacKind::Role => {
                self.roles
                    .entry(namespace)
                    .or_default()
                    .insert(name, PolicyRule::list_from(object).into());
            }
            RbacKind::ClusterRole => self.upsert_cluster_role(name, object),
            RbacKind::RoleBinding => self.upsert_binding(namespace, name, object),
            RbacKind::ClusterRoleBinding => self.upsert_binding(String::new(), name, object),
        }
    }

    /// Forgets an object; one that is not known is no error.
    pub(super) fn remove(&mut self, kind: RbacKind, namespace: &str, name: &str) {
        match kind {
            RbacKind::Role => {
                if let Some(roles) = self.roles.get_mut(namespace) {
                    roles.remove(name);
                    if roles.is_empty() {
                        self.roles.remove(namespace);
                    }
                }
            }
            RbacKind::ClusterRole => {
                if let Some(old) = self.cluster_roles.remove(name)
                    && self.feeds_aggregation(&old.labels)
                {
                    self.resolve_aggregation();
                }
            }
            RbacKind::RoleBinding => self.remove_binding(namespace, name),
            RbacKind::ClusterRoleBinding => self.remove_binding("", name),
        }
    }

    fn upsert_cluster_role(&mut self, name: String, object: &Value) {
        let own: Rules = PolicyRule::list_from(object).into();
        let labels: BTreeMap<String, String> = object
            .pointer("/metadata/labels")
            .and_then(Value::as_object)
            .map(|m| {
                m.iter()
                    .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
                    .collect()
            })
            .unwrap_or_default();
        let selectors = object
            .get("aggregationRule")
            .filter(|v| v.is_object())
            .map(|rule| {
                let selectors = rule.get("clusterRoleSelectors").and_then(Value::as_array);
                // A selector that cannot be read selects nothing.
                selectors
                    .into_iter()
                    .flatten()
                    .filter_map(|s| LabelSelector::from_value(s).ok())
                    .collect()
            });
        let old = self.cluster_roles.get(&name);
        let resolve = selectors.is_some()
            || old.is_some_and(|o| o.selectors.is_some() || self.feeds_aggregation(&o.labels))
            || self.feeds_aggregation(&labels);
        self.cluster_roles.insert(
            name,
            ClusterRole {
                effective: own.clone(),
                own,
                labels,
                selectors,
            },
        );
        if resolve {
            self.resolve_aggregation();
        }
    }

    fn feeds_aggregation(&self, labels: &BTreeMap<String, String>) -> bool {
        !labels.is_empty()
            && self
                .cluster_roles
                .values()
                .filter_map(|role| role.selectors.as_ref())
                .any(|selectors| selectors.iter().any(|s| selects(s, labels)))
    }

    fn resolve_aggregation(&mut self) {
        let resolved: Vec<(String, Rules)> = self
            .cluster_roles
            .iter()
            .filter(|(_, role)| role.selectors.is_some())
            .map(|(name, _)| {
                let mut rules = Vec::new();
                self.collect(name, &mut HashSet::new(), &mut rules);
                (name.clone(), rules.into())
            })
            .collect();
        for (name, rules) in resolved {
            if let Some(role) = self.cluster_roles.get_mut(&name) {
                role.effective = rules;
            }
        }
    }

    fn collect<'a>(
        &'a self,
        name: &'a str,
        seen: &mut HashSet<&'a str>,
        out: &mut Vec<PolicyRule>,
    ) {
        let Some(role) = self.cluster_roles.get(name).filter(|_| seen.insert(name)) else {
            return;
        };
        let Some(selectors) = &role.selectors else {
            for rule in role.own.iter() {
                if !out.contains(rule) {
                    out.push(rule.clone());
                }
            }
            return;
        };
        for selector in selectors {
            let mut chosen: Vec<&str> = self
                .cluster_roles
                .iter()
                .filter(|(_, candidate)| selects(selector, &candidate.labels))
                .map(|(candidate, _)| candidate.as_str())
                .collect();
            chosen.sort_unstable();
            for candidate in chosen {
                self.collect(candidate, seen, out);
            }
        }
    }

    fn upsert_binding(&mut self, namespace: String, name: String, object: &Value) {
        self.remove_binding(&namespace, &name);
        let kind = text(object, "/roleRef/kind");
        let binding = Arc::new(Binding {
            cluster_role: kind == "ClusterRole",
            role: text(object, "/roleRef/name").to_owned(),
            namespace: namespace.clone(),
        });
        let prefix = if namespace.is_empty() {
            format!(
                "RBAC: allowed by ClusterRoleBinding {name:?} of {kind} {:?} to",
                binding.role
            )
        } else {
            format!(
                "RBAC: allowed by RoleBinding \"{name}/{namespace}\" of {kind} {:?} to",
                binding.role
            )
        };
        let key = (namespace.clone(), name);
        let mut subjects = Vec::new();
        for item in object
            .get("subjects")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let (kind, name) = (text(item, "/kind"), text(item, "/name"));
            let (subject, shown) = match kind {
                "User" => (Subject::User(name.to_owned()), name.to_owned()),
                "Group" => (Subject::Group(name.to_owned()), name.to_owned()),
                "ServiceAccount" => {
                    let own = text(item, "/namespace");
                    let place = if own.is_empty() {
                        namespace.as_str()
                    } else {
                        own
                    };
                    if place.is_empty() {
                        continue;
                    }
                    (
                        Subject::User(format!("system:serviceaccount:{place}:{name}")),
                        format!("{name}/{place}"),
                    )
                }
                _ => continue,
            };
            if subjects.contains(&subject) {
                continue;
            }
            let reason: Arc<str> = format!("{prefix} {kind} {shown:?}").into();
            let grant = Grant {
                key: key.clone(),
                binding: binding.clone(),
                reason,
            };
            let grants = match &subject {
                Subject::User(name) => self.users.entry(name.clone()).or_default(),
                Subject::Group(name) => self.groups.entry(name.clone()).or_default(),
            };
            if namespace.is_empty() {
                grants.cluster.push(grant);
            } else {
                grants
                    .namespaced
                    .entry(namespace.clone())
                    .or_default()
                    .push(grant);
            }
            subjects.push(subject);
        }
        self.bindings.insert(key, subjects);
    }

    fn remove_binding(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        for subject in self.bindings.remove(&key).unwrap_or_default() {
            let (map, subject) = match subject {
                Subject::User(name) => (&mut self.users, name),
                Subject::Group(name) => (&mut self.groups, name),
            };
            let Some(grants) = map.get_mut(&subject) else {
                continue;
            };
            if namespace.is_empty() {
                grants.cluster.retain(|g| g.key != key);
            } else if let Some(list) = grants.namespaced.get_mut(namespace) {
                list.retain(|g| g.key != key);
                if list.is_empty() {
                    grants.namespaced.remove(namespace);
                }
            }
            if grants.cluster.is_empty() && grants.namespaced.is_empty() {
                map.remove(&subject);
            }
        }
    }

    /// Calls `visit` with each rule list that applies to `user`, until it returns false. Roles that a binding names but
    /// that do not exist are told to `absent`.
    fn visit<'a>(
        &'a self,
        user: &UserInfo,
        namespace: &str,
        mut visit: impl FnMut(&'a Rules, &'a Grant) -> bool,
        mut absent: impl FnMut(&'a Binding),
    ) {
        let grants = || {
            let own = self.users.get(&user.username);
            own.into_iter()
                .chain(user.groups.iter().filter_map(|g| self.groups.get(g)))
        };
        let namespaced = grants()
            .filter_map(|g| g.namespaced.get(namespace))
            .flatten();
        for grant in grants().flat_map(|g| &g.cluster).chain(namespaced) {
            let binding = &*grant.binding;
            let rules = if binding.cluster_role {
                self.cluster_roles
                    .get(&binding.role)
                    .map(|role| &role.effective)
            } else {
                self.roles
                    .get(&binding.namespace)
                    .and_then(|roles| roles.get(&binding.role))
            };
            match rules {
                Some(rules) if !visit(rules, grant) => return,
                Some(_) => {}
                None => absent(binding),
            }
        }
    }

    /// Decides one request.
    pub(super) fn authorize(&self, request: &Attributes<'_>) -> Decision {
        let mut allowed = None;
        let mut problems = Vec::new();
        // Paths outside the resources have no namespace, so only ClusterRoleBindings speak about them.
        let namespace = if request.resource_request {
            request.namespace
        } else {
            ""
        };
        self.visit(
            request.user,
            namespace,
            |rules, grant| {
                if rules.iter().any(|rule| rule.allows(request)) {
                    allowed = Some(grant.reason.clone());
                }
                allowed.is_none()
            },
            |binding| problems.push(not_found(binding)),
        );
        match (allowed, problems.as_slice()) {
            (Some(reason), _) => Decision::Allow(reason),
            (None, []) => Decision::NoOpinion(String::new()),
            (None, [one]) => Decision::NoOpinion(format!("RBAC: {one}")),
            (None, many) => Decision::NoOpinion(format!("RBAC: [{}]", many.join(", "))),
        }
    }

    /// Every rule that applies to `user` in `namespace` (empty for the cluster scope only), and what could not be resolved.
    pub(super) fn rules_for(
        &self,
        user: &UserInfo,
        namespace: &str,
    ) -> (Vec<PolicyRule>, Vec<String>) {
        let (mut rules, mut problems) = (Vec::new(), Vec::new());
        self.visit(
            user,
            namespace,
            |list, _| {
                rules.extend(list.iter().cloned());
                true
            },
            |binding| problems.push(not_found(binding)),
        );
        (rules, problems)
    }

    /// The rules of a role that a binding refers to; `None` when it does not exist.
    pub(super) fn role_rules(
        &self,
        cluster_role: bool,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<[PolicyRule]>> {
        if cluster_role {
            self.cluster_roles
                .get(name)
                .map(|role| role.effective.clone())
        } else {
            self.roles.get(namespace)?.get(name).cloned()
        }
    }

    /// Aggregated ClusterRoles whose stored `rules` are not what their selectors gather now: name and the right rules.
    pub(super) fn outdated_aggregates(&self) -> Vec<(String, Arc<[PolicyRule]>)> {
        let outdated = self
            .cluster_roles
            .iter()
            .filter(|(_, r)| r.selectors.is_some() && r.own != r.effective);
        outdated
            .map(|(name, role)| (name.clone(), role.effective.clone()))
            .collect()
    }
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.matches(|key| labels.get(key).map(String::as_str))
}

fn not_found(binding: &Binding) -> String {
    let kind = if binding.cluster_role {
        "clusterrole"
    } else {
        "role"
    };
    format!(
        "{kind}.rbac.authorization.k8s.io {:?} not found",
        binding.role
    )
}
