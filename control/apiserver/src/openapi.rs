//! `/openapi/v3`: an index with hashes, and one document per group and version, made when it is first asked for.
//!
//! OpenAPI v2 is answered with 406 for everything but JSON and with a document without definitions for JSON: clients since
//! Kubernetes 1.27 use v3, and fall back to it when v2 is of no use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, EXPIRES, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use minicloud_api::status::ApiStatus;
use minicloud_schema::openapi::{self, ResourceInfo, SchemaSource, SubresourceInfo};
use serde_json::{Value, json};

use crate::api::Api;
use crate::http::body::Body;
use crate::http::respond::{self, Answer};
use crate::negotiate;
use crate::query::Query;
use crate::registry::{Resource, Snapshot};

/// The hashes of the documents. The documents themselves are made anew when they are asked for, which is seldom: clients keep
/// them by their hash, and kept here they would be megabytes.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<String, Hash>>);

struct Hash {
    hash: String,
    /// The state of the registry that a document with custom resources describes; `None` for one that never changes.
    of: Option<Weak<Snapshot>>,
}

struct Document {
    bytes: Bytes,
    hash: String,
}

/// `/openapi/v2`.
pub(crate) fn v2(headers: &HeaderMap) -> Result<Answer, ApiStatus> {
    negotiate::plain(headers)?;
    Ok(respond::json(
        200,
        &json!({
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": crate::health::GIT_VERSION},
            "paths": {},
            "definitions": {},
        }),
    ))
}

/// `/openapi/v3`.
pub(crate) fn index(api: &Api, headers: &HeaderMap) -> Result<Answer, ApiStatus> {
    negotiate::plain(headers)?;
    let snapshot = api.registry.snapshot();
    let mut entries = Vec::new();
    for group in &snapshot.groups {
        for (version, rows) in &group.versions {
            let key = openapi::index_key(&group.name, version);
            let hash = match known(api, &snapshot, &key) {
                Some(hash) => hash,
                None => make(api, &snapshot, &key, &group.name, version, rows).hash,
            };
            entries.push((key, hash));
        }
    }
    Ok(respond::json(
        200,
        &openapi::index(entries.iter().map(|(k, h)| (k.as_str(), h.as_str()))),
    ))
}

/// `/openapi/v3/KEY`.
pub(crate) fn document(
    api: &Api,
    headers: &HeaderMap,
    key: &str,
    query: &Query,
) -> Result<Answer, ApiStatus> {
    negotiate::plain(headers)?;
    let snapshot = api.registry.snapshot();
    let found = snapshot
        .groups
        .iter()
        .flat_map(|g| g.versions.iter().map(move |(v, rows)| (g, v, rows)))
        .find(|(g, v, _)| openapi::index_key(&g.name, v) == key);
    let Some((group, version, rows)) = found else {
        return Ok(respond::no_page());
    };
    let asked = headers.get(IF_NONE_MATCH).map(|v| {
        String::from_utf8_lossy(v.as_bytes())
            .trim_matches('"')
            .to_owned()
    });
    let kept = known(api, &snapshot, key).filter(|hash| asked.as_ref() == Some(hash));
    let (mut answer, hash) = match kept {
        Some(hash) => (respond::json_bytes(304, Body::empty()), hash),
        None => {
            let document = make(api, &snapshot, key, &group.name, version, rows);
            (respond::json_bytes(200, document.bytes), document.hash)
        }
    };
    let etag = format!("\"{hash}\"");
    let out = answer.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        out.insert(ETAG, etag);
    }
    if query.get("hash") == Some(hash.as_str()) {
        // The address names the content, so it may be kept for good.
        out.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        out.insert(
            EXPIRES,
            HeaderValue::from_static("Thu, 31 Dec 2099 23:59:59 GMT"),
        );
    }
    Ok(answer)
}

fn make(
    api: &Api,
    snapshot: &Arc<Snapshot>,
    key: &str,
    group: &str,
    version: &str,
    rows: &[Arc<Resource>],
) -> Document {
    let schemas: Vec<Option<Value>> = rows.iter().map(|row| schema(api, row)).collect();
    let infos: Vec<ResourceInfo<'_>> = rows
        .iter()
        .zip(&schemas)
        .map(|(row, schema)| info(row, schema.as_ref()))
        .collect();
    let bytes = Bytes::from(openapi::document(group, version, &infos).to_string());
    let document = Document {
        hash: openapi::hash(&bytes),
        bytes,
    };
    let of = rows
        .iter()
        .any(|r| r.is_custom())
        .then(|| Arc::downgrade(snapshot));
    let entry = Hash {
        hash: document.hash.clone(),
        of,
    };
    api.openapi
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(key.to_owned(), entry);
    document
}

/// The hash of a document that was made before and would be the same today.
fn known(api: &Api, snapshot: &Arc<Snapshot>, key: &str) -> Option<String> {
    let cache = api.openapi.0.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = cache.get(key)?;
    let same = entry
        .of
        .as_ref()
        .is_none_or(|of| std::ptr::eq(of.as_ptr(), Arc::as_ptr(snapshot)));
    same.then(|| entry.hash.clone())
}

/// The schema of a custom resource as its definition has it.
fn schema(api: &Api, row: &Resource) -> Option<Value> {
    let custom = row.custom()?;
    let definition = api.find(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "",
        &custom.crd_name,
    )?;
    let versions = definition.pointer("/spec/versions")?.as_array()?;
    let version = versions
        .iter()
        .find(|v| v.get("name").and_then(Value::as_str) == Some(&row.version))?;
    version.pointer("/schema/openAPIV3Schema").cloned()
}

fn info<'a>(row: &'a Resource, schema: Option<&'a Value>) -> ResourceInfo<'a> {
    ResourceInfo {
        plural: &row.plural,
        kind: &row.kind,
        list_kind: &row.list_kind,
        namespaced: row.namespaced,
        verbs: row.verbs,
        subresources: row
            .subresources
            .iter()
            .map(|s| SubresourceInfo {
                name: s.name,
                group: if s.kind.is_empty() {
                    &row.group
                } else {
                    s.group
                },
                version: if s.kind.is_empty() {
                    &row.version
                } else {
                    s.version
                },
                kind: if s.kind.is_empty() { &row.kind } else { s.kind },
                verbs: s.verbs,
            })
            .collect(),
        schema: schema.map_or(SchemaSource::Builtin, SchemaSource::Custom),
    }
}
