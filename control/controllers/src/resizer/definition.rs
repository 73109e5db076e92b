//! The CustomResourceDefinition of Resizer.

use serde_json::{Value, json};

use super::kind::GROUP;

/// The definition.
pub fn definition() -> Value {
    let column = |name: &str, kind: &str, path: &str| json!({ "name": name, "type": kind, "jsonPath": path });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("resizers.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": { "plural": "resizers", "singular": "resizer", "kind": "Resizer", "listKind": "ResizerList" },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": [
                    column("Target", "string", ".spec.target.name"),
                    column("Container", "string", ".spec.container"),
                    column("Nodes", "integer", ".status.nodes"),
                    column("CPU", "string", ".status.requests.cpu"),
                    column("Memory", "string", ".status.requests.memory"),
                    column("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
                    column("Age", "date", ".metadata.creationTimestamp"),
                ],
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "description": "Sets what a container requests by the number of nodes: for what is there once and has more to do the \
                                    larger the cluster is.",
                    "required": ["spec"],
                    "properties": { "spec": spec(), "status": status() },
                } },
            }],
        },
    })
}

fn quantity(about: &str) -> Value {
    json!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "pattern": "^[0-9]+(\\.[0-9]+)?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
        "default": 0,
        "description": about,
    })
}

fn spec() -> Value {
    let name = |about: &str| {
        json!({
            "type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            "description": about,
        })
    };
    let amount = json!({
        "type": "object",
        "properties": {
            "base": quantity("What it needs without any node."),
            "perNode": quantity("What it needs for each node beyond that."),
        },
    });
    json!({
        "type": "object",
        "description": "What is wished.",
        "required": ["target", "container", "resources"],
        "properties": {
            "target": {
                "type": "object",
                "description": "What has the pod template, in the same namespace.",
                "required": ["name"],
                "properties": {
                    "apiVersion": { "type": "string", "default": "apps/v1", "description": "Its group and version." },
                    "kind": {
                        "type": "string", "default": "Deployment", "enum": ["Deployment", "StatefulSet", "DaemonSet"],
                        "description": "Its kind.",
                    },
                    "name": name("Its name."),
                },
            },
            "container": name("The container that is resized."),
            "resources": {
                "type": "object",
                "description": "What the container requests: the base and so much for each node.",
                "minProperties": 1,
                "properties": { "cpu": amount, "memory": amount, "ephemeral-storage": amount },
            },
            "tolerancePercent": {
                "type": "integer", "default": 10, "minimum": 0, "maximum": 100,
                "description": "How far requests may be off before the pods are replaced by ones with better requests.",
            },
            "limits": {
                "type": "string", "default": "Keep", "enum": ["Keep", "Follow"],
                "description": "Whether the limits stay as they are, or are what is requested.",
            },
        },
    })
}

fn status() -> Value {
    json!({
        "type": "object",
        "description": "What was computed, and whether the target has it.",
        "properties": {
            "observedGeneration": { "type": "integer", "format": "int64", "description": "Which generation this is about." },
            "nodes": { "type": "integer", "format": "int64", "description": "How many nodes were counted." },
            "requests": {
                "type": "object", "description": "What the container should request.",
                "additionalProperties": { "type": "string" },
            },
            "conditions": {
                "type": "array",
                "description": "Ready: the target requests what it should, within the tolerance.",
                "items": {
                    "type": "object",
                    "required": ["type", "status"],
                    "properties": {
                        "type": { "type": "string" },
                        "status": { "type": "string" },
                        "reason": { "type": "string" },
                        "message": { "type": "string" },
                        "lastTransitionTime": { "type": "string", "format": "date-time" },
                        "observedGeneration": { "type": "integer", "format": "int64" },
                    },
                },
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        },
    })
}
