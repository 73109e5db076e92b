//! What the API server serves, as the garbage collector and the namespace controller need to know it.

use kube::Client;
use kube::api::ApiResource;
use kube::core::discovery::v2::APIGroupDiscoveryList;

/// A resource that is served, in the version that its group prefers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
}

impl Served {
    /// True when all these verbs are there.
    pub(crate) fn can(&self, verbs: &[&str]) -> bool {
        verbs
            .iter()
            .all(|verb| self.verbs.iter().any(|v| v == verb))
    }

    /// `resource.group`, or only `resource` for the core group: the name by which people know it.
    pub(crate) fn name(&self) -> String {
        if self.resource.group.is_empty() {
            self.resource.plural.clone()
        } else {
            format!("{}.{}", self.resource.plural, self.resource.group)
        }
    }
}

/// What was found, and what could not be looked at.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) served: Vec<Served>,
    /// Groups whose resources are not known now.
    pub(crate) failed: Vec<String>,
}

/// Asks for everything in two requests (aggregated discovery).
pub(crate) async fn discover(client: &Client) -> kube::Result<Found> {
    let mut found = Found::default();
    read(
        &client.list_core_api_versions_aggregated().await?,
        &mut found,
    );
    read(&client.list_api_groups_aggregated().await?, &mut found);
    Ok(found)
}

fn read(list: &APIGroupDiscoveryList, found: &mut Found) {
    for group in &list.items {
        let name = group
            .metadata
            .as_ref()
            .and_then(|m| m.name.clone())
            .unwrap_or_default();
        for (index, version) in group.versions.iter().enumerate() {
            let version_name = version.version.clone().unwrap_or_default();
            if version.freshness.as_deref() == Some("Stale") {
                found.failed.push(format!("{name}/{version_name}"));
            }
            for resource in &version.resources {
                let kind = resource.response_kind.as_ref().and_then(|k| k.kind.clone());
                let (Some(plural), Some(kind)) = (resource.resource.clone(), kind) else {
                    continue;
                };
                // The first version is the preferred one; a later one only adds what the earlier do not have.
                let known = |s: &Served| s.resource.group == name && s.resource.plural == plural;
                if index > 0 && found.served.iter().any(known) {
                    continue;
                }
                let api_version = if name.is_empty() {
                    version_name.clone()
                } else {
                    format!("{name}/{version_name}")
                };
                found.served.push(Served {
                    resource: ApiResource {
                        group: name.clone(),
                        version: version_name.clone(),
                        api_version,
                        kind,
                        plural,
                    },
                    namespaced: resource.scope.as_deref() == Some("Namespaced"),
                    verbs: resource.verbs.clone(),
                });
            }
        }
    }
}

/// A group and a version as `apiVersion` says them.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn the_preferred_version_of_each_resource_is_found() {
        let resource = |name: &str, kind: &str, scope: &str| {
            json!({"resource": name, "responseKind": {"group": "", "version": "", "kind": kind}, "scope": scope,
                "singularResource": "", "verbs": ["list", "delete"]})
        };
        let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": [
            {"metadata": {}, "versions": [{"version": "v1", "resources": [resource("pods", "Pod", "Namespaced"), resource("nodes", "Node", "Cluster")]}]},
            {"metadata": {"name": "x.io"}, "versions": [
                {"version": "v2", "resources": [resource("as", "A", "Namespaced")], "freshness": "Stale"},
                {"version": "v1", "resources": [resource("as", "A", "Namespaced"), resource("bs", "B", "Cluster")]}]}
        ]});
        let mut found = Found::default();
        read(&from_value(list).unwrap(), &mut found);
        let short: Vec<_> = found
            .served
            .iter()
            .map(|s| format!("{} {} {}", s.name(), s.resource.api_version, s.namespaced))
            .collect();
        assert_eq!(
            short,
            [
                "pods v1 true",
                "nodes v1 false",
                "as.x.io x.io/v2 true",
                "bs.x.io x.io/v1 false"
            ]
        );
        assert_eq!(found.failed, ["x.io/v2"]);
        assert!(found.served[0].can(&["list"]) && !found.served[0].can(&["list", "watch"]));
    }
}
