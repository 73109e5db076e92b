//! Pods in the states that people ask about.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{check, samples};
use crate::Kind;

const COMMON: &str = "namespace=\"shop\",pod=\"web-1\",uid=\"u1\"";

fn pod(spec: Value, status: Value) -> Value {
    json!({"metadata": {"namespace": "shop", "name": "web-1", "uid": "u1"}, "spec": spec, "status": status})
}

/// Compares the samples of a pod that are not 0: what is said of it.
fn check_said(spec: Value, status: Value, expected: Expect) {
    let mut samples = samples(Kind::Pod, pod(spec, status), COMMON);
    samples.retain(|sample| !sample.ends_with(" 0\n"));
    expected.assert_eq(&samples.concat());
}

#[test]
fn running() {
    let pod = json!({
        "metadata": {
            "namespace": "shop", "name": "web-1", "uid": "u1", "creationTimestamp": "2026-11-01T08:00:00Z",
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d", "controller": true}]
        },
        "spec": {
            "nodeName": "edge-1", "restartPolicy": "Always", "serviceAccountName": "default",
            "priorityClassName": "high",
            "initContainers": [
                {"name": "setup", "image": "setup:1", "resources": {"limits": {"memory": "64Mi"}}},
                {"name": "log", "image": "log:1", "restartPolicy": "Always"}
            ],
            "containers": [{
                "name": "web", "image": "web:2",
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi", "nvidia.com/gpu": 1}}
            }],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": true}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
                {"name": "conf", "configMap": {"name": "conf"}}
            ]
        },
        "status": {
            "phase": "Running", "hostIP": "192.168.1.10", "podIP": "10.42.0.5",
            "podIPs": [{"ip": "10.42.0.5"}, {"ip": "fd00::5"}], "qosClass": "Burstable", "startTime": "2026-11-01T08:00:01Z",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-01T08:00:01Z"},
                {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-11-01T08:00:03Z"},
                {"type": "ContainersReady", "status": "True", "lastTransitionTime": "2026-11-01T08:00:05Z"},
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T08:00:05Z"}
            ],
            "initContainerStatuses": [
                {
                    "name": "setup", "ready": true, "restartCount": 1, "image": "docker.io/library/setup:1",
                    "imageID": "sha256:1", "containerID": "containerd://1",
                    "state": {"terminated": {"reason": "Completed", "exitCode": 0}}
                },
                {"name": "log", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-11-01T08:00:03Z"}}}
            ],
            "containerStatuses": [{
                "name": "web", "ready": true, "restartCount": 0, "image": "docker.io/library/web:2", "imageID": "sha256:2",
                "containerID": "containerd://2", "state": {"running": {"startedAt": "2026-11-01T08:00:04Z"}}
            }]
        }
    });
    check(
        Kind::Pod,
        pod,
        COMMON,
        expect![[r#"
        kube_pod_container_info{
            container="web",
            image_spec="web:2",
            image="docker.io/library/web:2",
            image_id="sha256:2",
            container_id="containerd://2",
        } 1
        kube_pod_container_resource_limits{
            container="web",
            node="edge-1",
            resource="memory",
            unit="byte",
        } 268435456
        kube_pod_container_resource_limits{
            container="web",
            node="edge-1",
            resource="nvidia_com_gpu",
            unit="integer",
        } 1
        kube_pod_container_resource_requests{container="web",node="edge-1",resource="cpu",unit="core"} 0.1
        kube_pod_container_resource_requests{
            container="web",
            node="edge-1",
            resource="memory",
            unit="byte",
        } 134217728
        kube_pod_container_state_started{container="web"} 1793520004
        kube_pod_container_status_ready{container="web"} 1
        kube_pod_container_status_restarts_total{container="web"} 0
        kube_pod_container_status_running{container="web"} 1
        kube_pod_container_status_terminated{container="web"} 0
        kube_pod_container_status_waiting{container="web"} 0
        kube_pod_created{} 1793520000
        kube_pod_info{
            host_ip="192.168.1.10",
            pod_ip="10.42.0.5",
            node="edge-1",
            created_by_kind="ReplicaSet",
            created_by_name="web-5d",
            priority_class="high",
            host_network="false",
        } 1
        kube_pod_init_container_info{
            container="setup",
            image_spec="setup:1",
            image="docker.io/library/setup:1",
            image_id="sha256:1",
            container_id="containerd://1",
        } 1
        kube_pod_init_container_info{container="log",image_spec="log:1",restart_policy="Always"} 1
        kube_pod_init_container_resource_limits{
            container="setup",
            node="edge-1",
            resource="memory",
            unit="byte",
        } 67108864
        kube_pod_init_container_status_ready{container="setup"} 1
        kube_pod_init_container_status_ready{container="log"} 1
        kube_pod_init_container_status_restarts_total{container="setup"} 1
        kube_pod_init_container_status_restarts_total{container="log"} 0
        kube_pod_init_container_status_running{container="setup"} 0
        kube_pod_init_container_status_running{container="log"} 1
        kube_pod_init_container_status_terminated{container="setup"} 1
        kube_pod_init_container_status_terminated{container="log"} 0
        kube_pod_init_container_status_terminated_reason{container="setup",reason="Completed"} 1
        kube_pod_init_container_status_waiting{container="setup"} 0
        kube_pod_init_container_status_waiting{container="log"} 0
        kube_pod_ips{ip="10.42.0.5",ip_family="4"} 1
        kube_pod_ips{ip="fd00::5",ip_family="6"} 1
        kube_pod_owner{owner_kind="ReplicaSet",owner_name="web-5d",owner_is_controller="true"} 1
        kube_pod_restart_policy{type="Always"} 1
        kube_pod_service_account{service_account="default"} 1
        kube_pod_spec_volumes_persistentvolumeclaims_info{volume="data",persistentvolumeclaim="data"} 1
        kube_pod_spec_volumes_persistentvolumeclaims_info{
            volume="scratch",
            persistentvolumeclaim="web-1-scratch",
        } 1
        kube_pod_spec_volumes_persistentvolumeclaims_readonly{volume="data",persistentvolumeclaim="data"} 1
        kube_pod_spec_volumes_persistentvolumeclaims_readonly{
            volume="scratch",
            persistentvolumeclaim="web-1-scratch",
        } 0
        kube_pod_start_time{} 1793520001
        kube_pod_status_container_ready_time{} 1793520005
        kube_pod_status_initialized_time{} 1793520003
        kube_pod_status_phase{phase="Pending"} 0
        kube_pod_status_phase{phase="Succeeded"} 0
        kube_pod_status_phase{phase="Failed"} 0
        kube_pod_status_phase{phase="Unknown"} 0
        kube_pod_status_phase{phase="Running"} 1
        kube_pod_status_qos_class{qos_class="BestEffort"} 0
        kube_pod_status_qos_class{qos_class="Burstable"} 1
        kube_pod_status_qos_class{qos_class="Guaranteed"} 0
        kube_pod_status_ready{condition="true"} 1
        kube_pod_status_ready{condition="false"} 0
        kube_pod_status_ready{condition="unknown"} 0
        kube_pod_status_ready_time{} 1793520005
        kube_pod_status_reason{reason="Evicted"} 0
        kube_pod_status_reason{reason="NodeAffinity"} 0
        kube_pod_status_reason{reason="NodeLost"} 0
        kube_pod_status_reason{reason="PreemptionByScheduler"} 0
        kube_pod_status_reason{reason="SchedulingGated"} 0
        kube_pod_status_reason{reason="Shutdown"} 0
        kube_pod_status_reason{reason="TerminationByKubelet"} 0
        kube_pod_status_reason{reason="UnexpectedAdmissionError"} 0
        kube_pod_status_scheduled{condition="true"} 1
        kube_pod_status_scheduled{condition="false"} 0
        kube_pod_status_scheduled{condition="unknown"} 0
        kube_pod_status_scheduled_time{} 1793520001
    "#]],
    );
}

#[test]
fn pending_because_unschedulable() {
    let status = json!({
        "phase": "Pending",
        "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available",
            "lastTransitionTime": "2026-11-01T08:00:00Z"
        }]
    });
    check_said(
        json!({"restartPolicy": "Always"}),
        status,
        expect![[r#"
        kube_pod_info{host_network="false"} 1
        kube_pod_owner{} 1
        kube_pod_restart_policy{type="Always"} 1
        kube_pod_service_account{} 1
        kube_pod_status_phase{phase="Pending"} 1
        kube_pod_status_scheduled{condition="false"} 1
        kube_pod_status_unschedulable{} 1
        kube_pod_status_unscheduled_time{} 1793520000
    "#]],
    );
}

#[test]
fn in_crash_loop_back_off_after_it_was_killed_for_memory() {
    let status = json!({
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
        "containerStatuses": [{
            "name": "web", "ready": false, "restartCount": 5,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 2m40s"}},
            "lastState": {"terminated": {
                "reason": "OOMKilled", "exitCode": 137, "startedAt": "2026-11-01T08:00:04Z", "finishedAt": "2026-11-01T08:09:04Z"
            }}
        }]
    });
    check_said(
        json!({"nodeName": "edge-1"}),
        status,
        expect![[r#"
        kube_pod_container_info{container="web"} 1
        kube_pod_container_status_last_terminated_exitcode{container="web"} 137
        kube_pod_container_status_last_terminated_reason{container="web",reason="OOMKilled"} 1
        kube_pod_container_status_last_terminated_timestamp{container="web"} 1793520544
        kube_pod_container_status_restarts_total{container="web"} 5
        kube_pod_container_status_waiting{container="web"} 1
        kube_pod_container_status_waiting_reason{container="web",reason="CrashLoopBackOff"} 1
        kube_pod_info{node="edge-1",host_network="false"} 1
        kube_pod_owner{} 1
        kube_pod_restart_policy{} 1
        kube_pod_service_account{} 1
        kube_pod_status_phase{phase="Running"} 1
        kube_pod_status_ready{condition="false"} 1
    "#]],
    );
}

#[test]
fn killed_for_memory_just_now() {
    let status = json!({
        "phase": "Running",
        "containerStatuses": [{
            "name": "web", "restartCount": 0,
            "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "startedAt": "2026-11-01T08:00:04Z"}}
        }]
    });
    check_said(
        json!({}),
        status,
        expect![[r#"
        kube_pod_container_info{container="web"} 1
        kube_pod_container_state_started{container="web"} 1793520004
        kube_pod_container_status_terminated{container="web"} 1
        kube_pod_container_status_terminated_reason{container="web",reason="OOMKilled"} 1
        kube_pod_info{host_network="false"} 1
        kube_pod_owner{} 1
        kube_pod_restart_policy{} 1
        kube_pod_service_account{} 1
        kube_pod_status_phase{phase="Running"} 1
    "#]],
    );
}

#[test]
fn succeeded() {
    let end = |time: &str| json!({"terminated": {"reason": "Completed", "exitCode": 0, "finishedAt": time}});
    let status = json!({
        "phase": "Succeeded",
        "containerStatuses": [
            {"name": "a", "state": end("2026-11-01T09:00:00Z")},
            {"name": "b", "state": end("2026-11-01T08:00:00Z")}
        ]
    });
    check_said(
        json!({"restartPolicy": "Never"}),
        status,
        expect![[r#"
        kube_pod_completion_time{} 1793523600
        kube_pod_container_info{container="a"} 1
        kube_pod_container_info{container="b"} 1
        kube_pod_container_status_terminated{container="a"} 1
        kube_pod_container_status_terminated{container="b"} 1
        kube_pod_container_status_terminated_reason{container="a",reason="Completed"} 1
        kube_pod_container_status_terminated_reason{container="b",reason="Completed"} 1
        kube_pod_info{host_network="false"} 1
        kube_pod_owner{} 1
        kube_pod_restart_policy{type="Never"} 1
        kube_pod_service_account{} 1
        kube_pod_status_phase{phase="Succeeded"} 1
    "#]],
    );
}

#[test]
fn evicted() {
    let status = json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."});
    check_said(
        json!({}),
        status,
        expect![[r#"
        kube_pod_info{host_network="false"} 1
        kube_pod_owner{} 1
        kube_pod_restart_policy{} 1
        kube_pod_service_account{} 1
        kube_pod_status_phase{phase="Failed"} 1
        kube_pod_status_reason{reason="Evicted"} 1
    "#]],
    );
}
