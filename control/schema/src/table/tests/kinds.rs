use super::*;

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
fn events_of_the_newer_api_are_shown_alike() {
    check(
        "events.k8s.io",
        "Event",
        json!({"eventTime": "2026-11-24T02:50:00.000000Z", "deprecatedCount": 3, "deprecatedLastTimestamp": "2026-11-24T02:59:00Z", "type": "Normal", "reason": "Pulled",
            "regarding": {"kind": "Pod", "name": "p"}, "note": "done", "reportingController": "kubelet", "reportingInstance": "node"}),
        expect![[r#"
            LAST SEEN: 60s
            TYPE: Normal
            REASON: Pulled
            OBJECT: pod/p
            SUBOBJECT+:
            SOURCE+: kubelet, node
            MESSAGE: done
            FIRST SEEN+: 10m
            COUNT+: 3
            NAME+: n
        "#]],
    );
}
