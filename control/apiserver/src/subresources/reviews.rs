//! Questions to the server about users and rights: TokenReview, SelfSubjectReview and the access reviews.

use std::collections::BTreeMap;

use jiff::Timestamp;
use minicloud_api::meta;
use minicloud_api::status::ApiStatus;
use minicloud_api::user::UserInfo;
use minicloud_auth::authz::{Attributes, Decision};
use serde_json::{Value, json};

use crate::api::Api;
use crate::http::respond::{self, Answer};
use crate::http::service::Call;
use crate::path::ResourceRequest;
use crate::registry::Resource;
use crate::strategy;
use crate::{input, negotiate};

pub(crate) fn create(
    api: &Api,
    call: &Call,
    resource: &Resource,
    wanted: &ResourceRequest,
    body: &[u8],
) -> Result<Answer, ApiStatus> {
    negotiate::plain(&call.parts.headers)?;
    let mut review = input::read(&call.parts.headers, body, &resource.kind, false)?.value;
    strategy::identify(resource, &mut review)?;
    let status = match resource.kind.as_str() {
        "TokenReview" => token(api, &review)?,
        "SelfSubjectReview" => json!({"userInfo": call.user}),
        "SelfSubjectAccessReview" => access(api, &call.user, &review, None)?,
        "SubjectAccessReview" => access(api, &subject(&review)?, &review, None)?,
        "LocalSubjectAccessReview" => {
            access(api, &subject(&review)?, &review, Some(&wanted.namespace))?
        }
        "SelfSubjectRulesReview" => rules(api, &call.user, &review)?,
        _ => return Err(ApiStatus::no_such_path()),
    };
    let metadata = meta::metadata_mut(&mut review);
    metadata.insert("creationTimestamp".into(), Value::Null);
    meta::root_mut(&mut review).insert("status".into(), status);
    Ok(respond::json(201, &review))
}

fn token(api: &Api, review: &Value) -> Result<Value, ApiStatus> {
    let token = review
        .pointer("/spec/token")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if token.is_empty() {
        return Err(ApiStatus::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let audiences = strings(review.pointer("/spec/audiences"));
    Ok(
        match api
            .authenticator
            .review(token, &audiences, Timestamp::now())
        {
            Ok(verified) => {
                let mut status = json!({"authenticated": true, "user": verified.user});
                if !audiences.is_empty() {
                    status["audiences"] = verified.audiences.into();
                }
                status
            }
            Err(error) => json!({"authenticated": false, "user": {}, "error": error.to_string()}),
        },
    )
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The user that a review is about.
fn subject(review: &Value) -> Result<UserInfo, ApiStatus> {
    let text = |field: &str| {
        review
            .pointer(&format!("/spec/{field}"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let groups = strings(review.pointer("/spec/groups"));
    if text("user").is_empty() && groups.is_empty() {
        return Err(invalid(
            review,
            "user",
            "at least one of user or group must be specified",
        ));
    }
    let mut user = UserInfo::new(text("user"), groups);
    text("uid").clone_into(&mut user.uid);
    if let Some(extra) = review.pointer("/spec/extra").and_then(Value::as_object) {
        user.extra = extra
            .iter()
            .map(|(k, v)| (k.clone(), strings(Some(v))))
            .collect::<BTreeMap<_, _>>();
    }
    Ok(user)
}

fn invalid(review: &Value, field: &str, why: &str) -> ApiStatus {
    use minicloud_api::field::{FieldError, Path};
    let kind = review
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let error = FieldError::invalid(Path::new("spec").child(field), "", why);
    ApiStatus::invalid("authorization.k8s.io", kind, "", &vec![error].into())
}

fn access(
    api: &Api,
    user: &UserInfo,
    review: &Value,
    local: Option<&str>,
) -> Result<Value, ApiStatus> {
    let resource = review
        .pointer("/spec/resourceAttributes")
        .filter(|v| v.is_object());
    let path = review
        .pointer("/spec/nonResourceAttributes")
        .filter(|v| v.is_object());
    let (of, is_resource) = match (resource, path) {
        (Some(resource), None) => (resource, true),
        (None, Some(path)) if local.is_none() => (path, false),
        (Some(_), Some(_)) => {
            return Err(invalid(
                review,
                "nonResourceAttributes",
                "cannot be specified in combination with resourceAttributes",
            ));
        }
        (None, Some(_)) => {
            return Err(invalid(
                review,
                "nonResourceAttributes",
                "disallowed on this kind of request",
            ));
        }
        (None, None) => {
            return Err(invalid(
                review,
                "resourceAttributes",
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ));
        }
    };
    let text = |field: &str| of.get(field).and_then(Value::as_str).unwrap_or_default();
    if let Some(namespace) = local
        && (text("namespace") != namespace)
    {
        return Err(invalid(
            review,
            "resourceAttributes.namespace",
            "must match metadata.namespace",
        ));
    }
    let attributes = if is_resource {
        Attributes {
            api_version: text("version"),
            subresource: text("subresource"),
            namespace: text("namespace"),
            name: text("name"),
            ..Attributes::resource(user, text("verb"), text("group"), text("resource"))
        }
    } else {
        Attributes::path(user, text("verb"), text("path"))
    };
    let decision = api.authorizer.authorize(&attributes);
    let mut status = json!({"allowed": matches!(decision, Decision::Allow(_))});
    if !decision.reason().is_empty() {
        status["reason"] = decision.reason().into();
    }
    Ok(status)
}

fn rules(api: &Api, user: &UserInfo, review: &Value) -> Result<Value, ApiStatus> {
    let namespace = review
        .pointer("/spec/namespace")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if namespace.is_empty() {
        return Err(ApiStatus::bad_request("no namespace on request"));
    }
    let found = api.authorizer.rules_for(user, namespace);
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    for rule in &found.rules {
        if !rule.resources.is_empty() {
            let mut value = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
            if !rule.resource_names.is_empty() {
                value["resourceNames"] = rule.resource_names.clone().into();
            }
            resources.push(value);
        }
        if !rule.non_resource_urls.is_empty() {
            paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
        }
    }
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": found.incomplete});
    if !found.evaluation_error.is_empty() {
        status["evaluationError"] = found.evaluation_error.into();
    }
    Ok(status)
}
