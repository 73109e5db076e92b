//! `serviceaccounts/token`: a token for an account, bound to it and perhaps to a pod.

use std::sync::Arc;

use jiff::Timestamp;
use minicloud_api::status::ApiStatus;
use minicloud_auth::admission::node;
use minicloud_auth::token::BoundKind;
use serde_json::Value;

use crate::admission;
use crate::api::Api;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::input;
use crate::path::ResourceRequest;
use crate::registry::Resource;

pub(crate) fn create(
    api: &Arc<Api>,
    call: &mut Call,
    resource: &Arc<Resource>,
    wanted: &ResourceRequest,
    body: &[u8],
) -> Result<Answer, ApiStatus> {
    let request = input::read(&call.parts.headers, body, "TokenRequest", false)?.value;
    let account = api.object(resource, &wanted.namespace, &wanted.name)?;
    admission::restrict(
        api,
        &call.user,
        &node::Write {
            operation: node::Operation::Create,
            group: "",
            resource: "serviceaccounts",
            subresource: "token",
            namespace: &wanted.namespace,
            name: &wanted.name,
            object: &request,
            old: &Value::Null,
        },
    )?;
    let find = |kind: BoundKind, namespace: &str, name: &str| match kind {
        BoundKind::ServiceAccount => api.find("", "serviceaccounts", namespace, name),
        BoundKind::Pod => api.find("", "pods", namespace, name),
        BoundKind::Secret => api.find("", "secrets", namespace, name),
        BoundKind::Node => api.find("", "nodes", "", name),
    };
    let answer = api
        .config
        .tokens
        .request(&account, &request, &find, Timestamp::now())?;
    Ok(respond::json(201, &answer))
}
