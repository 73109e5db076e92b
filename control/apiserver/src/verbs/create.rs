//! POST: a new object.

use std::sync::Arc;

use jiff::Timestamp;
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::UserInfo;
use serde_json::Value;

use super::{body, output};
use crate::admission;
use crate::api::Api;
use crate::codec;
use crate::http::respond::Answer;
use crate::http::service::Call;
use crate::negotiate;
use crate::objects::{self, Written};
use crate::path::ResourceRequest;
use crate::query::WriteOptions;
use crate::registry::Resource;
use crate::strategy;

pub(crate) async fn create(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    content: &[u8],
) -> Result<Answer, ApiStatus> {
    negotiate::object_form(&call.parts.headers)?;
    let options = WriteOptions::from_query(&call.query, "CreateOptions")?;
    let stored = body::stored_row(api, resource)?;
    let value = body::object(call, resource, &stored, &wanted.namespace, content, options)?;
    let written = store(
        api,
        &call.user,
        &stored,
        &wanted.namespace,
        value,
        options.dry_run,
    )
    .await?;
    output::object(call, resource, 201, &written.bytes, written.revision)
}

/// How often a generated name may collide before the client is told.
const NAME_ATTEMPTS: usize = 8;

/// Runs a decoded object through defaulting, admission and validation, and stores it.
pub(crate) async fn store(
    api: &Arc<Api>,
    user: &UserInfo,
    resource: &Arc<Resource>,
    namespace: &str,
    mut value: Value,
    dry_run: bool,
) -> Result<Written, ApiStatus> {
    if let Some(custom) = resource.custom()
        && custom.terminating
    {
        return Err(ApiStatus {
            message: "create not allowed while custom resource definition is terminating"
                .to_owned(),
            ..ApiStatus::method_not_allowed()
        });
    }
    fit_namespace(resource, &mut value, namespace)?;
    let metadata = meta::metadata_mut(&mut value);
    if metadata
        .get("resourceVersion")
        .and_then(Value::as_str)
        .is_some_and(|v| !v.is_empty() && v != "0")
    {
        return Err(ApiStatus::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    for system in [
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "uid",
        "generation",
    ] {
        metadata.remove(system);
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert(
        "creationTimestamp".into(),
        meta::time(Timestamp::now()).into(),
    );
    let text = |value: &Value, field: &str| meta::text(value, field).to_owned();
    let generated = if text(&value, "name").is_empty() {
        text(&value, "generateName")
    } else {
        String::new()
    };
    // Only an object whose name is made up can need another attempt.
    let template = (!generated.is_empty()).then(|| value.clone());
    for attempt in 0..NAME_ATTEMPTS {
        if attempt > 0
            && let Some(template) = &template
        {
            value = template.clone();
        }
        strategy::default(resource, &mut value);
        let held = admission::create(api, user, resource, namespace, &mut value).await?;
        if template.is_some() {
            // After admission, which shows what it is made from: the same text at each attempt of a controller.
            meta::metadata_mut(&mut value).insert("name".into(), generate(&generated).into());
        }
        strategy::prepare_create(resource, &mut value);
        admission::finish_create(api, resource, &mut value)?;
        let name = meta::name(&value).to_owned();
        let errors = strategy::validate(resource, &value);
        if !errors.is_empty() {
            return Err(ApiStatus::invalid(
                &resource.group,
                &resource.kind,
                &name,
                &errors,
            ));
        }
        admission::validate_create(api, user, resource, namespace, &value)?;
        let key = resource.key(namespace, &name);
        let bytes = objects::encode(resource, &mut value);
        if dry_run {
            return match api.store.get(&key) {
                Some(_) => Err(taken(
                    api,
                    &key,
                    ApiStatus::already_exists(&resource.group, &resource.plural, &name),
                )),
                None => Ok(Written { bytes, revision: 0 }),
            };
        }
        match api.store_create(resource, &key, &name, bytes).await {
            Err(taken) if taken.reason == "AlreadyExists" && !generated.is_empty() => {
                if attempt + 1 >= NAME_ATTEMPTS {
                    return Err(ApiStatus {
                        message: format!(
                            "{}, the server was not able to generate a unique name for the object",
                            taken.message
                        ),
                        ..taken
                    });
                }
            }
            result => {
                drop(held);
                return result.map_err(|refusal| taken(api, &key, refusal));
            }
        }
    }
    Err(ApiStatus::internal("no name could be generated"))
}

/// A refusal that says so when what has the name is on its way out.
fn taken(api: &Api, key: &str, mut refusal: ApiStatus) -> ApiStatus {
    let ending = refusal.reason == "AlreadyExists"
        && api
            .store
            .get(key)
            .is_some_and(|entry| codec::is_deleting(&entry.value, entry.mod_revision));
    if ending {
        refusal.message = format!("object is being deleted: {}", refusal.message);
    }
    refusal
}

/// The object's namespace must be the request's.
pub(crate) fn fit_namespace(
    resource: &Resource,
    value: &mut Value,
    namespace: &str,
) -> Result<(), ApiStatus> {
    let given = meta::namespace(value).to_owned();
    let metadata = meta::metadata_mut(value);
    if !resource.namespaced {
        metadata.remove("namespace");
        return Ok(());
    }
    if !given.is_empty() && given != namespace {
        return Err(ApiStatus::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata.insert("namespace".into(), namespace.into());
    Ok(())
}

/// Kubernetes' alphabet: no vowels and no digits that look like letters, so that no words come out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const NAME_BASE_MAX: usize = 58;

/// Five random letters.
pub(crate) fn suffix() -> String {
    uuid::Uuid::new_v4().as_bytes()[..5]
        .iter()
        .map(|b| char::from(ALPHABET[usize::from(*b) % ALPHABET.len()]))
        .collect()
}

fn generate(base: &str) -> String {
    let mut end = base.len().min(NAME_BASE_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{}", &base[..end], suffix())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names() {
        let name = generate("web-");
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_eq!(generate(&"a".repeat(100)).len(), 63);
        assert_eq!(generate(&"é".repeat(50)).len(), 63);
    }
}
