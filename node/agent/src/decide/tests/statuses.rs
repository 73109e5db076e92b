//! Conditions, container statuses and the rest of a status.

use expect_test::{Expect, expect};

use super::*;

fn conditions(ask: &Ask) -> String {
    let decision = ask.decide();
    let words = decision.status.conditions.into_iter().flatten().map(|c| {
        let reason = c.reason.map(|r| format!(" {r}")).unwrap_or_default();
        let message = c.message.map(|m| format!(": {m}")).unwrap_or_default();
        format!("{}={}{reason}{message}\n", c.type_, c.status)
    });
    words.collect()
}

fn check(ask: Ask, expect: Expect) {
    expect.assert_eq(&conditions(&ask));
}

#[test]
fn conditions_of_a_life() {
    let spec = || json!({"initContainers": [c("i")], "containers": [c("a"), c("b")], "restartPolicy": "Never"});
    check(
        ask(spec(), ""),
        expect![[r#"
        PodReadyToStartContainers=False
        Initialized=False ContainersNotInitialized: containers with incomplete status: [i]
        Ready=False ContainersNotReady: containers with unready status: [a b]
        ContainersReady=False ContainersNotReady: containers with unready status: [a b]
        PodScheduled=True
    "#]],
    );
    check(
        ask(spec(), "s0+ i#0=X0 a#0=R"),
        expect![[r#"
        PodReadyToStartContainers=True
        Initialized=True
        Ready=False ContainersNotReady: containers with unready status: [b]
        ContainersReady=False ContainersNotReady: containers with unready status: [b]
        PodScheduled=True
    "#]],
    );
    check(
        ask(spec(), "s0+ i#0=X0 a#0=R b#0=R"),
        expect![[r#"
        PodReadyToStartContainers=True
        Initialized=True
        Ready=True
        ContainersReady=True
        PodScheduled=True
    "#]],
    );
    check(
        ask(spec(), "s0- i#0=X0 a#0=X0 b#0=X0"),
        expect![[r#"
        PodReadyToStartContainers=False
        Initialized=True PodCompleted
        Ready=False PodCompleted
        ContainersReady=False PodCompleted
        PodScheduled=True
    "#]],
    );
    check(
        ask(spec(), "s0- i#0=X0 a#0=X0 b#0=X1"),
        expect![[r#"
        PodReadyToStartContainers=False
        Initialized=True
        Ready=False PodFailed
        ContainersReady=False PodFailed
        PodScheduled=True
    "#]],
    );
}

#[test]
fn readiness_gates() {
    let mut spec = pod_of(&["a"], "Always");
    spec["readinessGates"] = json!([{"conditionType": "x"}, {"conditionType": "y"}]);
    let mut gated = ask(spec, "s0+ a#0=R");
    gated.pod.status = Some(
        serde_json::from_value(json!({"conditions": [{"type": "x", "status": "False"}]}))
            .expect("a status"),
    );
    assert!(conditions(&gated).contains(
        "Ready=False ReadinessGatesNotReady: the status of pod readiness gate \"x\" is not \"True\", but False, corresponding condition of \
         pod readiness gate \"y\" does not exist.\n"
    ));
    gated.pod.status = Some(
        serde_json::from_value(json!({"conditions": [{"type": "x", "status": "True"}, {"type": "y", "status": "True"}]})).expect("a status"),
    );
    assert!(conditions(&gated).contains("\nReady=True\n"));
}

#[test]
fn transition_times_stay_while_nothing_changes() {
    let mut ask = ask(pod_of(&["a"], "Always"), "s0+ a#0=R");
    let first = ask.decide().status;
    ask.memory.last_status = Some(first.clone());
    ask.now = 500;
    assert_eq!(ask.decide().status, first, "time alone changes nothing");
    ask.observed = observe("s0+ a#0=X1", &ask.pod);
    let second = ask.decide().status;
    let time = |s: &k8s_openapi::api::core::v1::PodStatus, kind: &str| {
        let found = s
            .conditions
            .iter()
            .flatten()
            .find(|c| c.type_ == kind)
            .and_then(|c| c.last_transition_time.clone());
        found.expect("a time").0
    };
    assert_eq!(time(&second, "Ready"), at(500));
    assert_eq!(time(&second, "Initialized"), at(100));
}

#[test]
fn what_a_status_holds() {
    let mut ask = ask(pod_of(&["a"], "Always"), "s0+ a#2=R a#1=X137");
    if let ContainerState::Exited { reason, .. } = &mut ask.observed.containers[1].state {
        *reason = "OOMKilled".into();
    }
    ask.memory.messages.insert("a#1".into(), "bye".into());
    let status = ask.decide().status;
    let text = serde_json::to_string_pretty(&json!({
        "hostIP": status.host_ip, "podIPs": status.pod_ips, "qosClass": status.qos_class, "startTime": status.start_time,
        "observedGeneration": status.observed_generation, "container": status.container_statuses,
    }))
    .expect("serializes");
    expect![[r#"
        {
          "container": [
            {
              "containerID": "test://a#2",
              "image": "img",
              "imageID": "",
              "lastState": {
                "terminated": {
                  "containerID": "test://a#1",
                  "exitCode": 137,
                  "finishedAt": "1970-01-12T13:48:10Z",
                  "message": "bye",
                  "reason": "OOMKilled",
                  "startedAt": "1970-01-12T13:47:30Z"
                }
              },
              "name": "a",
              "ready": true,
              "restartCount": 2,
              "started": true,
              "state": {
                "running": {
                  "startedAt": "1970-01-12T13:47:30Z"
                }
              }
            }
          ],
          "hostIP": "192.0.2.1",
          "observedGeneration": 1,
          "podIPs": [
            {
              "ip": "10.42.0.5"
            }
          ],
          "qosClass": "BestEffort",
          "startTime": "1970-01-12T13:46:40Z"
        }"#]]
    .assert_eq(&text);
}

#[test]
fn waiting_messages() {
    let crashed = |m: &mut Memory| {
        let crash = &mut m.containers.entry("a".into()).or_default().crash;
        for n in 0..4 {
            crash.step(at(n * 20), at(n * 20));
        }
    };
    let status = ask(pod_of(&["a"], "Always"), "s0+ a#4=X1@90")
        .with(crashed)
        .decide()
        .status;
    let waiting = status.container_statuses.expect("one")[0]
        .state
        .clone()
        .and_then(|s| s.waiting)
        .expect("waits");
    assert_eq!(
        waiting.message.as_deref(),
        Some("back-off 1m20s restarting failed container=a pod=p_n(u)")
    );
}

#[test]
fn a_runtime_that_lost_its_memory_does_not_lose_counts() {
    let mut ask = ask(pod_of(&["a"], "Always"), "s0+");
    ask.pod.status = Some(
        serde_json::from_value(json!({"phase": "Running", "containerStatuses": [{
            "name": "a", "image": "img", "imageID": "", "ready": true, "restartCount": 3, "containerID": "test://old",
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }]}))
        .expect("a status"),
    );
    let decision = ask.decide();
    assert_eq!(
        show(&decision),
        "start a#4 | Pending | a=W:ContainerCreating+3"
    );
    let last = decision.status.container_statuses.expect("one")[0]
        .last_state
        .clone()
        .and_then(|s| s.terminated)
        .expect("ended");
    assert_eq!(
        (last.exit_code, last.reason.as_deref()),
        (137, Some("ContainerStatusUnknown"))
    );
}
