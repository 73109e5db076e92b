//! The table against the published schemas.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::types::{self, Flag};
use crate::openapi::{ResourceInfo, SchemaSource, document};

/// Alpha fields that Kubernetes 1.36 has and the table does not.
const NEWER: &[(&str, &str)] = &[
    ("core.PodSpec", "schedulingGroup"),
    ("core.PodStatus", "nodeAllocatableResourceClaimStatuses"),
    ("core.ResourceHealth", "message"),
    ("core.VolumeMountStatus", "volumeStatus"),
];

/// The names of a message's fields, with those of messages that it holds inline.
fn names_of(message: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, field) in types::message(message).unwrap().fields() {
        if field.flag == Flag::Inline {
            names.extend(names_of(&field.message_name()));
        } else {
            names.insert(field.name.to_owned());
        }
    }
    names
}

/// The fields of a message that hold messages.
fn inner_of(message: &str) -> Vec<(String, String)> {
    let mut inner = Vec::new();
    for (_, field) in types::message(message).unwrap().fields() {
        let name = field.message_name().into_owned();
        match field.flag {
            Flag::Inline => inner.extend(inner_of(&name)),
            _ if types::message(&name).is_some() => inner.push((field.name.to_owned(), name)),
            _ => {}
        }
    }
    inner
}

fn definition<'a>(schemas: &'a Value, schema: &Value) -> Option<&'a Value> {
    let schema = schema
        .get("items")
        .or_else(|| schema.get("additionalProperties"))
        .unwrap_or(schema);
    let reference = schema
        .get("$ref")
        .or_else(|| schema.pointer("/allOf/0/$ref"))?
        .as_str()?;
    schemas.get(reference.strip_prefix("#/components/schemas/")?)
}

/// The table has exactly the fields of the published schemas, so no number stands for a field of another name.
#[test]
fn the_table_agrees_with_the_schemas() {
    let mut seen = BTreeSet::new();
    for (api_version, group, kind) in [
        ("v1", "", "Pod"),
        ("v1", "", "Node"),
        ("v1", "", "Namespace"),
        ("v1", "", "ConfigMap"),
        ("v1", "", "Secret"),
        ("v1", "", "ServiceAccount"),
        ("v1", "", "Service"),
        ("v1", "", "Endpoints"),
        ("v1", "", "Event"),
        ("v1", "", "PersistentVolume"),
        ("v1", "", "PersistentVolumeClaim"),
        ("v1", "", "Binding"),
        ("apps/v1", "apps", "Deployment"),
        ("apps/v1", "apps", "ReplicaSet"),
        (
            "authentication.k8s.io/v1",
            "authentication.k8s.io",
            "TokenReview",
        ),
        (
            "authentication.k8s.io/v1",
            "authentication.k8s.io",
            "TokenRequest",
        ),
        (
            "authentication.k8s.io/v1",
            "authentication.k8s.io",
            "SelfSubjectReview",
        ),
        (
            "authorization.k8s.io/v1",
            "authorization.k8s.io",
            "SubjectAccessReview",
        ),
        (
            "authorization.k8s.io/v1",
            "authorization.k8s.io",
            "LocalSubjectAccessReview",
        ),
        (
            "authorization.k8s.io/v1",
            "authorization.k8s.io",
            "SelfSubjectAccessReview",
        ),
        (
            "authorization.k8s.io/v1",
            "authorization.k8s.io",
            "SelfSubjectRulesReview",
        ),
        ("autoscaling/v1", "autoscaling", "Scale"),
        ("autoscaling/v2", "autoscaling", "HorizontalPodAutoscaler"),
        ("coordination.k8s.io/v1", "coordination.k8s.io", "Lease"),
        ("discovery.k8s.io/v1", "discovery.k8s.io", "EndpointSlice"),
        ("events.k8s.io/v1", "events.k8s.io", "Event"),
        ("policy/v1", "policy", "Eviction"),
        (
            "rbac.authorization.k8s.io/v1",
            "rbac.authorization.k8s.io",
            "Role",
        ),
        (
            "rbac.authorization.k8s.io/v1",
            "rbac.authorization.k8s.io",
            "RoleBinding",
        ),
        (
            "rbac.authorization.k8s.io/v1",
            "rbac.authorization.k8s.io",
            "ClusterRole",
        ),
        (
            "rbac.authorization.k8s.io/v1",
            "rbac.authorization.k8s.io",
            "ClusterRoleBinding",
        ),
        ("storage.k8s.io/v1", "storage.k8s.io", "StorageClass"),
    ] {
        let list = format!("{kind}List");
        let info = ResourceInfo {
            plural: "x",
            kind,
            list_kind: &list,
            namespaced: false,
            verbs: &["create"],
            subresources: Vec::new(),
            schema: SchemaSource::Builtin,
        };
        let version = api_version.rsplit('/').next().unwrap();
        let document = document(group, version, &[info]);
        let schemas = &document["components"]["schemas"];
        let wanted = json!([{"group": group, "version": version, "kind": kind}]);
        let root = schemas
            .as_object()
            .unwrap()
            .values()
            .find(|s| s["x-kubernetes-group-version-kind"] == wanted)
            .unwrap();
        let mut todo = vec![(types::of_kind(api_version, kind).unwrap().to_owned(), root)];
        while let Some((message, schema)) = todo.pop() {
            if !seen.insert(message.clone()) {
                continue;
            }
            let mut published: BTreeSet<String> = schema["properties"]
                .as_object()
                .map(|p| p.keys().cloned().collect())
                .unwrap_or_default();
            if published.contains("metadata") || message == "meta.DeleteOptions" {
                published.retain(|field| !matches!(field.as_str(), "apiVersion" | "kind"));
            }
            published.retain(|field| !NEWER.contains(&(&message, field)));
            assert_eq!(names_of(&message), published, "{message}");
            for (field, inner) in inner_of(&message) {
                if let Some(found) = definition(schemas, &schema["properties"][&field]) {
                    todo.push((inner, found));
                }
            }
        }
    }
    assert!(seen.len() > 200, "{}", seen.len());
    for (_, fields) in types::messages() {
        let numbers: Vec<&str> = fields
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().next())
            .collect();
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
    }
}
