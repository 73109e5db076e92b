//! The description of the part's routes.

use serde_json::{Value, json};

/// `paths` and `components`.
pub(crate) fn fragment() -> Value {
    json!({
        "paths": {
            "/monitoring": { "get": monitoring() },
            "/v1/nodes": { "get": nodes() },
        },
        "components": { "schemas": { "MonitoringFigure": figure() } },
    })
}

fn monitoring() -> Value {
    json!({
        "operationId": "getMonitoring",
        "summary": "Machines, the pods of a namespace, or namespaces, as ACCORDION's D3.1 shows them (Figures 9, 10 and 11)",
        "description": "Needs the permission to list nodes (physical_metrics), or pods of the namespace or of all. Numbers are \
                        texts; /v1/nodes, /v1/pods and /v1/namespaces tell the same as numbers.",
        "parameters": [
            { "name": "metric", "in": "query", "schema": { "enum": ["physical_metrics", "virtual_metrics"] } },
            { "name": "namespace", "in": "query", "schema": { "type": "string" },
              "description": "With virtual_metrics: a namespace, or all for the figures of each namespace" },
        ],
        "responses": {
            "200": {
                "description": "Groups of rows, each with its time",
                "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/MonitoringFigure" },
                    "example": { "Results": [
                        { "timestamp": 1_613_918_683.353_328, "Namespace CPU Results": [
                            { "namespace": "monitoring", "cpu_usage(seconds)": "0.1492824091256434" } ] },
                        { "timestamp": 1_613_918_683.416_821, "Namespace Memory Results": [
                            { "namespace": "monitoring", "memory_usage(bytes)": "1953517568" } ] },
                    ] },
                } },
            },
            "400": problem("The question is not one of these"),
            "404": problem("There is no such namespace"),
        },
    })
}

fn figure() -> Value {
    json!({
        "type": "object",
        "required": ["Results"],
        "properties": { "Results": { "type": "array", "items": {
            "type": "object",
            "required": ["timestamp"],
            "properties": { "timestamp": { "type": "number", "description": "Unix time in seconds" } },
            "additionalProperties": { "type": "array", "items": {
                "type": "object", "additionalProperties": { "type": ["string", "null"] },
            } },
        } } },
    })
}

fn nodes() -> Value {
    json!({
        "operationId": "watchNodes",
        "summary": "How the nodes are doing, a JSON object per line whenever a node's measurements change",
        "description": "Needs the permission to watch nodes.",
        "parameters": [{ "name": "watch", "in": "query", "required": true, "schema": { "const": true } }],
        "responses": { "200": {
            "description": "First a line for each node, then lines until one side ends, an hour at most",
            "content": { "application/jsonl": { "schema": { "type": "object" } } },
        } },
    })
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}
