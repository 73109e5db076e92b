//! What the metrics are about, read through the Kubernetes API.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client, ResourceExt};
use minicloud_api::status::ApiStatus;

use crate::refusal;

/// Which objects a request is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// `labelSelector`; empty for all.
    pub(crate) labels: String,
    /// `fieldSelector`; empty for all.
    pub(crate) fields: String,
}

impl Wanted {
    /// One object.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            labels: String::new(),
            fields: format!("metadata.name={}", field_value(name)),
        }
    }

    fn also(&self, term: &str) -> Self {
        let separator = if self.fields.is_empty() { "" } else { "," };
        Self {
            labels: self.labels.clone(),
            fields: format!("{}{separator}{term}", self.fields),
        }
    }

    fn params(&self) -> ListParams {
        let params = ListParams::default().match_any();
        let some = |text: &str, params: ListParams, add: fn(ListParams, &str) -> ListParams| {
            if text.is_empty() {
                params
            } else {
                add(params, text)
            }
        };
        let params = some(&self.labels, params, ListParams::labels);
        some(&self.fields, params, ListParams::fields)
    }
}

/// A value in the text of a field selector.
fn field_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Labels of objects by namespace (empty for nodes) and name.
pub(crate) type Labels = BTreeMap<(String, String), BTreeMap<String, String>>;

fn labels<K>(objects: Vec<PartialObjectMeta<K>>) -> Labels
where
    PartialObjectMeta<K>: ResourceExt,
{
    let each = objects.into_iter().map(|mut object| {
        let labels = std::mem::take(object.labels_mut());
        (
            (object.namespace().unwrap_or_default(), object.name_any()),
            labels,
        )
    });
    each.collect()
}

/// The nodes.
pub(crate) async fn nodes(client: &Client, wanted: &Wanted) -> Result<Labels, ApiStatus> {
    let nodes: Api<Node> = Api::all(client.clone());
    let listed = nodes.list_metadata(&wanted.params()).await;
    listed
        .map(|list| labels(list.items))
        .map_err(refusal::kubernetes)
}

/// The pods that run, in a namespace or (where it is empty) in all.
pub(crate) async fn pods(
    client: &Client,
    namespace: &str,
    wanted: &Wanted,
) -> Result<Labels, ApiStatus> {
    let pods: Api<Pod> = match namespace {
        "" => Api::all(client.clone()),
        one => Api::namespaced(client.clone(), one),
    };
    let running = wanted.also("status.phase=Running").params();
    let listed = pods.list_metadata(&running).await;
    listed
        .map(|list| labels(list.items))
        .map_err(refusal::kubernetes)
}
