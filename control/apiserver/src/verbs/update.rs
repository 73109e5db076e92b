//! PUT: a whole object (or its status) replaced.

use std::sync::Arc;

use minicloud_api::status::ApiStatus;
use serde_json::Value;

use super::{body, change, output};
use crate::api::Api;
use crate::http::respond::Answer;
use crate::http::service::Call;
use crate::negotiate;
use crate::path::ResourceRequest;
use crate::query::WriteOptions;
use crate::registry::Resource;
use crate::strategy::Part;

pub(crate) async fn update(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    content: &[u8],
    part: Part,
) -> Result<Answer, ApiStatus> {
    negotiate::object_form(&call.parts.headers)?;
    let options = WriteOptions::from_query(&call.query, "UpdateOptions")?;
    let stored = body::stored_row(api, resource)?;
    let value = body::object(call, resource, &stored, content, options)?;
    let wish = change::Change {
        user: &call.user,
        resource: &stored,
        namespace: &wanted.namespace,
        name: &wanted.name,
        part,
        dry_run: options.dry_run,
        trusted: false,
    };
    let written = change::apply(api, &wish, |_: &Value| Ok(value.clone())).await?;
    output::object(call, resource, 200, &written.bytes, written.revision)
}
