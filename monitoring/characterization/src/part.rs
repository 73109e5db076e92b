//! `GET /v1/devices` on port 3000: the hardware of all nodes, for programs that speak no Kubernetes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use http::StatusCode;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use minicloud_api::part::{Part, Permission};
use minicloud_api::problem::Problem;
use serde_json::{Map, Value, json};

use crate::{GROUP, devices};

/// The part. `client` is the identity that reads Devices.
pub fn part(client: kube::Client) -> Part {
    Part {
        name: "characterization",
        routes: Router::new()
            .route("/v1/devices", get(all))
            .with_state(devices(client)),
        permit: Arc::new(|_| Permission::cluster("list", GROUP, "devices")),
        openapi: openapi(),
        metrics: Arc::new(String::new),
        run: None,
    }
}

async fn all(State(devices): State<Api<DynamicObject>>) -> Response {
    match devices.list(&ListParams::default()).await {
        Ok(list) => {
            let devices: Vec<Value> = list.items.iter().map(told).collect();
            Json(json!({ "devices": devices })).into_response()
        }
        Err(error) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the Kubernetes API did not list the devices: {error}"),
        )
        .hint("try again; `minicloud status` shows what is wrong with the API")
        .into_response(),
    }
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
        "paths": { "/v1/devices": { "get": {
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
