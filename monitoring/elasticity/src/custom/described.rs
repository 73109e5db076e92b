//! What a metric is about: by the resource in a request's path, the kind of the object and the label that series name it by.

use kube::Client;
use minicloud_api::status::ApiStatus;
use serde_json::{Value, json};

use crate::{promql, refusal};

/// A kind of object that metrics can be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    kind: String,
    api_version: String,
    /// The singular name of the resource, as prometheus-adapter has it.
    pub(super) label: String,
    pub(super) namespaced: bool,
}

/// The usual ones, so that nobody has to be asked: resource, kind, apiVersion, label, namespaced.
const USUAL: &[(&str, &str, &str, &str, bool)] = &[
    ("pods", "Pod", "v1", "pod", true),
    ("services", "Service", "v1", "service", true),
    ("namespaces", "Namespace", "v1", "namespace", false),
    ("nodes", "Node", "v1", "node", false),
    (
        "deployments.apps",
        "Deployment",
        "apps/v1",
        "deployment",
        true,
    ),
    (
        "replicasets.apps",
        "ReplicaSet",
        "apps/v1",
        "replicaset",
        true,
    ),
];

impl Described {
    /// The kind behind `pods` or `widgets.example.org`.
    ///
    /// # Errors
    /// 404 when nothing of that name is served.
    pub(super) async fn find(client: &Client, resource: &str) -> Result<Self, ApiStatus> {
        let usual = USUAL.iter().find(|(name, ..)| *name == resource);
        if let Some((_, kind, api_version, label, namespaced)) = usual {
            return Ok(Self {
                kind: (*kind).to_owned(),
                api_version: (*api_version).to_owned(),
                label: (*label).to_owned(),
                namespaced: *namespaced,
            });
        }
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let served = match group {
            "" => client.list_core_api_versions_aggregated().await,
            _ => client.list_api_groups_aggregated().await,
        };
        let served = served.map_err(refusal::kubernetes)?;
        let served = serde_json::to_value(served).unwrap_or_default();
        find(&served, group, plural).ok_or_else(ApiStatus::no_such_path)
    }

    /// The object as a value refers to it.
    pub(super) fn reference(&self, namespace: &str, name: &str) -> Value {
        let mut about = json!({ "kind": self.kind, "apiVersion": self.api_version, "name": name });
        if self.namespaced {
            about["namespace"] = namespace.into();
        }
        about
    }
}

/// A resource in aggregated discovery.
fn find(served: &Value, group: &str, plural: &str) -> Option<Described> {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let mut groups = served["items"].as_array()?.iter();
    let found = groups.find(|g| text(&g["metadata"], "name") == group)?;
    for version in found["versions"].as_array()? {
        let mut resources = version["resources"].as_array().into_iter().flatten();
        let Some(resource) = resources.find(|r| text(r, "resource") == plural) else {
            continue;
        };
        let version = text(version, "version");
        let kind = text(&resource["responseKind"], "kind");
        let mut label = text(resource, "singularResource");
        if label.is_empty() {
            label = kind.to_ascii_lowercase();
        }
        // A label has no hyphens.
        let label = label.replace('-', "_");
        return promql::is_metric(&label).then(|| Described {
            kind,
            api_version: if group.is_empty() {
                version
            } else {
                format!("{group}/{version}")
            },
            label,
            namespaced: resource["scope"] == "Namespaced",
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_in_discovery() {
        let resource = |name: &str, kind: &str, singular: &str, scope: &str| json!({"resource": name, "responseKind": {"kind": kind}, "singularResource": singular, "scope": scope});
        let served = json!({"items": [
            {"metadata": {}, "versions": [{"version": "v1", "resources": [resource("secrets", "Secret", "secret", "Namespaced")]}]},
            {"metadata": {"name": "x.io"}, "versions": [
                {"version": "v2", "resources": []},
                {"version": "v1", "resources": [resource("wid-gets", "WidGet", "wid-get", "Cluster"), resource("ws", "W", "", "Namespaced")]}]},
        ]});
        let found = |group: &str, plural: &str| {
            find(&served, group, plural)
                .map(|d| format!("{} {} {} {}", d.api_version, d.kind, d.label, d.namespaced))
        };
        assert_eq!(
            found("", "secrets").as_deref(),
            Some("v1 Secret secret true")
        );
        assert_eq!(
            found("x.io", "wid-gets").as_deref(),
            Some("x.io/v1 WidGet wid_get false")
        );
        assert_eq!(found("x.io", "ws").as_deref(), Some("x.io/v1 W w true"));
        assert_eq!(found("x.io", "others"), None);
        assert_eq!(found("y.io", "ws"), None);
    }
}
