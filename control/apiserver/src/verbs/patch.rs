//! PATCH: JSON patch, JSON merge patch, strategic merge patch.

use std::sync::Arc;

use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_validation::patch::{self as formats, PatchError};
use serde_json::Value;

use super::{body, change, output};
use crate::api::Api;
use crate::http::respond::Answer;
use crate::http::service::Call;
use crate::negotiate::{self, PatchType};
use crate::path::ResourceRequest;
use crate::query::WriteOptions;
use crate::registry::Resource;
use crate::strategy::{self, Part};

pub(crate) async fn patch(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    content: &[u8],
    part: Part,
) -> Result<Answer, ApiStatus> {
    negotiate::object_form(&call.parts.headers)?;
    let kind = negotiate::patch_type(&call.parts.headers, resource.is_custom())?;
    let options = WriteOptions::from_query(&call.query, "PatchOptions")?;
    let patch: Value = serde_json::from_slice(content)
        .map_err(|e| ApiStatus::bad_request(format!("error decoding patch: {e}")))?;
    let stored = body::stored_row(api, resource)?;
    let mut unknown = Vec::new();
    let mut repeated = None;
    let wish = change::Change {
        user: &call.user,
        resource: &stored,
        namespace: &wanted.namespace,
        name: &wanted.name,
        part,
        dry_run: options.dry_run,
        trusted: false,
    };
    let written = change::apply(api, &wish, |old: &Value| {
        let mut base = old.clone();
        if resource.converts_events {
            crate::subresources::events::from_core(&mut base);
        }
        let mut patched = apply(resource, kind, &base, &patch)?;
        if resource.converts_events {
            crate::subresources::events::to_core(&mut patched);
        }
        let (mut value, fields) =
            strategy::decode(&stored, patched).map_err(|e| blame(&patch, e))?;
        check_uid(&stored, &value, old)?;
        repeated = strategy::drop_repeated_owners(&mut value);
        unknown = strategy::judge_unknown(&stored, fields, options.field_validation)
            .map_err(|e| blame(&patch, e))?;
        Ok(value)
    })
    .await?;
    for text in unknown.into_iter().chain(repeated) {
        call.warn(text);
    }
    output::object(call, resource, 200, &written.bytes, written.revision)
}

/// A patch whose result does not decode is well-formed but cannot be carried out: 422, as Kubernetes says it, not 400.
fn blame(patch: &Value, error: ApiStatus) -> ApiStatus {
    if error.code != 400 {
        return error;
    }
    let detail = error.message.rsplit_once("cannot be handled as a ");
    let detail = detail
        .and_then(|(_, rest)| rest.split_once(": "))
        .map_or(error.message.as_str(), |(_, detail)| detail);
    let mut errors = ErrorList::new();
    errors.push(FieldError::invalid(
        Path::new("patch"),
        patch.to_string(),
        detail,
    ));
    ApiStatus::invalid("", "", "", &errors)
}

/// Applies a patch; what went wrong comes as Kubernetes' refusal.
pub(crate) fn apply(
    resource: &Resource,
    kind: PatchType,
    old: &Value,
    patch: &Value,
) -> Result<Value, ApiStatus> {
    let patched = match kind {
        PatchType::Json => formats::json_patch(old, patch),
        PatchType::Merge => formats::merge_patch(old, patch),
        PatchType::Strategic => {
            // Events of events.k8s.io have their own shape; every other row is its own.
            formats::strategic_merge_patch(
                old,
                patch,
                &resource.group,
                &resource.version,
                &resource.kind,
            )
        }
    };
    patched.map_err(refused)
}

/// What went wrong with a patch, as an answer.
pub(crate) fn refused(error: PatchError) -> ApiStatus {
    match error {
        PatchError::Malformed(message) => ApiStatus::bad_request(message),
        PatchError::Unprocessable(message) => ApiStatus::new(422, "Invalid", message),
        PatchError::TooLarge(message) => ApiStatus::too_large(message),
    }
}

/// A patch cannot make another object of it. (A PUT that names another is about an object that is gone: 409.)
fn check_uid(resource: &Resource, new: &Value, old: &Value) -> Result<(), ApiStatus> {
    let uid = meta::uid(new);
    if uid.is_empty() || uid == meta::uid(old) {
        return Ok(());
    }
    let path = Path::new("metadata").child("uid");
    let error = FieldError::invalid(path, uid, "field is immutable");
    Err(ApiStatus::invalid(
        &resource.group,
        &resource.kind,
        meta::name(old),
        &vec![error].into(),
    ))
}
