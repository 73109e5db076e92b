use super::*;

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
