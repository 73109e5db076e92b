//! What is served, as clients find it out: `/api`, `/apis`, and below; one by one or aggregated.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use minicloud_api::status::ApiStatus;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::Api;
use crate::http::body::Body;
use crate::http::respond::{self, Answer};
use crate::negotiate::{self, Form};
use crate::registry::{Group, Resource, Subresource, api_version};

/// `/`: the paths that there are.
pub(crate) fn root(api: &Api, headers: &HeaderMap) -> Result<Answer, ApiStatus> {
    negotiate::plain(headers)?;
    let snapshot = api.registry.snapshot();
    let mut paths = vec![
        "/.well-known/openid-configuration".to_owned(),
        "/api".into(),
        "/api/v1".into(),
        "/apis".into(),
    ];
    for group in snapshot.groups.iter().filter(|g| !g.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(
            group
                .versions
                .iter()
                .map(|(v, _)| format!("/apis/{}/{v}", group.name)),
        );
    }
    for path in [
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ] {
        paths.push(path.to_owned());
    }
    Ok(respond::json(200, &json!({ "paths": paths })))
}

/// `/api`.
pub(crate) fn core(api: &Api, headers: &HeaderMap) -> Result<Answer, ApiStatus> {
    if negotiate::form(headers, &[Form::Object, Form::AggregatedDiscovery])?
        == Form::AggregatedDiscovery
    {
        return Ok(aggregated(api, headers, |group| group.name.is_empty()));
    }
    Ok(respond::json(
        200,
        &json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": api.config.advertise.to_string()}],
        }),
    ))
}

/// `/apis`.
pub(crate) fn groups(api: &Api, headers: &HeaderMap) -> Result<Answer, ApiStatus> {
    if negotiate::form(headers, &[Form::Object, Form::AggregatedDiscovery])?
        == Form::AggregatedDiscovery
    {
        return Ok(aggregated(api, headers, |group| !group.name.is_empty()));
    }
    let snapshot = api.registry.snapshot();
    let groups: Vec<Value> = snapshot
        .groups
        .iter()
        .filter(|g| !g.name.is_empty())
        .map(group_value)
        .collect();
    Ok(respond::json(
        200,
        &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}),
    ))
}

/// `/apis/G`.
pub(crate) fn group(api: &Api, headers: &HeaderMap, name: &str) -> Result<Answer, ApiStatus> {
    negotiate::plain(headers)?;
    let snapshot = api.registry.snapshot();
    let Some(group) = snapshot.group(name) else {
        return Ok(respond::no_page());
    };
    let mut value = group_value(group);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Ok(respond::json(200, &value))
}

fn group_value(group: &Group) -> Value {
    let version = |v: &str| json!({"groupVersion": api_version(&group.name, v), "version": v});
    let versions: Vec<Value> = group.versions.iter().map(|(v, _)| version(v)).collect();
    json!({"name": group.name, "versions": versions, "preferredVersion": versions.first()})
}

/// `/api/V` and `/apis/G/V`.
pub(crate) fn resources(
    api: &Api,
    headers: &HeaderMap,
    group: &str,
    version: &str,
) -> Result<Answer, ApiStatus> {
    negotiate::plain(headers)?;
    let snapshot = api.registry.snapshot();
    let rows = snapshot
        .group(group)
        .and_then(|g| g.versions.iter().find(|(v, _)| v == version));
    let Some((_, rows)) = rows else {
        return Ok(respond::no_page());
    };
    let mut resources = Vec::new();
    for row in rows {
        resources.push(resource_value(row));
        resources.extend(row.subresources.iter().map(|s| subresource_value(row, s)));
    }
    Ok(respond::json(
        200,
        &json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": api_version(group, version),
            "resources": resources,
        }),
    ))
}

fn insert_non_empty(map: &mut Map<String, Value>, key: &str, list: &[String]) {
    if !list.is_empty() {
        map.insert(key.into(), list.into());
    }
}

fn resource_value(row: &Resource) -> Value {
    let mut map = Map::new();
    map.insert("name".into(), row.plural.clone().into());
    map.insert("singularName".into(), row.singular.clone().into());
    map.insert("namespaced".into(), row.namespaced.into());
    map.insert("kind".into(), row.kind.clone().into());
    map.insert("verbs".into(), row.verbs.into());
    insert_non_empty(&mut map, "shortNames", &row.short_names);
    insert_non_empty(&mut map, "categories", &row.categories);
    if let Some(hash) = storage_version_hash(row) {
        map.insert("storageVersionHash".into(), hash.into());
    }
    Value::Object(map)
}

/// What a resource is stored as, of which clients see here only that it changes. The same formula as Kubernetes'
/// (`StorageVersionHash` in `k8s.io/apiserver/pkg/endpoints/discovery`), and so the same values.
fn storage_version_hash(row: &Resource) -> Option<String> {
    let group_version = match row.custom() {
        _ if row.prefix.is_empty() => return None,
        Some(custom) => custom.storage_api_version.clone(),
        // Stored as core events.
        None if row.converts_events => "/v1".to_owned(),
        None => format!("{}/{}", row.group, row.version),
    };
    let hash = Sha256::digest(format!("{group_version}/{}", row.kind));
    hash.get(..8).map(|bytes| STANDARD.encode(bytes))
}

fn subresource_value(row: &Resource, subresource: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", row.plural, subresource.name),
        "singularName": "",
        "namespaced": row.namespaced,
        "kind": if subresource.kind.is_empty() { &row.kind } else { subresource.kind },
        "verbs": subresource.verbs,
    });
    if !subresource.version.is_empty()
        && (subresource.group != row.group || subresource.version != row.version)
    {
        value["group"] = subresource.group.into();
        value["version"] = subresource.version.into();
    }
    value
}

/// `apidiscovery.k8s.io/v2`.
fn aggregated(api: &Api, headers: &HeaderMap, wanted: impl Fn(&Group) -> bool) -> Answer {
    let snapshot = api.registry.snapshot();
    let items: Vec<Value> = snapshot
        .groups
        .iter()
        .filter(|g| wanted(g))
        .map(|group| {
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|(version, rows)| {
                    let resources: Vec<Value> =
                        rows.iter().map(|row| aggregated_resource(row)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.name.is_empty() {
                json!({})
            } else {
                json!({"name": group.name})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
    .to_string();
    let hash: String = Sha256::digest(body.as_bytes())
        .iter()
        .map(|b| format!("{b:02X}"))
        .collect();
    let etag = format!("\"{hash}\"");
    let unchanged = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|v| v.as_bytes() == etag.as_bytes());
    let mut answer = if unchanged {
        respond::json_bytes(304, Body::empty())
    } else {
        respond::json_bytes(200, body)
    };
    let answer_headers = answer.headers_mut();
    answer_headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        ),
    );
    answer_headers.insert(http::header::VARY, HeaderValue::from_static("Accept"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        answer_headers.insert(ETAG, etag);
    }
    answer
}

fn aggregated_resource(row: &Resource) -> Value {
    let scope = if row.namespaced {
        "Namespaced"
    } else {
        "Cluster"
    };
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut map = Map::new();
    map.insert("resource".into(), row.plural.clone().into());
    map.insert(
        "responseKind".into(),
        kind(&row.group, &row.version, &row.kind),
    );
    map.insert("scope".into(), scope.into());
    map.insert("singularResource".into(), row.singular.clone().into());
    map.insert("verbs".into(), row.verbs.into());
    insert_non_empty(&mut map, "shortNames", &row.short_names);
    insert_non_empty(&mut map, "categories", &row.categories);
    if !row.subresources.is_empty() {
        let subresources: Vec<Value> = row
            .subresources
            .iter()
            .map(|s| {
                let response = if s.kind.is_empty() {
                    kind(&row.group, &row.version, &row.kind)
                } else {
                    kind(s.group, s.version, s.kind)
                };
                json!({"subresource": s.name, "responseKind": response, "verbs": s.verbs})
            })
            .collect();
        map.insert("subresources".into(), subresources.into());
    }
    Value::Object(map)
}
