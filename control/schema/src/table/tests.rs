mod kinds;
mod pod;
mod workload;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jsonpath::JsonPath;

fn now() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
}

fn options(include: IncludeObject) -> Options {
    Options {
        include,
        headers: true,
        now: now(),
    }
}

/// One line for each column: its header, with a `+` if only wide output shows it, and the cell.
fn show(columns: &Columns, object: &Value) -> String {
    let definitions = columns.definitions();
    let cells = columns.cells(object, now());
    assert_eq!(definitions.as_array().unwrap().len(), cells.len());
    let line = |(definition, cell): (&Value, &Value)| {
        let wide = if definition["priority"] == 0 { "" } else { "+" };
        let shown = cell
            .as_str()
            .map_or_else(|| cell.to_string(), str::to_owned);
        let header = definition["name"].as_str().unwrap().to_uppercase();
        format!("{}\n", format!("{header}{wide}: {shown}").trim_end())
    };
    definitions
        .as_array()
        .unwrap()
        .iter()
        .zip(&cells)
        .map(line)
        .collect()
}

fn check(group: &str, kind: &str, mut object: Value, expect: Expect) {
    object["metadata"]["creationTimestamp"] = json!("2026-11-24T02:00:00Z");
    object["metadata"]["name"] = json!("n");
    expect.assert_eq(&show(&Columns::builtin(group, kind), &object));
}

#[test]
fn custom_columns() {
    let column = |name: &str, kind: &str, path: &str, priority| PrinterColumn {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: String::new(),
        description: String::new(),
        priority,
        path: JsonPath::parse(path).unwrap(),
    };
    let columns = Columns::custom(&[
        column("Text", "string", ".spec.text", 0),
        column("Map", "string", ".spec.map", 0),
        column("List", "string", ".spec.list[*]", 1),
        column("Int", "integer", ".spec.int", 0),
        column("Cut", "integer", ".spec.float", 0),
        column("Float", "number", ".spec.float", 0),
        column("Bool", "boolean", ".spec.bool", 0),
        column("Wrong", "boolean", ".spec.text", 0),
        column("None", "string", ".spec.none", 0),
        column("Age", "date", ".metadata.creationTimestamp", 0),
        column("Bad", "date", ".spec.text", 0),
        column(
            "Ready",
            "string",
            r#".status.conditions[?(@.type=="Ready")].status"#,
            0,
        ),
    ]);
    let object = json!({"metadata": {"name": "w", "creationTimestamp": "2026-11-22T03:00:00Z"}, "spec": {"text": "t", "map": {"a": 1}, "list": [1, 2], "int": 3, "float": 1.5, "bool": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    expect![[r#"
        NAME: w
        TEXT: t
        MAP: {"a":1}
        LIST+: 1
        INT: 3
        CUT: 1
        FLOAT: 1.5
        BOOL: true
        WRONG: null
        NONE: null
        AGE: 2d
        BAD: <invalid>
        READY: True
    "#]]
    .assert_eq(&show(&columns, &object));
    expect![[r#"
        NAME: w
        AGE: 2d
    "#]]
    .assert_eq(&show(&Columns::custom(&[]), &object));
}

#[test]
fn tables_carry_what_is_asked_for() {
    let columns = Columns::builtin("", "Namespace");
    let object = json!({"kind": "Namespace", "metadata": {"name": "n", "resourceVersion": "7", "creationTimestamp": "2026-11-24T02:00:00Z"}, "status": {"phase": "Active"}});
    let list = columns.list(
        [&object],
        &json!({"resourceVersion": "9", "continue": "c", "remainingItemCount": 3, "selfLink": "x"}),
        &options(IncludeObject::Metadata),
    );
    expect![[r#"
        {
          "apiVersion": "meta.k8s.io/v1",
          "columnDefinitions": [
            {
              "description": "The name of the object, unique within its kind and namespace.",
              "format": "name",
              "name": "Name",
              "priority": 0,
              "type": "string"
            },
            {
              "description": "Active, or Terminating while its objects are removed.",
              "format": "",
              "name": "Status",
              "priority": 0,
              "type": "string"
            },
            {
              "description": "How long ago the object was created.",
              "format": "",
              "name": "Age",
              "priority": 0,
              "type": "string"
            }
          ],
          "kind": "Table",
          "metadata": {
            "continue": "c",
            "remainingItemCount": 3,
            "resourceVersion": "9"
          },
          "rows": [
            {
              "cells": [
                "n",
                "Active",
                "60m"
              ],
              "object": {
                "apiVersion": "meta.k8s.io/v1",
                "kind": "PartialObjectMetadata",
                "metadata": {
                  "creationTimestamp": "2026-11-24T02:00:00Z",
                  "name": "n",
                  "resourceVersion": "7"
                }
              }
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&list).unwrap());
    let mut one = options(IncludeObject::Object);
    one.headers = false;
    let table = columns.object(&object, &one);
    assert_eq!(table["columnDefinitions"], Value::Null);
    assert_eq!(table["metadata"], json!({"resourceVersion": "7"}));
    assert_eq!(table["rows"][0]["object"], object);
    let none = columns.object(&object, &options(IncludeObject::None));
    assert_eq!(none["rows"][0]["object"], Value::Null);
    let done = Columns::builtin("", "Pod").object(
        &json!({"status": {"phase": "Failed"}}),
        &options(IncludeObject::None),
    );
    assert_eq!(done["rows"][0]["conditions"][0]["type"], "Completed");
    for (text, expect) in [
        ("", Some(IncludeObject::Metadata)),
        ("None", Some(IncludeObject::None)),
        ("Object", Some(IncludeObject::Object)),
        ("x", None),
    ] {
        assert_eq!(IncludeObject::from_query(text), expect);
    }
}

const KINDS: &[(&str, &str)] = &[
    ("", "Pod"),
    ("", "Node"),
    ("", "Namespace"),
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "Event"),
    ("", "Service"),
    ("", "Endpoints"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("autoscaling", "Scale"),
    ("coordination.k8s.io", "Lease"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("storage.k8s.io", "StorageClass"),
    ("x", "Other"),
];

proptest! {
    /// Whatever is stored, a table can be printed.
    #[test]
    fn no_object_panics(object in any_object()) {
        for (group, kind) in KINDS {
            let columns = Columns::builtin(group, kind);
            let cells = columns.cells(&object, now());
            prop_assert_eq!(cells.len(), columns.definitions().as_array().unwrap().len());
        }
    }
}

fn any_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z0-9:-]{0,8}".prop_map(Value::from),
        Just(json!("2026-11-24T02:00:00Z"))
    ];
    let name = prop::sample::select(vec![
        "metadata",
        "spec",
        "status",
        "name",
        "containers",
        "initContainerStatuses",
        "containerStatuses",
        "state",
        "terminated",
        "waiting",
        "reason",
        "conditions",
        "type",
        "ports",
        "port",
        "subsets",
        "addresses",
        "ip",
        "selector",
        "matchLabels",
        "matchExpressions",
        "capacity",
        "storage",
        "series",
        "creationTimestamp",
        "labels",
    ]);
    leaf.prop_recursive(6, 80, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..8).prop_map(|map| Value::Object(
                map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}
