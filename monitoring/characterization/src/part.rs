//! On port 3000 the hardware of all nodes, for programs that speak no Kubernetes: `GET /v1/devices`, and
//! `GET /characterization?format=json|tosca` in the seed's shapes (D3.1, section 3.4, Figure 12).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use http::{StatusCode, header};
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use minicloud_api::part::{Need, Part};
use minicloud_api::problem::Problem;
use minicloud_hardware::DeviceStatus;
use minicloud_hardware::characterization::{figure_12, tosca as tosca_template};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{GROUP, devices};

/// The part. `client` is the identity that reads Devices.
pub fn part(client: kube::Client) -> Part {
    Part {
        name: "characterization",
        routes: Router::new()
            .route("/v1/devices", get(all))
            .route("/characterization", get(characterization))
            .with_state(devices(client)),
        permit: Arc::new(|_| Need::cluster("list", GROUP, "devices")),
        openapi: openapi(),
        metrics: Arc::new(String::new),
        run: None,
    }
}

async fn list(devices: &Api<DynamicObject>) -> Result<Vec<DynamicObject>, Problem> {
    let listed = devices.list(&ListParams::default()).await;
    listed.map(|list| list.items).map_err(|error| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the Kubernetes API did not list the devices: {error}"),
        )
        .hint("try again; `minicloud status` shows what is wrong with the API")
    })
}

async fn all(State(devices): State<Api<DynamicObject>>) -> Result<Response, Problem> {
    let devices: Vec<Value> = list(&devices).await?.iter().map(told).collect();
    Ok(Json(json!({ "devices": devices })).into_response())
}

/// The query of `/characterization`.
#[derive(Debug, Deserialize)]
struct Query {
    #[serde(default)]
    format: String,
}

async fn characterization(
    State(devices): State<Api<DynamicObject>>,
    axum::extract::Query(query): axum::extract::Query<Query>,
) -> Result<Response, Problem> {
    let tosca = match query.format.as_str() {
        "" | "json" => false,
        "tosca" => true,
        other => {
            let detail = format!("there is no format {other:?}");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail)
                .hint("give format=json or format=tosca"));
        }
    };
    let devices: Vec<(String, DeviceStatus)> =
        list(&devices).await?.iter().filter_map(parsed).collect();
    if !tosca {
        let figure: Vec<_> = devices
            .iter()
            .map(|(uid, status)| figure_12(uid, status))
            .collect();
        return Ok(Json(figure).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, "application/yaml"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"characterization.yaml\"",
        ),
    ];
    let template = tosca_template(devices.iter().map(|(_, status)| status));
    Ok((headers, template).into_response())
}

/// UID and status of a Device; nothing for one whose node has not looked at itself yet, or that somebody else wrote.
fn parsed(device: &DynamicObject) -> Option<(String, DeviceStatus)> {
    let status = DeviceStatus::deserialize(device.data.get("status")?).ok()?;
    let name = device.metadata.name.clone()?;
    let uid = device.metadata.uid.clone()?;
    Some((uid, DeviceStatus { name, ..status }))
}

/// A Device as our own API tells it: its status, in snake_case, and whose it is.
fn told(device: &DynamicObject) -> Value {
    let mut told = match device.data.get("status") {
        Some(status) => snake_case(status),
        // A node that has not looked at itself yet.
        None => json!({}),
    };
    told["name"] = device.metadata.name.clone().into();
    told["uid"] = device.metadata.uid.clone().into();
    told
}

/// The same value with keys in snake_case.
fn snake_case(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| (snake(key), snake_case(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(snake_case).collect(),
        other => other.clone(),
    }
}

fn snake(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

fn openapi() -> Value {
    json!({
        "paths": { "/characterization": { "get": {
            "operationId": "getCharacterization",
            "summary": "The hardware of every node, as ACCORDION's D3.1 shows it or as TOSCA Simple Profile in YAML 1.3",
            "description": "Needs the permission to list devices.minicloud.io.",
            "parameters": [{ "name": "format", "in": "query", "schema": { "enum": ["json", "tosca"], "default": "json" } }],
            "responses": { "200": {
                "description": "One entry for each node",
                "content": {
                    "application/json": { "schema": { "type": "array", "items": { "type": "object" } } },
                    "application/yaml": { "schema": { "type": "string" } },
                },
            } },
        } }, "/v1/devices": { "get": {
            "operationId": "listDevices",
            "summary": "The hardware of every node",
            "description": "Needs the permission to list devices.minicloud.io. The fields are those of `kubectl explain device.status`, \
                            in snake_case.",
            "responses": { "200": {
                "description": "One entry for each node",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Devices" } } },
            } },
        } } },
        "components": { "schemas": { "Devices": {
            "type": "object",
            "required": ["devices"],
            "properties": { "devices": { "type": "array", "items": {
                "type": "object",
                "required": ["name", "uid"],
                "properties": { "name": { "type": "string" }, "uid": { "type": "string" } },
            } } },
        } } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_by_underscores() {
        for (camel, shown) in [
            ("memoryBytes", "memory_bytes"),
            ("os", "os"),
            ("speedMbitPerSecond", "speed_mbit_per_second"),
        ] {
            assert_eq!(snake(camel), shown);
        }
        let device = serde_json::from_value(json!({
            "apiVersion": "minicloud.io/v1", "kind": "Device", "metadata": {"name": "edge-1", "uid": "u"},
            "status": {"name": "old", "fileSystems": [{"sizeBytes": 5}]},
        }))
        .unwrap();
        assert_eq!(
            told(&device),
            json!({"name": "edge-1", "uid": "u", "file_systems": [{"size_bytes": 5}]})
        );
    }
}
