//! One OpenAPI 3.1 document from the parts' fragments.
//!
//! A fragment has `paths` and `components`. Two parts that describe one path, or one component differently, are a mistake
//! that shows at start.

use serde_json::{Map, Value, json};

/// Two parts describe the same thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is described by part {part:?} and by another one; rename one of them")]
pub struct Conflict {
    /// The path or component.
    pub what: String,
    /// The part that came second.
    pub part: &'static str,
}

/// The answers that the listener itself may give to any request.
const OWN_ANSWERS: [(&str, &str); 5] = [
    ("401", "No credentials, or bad ones"),
    ("403", "The caller lacks the permission"),
    ("413", "The body is too large"),
    ("503", "Too busy, or the Kubernetes API does not answer"),
    ("504", "The answer took too long"),
];

/// Merges the fragments of `parts` (name and fragment).
pub(crate) fn merge<'a>(
    version: &str,
    parts: impl IntoIterator<Item = (&'static str, &'a Value)>,
) -> Result<Value, Conflict> {
    let mut paths = Map::new();
    let mut components = Map::new();
    for (part, fragment) in parts {
        for (path, item) in entries(fragment, "/paths") {
            let mut item = item.clone();
            add_own_answers(&mut item);
            if paths.insert(path.clone(), item).is_some() {
                return Err(Conflict {
                    what: format!("path {path}"),
                    part,
                });
            }
        }
        for (section, members) in entries(fragment, "/components") {
            let target = components
                .entry(section.clone())
                .or_insert_with(|| json!({}));
            let (Some(target), Some(members)) = (target.as_object_mut(), members.as_object())
            else {
                continue;
            };
            for (name, member) in members {
                // The same component from two parts (a shared type) is welcome.
                match target.get(name) {
                    Some(known) if known != member => {
                        return Err(Conflict {
                            what: format!("component {section}/{name}"),
                            part,
                        });
                    }
                    _ => target.insert(name.clone(), member.clone()),
                };
            }
        }
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Minicloud",
            "version": version,
            "description": "The APIs of one minicloud beside the Kubernetes API. Callers are Kubernetes users; what they \
                            may do follows from Kubernetes RBAC.",
        },
        "security": [{ "bearer": [] }, { "certificate": [] }],
        "paths": paths,
        "components": components,
    });
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A Kubernetes token" },
        "certificate": { "type": "mutualTLS", "description": "A client certificate of the cluster's CA" },
    });
    document["components"]["schemas"]["Problem"] = problem_schema();
    document["components"]["responses"]["Problem"] = json!({
        "description": "What is wrong, where, and what to do next (RFC 9457)",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    Ok(document)
}

fn entries<'a>(
    fragment: &'a Value,
    pointer: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    fragment
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn add_own_answers(path_item: &mut Value) {
    let methods = ["get", "put", "post", "delete", "options", "head", "patch"];
    for operation in methods
        .iter()
        .filter_map(|m| path_item.get_mut(*m)?.as_object_mut().map(|_| m))
        .collect::<Vec<_>>()
    {
        let Some(responses) = path_item[*operation]["responses"].as_object_mut() else {
            continue;
        };
        for (code, _) in OWN_ANSWERS {
            responses
                .entry(code)
                .or_insert_with(|| json!({ "$ref": "#/components/responses/Problem" }));
        }
    }
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "hint": { "type": "string", "description": "What to do next" },
            "request_id": { "type": "string", "description": "To be found in the server's log" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(path: &str, schema: &str, kind: &str) -> Value {
        json!({
            "paths": { path: { "get": { "responses": { "200": { "description": "ok" }, "403": { "description": "own" } } } } },
            "components": { "schemas": { schema: { "type": kind } } },
        })
    }

    #[test]
    fn fragments_become_one_document() {
        let (a, b) = (
            fragment("/v1/a", "Shared", "string"),
            fragment("/v1/b", "Shared", "string"),
        );
        let document = merge("1.2.3", [("a", &a), ("b", &b)]).expect("they fit");
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], "1.2.3");
        let responses = &document["paths"]["/v1/b"]["get"]["responses"];
        assert_eq!(responses["401"]["$ref"], "#/components/responses/Problem");
        assert_eq!(
            responses["403"]["description"], "own",
            "the part's own words stay"
        );
        assert_eq!(
            document["components"]["schemas"]["Shared"]["type"],
            "string"
        );
        // Every reference leads somewhere, the status part's too.
        let status = crate::status::openapi();
        let document = merge("1", [("status", &status)]).expect("it fits");
        let text = document.to_string();
        for reference in text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn conflicts_name_the_part() {
        let (a, b) = (
            fragment("/v1/a", "A", "string"),
            fragment("/v1/a", "B", "string"),
        );
        let error = merge("1", [("a", &a), ("b", &b)]).expect_err("one path");
        assert_eq!(
            error.to_string(),
            "path /v1/a is described by part \"b\" and by another one; rename one of them"
        );
        let b = fragment("/v1/b", "A", "object");
        let error = merge("1", [("a", &a), ("b", &b)]).expect_err("one schema, two meanings");
        assert_eq!(error.what, "component schemas/A");
    }
}
