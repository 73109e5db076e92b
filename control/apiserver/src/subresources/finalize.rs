//! `namespaces/finalize`: the namespace controller's way to say that a namespace is empty.

use std::sync::Arc;

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use serde_json::json;

use crate::api::Api;
use crate::http::respond::Answer;
use crate::http::service::Call;
use crate::input;
use crate::path::ResourceRequest;
use crate::query::WriteOptions;
use crate::registry::Resource;
use crate::strategy::{self, Part};
use crate::verbs::{change, output};

pub(crate) async fn finalize(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    body: &[u8],
) -> Result<Answer, ApiStatus> {
    let options = WriteOptions::from_query(&call.query, "UpdateOptions")?;
    let (given, _) = strategy::decode(
        resource,
        input::read(&call.parts.headers, body, &resource.kind, false)?.value,
    )?;
    let wish = change::Change {
        user: &call.user,
        resource,
        namespace: &wanted.namespace,
        name: &wanted.name,
        part: Part::Main,
        dry_run: options.dry_run,
        trusted: true,
    };
    let written = change::apply(api, &wish, |old| {
        let mut new = old.clone();
        let finalizers = given
            .pointer("/spec/finalizers")
            .cloned()
            .unwrap_or_else(|| json!([]));
        meta::child_mut(meta::root_mut(&mut new), "spec").insert("finalizers".into(), finalizers);
        // Name, uid and version as the caller has them, so that an old view of the namespace is refused.
        for field in ["name", "uid", "resourceVersion"] {
            let value = meta::text(&given, field);
            if !value.is_empty() {
                meta::metadata_mut(&mut new).insert(field.into(), value.into());
            }
        }
        Ok(new)
    })
    .await?;
    output::object(call, resource, 200, &written.bytes, written.revision)
}
