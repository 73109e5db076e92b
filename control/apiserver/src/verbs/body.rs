//! The object that a create or update sends, in the shape that it is stored in.

use std::sync::Arc;

use http::Method;
use minicloud_api::status::ApiStatus;
use minicloud_schema::crd;
use serde_json::Value;

use crate::api::Api;
use crate::http::service::Call;
use crate::query::WriteOptions;
use crate::registry::{Resource, Rules};
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

/// Reads, converts and decodes a body for `namespace`. What `fieldValidation` lets pass becomes warnings.
pub(crate) fn object(
    call: &mut Call,
    resource: &Resource,
    stored: &Resource,
    namespace: &str,
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
        if call.parts.method == Method::POST {
            events::check_create(resource, &value, namespace)?;
        }
        events::to_core(&mut value);
    }
    let (mut value, mut unknown) = strategy::decode(stored, value)?;
    unknown.extend(read.oddities);
    if let Some(text) = strategy::drop_repeated_owners(&mut value) {
        call.warn(text);
    }
    if matches!(resource.rules, Rules::Definition) {
        for text in crd::warnings(&value) {
            call.warn(text);
        }
    }
    for text in strategy::judge_unknown(stored, unknown, options.field_validation)? {
        call.warn(text);
    }
    Ok(value)
}
