//! Selector terms of pods, compiled once when the pod is seen.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, Taint, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use minicloud_api::selector::{LabelSelector, Requirement};

/// Labels of a pod, a node or a namespace.
pub(crate) type Labels = BTreeMap<String, String>;

/// True when `labels` satisfy `selector`.
pub(crate) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.matches(|key| labels.get(key).map(String::as_str))
}

/// A typed label selector; one that cannot be read selects nothing, which is what an `In` without values says.
pub(crate) fn label_selector(selector: &meta::LabelSelector) -> LabelSelector {
    let mut all: Vec<Requirement> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(k, v)| Requirement::In(k.clone(), vec![v.clone()]))
        .collect();
    for e in selector.match_expressions.iter().flatten() {
        all.push(requirement(
            &e.key,
            &e.operator,
            e.values.as_deref().unwrap_or_default(),
        ));
    }
    LabelSelector::new(all)
}

fn requirement(key: &str, operator: &str, values: &[String]) -> Requirement {
    let number = || values.first().and_then(|v| v.parse::<i64>().ok());
    let nothing = || Requirement::In(key.to_owned(), Vec::new());
    match operator {
        "In" => Requirement::In(key.to_owned(), values.to_vec()),
        "NotIn" => Requirement::NotIn(key.to_owned(), values.to_vec()),
        "Exists" => Requirement::Exists(key.to_owned()),
        "DoesNotExist" => Requirement::DoesNotExist(key.to_owned()),
        "Gt" => number().map_or_else(nothing, |n| Requirement::GreaterThan(key.to_owned(), n)),
        "Lt" => number().map_or_else(nothing, |n| Requirement::LessThan(key.to_owned(), n)),
        _ => nothing(),
    }
}

/// One node selector term: labels and fields, all of which must fit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeTerm {
    labels: LabelSelector,
    /// Conditions on `metadata.name`, the only field there is.
    name: LabelSelector,
}

impl NodeTerm {
    /// None for an empty term, which matches no node.
    pub(crate) fn read(term: &NodeSelectorTerm) -> Option<Self> {
        let all = |list: &Option<Vec<NodeSelectorRequirement>>| {
            let each = list.iter().flatten();
            LabelSelector::new(
                each.map(|r| {
                    requirement(&r.key, &r.operator, r.values.as_deref().unwrap_or_default())
                })
                .collect(),
            )
        };
        let (labels, name) = (all(&term.match_expressions), all(&term.match_fields));
        (!labels.is_empty() || !name.is_empty()).then_some(Self { labels, name })
    }

    /// True when the node fits.
    pub(crate) fn matches(&self, name: &str, labels: &Labels) -> bool {
        selects(&self.labels, labels)
            && self
                .name
                .matches(|field| (field == "metadata.name").then_some(name))
    }
}

/// The terms of a node selector, one of which must fit.
pub(crate) fn node_terms(selector: &NodeSelector) -> Vec<NodeTerm> {
    selector
        .node_selector_terms
        .iter()
        .filter_map(NodeTerm::read)
        .collect()
}

/// A term of pod affinity or anti-affinity.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PodTerm {
    selector: LabelSelector,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    pub(crate) topology_key: String,
}

impl PodTerm {
    /// `labels` and `namespace` are those of the pod that has the term.
    pub(crate) fn read(term: &PodAffinityTerm, namespace: &str, labels: &Labels) -> Self {
        let mut all = match &term.label_selector {
            // No selector matches no pods.
            None => vec![Requirement::In(String::new(), Vec::new())],
            Some(selector) => label_selector(selector).requirements().to_vec(),
        };
        let own = |key: &String| labels.get(key).map(|v| (key.clone(), vec![v.clone()]));
        for (key, value) in term.match_label_keys.iter().flatten().filter_map(own) {
            all.push(Requirement::In(key, value));
        }
        for (key, value) in term.mismatch_label_keys.iter().flatten().filter_map(own) {
            all.push(Requirement::NotIn(key, value));
        }
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        Self {
            selector: LabelSelector::new(all),
            namespaces,
            namespace_selector: term.namespace_selector.as_ref().map(label_selector),
            topology_key: term.topology_key.clone(),
        }
    }

    /// True when a pod with these labels in this namespace is meant. `of` gives a namespace's labels.
    pub(crate) fn matches(
        &self,
        namespace: &str,
        labels: &Labels,
        of: &dyn Fn(&str) -> Labels,
    ) -> bool {
        let here = self.namespaces.iter().any(|n| n == namespace)
            || self
                .namespace_selector
                .as_ref()
                .is_some_and(|s| s.is_empty() || selects(s, &of(namespace)));
        here && selects(&self.selector, labels)
    }
}

/// True when one of the tolerations tolerates the taint.
pub(crate) fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|t| {
        let filled = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        let key_fits = filled(&t.key).is_none_or(|key| key == taint.key);
        let effect_fits = filled(&t.effect).is_none_or(|effect| effect == taint.effect);
        let value = |text: &Option<String>| text.clone().unwrap_or_default();
        let number = |text: &Option<String>| text.as_ref().and_then(|t| t.parse::<i64>().ok());
        let value_fits = match filled(&t.operator).as_deref() {
            Some("Exists") => true,
            None | Some("Equal") => {
                filled(&t.key).is_some() && value(&t.value) == value(&taint.value)
            }
            Some("Gt") => number(&taint.value)
                .zip(number(&t.value))
                .is_some_and(|(a, b)| a > b),
            Some("Lt") => number(&taint.value)
                .zip(number(&t.value))
                .is_some_and(|(a, b)| a < b),
            Some(_) => false,
        };
        key_fits && effect_fits && value_fits
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn node_terms_match_labels_and_names() {
        let labels = Labels::from([("zone".into(), "a".into()), ("size".into(), "5".into())]);
        let check = |term: Value, expect: bool| {
            let got = NodeTerm::read(&from_value(term.clone()).unwrap())
                .is_some_and(|t| t.matches("n1", &labels));
            assert_eq!(got, expect, "{term}");
        };
        let e = |key: &str, op: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": op, "values": values}]});
        check(json!({}), false);
        check(e("zone", "In", json!(["a", "b"])), true);
        check(e("zone", "NotIn", json!(["a"])), false);
        check(e("other", "NotIn", json!(["a"])), true);
        check(e("zone", "Exists", Value::Null), true);
        check(e("zone", "DoesNotExist", Value::Null), false);
        check(e("size", "Gt", json!(["4"])), true);
        check(e("size", "Lt", json!(["5"])), false);
        check(e("zone", "Gt", json!(["x"])), false);
        let field = |value: &str| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [value]}]});
        check(field("n1"), true);
        check(field("n2"), false);
    }

    #[test]
    fn tolerations_match_taints() {
        let taint: Taint =
            from_value(json!({"key": "k", "value": "v", "effect": "NoSchedule"})).unwrap();
        let check = |toleration: Value, expect: bool| {
            assert_eq!(
                tolerates(&[from_value(toleration.clone()).unwrap()], &taint),
                expect,
                "{toleration}"
            );
        };
        check(json!({"operator": "Exists"}), true);
        check(
            json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}),
            true,
        );
        check(
            json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}),
            false,
        );
        check(json!({"key": "k", "value": "v"}), true);
        check(json!({"key": "k", "value": "w"}), false);
        check(json!({"key": "j", "operator": "Exists"}), false);
    }

    #[test]
    fn pod_terms_know_their_namespaces() {
        let of = |name: &str| Labels::from([("team".to_owned(), name.to_owned())]);
        let web = Labels::from([("app".into(), "web".into()), ("v".into(), "1".into())]);
        let check = |term: Value, namespace: &str, expect: bool| {
            let got = PodTerm::read(&from_value(term.clone()).unwrap(), "own", &web)
                .matches(namespace, &web, &of);
            assert_eq!(got, expect, "{term} {namespace}");
        };
        let term = |extra: Value| {
            let mut term =
                json!({"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "web"}}});
            term.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            term
        };
        check(term(json!({})), "own", true);
        check(term(json!({})), "other", false);
        check(term(json!({"namespaces": ["other"]})), "other", true);
        check(term(json!({"namespaces": ["other"]})), "own", false);
        check(term(json!({"namespaceSelector": {}})), "any", true);
        check(
            term(json!({"namespaceSelector": {"matchLabels": {"team": "x"}}})),
            "x",
            true,
        );
        check(
            term(json!({"namespaceSelector": {"matchLabels": {"team": "x"}}})),
            "own",
            false,
        );
        check(term(json!({"labelSelector": null})), "own", false);
        check(term(json!({"matchLabelKeys": ["v"]})), "own", true);
        check(term(json!({"mismatchLabelKeys": ["v"]})), "own", false);
    }
}
