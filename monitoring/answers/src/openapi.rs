//! The description of the part's routes.

use serde_json::{Value, json};

/// `paths` and `components`.
pub(crate) fn fragment() -> Value {
    json!({
        "paths": {
            "/monitoring": { "get": monitoring() },
            "/v1/nodes": { "get": nodes() },
            "/v1/nodes/{name}": { "get": node() },
            "/v1/impact": { "get": impact() },
            "/v1/pods": { "get": pods() },
            "/v1/namespaces": { "get": namespaces() },
        },
        "components": { "schemas": {
            "MonitoringFigure": figure(),
            "Measurements": measurements(),
            "LiveLine": live_line(),
            "NodeAverage": average(&NODE_AVERAGE),
            "HealthEvent": health_event(),
            "Amounts": numbers(&["cpu_cores", "memory_bytes", "pods"]),
            "MonitoredNode": monitored_node(),
            "PodMeasurements": numbers(&POD_MEASUREMENTS),
            "MonitoredPod": monitored_pod(),
            "MonitoredNamespace": monitored_namespace(),
            "ImpactEvidence": evidence(),
            "ImpactProblem": impact_problem(),
        } },
    })
}

const NODE_AVERAGE: [&str; 12] = [
    "cpu_used_ratio",
    "cpu_waiting_ratio",
    "memory_used_ratio",
    "memory_available_bytes",
    "memory_waiting_ratio",
    "io_waiting_ratio",
    "load",
    "disk_read_bytes_per_second",
    "disk_written_bytes_per_second",
    "disk_busy_ratio",
    "network_received_bytes_per_second",
    "network_transmitted_bytes_per_second",
];
const POD_MEASUREMENTS: [&str; 11] = [
    "cpu_used_cores",
    "memory_working_set_bytes",
    "memory_rss_bytes",
    "cpu_throttled_ratio",
    "cpu_waiting_ratio",
    "memory_waiting_ratio",
    "io_waiting_ratio",
    "disk_read_bytes_per_second",
    "disk_written_bytes_per_second",
    "network_received_bytes_per_second",
    "network_transmitted_bytes_per_second",
];

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// An object of numbers. The unit is the end of the name, ratios are from 0 to 1, and what is not known is left out.
fn numbers(names: &[&str]) -> Value {
    let number = |name: &&str| ((*name).to_owned(), json!({ "type": "number" }));
    let properties: serde_json::Map<_, _> = names.iter().map(number).collect();
    json!({
        "type": "object",
        "description": "Units are in the names; ratios are from 0 to 1; what is not known is left out",
        "properties": properties,
    })
}

fn average(names: &[&str]) -> Value {
    let mut average = numbers(names);
    average["properties"]["minutes"] = json!({ "enum": [5, 10, 15] });
    average["required"] = json!(["minutes"]);
    average
}

/// Objects with a text or more by which they are known, and numbers.
fn things(texts: &[&str], rest: &[&str]) -> Value {
    let mut thing = numbers(rest);
    for name in texts {
        thing["properties"][*name] = text();
    }
    thing["required"] = json!(texts);
    thing
}

fn measurements() -> Value {
    let stalls = ["waiting_ratio", "stalled_ratio"];
    let mut file_system = things(
        &["mountpoint", "device", "fstype"],
        &["size_bytes", "available_bytes", "used_ratio"],
    );
    file_system["properties"]["read_only"] = flag();
    let mut network = things(
        &["interface"],
        &[
            "received_bytes_per_second",
            "transmitted_bytes_per_second",
            "lost_packets_per_second",
        ],
    );
    network["properties"]["up"] = flag();
    let mut power = things(&["name"], &["charge_ratio"]);
    power["properties"]["online"] = flag();
    let cpu = [
        "cores",
        "used_cores",
        "used_ratio",
        "io_wait_ratio",
        "stolen_ratio",
        "throttles_per_second",
        "waiting_ratio",
    ];
    let memory = [
        "total_bytes",
        "available_bytes",
        "used_ratio",
        "swap_used_bytes",
        "waiting_ratio",
        "stalled_ratio",
    ];
    let disk = [
        "read_bytes_per_second",
        "written_bytes_per_second",
        "busy_ratio",
        "read_latency_seconds",
        "write_latency_seconds",
    ];
    json!({
        "type": "object",
        "properties": {
            "cpu": numbers(&cpu),
            "memory": numbers(&memory),
            "load": numbers(&["load_1m", "load_5m", "load_15m"]),
            "io": numbers(&stalls),
            "file_systems": list(&file_system),
            "disks": list(&things(&["device"], &disk)),
            "networks": list(&network),
            "temperatures": list(&things(&["sensor"], &["celsius"])),
            "power_supplies": list(&power),
        },
    })
}

fn live_line() -> Value {
    json!({
        "allOf": [schema("Measurements")],
        "type": "object",
        "required": ["time", "node", "health"],
        "properties": {
            "time": time(),
            "node": text(),
            "health": { "enum": ["live", "silent", "gone"] },
            "since": time(),
            "reason": text(),
        },
    })
}

fn monitored_node() -> Value {
    json!({
        "type": "object",
        "required": ["name", "ready", "unschedulable", "roles", "capacity", "allocatable", "requested", "averages", "health_events"],
        "properties": {
            "name": text(),
            "ready": flag(),
            "not_ready_message": text(),
            "ready_changed_at": time(),
            "unschedulable": flag(),
            "roles": list(&text()),
            "internal_ip": text(),
            "capacity": schema("Amounts"),
            "allocatable": schema("Amounts"),
            "requested": schema("Amounts"),
            "hardware": { "type": "object", "description": "The gist of the node's Device; /v1/devices has all of it" },
            "measurements": schema("Measurements"),
            "measurements_missing": { "type": "string", "description": "Why there are no measurements" },
            "averages": list(&schema("NodeAverage")),
            "health_events": list(&schema("HealthEvent")),
        },
    })
}

fn health_event() -> Value {
    json!({
        "type": "object",
        "required": ["kind", "severity", "summary", "since"],
        "properties": {
            "kind": { "type": "string", "description": "As in /v1/impact" },
            "subject": { "type": "string", "description": "Which drive, file system, interface or sensor" },
            "severity": { "type": "string", "enum": ["warning", "critical"] },
            "summary": text(),
            "since": time(),
            "until": { "type": "string", "format": "date-time", "description": "Absent while it goes on" },
        },
    })
}

fn monitored_pod() -> Value {
    json!({
        "type": "object",
        "required": ["namespace", "name", "uid", "workload", "phase", "ready", "restarts", "requests", "limits", "averages"],
        "properties": {
            "namespace": text(),
            "name": text(),
            "uid": text(),
            "workload": { "type": "object", "required": ["kind", "name"], "properties": { "kind": text(), "name": text() } },
            "node": text(),
            "phase": text(),
            "ready": flag(),
            "ip": text(),
            "created_at": time(),
            "restarts": { "type": "integer" },
            "requests": schema("Amounts"),
            "limits": schema("Amounts"),
            "measurements": schema("PodMeasurements"),
            "averages": list(&average(&["cpu_used_cores", "memory_working_set_bytes"])),
        },
    })
}

fn monitored_namespace() -> Value {
    json!({
        "type": "object",
        "required": ["name", "phase", "pods", "requested", "averages"],
        "properties": {
            "name": text(),
            "phase": text(),
            "pods": { "type": "object", "description": "By phase, and total", "additionalProperties": { "type": "integer" } },
            "requested": schema("Amounts"),
            "measurements": numbers(&["cpu_used_cores", "memory_working_set_bytes"]),
            "averages": list(&average(&["cpu_used_cores", "memory_working_set_bytes"])),
        },
    })
}

/// An answer with `what` under `key`, and what it lacks.
fn answer(key: &str, what: &Value, example: &Value) -> Value {
    json!({
        "description": "`missing` says what the answer lacks, and why",
        "content": { "application/json": {
            "schema": {
                "type": "object",
                "required": [key, "missing"],
                "properties": { key: what, "missing": list(&text()) },
            },
            "example": { key: example, "missing": [] },
        } },
    })
}

fn example_node() -> Value {
    json!({
        "name": "edge-1", "ready": true, "unschedulable": false, "roles": ["control-plane"], "internal_ip": "192.168.1.2",
        "capacity": { "cpu_cores": 4, "memory_bytes": 4_095_737_856_u64, "pods": 110 },
        "allocatable": { "cpu_cores": 4, "memory_bytes": 4_095_737_856_u64, "pods": 110 },
        "requested": { "cpu_cores": 0.5, "memory_bytes": 536_870_912, "pods": 3 },
        "hardware": { "architecture": "aarch64", "cpu_model": "Cortex-A72", "memory_bytes": 4_095_737_856_u64, "gpus": 0 },
        "measurements": {
            "cpu": { "cores": 4, "used_cores": 0.41, "used_ratio": 0.1025 },
            "memory": { "total_bytes": 4_095_737_856_u64, "available_bytes": 3_058_884_608_u64, "used_ratio": 0.253_154 },
            "load": { "load_1m": 0.4, "load_5m": 0.31, "load_15m": 0.3 },
            "temperatures": [{ "sensor": "cpu-thermal/0", "celsius": 48.3 }],
        },
        "averages": [{ "minutes": 5, "cpu_used_ratio": 0.09, "memory_used_ratio": 0.2531, "load": 0.37 }],
        "health_events": [{
            "kind": "read_only_file_system", "subject": "/var/lib/minicloud", "severity": "critical",
            "summary": "a file system has become read-only", "since": "2026-11-24T10:13:20Z", "until": "2026-11-24T10:31:20Z",
        }],
    })
}

fn node() -> Value {
    json!({
        "operationId": "getMonitoredNode",
        "summary": "One node: what it has, how it is doing, now and on average",
        "description": "Needs the permission to get the node.",
        "parameters": [{ "name": "name", "in": "path", "required": true, "schema": text() }],
        "responses": {
            "200": answer("node", &schema("MonitoredNode"), &example_node()),
            "404": problem("There is no such node"),
        },
    })
}

fn pods() -> Value {
    let parameter = |name: &str, schema: Value, description: &str| json!({ "name": name, "in": "query", "schema": schema, "description": description });
    let mut answer = answer(
        "pods",
        &list(&schema("MonitoredPod")),
        &json!([{
            "namespace": "shop", "name": "web-5d69c8f4-x2v7p", "uid": "2f6cd4a5-8c1c-4c8e-8d0f-0d5d3f5a7a11",
            "workload": { "kind": "Deployment", "name": "web" }, "node": "edge-1", "phase": "Running", "ready": true,
            "ip": "10.42.0.9", "created_at": "2026-03-01T10:00:00Z", "restarts": 0,
            "requests": { "cpu_cores": 0.1 }, "limits": { "cpu_cores": 0.5, "memory_bytes": 268_435_456 },
            "measurements": { "cpu_used_cores": 0.031, "memory_working_set_bytes": 20_627_632, "cpu_throttled_ratio": 0.0 },
            "averages": [{ "minutes": 5, "cpu_used_cores": 0.018, "memory_working_set_bytes": 20_410_112 }],
        }]),
    );
    answer["content"]["application/json"]["schema"]["properties"]["continue"] = json!({ "type": "string", "description": "Give it as `continue` for the next page; absent on the last" });
    json!({
        "operationId": "listMonitoredPods",
        "summary": "Pods: what they are and what they take, now and on average",
        "description": "Needs the permission to list pods, of the namespace or of all.",
        "parameters": [
            parameter("namespace", text(), "Only those of this namespace"),
            parameter("node", text(), "Only those on this node"),
            parameter("limit", json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 500 }), "Pods of a page"),
            parameter("continue", text(), "What the page before gave"),
        ],
        "responses": {
            "200": answer,
            "400": problem("A parameter is none"),
            "404": problem("There is no such namespace"),
            "410": problem("The page before is too old: begin again"),
        },
    })
}

fn evidence() -> Value {
    let mut evidence = things(&["metric", "unit"], &["value", "threshold"]);
    evidence["properties"]["query"] =
        json!({ "type": "string", "description": "PromQL that shows it again" });
    evidence
}

fn impact_problem() -> Value {
    let evidence = list(&schema("ImpactEvidence"));
    json!({
        "type": "object",
        "required": ["node", "kind", "severity", "resource", "summary", "detail", "hint", "evidence", "affected"],
        "properties": {
            "node": text(),
            "kind": text(),
            "severity": { "enum": ["critical", "warning"] },
            "resource": { "enum": ["cpu", "memory", "disk", "file_system", "network", "machine", "limit"] },
            "subject": { "type": "string", "description": "Which disk, file system, interface, sensor or pod" },
            "summary": text(),
            "detail": text(),
            "hint": text(),
            "since": time(),
            "evidence": evidence,
            "affected": list(&json!({
                "type": "object",
                "required": ["kind", "namespace", "name", "pods", "certainty", "why"],
                "properties": {
                    "kind": text(), "namespace": text(), "name": text(), "pods": list(&text()),
                    "certainty": { "enum": ["certain", "likely"] }, "why": text(), "evidence": evidence,
                },
            })),
        },
    })
}

fn impact() -> Value {
    let mut answer = answer(
        "problems",
        &list(&schema("ImpactProblem")),
        &json!([{
            "node": "edge-1", "kind": "full_file_system", "severity": "critical", "resource": "file_system", "subject": "/data",
            "summary": "hardly any space is left",
            "detail": "hardly any space is left (/data): 0.02 ratio, where at most 0.03 counts",
            "hint": "remove what is not needed, or give the workload a larger volume",
            "since": "2026-03-01T10:00:00Z",
            "evidence": [{ "metric": "full_file_system", "value": 0.02, "threshold": 0.03, "unit": "ratio",
                "query": "min by (node, mountpoint) (node_filesystem_avail_bytes / (node_filesystem_size_bytes > 0))" }],
            "affected": [{ "kind": "StatefulSet", "namespace": "shop", "name": "db", "pods": ["db-0"], "certainty": "certain",
                "why": "its volume data is on it" }],
        }]),
    );
    answer["content"]["application/json"]["schema"]["properties"]["time"] = time();
    json!({
        "operationId": "getImpact",
        "summary": "What is wrong with machines now, and which workloads feel it, the worst first",
        "description": "Needs the permission to list pods in all namespaces; for one pod, to get it.",
        "parameters": [
            { "name": "node", "in": "query", "schema": text(), "description": "Only what is wrong with this node" },
            { "name": "pod", "in": "query", "schema": text(), "description": "NAMESPACE/NAME: only what touches this pod" },
        ],
        "responses": {
            "200": answer,
            "400": problem("The question is unclear"),
            "404": problem("There is no such node or pod"),
        },
    })
}

fn namespaces() -> Value {
    json!({
        "operationId": "listMonitoredNamespaces",
        "summary": "Namespaces: their pods and what these take together, now and on average",
        "description": "Needs the permission to list pods in all namespaces.",
        "responses": { "200": answer(
            "namespaces",
            &list(&schema("MonitoredNamespace")),
            &json!([{
                "name": "shop", "phase": "Active", "pods": { "total": 2, "running": 2 }, "requested": { "cpu_cores": 0.2 },
                "measurements": { "cpu_used_cores": 0.05, "memory_working_set_bytes": 104_857_600 },
                "averages": [{ "minutes": 5, "cpu_used_cores": 0.04, "memory_working_set_bytes": 104_333_312 }],
            }]),
        ) },
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
    let mut listed = answer(
        "nodes",
        &list(&schema("MonitoredNode")),
        &json!([example_node()]),
    );
    listed["content"]["application/jsonl"] = json!({ "schema": schema("LiveLine") });
    json!({
        "operationId": "listMonitoredNodes",
        "summary": "The nodes: what they have, how they are doing, now and on average; or the live stream",
        "description": "Needs the permission to list nodes. With watch=true, which needs the permission to watch them, a JSON object \
                        per line: first one for each node, then one whenever a node's measurements change, for an hour at most.",
        "parameters": [{ "name": "watch", "in": "query", "schema": { "type": "boolean", "default": false } }],
        "responses": { "200": listed },
    })
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_somewhere() {
        let fragment = fragment();
        let text = fragment.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap_or_default();
            // The listener adds that one.
            assert!(
                pointer.ends_with("/Problem") || fragment.pointer(pointer).is_some(),
                "{pointer}"
            );
        }
    }

    /// What is described is what is told.
    #[test]
    fn measurements_are_described() {
        let told: Value = serde_json::from_str(include_str!("../tests/node-now.json")).unwrap();
        fn check(told: &Value, schema: &Value, path: &str) {
            match told {
                Value::Object(map) => map.iter().for_each(|(name, value)| {
                    let property = &schema["properties"][name];
                    assert!(property.is_object(), "{path}.{name} is not described");
                    check(value, property, &format!("{path}.{name}"));
                }),
                Value::Array(items) => items
                    .iter()
                    .for_each(|item| check(item, &schema["items"], path)),
                Value::Number(_) => assert_eq!(schema["type"], "number", "{path}"),
                Value::String(_) => assert_eq!(schema["type"], "string", "{path}"),
                Value::Bool(_) => assert_eq!(schema["type"], "boolean", "{path}"),
                Value::Null => panic!("{path} is null"),
            }
        }
        check(&told, &measurements(), "");
    }
}
