//! Writes the difference between two versions of an object and nothing else.
//!
//! A JSON merge patch (RFC 7396) keeps what our types do not know and what the caches have trimmed. The patch carries the
//! resourceVersion of what the decision saw, so it fails with 409 when somebody else was faster.

use std::fmt::Debug;

use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The merge patch that turns `old` into `new`, or none when they are equal.
pub(crate) fn diff(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return Some(new.clone());
    };
    let mut out = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(before) => {
                if let Some(change) = diff(before, value) {
                    out.insert(key.clone(), change);
                }
            }
            None => {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        out.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(out))
}

/// Brings the object itself from `old` to `new`; none when nothing differs.
pub(crate) async fn update<K>(api: &Api<K>, old: &K, new: &K) -> anyhow::Result<Option<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let Some(body) = body(old, new, None)? else {
        return Ok(None);
    };
    let patch = Patch::Merge(body);
    Ok(Some(
        api.patch(&old.name_any(), &PatchParams::default(), &patch)
            .await?,
    ))
}

/// Brings the object's status from `old` to `new`; none when nothing differs.
pub(crate) async fn update_status<K>(api: &Api<K>, old: &K, new: &K) -> anyhow::Result<Option<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let Some(body) = body(old, new, Some("status"))? else {
        return Ok(None);
    };
    let patch = Patch::Merge(body);
    Ok(Some(
        api.patch_status(&old.name_any(), &PatchParams::default(), &patch)
            .await?,
    ))
}

fn body<K: Resource + Serialize>(
    old: &K,
    new: &K,
    only: Option<&str>,
) -> anyhow::Result<Option<Value>> {
    let (mut before, mut after) = (serde_json::to_value(old)?, serde_json::to_value(new)?);
    if let Some(field) = only {
        before = json!({ field: before.get(field).cloned().unwrap_or_else(|| json!({})) });
        after = json!({ field: after.get(field).cloned().unwrap_or_else(|| json!({})) });
    }
    let Some(mut patch) = diff(&before, &after) else {
        return Ok(None);
    };
    if let (Some(version), Some(uid)) = (&old.meta().resource_version, &old.meta().uid) {
        let meta = patch
            .as_object_mut()
            .map(|patch| patch.entry("metadata").or_insert_with(|| json!({})));
        if let Some(Value::Object(meta)) = meta {
            meta.insert("resourceVersion".into(), json!(version));
            meta.insert("uid".into(), json!(uid));
        }
    }
    Ok(Some(patch))
}

/// True when the API answered with this HTTP status.
pub(crate) fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// What went wrong, as an event or a condition says it: the API's own words where there are any.
pub(crate) fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Makes "it is not there" a success: for deletes and for patches of what may be gone.
pub(crate) fn or_gone<T>(result: kube::Result<T>) -> kube::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_code(&error, 404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same for what [`update_status`] says: the object may have been deleted in the meantime.
pub(crate) fn or_gone_any<T>(result: anyhow::Result<T>) -> anyhow::Result<()> {
    match result {
        Err(error)
            if !error
                .downcast_ref::<kube::Error>()
                .is_some_and(|e| is_code(e, 404)) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// True when the namespace is going away, so that nothing can be created in it any more.
pub(crate) fn is_namespace_terminating(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403
        && (status.details.as_ref().is_some_and(|d| d.causes.iter().any(|c| c.reason == "NamespaceTerminating"))
            || status.message.contains("because it is being terminated")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_says_what_differs_and_no_more() {
        let check = |old: Value, new: Value, expect: Option<Value>| {
            assert_eq!(diff(&old, &new), expect, "{old} {new}")
        };
        check(json!({"a": 1}), json!({"a": 1}), None);
        check(
            json!({"a": 1, "b": 2}),
            json!({"a": 1, "b": 3}),
            Some(json!({"b": 3})),
        );
        check(
            json!({"a": 1, "b": 2}),
            json!({"a": 1}),
            Some(json!({"b": null})),
        );
        check(
            json!({"a": {"b": [1], "c": 1}}),
            json!({"a": {"b": [2], "c": 1}}),
            Some(json!({"a": {"b": [2]}})),
        );
        check(
            json!({}),
            json!({"a": {"b": 1}}),
            Some(json!({"a": {"b": 1}})),
        );
    }

    #[test]
    fn the_patch_names_the_version_that_was_seen() {
        use k8s_openapi::api::core::v1::Namespace;
        let mut old = Namespace::default();
        old.metadata.resource_version = Some("7".into());
        old.metadata.uid = Some("u".into());
        let mut new = old.clone();
        assert_eq!(body(&old, &new, None).unwrap(), None);
        new.status.get_or_insert_default().phase = Some("Active".into());
        let expect = json!({"metadata": {"resourceVersion": "7", "uid": "u"}, "status": {"phase": "Active"}});
        assert_eq!(
            body(&old, &new, Some("status")).unwrap(),
            Some(expect.clone())
        );
        assert_eq!(body(&old, &new, None).unwrap(), Some(expect));
    }
}
