//! PUT: a whole object (or its status) replaced.

use std::sync::Arc;

use minicloud_api::status::ApiStatus;
use serde_json::Value;

use super::{change, output};
use crate::api::Api;
use crate::http::respond::Answer;
use crate::http::service::Call;
use crate::negotiate;
use crate::path::ResourceRequest;
use crate::query::WriteOptions;
use crate::registry::Resource;
use crate::strategy::{self, Part};

pub(crate) async fn update(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    body: &[u8],
    part: Part,
) -> Result<Answer, ApiStatus> {
    negotiate::object_form(&call.parts.headers)?;
    negotiate::require_json(&call.parts.headers)?;
    let options = WriteOptions::from_query(&call.query, "UpdateOptions")?;
    let mut value = strategy::parse(resource, body)?;
    let core;
    let stored = if resource.converts_events {
        strategy::identify(resource, &mut value)?;
        crate::subresources::events::to_core(&mut value);
        core = api
            .registry
            .built_in("", "events")
            .ok_or_else(|| ApiStatus::internal("events are not served"))?;
        &core
    } else {
        resource
    };
    let (value, unknown) = strategy::decode(stored, value)?;
    for text in strategy::judge_unknown(stored, unknown, options.field_validation)? {
        call.warn(text);
    }
    let wish = change::Change {
        user: &call.user,
        resource: stored,
        namespace: &wanted.namespace,
        name: &wanted.name,
        part,
        dry_run: options.dry_run,
        trusted: false,
    };
    let written = change::apply(api, &wish, |_: &Value| Ok(value.clone())).await?;
    output::object(call, resource, 200, &written.bytes, written.revision)
}
