//! `GET /v1/pods` and `/v1/namespaces`: what runs, and what it takes. Pure.

use std::collections::BTreeMap;

use minicloud_prometheus_client::Sample;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::found::{Found, tidy};
use crate::nodes::MINUTES;
use crate::objects::{Amounts, PodFacts};

/// Numbers by what they are; the names are those of `queries`.
pub(crate) type Numbers = BTreeMap<String, f64>;

/// A pod as it is told.
#[derive(Debug, Serialize)]
pub(crate) struct PodAnswer {
    #[serde(flatten)]
    pub(crate) facts: PodFacts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) measurements: Option<Numbers>,
    pub(crate) averages: Vec<Value>,
}

/// A namespace as it is told.
#[derive(Debug, Default, Serialize)]
pub(crate) struct NamespaceAnswer {
    pub(crate) name: String,
    pub(crate) phase: String,
    /// Pods by phase, in lower case, and `total`.
    pub(crate) pods: BTreeMap<String, u64>,
    /// What its pods ask for together.
    pub(crate) requested: Amounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) measurements: Option<Numbers>,
    pub(crate) averages: Vec<Value>,
}

/// All measures by the things that they are about.
pub(crate) struct ByThing<K>(BTreeMap<K, Numbers>);

impl<K: Ord> ByThing<K> {
    /// `key` says what a sample is about.
    pub(crate) fn new(found: &Found, key: impl Fn(&Sample) -> K) -> Self {
        let mut things: BTreeMap<K, Numbers> = BTreeMap::new();
        for (measure, samples) in &found.by_measure {
            for sample in samples {
                let numbers = things.entry(key(sample)).or_default();
                numbers.insert(measure.clone(), tidy(sample.value()));
            }
        }
        Self(things)
    }

    pub(crate) fn of(&self, key: &K) -> Option<Numbers> {
        self.0.get(key).cloned()
    }
}

/// Namespace and name.
pub(crate) fn pod_of(sample: &Sample) -> (String, String) {
    let label = |name| sample.label(name).to_owned();
    (label("namespace"), label("pod"))
}

/// The averages of one thing, from those of all over each of [`MINUTES`].
pub(crate) fn averages<K: Ord>(all: &[ByThing<K>], key: &K) -> Vec<Value> {
    let average = |(minutes, things): (u32, &ByThing<K>)| {
        let mut told = Map::from_iter([("minutes".to_owned(), json!(minutes))]);
        let numbers = things.of(key)?;
        told.extend(
            numbers
                .into_iter()
                .map(|(name, value)| (name, json!(value))),
        );
        Some(Value::Object(told))
    };
    MINUTES.into_iter().zip(all).filter_map(average).collect()
}

/// The pods of each namespace, by phase, and what they ask for.
pub(crate) fn counted(pods: &[PodFacts]) -> BTreeMap<String, NamespaceAnswer> {
    let mut namespaces: BTreeMap<String, NamespaceAnswer> = BTreeMap::new();
    for pod in pods {
        let namespace = namespaces.entry(pod.namespace.clone()).or_default();
        for phase in ["total", &pod.phase.to_ascii_lowercase()] {
            *namespace.pods.entry(phase.to_owned()).or_default() += 1;
        }
        if pod.is_active() {
            namespace.requested.add(&pod.requests);
        }
    }
    namespaces
}
