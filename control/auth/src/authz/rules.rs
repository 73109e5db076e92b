//! `PolicyRule`: reading it from JSON, and the match rules of `k8s.io/component-helpers/auth/rbac/validation`.
//!
//! Comparison is by text, `*` is the only wildcard (and a trailing `*` in a non-resource URL), an empty list of names
//! means every name: changing any of these changes who may do what.

use serde::Serialize;
use serde_json::Value;

use super::attributes::Attributes;

/// One rule of a Role or ClusterRole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// What may be done; `*` for everything.
    pub verbs: Vec<String>,
    /// In which API groups; `*` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// With which resources: `pods`, `pods/log`, `*/scale`, `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// With which objects; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Which paths outside the resources; a trailing `*` stands for the rest.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn strings(rule: &Value, field: &str) -> Vec<String> {
    let items = rule.get(field).and_then(Value::as_array);
    items
        .map(|items| {
            items
                .iter()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default()
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

impl PolicyRule {
    /// Reads one rule; what is missing or of another type counts as empty, so that it grants nothing.
    pub fn from_value(rule: &Value) -> Self {
        Self {
            verbs: strings(rule, "verbs"),
            api_groups: strings(rule, "apiGroups"),
            resources: strings(rule, "resources"),
            resource_names: strings(rule, "resourceNames"),
            non_resource_urls: strings(rule, "nonResourceURLs"),
        }
    }

    /// Reads the `rules` of a Role or ClusterRole.
    pub fn list_from(role: &Value) -> Vec<Self> {
        let rules = role.get("rules").and_then(Value::as_array);
        rules
            .map(|rules| rules.iter().map(Self::from_value).collect())
            .unwrap_or_default()
    }

    /// True when this rule allows the request.
    pub fn allows(&self, request: &Attributes<'_>) -> bool {
        if !has(&self.verbs, request.verb) {
            return false;
        }
        if request.resource_request {
            has(&self.api_groups, request.api_group)
                && self
                    .resources
                    .iter()
                    .any(|r| resource_matches(r, request.resource, request.subresource))
                && (self.resource_names.is_empty()
                    || self.resource_names.iter().any(|n| n == request.name))
        } else {
            self.non_resource_urls
                .iter()
                .any(|url| url_matches(url, request.path))
        }
    }

    /// True when everything that `wanted` grants is granted by this rule. `wanted` must be broken down, see
    /// [`break_down`].
    fn covers(&self, wanted: &Self) -> bool {
        let all = |mine: &[String], theirs: &[String]| {
            mine.iter().any(|m| m == "*") || theirs.iter().all(|t| mine.contains(t))
        };
        if !all(&self.verbs, &wanted.verbs) {
            return false;
        }
        let names = self.resource_names.is_empty()
            || (!wanted.resource_names.is_empty()
                && wanted
                    .resource_names
                    .iter()
                    .all(|n| self.resource_names.contains(n)));
        all(&self.api_groups, &wanted.api_groups)
            && wanted
                .resources
                .iter()
                .all(|w| self.resources.iter().any(|mine| resource_covers(mine, w)))
            && names
            && wanted.non_resource_urls.iter().all(|w| {
                self.non_resource_urls
                    .iter()
                    .any(|mine| mine == w || url_matches(mine, w))
            })
    }
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    rule.strip_suffix(subresource)
        .and_then(|rest| rest.strip_suffix('/'))
        .is_some_and(|rest| rest == "*" || rest == resource)
}

fn resource_covers(mine: &str, wanted: &str) -> bool {
    match wanted.split_once('/') {
        Some((resource, subresource)) => resource_matches(mine, resource, subresource),
        None => mine == "*" || mine == wanted,
    }
}

fn url_matches(rule: &str, path: &str) -> bool {
    rule == "*"
        || rule == path
        || rule
            .strip_suffix('*')
            .is_some_and(|prefix| path.starts_with(prefix))
}

/// Splits a rule into rules of one verb and one resource (and one name) or one URL each.
fn break_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let one = |s: &String| vec![s.clone()];
    let mut out = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let base = PolicyRule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..PolicyRule::default()
                };
                if rule.resource_names.is_empty() {
                    out.push(base);
                    continue;
                }
                for name in &rule.resource_names {
                    out.push(PolicyRule {
                        resource_names: one(name),
                        ..base.clone()
                    });
                }
            }
        }
    }
    for url in &rule.non_resource_urls {
        for verb in &rule.verbs {
            out.push(PolicyRule {
                verbs: one(verb),
                non_resource_urls: one(url),
                ..PolicyRule::default()
            });
        }
    }
    out
}

/// What of `wanted` is not granted by `held`, joined again by resource; empty when all is.
pub fn missing(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let lacking = wanted
        .iter()
        .flat_map(break_down)
        .filter(|w| !held.iter().any(|h| h.covers(w)));
    let mut joined: Vec<PolicyRule> = Vec::new();
    for rule in lacking {
        // Kubernetes joins the verbs of one resource, but leaves paths one by one.
        let same = joined.iter_mut().find(|j| {
            j.api_groups == rule.api_groups
                && j.resources == rule.resources
                && j.resource_names == rule.resource_names
                && j.non_resource_urls.is_empty()
                && rule.non_resource_urls.is_empty()
        });
        match same {
            Some(j) if rule.verbs.iter().all(|verb| j.verbs.contains(verb)) => {}
            Some(j) => j.verbs.extend(rule.verbs),
            None => joined.push(rule),
        }
    }
    joined
}

/// A rule as Kubernetes writes it in its escalation message: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
pub fn describe(rule: &PolicyRule) -> String {
    let parts: Vec<String> = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ]
    .into_iter()
    .filter(|(_, list)| !list.is_empty())
    .map(|(name, list)| format!("{name}:{}", quoted(list)))
    .collect();
    format!("{{{}}}", parts.join(", "))
}

/// A list as Go's `%q` writes it: `["a" "b"]`.
pub(crate) fn quoted(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|s| format!("{s:?}")).collect();
    format!("[{}]", items.join(" "))
}
