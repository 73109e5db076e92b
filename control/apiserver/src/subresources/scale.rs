//! The scale subresource: `autoscaling/v1` Scale over Deployments, ReplicaSets and custom resources that have one.

use std::sync::Arc;

use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::meta;
use minicloud_api::selector::{LabelSelector, Requirement};
use minicloud_api::status::ApiStatus;
use serde_json::{Value, json};

use crate::api::Api;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::input;
use crate::negotiate::{self, PatchType};
use crate::objects;
use crate::path::{ResourceRequest, Verb};
use crate::query::WriteOptions;
use crate::registry::Resource;
use crate::strategy::Part;
use crate::verbs::change;
use crate::verbs::patch::refused;

pub(crate) async fn serve(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    body: &[u8],
) -> Result<Answer, ApiStatus> {
    negotiate::plain(&call.parts.headers)?;
    if wanted.verb == Verb::Get {
        let object = api.object(resource, &wanted.namespace, &wanted.name)?;
        return Ok(respond::json(200, &scale_of(resource, &object)));
    }
    let options = WriteOptions::from_query(&call.query, "UpdateOptions")?;
    let (patch, value) = if wanted.verb == Verb::Patch {
        let kind = negotiate::patch_type(&call.parts.headers, resource.is_custom())?;
        let patch: Value = serde_json::from_slice(body)
            .map_err(|e| ApiStatus::bad_request(format!("error decoding patch: {e}")))?;
        (Some(kind), patch)
    } else {
        (
            None,
            input::read(&call.parts.headers, body, "Scale", false)?.value,
        )
    };
    let wish = change::Change {
        user: &call.user,
        resource,
        namespace: &wanted.namespace,
        name: &wanted.name,
        part: Part::Main,
        dry_run: options.dry_run,
        trusted: false,
    };
    let written = change::apply(api, &wish, |old| {
        let scale = match patch {
            None => value.clone(),
            Some(kind) => patched(kind, &scale_of(resource, old), &value)?,
        };
        scaled(resource, old, &scale)
    })
    .await?;
    let object = objects::decode(resource, &written.bytes, written.revision)?;
    Ok(respond::json(200, &scale_of(resource, &object)))
}

fn patched(kind: PatchType, scale: &Value, patch: &Value) -> Result<Value, ApiStatus> {
    use minicloud_validation::patch as formats;
    let result = match kind {
        PatchType::Json => formats::json_patch(scale, patch),
        // A Scale has no lists, so both kinds of merge are the same.
        PatchType::Merge | PatchType::Strategic => formats::merge_patch(scale, patch),
    };
    result.map_err(refused)
}

/// The object with the replicas that the Scale wishes.
fn scaled(resource: &Resource, old: &Value, scale: &Value) -> Result<Value, ApiStatus> {
    let name = meta::name(old);
    let refuse = |error: FieldError| {
        Err(ApiStatus::invalid(
            "autoscaling",
            "Scale",
            name,
            &ErrorList::from(vec![error]),
        ))
    };
    if !meta::name(scale).is_empty() && meta::name(scale) != name {
        return Err(ApiStatus::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            meta::name(scale)
        )));
    }
    let path = Path::new("spec").child("replicas");
    let replicas = match scale.pointer("/spec/replicas") {
        None | Some(Value::Null) => 0,
        Some(replicas) => match replicas.as_i64() {
            Some(replicas) if i32::try_from(replicas).is_ok() => replicas,
            _ => {
                return Err(ApiStatus::bad_request(
                    "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas must be a 32-bit whole number",
                ));
            }
        },
    };
    if replicas < 0 {
        return refuse(FieldError::invalid(
            path,
            replicas,
            "must be greater than or equal to 0",
        ));
    }
    let mut new = old.clone();
    match resource.custom().and_then(|c| c.version.scale.as_ref()) {
        Some(paths) => paths
            .spec_replicas
            .set(&mut new, replicas.into())
            .map_err(ApiStatus::internal)?,
        None => {
            meta::child_mut(meta::root_mut(&mut new), "spec")
                .insert("replicas".into(), replicas.into());
        }
    }
    // The version of the Scale is that of the object; without one the write goes to the newest.
    let metadata = meta::metadata_mut(&mut new);
    match meta::resource_version(scale) {
        "" => {}
        version => {
            metadata.insert("resourceVersion".into(), version.into());
        }
    }
    Ok(new)
}

fn scale_of(resource: &Resource, object: &Value) -> Value {
    let mut metadata = serde_json::Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.into(), value.clone());
        }
    }
    let integer = |value: Option<&Value>| value.and_then(Value::as_i64).unwrap_or(0);
    let (spec, status, selector) = match resource.custom().and_then(|c| c.version.scale.as_ref()) {
        Some(paths) => (
            integer(paths.spec_replicas.get(object)),
            integer(paths.status_replicas.get(object)),
            paths
                .label_selector
                .as_ref()
                .and_then(|p| p.get(object))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        ),
        None => (
            integer(object.pointer("/spec/replicas")),
            integer(object.pointer("/status/replicas")),
            object
                .pointer("/spec/selector")
                .and_then(|s| LabelSelector::from_value(s).ok())
                .map_or_else(String::new, |s| text(&s)),
        ),
    };
    let mut scale_status = json!({"replicas": status});
    if !selector.is_empty() {
        scale_status["selector"] = selector.into();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": spec}, "status": scale_status,
    })
}

/// A selector in the text form of query parameters, sorted as Kubernetes writes it.
fn text(selector: &LabelSelector) -> String {
    let mut parts: Vec<String> = selector
        .requirements()
        .iter()
        .map(|requirement| match requirement {
            Requirement::In(key, values) => match values.as_slice() {
                [one] => format!("{key}={one}"),
                many => format!("{key} in ({})", many.join(",")),
            },
            Requirement::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
            Requirement::Exists(key) => key.clone(),
            Requirement::DoesNotExist(key) => format!("!{key}"),
            Requirement::GreaterThan(key, bound) => format!("{key}>{bound}"),
            Requirement::LessThan(key, bound) => format!("{key}<{bound}"),
        })
        .collect();
    parts.sort();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn scales() {
        let deployments = Registry::new().get("apps", "v1", "deployments").unwrap();
        let object = json!({
            "metadata": {"name": "d", "namespace": "n", "uid": "u", "resourceVersion": "5", "labels": {"x": "y"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "w"}, "matchExpressions": [
                {"key": "b", "operator": "NotIn", "values": ["1", "2"]}]}},
            "status": {"replicas": 1},
        });
        let scale = scale_of(&deployments, &object);
        assert_eq!(
            scale["status"],
            json!({"replicas": 1, "selector": "app=w,b notin (1,2)"})
        );
        assert!(scale["metadata"].get("labels").is_none());
        let new = scaled(&deployments, &object, &json!({"spec": {"replicas": 7}})).unwrap();
        assert_eq!(new["spec"]["replicas"], 7);
        for bad in [
            json!({"spec": {"replicas": -1}}),
            json!({"spec": {"replicas": "x"}}),
            json!({"metadata": {"name": "other"}}),
        ] {
            assert!(scaled(&deployments, &object, &bad).is_err(), "{bad}");
        }
    }
}
