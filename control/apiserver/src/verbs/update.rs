//! PUT: a whole object (or its status) replaced, and for some kinds made when it is not there.

use std::sync::Arc;

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_auth::authz::Attributes;
use serde_json::Value;

use super::{body, change, create, output};
use crate::api::Api;
use crate::http::respond::Answer;
use crate::http::service::Call;
use crate::negotiate;
use crate::objects::Written;
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
    let value = body::object(call, resource, &stored, &wanted.namespace, content, options)?;
    let wish = change::Change {
        user: &call.user,
        resource: &stored,
        namespace: &wanted.namespace,
        name: &wanted.name,
        part,
        dry_run: options.dry_run,
        trusted: false,
    };
    if part == Part::Main
        && resource.create_on_update
        && api
            .store
            .get(&stored.key(wish.namespace, wish.name))
            .is_none()
    {
        match make(api, &wish, value.clone()).await {
            // Another writer made it since: an update after all.
            Err(taken) if taken.reason == "AlreadyExists" => {}
            made => {
                let made = made?;
                return output::object(call, resource, 201, &made.bytes, made.revision);
            }
        }
    }
    let written = change::apply(api, &wish, |_: &Value| Ok(value.clone())).await?;
    output::object(call, resource, 200, &written.bytes, written.revision)
}

/// Makes the object that was to be replaced: needs the right to create it, too, and the client must not mean one that it knew.
async fn make(
    api: &Arc<Api>,
    wish: &change::Change<'_>,
    mut value: Value,
) -> Result<Written, ApiStatus> {
    let resource = wish.resource;
    change::check_name(wish, &value)?;
    change::check_uid(wish, &value, "")?;
    api.authorizer.require(
        &Attributes::resource(wish.user, "create", &resource.group, &resource.plural)
            .in_namespace(wish.namespace)
            .named(wish.name),
    )?;
    meta::metadata_mut(&mut value).remove("resourceVersion");
    create::store(
        api,
        wish.user,
        resource,
        wish.namespace,
        value,
        wish.dry_run,
    )
    .await
}
