//! The object that a create or update sends, in the shape that it is stored in.

use std::sync::Arc;

use minicloud_api::status::ApiStatus;
use serde_json::Value;

use crate::api::Api;
use crate::http::service::Call;
use crate::query::WriteOptions;
use crate::registry::Resource;
use crate::subresources::events;
use crate::{input, strategy};

/// The row that objects of `resource` are stored under: its own, but for events of events.k8s.io, which are core events.
pub(crate) fn stored_row(api: &Api, resource: &Arc<Resource>) -> Result<Arc<Resource>, ApiStatus> {
    if !resource.converts_events {
        return Ok(Arc::clone(resource));
    }
    api.registry
        .built_in("", "events")
        .ok_or_else(|| ApiStatus::internal("events are not served"))
}

/// Reads, converts and decodes a body. What `fieldValidation` lets pass becomes warnings.
pub(crate) fn object(
    call: &mut Call,
    resource: &Resource,
    stored: &Resource,
    body: &[u8],
    options: WriteOptions,
) -> Result<Value, ApiStatus> {
    let read = input::read_for(
        &call.parts.headers,
        body,
        &resource.kind,
        resource.is_custom(),
        options.field_validation,
    )?;
    let mut value = read.value;
    if resource.converts_events {
        strategy::identify(resource, &mut value)?;
        events::to_core(&mut value);
    }
    let (value, mut unknown) = strategy::decode(stored, value)?;
    unknown.extend(read.oddities);
    for text in strategy::judge_unknown(stored, unknown, options.field_validation)? {
        call.warn(text);
    }
    Ok(value)
}
