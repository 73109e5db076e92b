//! Objects of one kind through the Kubernetes API, page by page.
//!
//! Of ConfigMaps only the metadata is asked for, and of Secrets a table, in which the server puts the type and the number of
//! entries but no content: what is secret does not leave the API server for a metric.

use http::StatusCode;
use http::header::{ACCEPT, HeaderValue};
use kube::api::{ListParams, Request};
use minicloud_api::problem::Problem;
use serde_json::{Value, json};

use crate::json::text as text_at;
use crate::{Families, Kind, Resource, write};

/// Objects of a page: some hundred kilobytes of JSON.
const PAGE_OBJECTS: u32 = 100;
/// The longest text of one kind; some ten thousand pods.
const MAX_TEXT_BYTES: usize = 64 << 20;

const METADATA: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
const TABLE: HeaderValue = HeaderValue::from_static("application/json;as=Table;v=v1;g=meta.k8s.io");

/// The metrics about every object of a kind. The objects of one page at a time are in memory.
///
/// # Errors
/// When the API cannot be asked, refuses, or has more objects than anyone would scrape: a problem ready to be shown.
pub(super) async fn text(client: &kube::Client, kind: Kind) -> Result<String, Problem> {
    let resource = kind.resource();
    let mut families = Families::default();
    let mut next = String::new();
    loop {
        let page = page(client, kind, &next).await?;
        let (items, token) = objects(page).ok_or_else(|| {
            away(&format!(
                "its list of {} is none; is it a Kubernetes API?",
                resource.plural
            ))
        })?;
        write(kind, &items, &mut families);
        if families.bytes() > MAX_TEXT_BYTES {
            let detail = format!("there are too many {} for one scrape", resource.plural);
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
                .hint("run kube-state-metrics, which can divide them among several instances"));
        }
        match token {
            Some(token) => next = token,
            None => return Ok(families.text()),
        }
    }
}

async fn page(client: &kube::Client, kind: Kind, next: &str) -> Result<Value, Problem> {
    let resource = kind.resource();
    // Without a resource version: pages that follow are of the same revision, and the newest is read from memory.
    let mut params = ListParams::default().limit(PAGE_OBJECTS);
    if !next.is_empty() {
        params = params.continue_token(next);
    }
    let request = Request::new(path(resource)).list(&params);
    let mut request = request.map_err(|e| away(&e.to_string()))?;
    let form = match kind {
        Kind::ConfigMap => Some(METADATA),
        Kind::Secret => Some(TABLE),
        _ => None,
    };
    if let Some(form) = form {
        request.headers_mut().insert(ACCEPT, form);
    }
    client.request(request).await.map_err(|error| match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            let detail = format!("{} may not be listed: {}", resource.plural, status.message);
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).hint(
                "bind the ClusterRole system:minicloud-state to the user system:minicloud-state",
            )
        }
        other => away(&format!("{} were not listed: {other}", resource.plural)),
    })
}

/// The API could not be asked.
pub(super) fn away(why: &str) -> Problem {
    let detail = format!("the Kubernetes API did not answer: {why}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        .hint("try again; `minicloud status` shows what is wrong with the API")
}

fn path(resource: Resource) -> String {
    let Resource {
        group,
        version,
        plural,
        ..
    } = resource;
    match group {
        "" => format!("/api/{version}/{plural}"),
        group => format!("/apis/{group}/{version}/{plural}"),
    }
}

/// The objects of a page and the token of the next one; `None` for what is no list.
fn objects(mut page: Value) -> Option<(Vec<Value>, Option<String>)> {
    let token = text_at(&page, "/metadata/continue");
    let token = (!token.is_empty()).then(|| token.to_owned());
    let items = match page.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        // An empty list may have none.
        Some(Value::Null) => Vec::new(),
        _ => rows(page)?,
    };
    Some((items, token))
}

/// The rows of a table as objects that have metadata and, from the column of that name, a type.
fn rows(mut table: Value) -> Option<Vec<Value>> {
    let columns = table.pointer("/columnDefinitions")?.as_array()?;
    let kind = columns
        .iter()
        .position(|column| text_at(column, "/name") == "Type")?;
    let rows = match table.get_mut("rows").map(Value::take) {
        Some(Value::Array(rows)) => rows,
        _ => Vec::new(),
    };
    let object = |mut row: Value| {
        let metadata = row.pointer_mut("/object/metadata").map(Value::take);
        let kind = row.pointer_mut(&format!("/cells/{kind}")).map(Value::take);
        json!({ "metadata": metadata, "type": kind })
    };
    Some(rows.into_iter().map(object).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_tables_are_objects() {
        let check = |page: Value, expect: Option<(Value, Option<&str>)>| {
            let expect = expect
                .map(|(items, next)| (items.as_array().cloned().unwrap(), next.map(str::to_owned)));
            assert_eq!(objects(page.clone()), expect, "{page}");
        };
        let object = json!({ "metadata": { "name": "a" } });
        check(
            json!({ "metadata": { "continue": "x" }, "items": [object] }),
            Some((json!([object]), Some("x"))),
        );
        check(
            json!({ "metadata": { "continue": "" }, "items": null }),
            Some((json!([]), None)),
        );
        let columns = json!([{ "name": "Name" }, { "name": "Type" }, { "name": "Data" }]);
        check(
            json!({ "columnDefinitions": columns, "rows": [{ "cells": ["a", "Opaque", 2], "object": object }] }),
            Some((
                json!([{ "metadata": { "name": "a" }, "type": "Opaque" }]),
                None,
            )),
        );
        check(
            json!({ "columnDefinitions": columns }),
            Some((json!([]), None)),
        );
        for none in [
            json!({}),
            json!("x"),
            json!({ "columnDefinitions": [{ "name": "Name" }], "rows": [] }),
            json!({ "items": 5 }),
        ] {
            check(none, None);
        }
    }

    #[test]
    fn paths_are_the_apis() {
        assert_eq!(path(Kind::Pod.resource()), "/api/v1/pods");
        assert_eq!(
            path(Kind::Deployment.resource()),
            "/apis/apps/v1/deployments"
        );
    }
}
