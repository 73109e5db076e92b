//! What the API server serves, as the garbage collector and the namespace controller need to know it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::Client;
use kube::api::ApiResource;
use kube::core::discovery::v2::APIGroupDiscoveryList;

use super::patch::message;

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

/// Group and kind.
type Named = (String, String);

/// The resources of kinds that objects refer to, looked up once. As many are kept as there are kinds.
pub(crate) struct Resources {
    client: Client,
    known: Mutex<HashMap<Named, (ApiResource, bool)>>,
}

impl Resources {
    /// None is known yet.
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
        }
    }

    /// The resource of a kind, in the version that its group prefers, and whether it is namespaced.
    ///
    /// # Errors
    /// Why it is not known, for people.
    pub(crate) async fn find(
        &self,
        api_version: Option<&str>,
        kind: &str,
    ) -> Result<(ApiResource, bool), String> {
        let key = named(api_version, kind);
        let known = self.lock().get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let all = discover(&self.client)
            .await
            .map_err(|error| message(&error))?;
        let served = all
            .served
            .into_iter()
            .find(|s| (&s.resource.group, &s.resource.kind) == (&key.0, &key.1));
        let Some(served) = served else {
            let (group, kind) = key;
            return Err(format!("no matches for kind {kind:?} in group {group:?}"));
        };
        let found = (served.resource, served.namespaced);
        self.lock().insert(key, found.clone());
        Ok(found)
    }

    /// Looks a kind up again when it is needed next: it may have gone, or come back as another resource.
    pub(crate) fn forget(&self, api_version: Option<&str>, kind: &str) {
        self.lock().remove(&named(api_version, kind));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Named, (ApiResource, bool)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(api_version: Option<&str>, kind: &str) -> Named {
    let group = api_version.map_or("", group_of);
    (group.to_owned(), kind.to_owned())
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
