//! GET of one object.

use minicloud_api::status::ApiStatus;

use super::output;
use crate::api::Api;
use crate::http::respond::Answer;
use crate::http::service::Call;
use crate::objects;
use crate::path::ResourceRequest;
use crate::query;
use crate::registry::Resource;

pub(crate) fn get(
    api: &Api,
    call: &Call,
    resource: &Resource,
    wanted: &ResourceRequest,
) -> Result<Answer, ApiStatus> {
    let text = call.query.get("resourceVersion").unwrap_or_default();
    if let Some(revision) = query::parse_revision(text)? {
        let current = api.store.revision();
        if revision > current {
            return Err(objects::too_large_version(revision, current));
        }
    }
    let entry = api.entry(resource, &wanted.namespace, &wanted.name)?;
    output::object(call, resource, 200, &entry.value, entry.mod_revision)
}
