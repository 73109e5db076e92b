//! `meta/v1.DeleteOptions`: how a delete is to be done, from a body or from the query. Pure.

use minicloud_api::field::{ErrorList, FieldError, Path};
use minicloud_api::status::ApiStatus;
use serde_json::{Value, json};

use crate::query::{self, Query};

/// What becomes of dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// `meta/v1.DeleteOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_seconds: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// From the body, or without one from the query.
    pub(crate) fn read(query: &Query, body: Option<Value>) -> Result<Self, ApiStatus> {
        let value = match body {
            Some(body) => check_kind(body)?,
            None => from_query(query)?,
        };
        let mut errors = Vec::new();
        let grace_seconds = match value.get("gracePeriodSeconds") {
            None | Some(Value::Null) => None,
            Some(seconds) => match seconds.as_i64() {
                Some(seconds) if seconds >= 0 => Some(seconds),
                // Kubernetes takes a negative period for one second.
                Some(_) => Some(1),
                None => {
                    return Err(ApiStatus::bad_request(
                        "gracePeriodSeconds must be a whole number of seconds",
                    ));
                }
            },
        };
        let orphan = match value.get("orphanDependents") {
            None | Some(Value::Null) => None,
            Some(orphan) => Some(
                orphan
                    .as_bool()
                    .ok_or_else(|| ApiStatus::bad_request("orphanDependents must be a boolean"))?,
            ),
        };
        let text = |path: &str| {
            value
                .pointer(path)
                .and_then(Value::as_str)
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
        };
        let policy = text("/propagationPolicy");
        let propagation = match policy.as_deref() {
            None => orphan.map(|o| {
                if o {
                    Propagation::Orphan
                } else {
                    Propagation::Background
                }
            }),
            Some("Orphan") => Some(Propagation::Orphan),
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some(other) => {
                let path = Path::new("propagationPolicy");
                errors.push(FieldError::not_supported(
                    path,
                    other,
                    &["Foreground", "Background", "Orphan", "nil"],
                ));
                None
            }
        };
        if policy.is_some() && orphan.is_some() {
            errors.push(FieldError::invalid(
                Path::new("propagationPolicy"),
                policy.unwrap_or_default(),
                "orphanDependents and deletionPropagation cannot be both set",
            ));
        }
        let dry = value
            .get("dryRun")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let dry_run = query::dry_run(dry.chain(query.all("dryRun")), &mut errors);
        if !errors.is_empty() {
            return Err(ApiStatus::invalid(
                "meta.k8s.io",
                "DeleteOptions",
                "",
                &ErrorList::from(errors),
            ));
        }
        Ok(Self {
            grace_seconds,
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
            propagation,
            dry_run,
        })
    }
}

fn from_query(query: &Query) -> Result<Value, ApiStatus> {
    let mut value = json!({});
    if let Some(seconds) = query.integer("gracePeriodSeconds")? {
        value["gracePeriodSeconds"] = seconds.into();
    }
    if let Some(policy) = query.non_empty("propagationPolicy") {
        value["propagationPolicy"] = policy.into();
    }
    if query.get("orphanDependents").is_some() {
        value["orphanDependents"] = query.flag("orphanDependents").into();
    }
    Ok(value)
}

fn check_kind(value: Value) -> Result<Value, ApiStatus> {
    match value.get("kind").and_then(Value::as_str) {
        _ if !value.is_object() => Err(ApiStatus::bad_request(
            "the body is not a DeleteOptions object",
        )),
        Some(kind) if kind != "DeleteOptions" => Err(ApiStatus::bad_request(format!(
            "decoded object cannot be converted to DeleteOptions: it is a {kind}"
        ))),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let check = |query: &str, body: &str, expect: Result<(), u16>| {
            let got = DeleteOptions::read(&Query::parse(query), serde_json::from_str(body).ok());
            assert_eq!(
                got.map(|_| ()).map_err(|e| e.code),
                expect,
                "{query} {body}"
            );
        };
        check("", "", Ok(()));
        check(
            "gracePeriodSeconds=5&propagationPolicy=Foreground",
            "",
            Ok(()),
        );
        check("gracePeriodSeconds=x", "", Err(400));
        check("propagationPolicy=Maybe", "", Err(422));
        check(
            "",
            "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"preconditions\":{\"uid\":\"u\"}}",
            Ok(()),
        );
        check("", "{\"kind\":\"Pod\"}", Err(400));
        check("", "[]", Err(400));
        check("", "{\"dryRun\":[\"x\"]}", Err(422));
        check(
            "",
            "{\"propagationPolicy\":\"Orphan\",\"orphanDependents\":true}",
            Err(422),
        );
    }
}
