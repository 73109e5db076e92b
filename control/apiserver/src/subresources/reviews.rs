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
use crate::query::WriteOptions;
use crate::registry::Resource;
use crate::strategy;
use crate::verbs::create;
use crate::{input, negotiate};

pub(crate) fn create(
    api: &Api,
    call: &mut Call,
    resource: &Resource,
    wanted: &ResourceRequest,
    body: &[u8],
) -> Result<Answer, ApiStatus> {
    negotiate::plain(&call.parts.headers)?;
    let mut review = read(call, resource, wanted, body)?;
    let status = match resource.kind.as_str() {
        "TokenReview" => token(api, &review),
        "SelfSubjectReview" => json!({"userInfo": call.user}),
        "SelfSubjectAccessReview" => access(api, &call.user, &review),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            access(api, &subject(&review), &review)
        }
        "SelfSubjectRulesReview" => rules(api, &call.user, &review)?,
        _ => return Err(ApiStatus::no_such_path()),
    };
    let metadata = meta::metadata_mut(&mut review);
    metadata.insert("creationTimestamp".into(), Value::Null);
    meta::root_mut(&mut review).insert("status".into(), status);
    Ok(respond::json(201, &review))
}

/// A review that is well formed: of the right types, with what is asked for.
fn read(
    call: &mut Call,
    resource: &Resource,
    wanted: &ResourceRequest,
    body: &[u8],
) -> Result<Value, ApiStatus> {
    let options = WriteOptions::from_query(&call.query, "CreateOptions")?;
    let headers = &call.parts.headers;
    let read = input::read_for(
        headers,
        body,
        &resource.kind,
        false,
        options.field_validation,
    )?;
    let mut review = read.value;
    strategy::identify(resource, &mut review)?;
    let Some(rules) =
        minicloud_validation::rules(&resource.group, &resource.version, &resource.kind)
    else {
        return Err(ApiStatus::no_such_path());
    };
    let decoded = strategy::decode_by(rules, resource, review)?;
    let mut unknown = decoded.unknown;
    unknown.extend(read.oddities);
    for text in strategy::judge_unknown(resource, unknown, options.field_validation)? {
        call.warn(text);
    }
    let mut review = decoded.value;
    if resource.namespaced {
        create::fit_namespace(resource, &mut review, &wanted.namespace)?;
    }
    if resource.kind == "TokenReview" && text(&review, "/spec/token").is_empty() {
        return Err(ApiStatus::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let errors = rules.validate(&review);
    if errors.is_empty() {
        return Ok(review);
    }
    Err(ApiStatus::invalid(
        &resource.group,
        &resource.kind,
        "",
        &errors,
    ))
}

fn text<'a>(review: &'a Value, pointer: &str) -> &'a str {
    review
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn token(api: &Api, review: &Value) -> Value {
    let audiences = strings(review.pointer("/spec/audiences"));
    let token = text(review, "/spec/token");
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
    }
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
fn subject(review: &Value) -> UserInfo {
    let groups = strings(review.pointer("/spec/groups"));
    let mut user = UserInfo::new(text(review, "/spec/user"), groups);
    text(review, "/spec/uid").clone_into(&mut user.uid);
    if let Some(extra) = review.pointer("/spec/extra").and_then(Value::as_object) {
        user.extra = extra
            .iter()
            .map(|(k, v)| (k.clone(), strings(Some(v))))
            .collect::<BTreeMap<_, _>>();
    }
    user
}

fn access(api: &Api, user: &UserInfo, review: &Value) -> Value {
    let of = |field: &str| text(review, &format!("/spec/resourceAttributes/{field}"));
    let path = |field: &str| text(review, &format!("/spec/nonResourceAttributes/{field}"));
    let attributes = if review
        .pointer("/spec/resourceAttributes")
        .is_some_and(Value::is_object)
    {
        Attributes {
            api_version: of("version"),
            subresource: of("subresource"),
            namespace: of("namespace"),
            name: of("name"),
            ..Attributes::resource(user, of("verb"), of("group"), of("resource"))
        }
    } else {
        Attributes::path(user, path("verb"), path("path"))
    };
    let decision = api.authorizer.authorize(&attributes);
    let mut status = json!({"allowed": matches!(decision, Decision::Allow(_))});
    if !decision.reason().is_empty() {
        status["reason"] = decision.reason().into();
    }
    status
}

fn rules(api: &Api, user: &UserInfo, review: &Value) -> Result<Value, ApiStatus> {
    let namespace = text(review, "/spec/namespace");
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
