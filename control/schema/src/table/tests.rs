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

/// READY, STATUS and RESTARTS of a pod.
fn pod(mut pod: Value, expect: &str) {
    if pod["spec"].get("containers").is_none() {
        pod["spec"]["containers"] = json!([{"name": "a"}]);
    }
    let cells = Columns::builtin("", "Pod").cells(&pod, now());
    let shown: Vec<&str> = cells[1..4]
        .iter()
        .map(|cell| cell.as_str().unwrap())
        .collect();
    assert_eq!(shown.join(" | "), expect, "{pod}");
}

#[test]
fn pod_status() {
    let running = json!({"running": {}});
    let ended =
        |reason: &str, code: i64| json!({"terminated": {"reason": reason, "exitCode": code}});
    pod(json!({"status": {"phase": "Pending"}}), "0/1 | Pending | 0");
    pod(
        json!({"status": {"phase": "Failed", "reason": "Evicted"}}),
        "0/1 | Evicted | 0",
    );
    pod(
        json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}}),
        "0/1 | SchedulingGated | 0",
    );
    let with =
        |statuses: Value| json!({"status": {"phase": "Running", "containerStatuses": statuses}});
    pod(
        with(json!([{"ready": true, "restartCount": 0, "state": running}])),
        "1/1 | Running | 0",
    );
    pod(
        with(json!([{"ready": false, "state": {"waiting": {"reason": "ContainerCreating"}}}])),
        "0/1 | ContainerCreating | 0",
    );
    pod(
        with(
            json!([{"ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-11-24T02:58:00Z"}}}]),
        ),
        "0/1 | CrashLoopBackOff | 3 (2m ago)",
    );
    pod(
        with(json!([{"ready": false, "state": ended("Completed", 0)}])),
        "0/1 | Completed | 0",
    );
    pod(
        with(json!([{"ready": false, "state": ended("", 2)}])),
        "0/1 | ExitCode:2 | 0",
    );
    pod(
        with(json!([{"ready": false, "state": {"terminated": {"signal": 9, "exitCode": 137}}}])),
        "0/1 | Signal:9 | 0",
    );
    pod(
        with(json!([{"state": ended("OOMKilled", 137)}, {"ready": true, "state": running}])),
        "1/1 | OOMKilled | 0",
    );
    // One container has ended, another runs.
    let both = json!([{"state": ended("Completed", 0)}, {"ready": true, "state": running}]);
    pod(with(both.clone()), "1/1 | NotReady | 0");
    let mut ready = with(both);
    ready["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    pod(ready, "1/1 | Running | 0");
    // Going away.
    let deleted = |phase: &str, reason: &str| json!({"metadata": {"deletionTimestamp": "2026-11-24T03:00:00Z"}, "status": {"phase": phase, "reason": reason}});
    pod(deleted("Running", ""), "0/1 | Terminating | 0");
    pod(deleted("Running", "NodeLost"), "0/1 | Unknown | 0");
    pod(deleted("Succeeded", ""), "0/1 | Succeeded | 0");
}

#[test]
fn pod_status_while_initializing() {
    let init = |statuses: Value| {
        json!({"spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "i"}, {"name": "j"}]},
            "status": {"phase": "Pending", "initContainerStatuses": statuses}})
    };
    let done = json!({"name": "i", "restartCount": 1, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    pod(
        init(json!([{"name": "i", "state": {"running": {}}}])),
        "0/1 | Init:0/2 | 0",
    );
    pod(
        init(json!([done, {"name": "j", "state": {"waiting": {"reason": "PodInitializing"}}}])),
        "0/1 | Init:1/2 | 1",
    );
    pod(
        init(json!([{"name": "i", "state": {"waiting": {"reason": "ImagePullBackOff"}}}])),
        "0/1 | Init:ImagePullBackOff | 0",
    );
    pod(
        init(json!([{"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}])),
        "0/1 | Init:Error | 0",
    );
    pod(
        init(json!([{"name": "i", "state": {"terminated": {"exitCode": 1}}}])),
        "0/1 | Init:ExitCode:1 | 0",
    );
    pod(
        init(json!([{"name": "i", "state": {"terminated": {"exitCode": 1, "signal": 11}}}])),
        "0/1 | Init:Signal:11 | 0",
    );
    pod(init(json!([done, done])), "0/1 | Pending | 0");
    // A sidecar counts among the containers, and its restarts go on counting.
    let sidecar = json!({
        "spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}]},
        "status": {"phase": "Running", "initContainerStatuses": [{"name": "s", "started": true, "ready": true, "restartCount": 2, "state": {"running": {}}}, done],
            "containerStatuses": [{"ready": true, "restartCount": 1, "state": {"running": {}}}]}});
    pod(sidecar, "2/2 | Running | 3");
}

#[test]
fn pods_have_wide_columns() {
    check(
        "",
        "Pod",
        json!({"spec": {"containers": [{}]}}),
        expect![[r#"
            NAME: n
            READY: 0/1
            STATUS:
            RESTARTS: 0
            AGE: 60m
            IP+: <none>
            NODE+: <none>
            NOMINATED NODE+: <none>
            READINESS GATES+: <none>
        "#]],
    );
    check(
        "",
        "Pod",
        json!({"spec": {"containers": [{}], "nodeName": "node", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.42.0.7"}], "nominatedNodeName": "other", "conditions": [{"type": "a", "status": "True"}]}}),
        expect![[r#"
            NAME: n
            READY: 0/1
            STATUS: Running
            RESTARTS: 0
            AGE: 60m
            IP+: 10.42.0.7
            NODE+: node
            NOMINATED NODE+: other
            READINESS GATES+: 1/2
        "#]],
    );
}

#[test]
fn workloads() {
    let template = json!({"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}]}});
    let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}, {"key": "b", "operator": "DoesNotExist"}]});
    let object = json!({"spec": {"replicas": 3, "selector": selector, "template": template},
        "status": {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2}});
    check(
        "apps",
        "Deployment",
        object.clone(),
        expect![[r#"
        NAME: n
        READY: 2/3
        UP-TO-DATE: 1
        AVAILABLE: 2
        AGE: 60m
        CONTAINERS+: a,b
        IMAGES+: x:1,y:2
        SELECTOR+: a in (x,y),app=web,!b
    "#]],
    );
    check(
        "apps",
        "ReplicaSet",
        object.clone(),
        expect![[r#"
        NAME: n
        DESIRED: 3
        CURRENT: 3
        READY: 2
        AGE: 60m
        CONTAINERS+: a,b
        IMAGES+: x:1,y:2
        SELECTOR+: a in (x,y),app=web,!b
    "#]],
    );
    check(
        "apps",
        "ReplicaSet",
        json!({}),
        expect![[r#"
        NAME: n
        DESIRED: 1
        CURRENT: 0
        READY: 0
        AGE: 60m
        CONTAINERS+:
        IMAGES+:
        SELECTOR+: <none>
    "#]],
    );
    check(
        "autoscaling",
        "Scale",
        object,
        expect![[r#"
        NAME: n
        DESIRED: 3
        AVAILABLE: 3
        AGE: 60m
    "#]],
    );
}

#[test]
fn networks() {
    check(
        "",
        "Service",
        json!({"spec": {"type": "NodePort", "clusterIPs": ["10.43.0.5"], "clusterIP": "10.43.0.5", "selector": {"app": "web"},
            "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}),
        expect![[r#"
            NAME: n
            TYPE: NodePort
            CLUSTER-IP: 10.43.0.5
            EXTERNAL-IP: <none>
            PORT(S): 80:30080/TCP,53/UDP
            AGE: 60m
            SELECTOR+: app=web
        "#]],
    );
    let external = |spec: Value, status: Value, expect: &str| {
        let cells =
            Columns::builtin("", "Service").cells(&json!({"spec": spec, "status": status}), now());
        assert_eq!(cells[3], expect);
    };
    external(
        json!({"type": "ClusterIP", "externalIPs": ["1.2.3.4", "5.6.7.8"]}),
        json!({}),
        "1.2.3.4,5.6.7.8",
    );
    external(json!({"type": "LoadBalancer"}), json!({}), "<pending>");
    external(
        json!({"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]}),
        json!({"loadBalancer": {"ingress": [{"hostname": "h"}, {"ip": "1.1.1.1"}]}}),
        "1.1.1.1,h,9.9.9.9",
    );
    external(
        json!({"type": "ExternalName", "externalName": "a.b"}),
        json!({}),
        "a.b",
    );
    external(json!({}), json!({}), "<unknown>");
    check(
        "",
        "Endpoints",
        json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 443}]}, {"addresses": [{"ip": "10.0.0.3"}]}]}),
        expect![[r#"
            NAME: n
            ENDPOINTS: 10.0.0.1:80,[fd00::1]:80,10.0.0.1:443 + 2 more...
            AGE: 60m
        "#]],
    );
    check(
        "",
        "Endpoints",
        json!({}),
        expect![[r#"
        NAME: n
        ENDPOINTS: <none>
        AGE: 60m
    "#]],
    );
    check(
        "discovery.k8s.io",
        "EndpointSlice",
        json!({"addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}, {}], "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}]}),
        expect![[r#"
            NAME: n
            ADDRESSTYPE: IPv4
            PORTS: 80,x,*
            ENDPOINTS: 10.0.0.1,10.0.0.2
            AGE: 60m
        "#]],
    );
    check(
        "discovery.k8s.io",
        "EndpointSlice",
        json!({}),
        expect![[r#"
            NAME: n
            ADDRESSTYPE:
            PORTS: <unset>
            ENDPOINTS: <unset>
            AGE: 60m
        "#]],
    );
}

#[test]
fn nodes() {
    check(
        "",
        "Node",
        json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": "true", "kubernetes.io/role": "edge", "node-role.kubernetes.io/": ""}}, "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Debian 12", "kernelVersion": "6.1", "containerRuntimeVersion": "containerd://1.6.20"}}}),
        expect![[r#"
            NAME: n
            STATUS: Ready,SchedulingDisabled
            ROLES: control-plane,edge
            AGE: 60m
            VERSION: v1.36.0
            INTERNAL-IP+: 192.0.2.1
            EXTERNAL-IP+: <none>
            OS-IMAGE+: Debian 12
            KERNEL-VERSION+: 6.1
            CONTAINER-RUNTIME+: containerd://1.6.20
        "#]],
    );
    check(
        "",
        "Node",
        json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
        expect![[r#"
            NAME: n
            STATUS: NotReady
            ROLES: <none>
            AGE: 60m
            VERSION:
            INTERNAL-IP+: <none>
            EXTERNAL-IP+: <none>
            OS-IMAGE+: <unknown>
            KERNEL-VERSION+: <unknown>
            CONTAINER-RUNTIME+: <unknown>
        "#]],
    );
}

#[test]
fn small_kinds() {
    check(
        "",
        "Namespace",
        json!({"status": {"phase": "Active"}}),
        expect![[r#"
            NAME: n
            STATUS: Active
            AGE: 60m
        "#]],
    );
    check(
        "",
        "ConfigMap",
        json!({"data": {"a": "", "b": ""}, "binaryData": {"c": ""}}),
        expect![[r#"
            NAME: n
            DATA: 3
            AGE: 60m
        "#]],
    );
    check(
        "",
        "Secret",
        json!({"type": "Opaque", "data": {"a": ""}}),
        expect![[r#"
            NAME: n
            TYPE: Opaque
            DATA: 1
            AGE: 60m
        "#]],
    );
    check(
        "",
        "ServiceAccount",
        json!({}),
        expect![[r#"
        NAME: n
        SECRETS: 0
        AGE: 60m
    "#]],
    );
    check(
        "coordination.k8s.io",
        "Lease",
        json!({"spec": {"holderIdentity": "node"}}),
        expect![[r#"
            NAME: n
            HOLDER: node
            AGE: 60m
        "#]],
    );
    check(
        "rbac.authorization.k8s.io",
        "ClusterRole",
        json!({}),
        expect![[r#"
            NAME: n
            CREATED AT: 2026-11-24T02:00:00Z
        "#]],
    );
    check(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        json!({}),
        expect![[r#"
            NAME: n
            CREATED AT: 2026-11-24T02:00:00Z
        "#]],
    );
    check(
        "rbac.authorization.k8s.io",
        "RoleBinding",
        json!({"roleRef": {"kind": "ClusterRole", "name": "edit"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "User", "name": "v"}, {"kind": "Group", "name": "g"}, {"kind": "ServiceAccount", "namespace": "ns", "name": "sa"}]}),
        expect![[r#"
            NAME: n
            ROLE: ClusterRole/edit
            AGE: 60m
            USERS+: u, v
            GROUPS+: g
            SERVICEACCOUNTS+: ns/sa
        "#]],
    );
}

#[test]
fn storage() {
    check(
        "",
        "PersistentVolume",
        json!({"spec": {"capacity": {"storage": "1024Mi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "local",
            "claimRef": {"namespace": "a", "name": "c"}, "volumeMode": "Filesystem"}, "status": {"phase": "Bound"}}),
        expect![[r#"
            NAME: n
            CAPACITY: 1Gi
            ACCESS MODES: RWO,RWX
            RECLAIM POLICY: Delete
            STATUS: Bound
            CLAIM: a/c
            STORAGECLASS: local
            VOLUMEATTRIBUTESCLASS: <unset>
            REASON:
            AGE: 60m
            VOLUMEMODE+: Filesystem
        "#]],
    );
    check(
        "",
        "PersistentVolumeClaim",
        json!({"spec": {"volumeName": "pv", "storageClassName": "local"}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOncePod"]}}),
        expect![[r#"
            NAME: n
            STATUS: Bound
            VOLUME: pv
            CAPACITY: 1Gi
            ACCESS MODES: RWOP
            STORAGECLASS: local
            VOLUMEATTRIBUTESCLASS: <unset>
            AGE: 60m
            VOLUMEMODE+: <unset>
        "#]],
    );
    check(
        "",
        "PersistentVolumeClaim",
        json!({"metadata": {"deletionTimestamp": "2026-11-24T03:00:00Z"}, "status": {"phase": "Pending"}}),
        expect![[r#"
            NAME: n
            STATUS: Terminating
            VOLUME:
            CAPACITY:
            ACCESS MODES:
            STORAGECLASS:
            VOLUMEATTRIBUTESCLASS: <unset>
            AGE: 60m
            VOLUMEMODE+: <unset>
        "#]],
    );
    check(
        "storage.k8s.io",
        "StorageClass",
        json!({"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "minicloud.io/local-path", "volumeBindingMode": "WaitForFirstConsumer"}),
        expect![[r#"
            NAME: n (default)
            PROVISIONER: minicloud.io/local-path
            RECLAIMPOLICY: Delete
            VOLUMEBINDINGMODE: WaitForFirstConsumer
            ALLOWVOLUMEEXPANSION: false
            AGE: 60m
        "#]],
    );
}

#[test]
fn events() {
    let involved = json!({"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"});
    check(
        "",
        "Event",
        json!({"firstTimestamp": "2026-11-24T02:50:00Z", "lastTimestamp": "2026-11-24T02:59:50Z", "count": 4, "type": "Warning", "reason": "BackOff", "message": " Back-off \n",
            "involvedObject": involved, "source": {"component": "kubelet", "host": "node"}}),
        expect![[r#"
            LAST SEEN: 10s
            TYPE: Warning
            REASON: BackOff
            OBJECT: pod/p
            SUBOBJECT+: spec.containers{a}
            SOURCE+: kubelet, node
            MESSAGE: Back-off
            FIRST SEEN+: 10m
            COUNT+: 4
            NAME+: n
        "#]],
    );
    check(
        "",
        "Event",
        json!({"eventTime": "2026-11-24T02:50:00.000000Z", "series": {"count": 7, "lastObservedTime": "2026-11-24T02:58:00.000000Z"}, "type": "Normal", "reason": "Scheduled",
            "involvedObject": {"kind": "Node"}, "reportingComponent": "scheduler"}),
        expect![[r#"
            LAST SEEN: 2m
            TYPE: Normal
            REASON: Scheduled
            OBJECT: node
            SUBOBJECT+:
            SOURCE+: scheduler
            MESSAGE:
            FIRST SEEN+: 10m
            COUNT+: 7
            NAME+: n
        "#]],
    );
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
