//! `pods/binding`: the scheduler puts a pod on a node.

use std::sync::Arc;

use jiff::Timestamp;
use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use serde_json::{Value, json};

use crate::api::Api;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::input;
use crate::path::ResourceRequest;
use crate::query::WriteOptions;
use crate::registry::Resource;
use crate::strategy::Part;
use crate::verbs::change;

pub(crate) async fn create(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    body: &[u8],
) -> Result<Answer, ApiStatus> {
    let options = WriteOptions::from_query(&call.query, "CreateOptions")?;
    let binding = input::read(&call.parts.headers, body, "Binding", false)?.value;
    if !binding.is_object() {
        return Err(ApiStatus::bad_request(
            "the object provided is unrecognized (must be of type Binding)",
        ));
    }
    let named = meta::name(&binding);
    if !named.is_empty() && named != wanted.name {
        return Err(ApiStatus::bad_request(
            "name in URL does not match name in Binding object",
        ));
    }
    let wish = change::Change {
        user: &call.user,
        resource,
        namespace: &wanted.namespace,
        name: &wanted.name,
        part: Part::Main,
        dry_run: options.dry_run,
        trusted: true,
    };
    change::apply(api, &wish, |pod| {
        bind(resource, pod, &binding, Timestamp::now())
    })
    .await?;
    Ok(respond::json(
        201,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    ))
}

/// The pod on the node that the binding names. Pure.
fn bind(
    resource: &Resource,
    pod: &Value,
    binding: &Value,
    now: Timestamp,
) -> Result<Value, ApiStatus> {
    let name = meta::name(pod);
    let text = |pointer: &str| {
        binding
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut errors = ErrorList::new();
    let target = Path::new("target");
    if !matches!(text("/target/kind"), "" | "Node") {
        errors.push(FieldError::not_supported(
            target.child("kind"),
            text("/target/kind"),
            &["Node", "<empty>"],
        ));
    }
    let node = text("/target/name");
    if node.is_empty() {
        errors.push(FieldError::required(target.child("name"), ""));
    }
    if !errors.is_empty() {
        return Err(ApiStatus::invalid("", "Binding", name, &errors));
    }
    let conflict = |why: String| {
        Err(ApiStatus::conflict(
            &resource.group,
            "pods/binding",
            name,
            &why,
        ))
    };
    let uid = meta::uid(binding);
    if !uid.is_empty() && uid != meta::uid(pod) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta::uid(pod)
        );
        return Err(ApiStatus::conflict("", "pods", name, &why));
    }
    if meta::is_deleting(pod) {
        return conflict(format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        ));
    }
    let present = pod
        .pointer("/spec/nodeName")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !present.is_empty() {
        return conflict(format!(
            "pod {name} is already assigned to node {present:?}"
        ));
    }
    let gated = pod
        .pointer("/spec/schedulingGates")
        .and_then(Value::as_array)
        .is_some_and(|g| !g.is_empty());
    if gated {
        return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut new = pod.clone();
    for field in ["annotations", "labels"] {
        if let Some(entries) = binding
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_object)
        {
            let into = meta::child_mut(meta::metadata_mut(&mut new), field);
            for (key, value) in entries.iter().filter(|(_, v)| v.is_string()) {
                into.insert(key.clone(), value.clone());
            }
        }
    }
    let root = meta::root_mut(&mut new);
    meta::child_mut(root, "spec").insert("nodeName".into(), node.into());
    let status = meta::child_mut(root, "status");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.retain(|c| c.get("type").and_then(Value::as_str) != Some("PodScheduled"));
        conditions.push(json!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": meta::time(now),
        }));
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn binding() {
        let pods = Registry::new().get("", "v1", "pods").unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let pod = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False"}]}});
        let to = |node: &str| json!({"target": {"kind": "Node", "name": node}});
        let bound = bind(&pods, &pod, &to("n"), now).unwrap();
        assert_eq!(bound["spec"]["nodeName"], "n");
        assert_eq!(bound["status"]["conditions"].as_array().unwrap().len(), 1);
        assert_eq!(bound["status"]["conditions"][0]["status"], "True");
        assert_eq!(bind(&pods, &bound, &to("m"), now).unwrap_err().code, 409);
        assert_eq!(bind(&pods, &pod, &to(""), now).unwrap_err().code, 422);
        let mut other = to("n");
        other["metadata"] = json!({"uid": "v"});
        assert_eq!(bind(&pods, &pod, &other, now).unwrap_err().code, 409);
    }
}
