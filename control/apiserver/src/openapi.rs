//! `/openapi/v3`: an index with hashes, and one document per group and version, made when it is first asked for.
//!
//! OpenAPI v2 is answered with 406 for everything but JSON and with a document without definitions for JSON: clients since
//! Kubernetes 1.27 use v3, and fall back to it when v2 is of no use.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, EXPIRES, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use minicloud_api::status::ApiStatus;
use minicloud_schema::crd::CompiledCrd;
use minicloud_schema::openapi::{self, ResourceInfo, SchemaSource, SubresourceInfo};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::api::Api;
use crate::http::body::Body;
use crate::http::respond::{self, Answer};
use crate::negotiate;
use crate::query::Query;
use crate::registry::{Resource, Snapshot};

/// Documents made at a time: each keeps a core busy for a while, and is megabytes before it is text.
const DOCUMENTS_AT_A_TIME: usize = 1;

/// The fingerprints of the documents, which are their hashes in the index and as `ETag`. The documents themselves are made anew
/// when they are asked for, which is seldom: clients keep them by their hash, and kept here they would be megabytes.
pub(crate) struct Cache {
    /// By the key in the index; only of what is served.
    fingerprints: Mutex<HashMap<String, Fingerprint>>,
    making: Arc<Semaphore>,
}

struct Fingerprint {
    text: String,
    /// The definitions that were there for its group. A weak reference keeps the address of what is gone from being used anew.
    of: Vec<Weak<CompiledCrd>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            fingerprints: Mutex::default(),
            making: Arc::new(Semaphore::new(DOCUMENTS_AT_A_TIME)),
        }
    }
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Fingerprint>> {
        self.fingerprints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The fingerprint, when it was made before and would be the same today.
    fn known(&self, of: &GroupVersion) -> Option<String> {
        let fingerprints = self.lock();
        let known = fingerprints.get(&of.key())?;
        let same = known.of.len() == of.definitions().count()
            && (known.of.iter().zip(of.definitions()))
                .all(|(was, is)| std::ptr::eq(was.as_ptr(), Arc::as_ptr(is)));
        same.then(|| known.text.clone())
    }

    /// Keeps a fingerprint, and forgets those of what is no longer served.
    fn keep(&self, of: &GroupVersion, text: String) {
        let served: HashSet<String> = GroupVersion::all(&of.snapshot).map(|gv| gv.key()).collect();
        let fingerprint = Fingerprint {
            text,
            of: of.definitions().map(Arc::downgrade).collect(),
        };
        let mut fingerprints = self.lock();
        fingerprints.retain(|key, _| served.contains(key));
        fingerprints.insert(of.key(), fingerprint);
    }

    /// Runs what takes its time where no other request waits for it, a little at a time. What has begun is finished even when
    /// the client is gone.
    async fn make<T: Send + 'static>(
        &self,
        limit: Duration,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiStatus> {
        let turn = tokio::time::timeout(limit, Arc::clone(&self.making).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let text = "too many OpenAPI documents are asked for, please try again later";
            return Err(ApiStatus::timeout(text));
        };
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            make()
        });
        made.await.map_err(|failed| {
            tracing::error!(%failed, "making an OpenAPI document panicked; answered 500");
            ApiStatus::internal("the server failed to describe its resources")
        })
    }
}

/// What one document describes: a group and version in a state of the registry.
#[derive(Clone)]
struct GroupVersion {
    snapshot: Arc<Snapshot>,
    group: String,
    version: String,
    rows: Vec<Arc<Resource>>,
}

impl GroupVersion {
    fn all(snapshot: &Arc<Snapshot>) -> impl Iterator<Item = Self> {
        // Other servers describe their groups themselves, or not.
        let own = snapshot.groups.iter().filter(|group| !group.extension);
        own.flat_map(|group| {
            group.versions.iter().map(|(version, rows)| Self {
                snapshot: Arc::clone(snapshot),
                group: group.name.clone(),
                version: version.clone(),
                rows: rows.clone(),
            })
        })
    }

    fn key(&self) -> String {
        openapi::index_key(&self.group, &self.version)
    }

    /// The definitions of the group; each change of one makes another value of it.
    fn definitions(&self) -> impl Iterator<Item = &Arc<CompiledCrd>> {
        self.snapshot
            .definitions()
            .map(|(_, definition)| definition)
            .filter(|definition| definition.group == self.group)
    }

    fn describe<T>(&self, api: &Api, with: impl FnOnce(&str, &str, &[ResourceInfo<'_>]) -> T) -> T {
        let schemas: Vec<Option<Value>> = self.rows.iter().map(|row| schema(api, row)).collect();
        let infos: Vec<ResourceInfo<'_>> = self
            .rows
            .iter()
            .zip(&schemas)
            .map(|(row, schema)| info(row, schema.as_ref()))
            .collect();
        with(&self.group, &self.version, &infos)
    }

    fn fingerprint(&self, api: &Api) -> String {
        api.openapi.known(self).unwrap_or_else(|| {
            let text = self.describe(api, openapi::fingerprint);
            api.openapi.keep(self, text.clone());
            text
        })
    }

    fn document(&self, api: &Api) -> Bytes {
        Bytes::from(self.describe(api, openapi::document).to_string())
    }
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
pub(crate) async fn index(api: &Arc<Api>, headers: &HeaderMap) -> Result<Answer, ApiStatus> {
    negotiate::plain(headers)?;
    let versions: Vec<GroupVersion> = GroupVersion::all(&api.registry.snapshot()).collect();
    let known: Option<Vec<String>> = versions.iter().map(|gv| api.openapi.known(gv)).collect();
    let hashes = match known {
        Some(known) => known,
        None => {
            let (versions, in_task) = (versions.clone(), Arc::clone(api));
            let all = move || versions.iter().map(|gv| gv.fingerprint(&in_task)).collect();
            api.openapi
                .make(api.config.limits.request_timeout, all)
                .await?
        }
    };
    let keys: Vec<String> = versions.iter().map(GroupVersion::key).collect();
    let entries = keys.iter().map(String::as_str);
    Ok(respond::json(
        200,
        &openapi::index(entries.zip(hashes.iter().map(String::as_str))),
    ))
}

/// `/openapi/v3/KEY`.
pub(crate) async fn document(
    api: &Arc<Api>,
    headers: &HeaderMap,
    key: &str,
    query: &Query,
) -> Result<Answer, ApiStatus> {
    negotiate::plain(headers)?;
    let Some(gv) = GroupVersion::all(&api.registry.snapshot()).find(|gv| gv.key() == key) else {
        return Ok(respond::no_page());
    };
    let has = headers.get(IF_NONE_MATCH).map(|v| {
        String::from_utf8_lossy(v.as_bytes())
            .trim_matches('"')
            .to_owned()
    });
    let (hash, document) = match api.openapi.known(&gv) {
        Some(hash) if has.as_ref() == Some(&hash) => (hash, None),
        _ => {
            let in_task = Arc::clone(api);
            let make = move || {
                let hash = gv.fingerprint(&in_task);
                let document = (has.as_ref() != Some(&hash)).then(|| gv.document(&in_task));
                (hash, document)
            };
            api.openapi
                .make(api.config.limits.request_timeout, make)
                .await?
        }
    };
    let mut answer = match document {
        Some(document) => respond::json_bytes(200, document),
        None => respond::json_bytes(304, Body::empty()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn put(registry: &Registry, group: &str) {
        let definition = json!({"spec": {
            "group": group, "scope": "Cluster",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        }});
        let definition = crate::crds::compile(&definition).unwrap();
        registry.put(&format!("widgets.{group}"), definition);
    }

    fn gv(registry: &Registry, group: &str) -> GroupVersion {
        GroupVersion::all(&registry.snapshot())
            .find(|gv| gv.group == group)
            .unwrap()
    }

    #[test]
    fn a_fingerprint_is_known_while_the_definitions_of_its_group_stay() {
        let (registry, cache) = (Registry::new(), Cache::default());
        put(&registry, "a.org");
        put(&registry, "b.org");
        for group in ["apps", "a.org", "b.org"] {
            assert_eq!(cache.known(&gv(&registry, group)), None);
            cache.keep(&gv(&registry, group), group.to_owned());
        }
        let known = |group: &str| cache.known(&gv(&registry, group)).is_some();
        put(&registry, "a.org");
        assert!(!known("a.org") && known("b.org") && known("apps"));
        cache.keep(&gv(&registry, "a.org"), "new".to_owned());
        assert!(known("a.org"));
        // What is no longer served is forgotten.
        registry.remove("widgets.b.org");
        cache.keep(&gv(&registry, "a.org"), "new".to_owned());
        let mut kept: Vec<String> = cache.lock().keys().cloned().collect();
        kept.sort();
        assert_eq!(kept, ["apis/a.org/v1", "apis/apps/v1"]);
    }

    /// On the one thread of this test, what is made would wait forever for what only the test can send.
    #[tokio::test]
    async fn documents_are_made_one_at_a_time_beside_the_requests() {
        let cache = Cache::default();
        let (go, wait) = std::sync::mpsc::channel();
        let second = Duration::from_secs(1);
        let first = cache.make(second, move || wait.recv_timeout(Duration::from_secs(10)));
        let other = async {
            // No turn while the first is being made.
            let refused = cache.make(Duration::from_millis(1), || ()).await;
            assert_eq!(refused.unwrap_err().code, 504);
            go.send(()).unwrap();
        };
        let (first, ()) = tokio::join!(first, other);
        assert_eq!(first.unwrap(), Ok(()));
        cache.make(second, || ()).await.unwrap();
    }
}
