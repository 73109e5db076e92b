//! `pods/eviction`: a delete that asks. PodDisruptionBudgets are not served, so nothing is in its way.

use std::sync::Arc;

use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_auth::admission::node;
use serde_json::{Value, json};

use crate::admission;
use crate::api::Api;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::input;
use crate::path::ResourceRequest;
use crate::query::{Query, WriteOptions};
use crate::registry::Resource;
use crate::verbs::delete;
use crate::verbs::delete_options::DeleteOptions;

pub(crate) async fn create(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    body: &[u8],
) -> Result<Answer, ApiStatus> {
    let eviction = input::read(&call.parts.headers, body, "Eviction", false)?.value;
    let named = meta::name(&eviction);
    if !named.is_empty() && named != wanted.name {
        return Err(ApiStatus::bad_request(format!(
            "name in URL does not match name in Eviction object: {named}"
        )));
    }
    let options = eviction
        .get("deleteOptions")
        .filter(|o| !o.is_null())
        .cloned();
    let mut options = DeleteOptions::read(&Query::default(), options)?;
    options.dry_run |= WriteOptions::from_query(&call.query, "CreateOptions")?.dry_run;
    admission::restrict(
        api,
        &call.user,
        &node::Write {
            operation: node::Operation::Create,
            group: "",
            resource: "pods",
            subresource: "eviction",
            namespace: &wanted.namespace,
            name: &wanted.name,
            object: &eviction,
            old: &Value::Null,
        },
    )?;
    delete::remove(
        api,
        &call.user,
        resource,
        &wanted.namespace,
        &wanted.name,
        &options,
    )
    .await?;
    Ok(respond::json(
        201,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    ))
}
