//! From the first init container to the last signal.

use std::time::{Duration, Instant};

use minicloud_tests::{Cluster, eventually};

use super::becomes;

pub const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: init}
spec:
  restartPolicy: Never
  initContainers:
  - {name: one, image: minicloud.local/busybox:1, command: [sh, -c, "echo one > /work/file; sleep 1"], volumeMounts: [{name: work, mountPath: /work}]}
  - {name: two, image: minicloud.local/busybox:1, command: [sh, -c, "echo two >> /work/file"], volumeMounts: [{name: work, mountPath: /work}]}
  containers:
  - {name: c, image: minicloud.local/busybox:1, command: [cat, /work/file], volumeMounts: [{name: work, mountPath: /work}]}
  volumes: [{name: work, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: init-fails}
spec:
  restartPolicy: Never
  initContainers: [{name: bad, image: minicloud.local/busybox:1, command: [sh, -c, "exit 4"]}]
  containers: [{name: c, image: minicloud.local/busybox:1, command: ["true"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: init-loops}
spec:
  initContainers: [{name: bad, image: minicloud.local/busybox:1, command: [sh, -c, "exit 5"]}]
  containers: [{name: c, image: minicloud.local/busybox:1, command: ["true"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: sidecar}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 5
  initContainers:
  - name: side
    image: minicloud.local/busybox:1
    restartPolicy: Always
    command: [sh, -c, "trap 'echo side ended >> /host/sidecar; exit 0' TERM; sleep 1; touch /work/up; while true; do sleep 0.1; done"]
    startupProbe: {exec: {command: [test, -e, /work/up]}, periodSeconds: 1, failureThreshold: 30}
    volumeMounts: [{name: work, mountPath: /work}, {name: host, mountPath: /host}]
  containers:
  - name: main
    image: minicloud.local/busybox:1
    command: [sh, -c, "test -e /work/up && echo main saw it >> /host/sidecar; until [ -e /work/end ]; do sleep 0.1; done; echo main ended >> /host/sidecar"]
    volumeMounts: [{name: work, mountPath: /work}, {name: host, mountPath: /host}]
  volumes: [{name: work, emptyDir: {}}, {name: host, hostPath: {path: @host@}}]
---
apiVersion: v1
kind: Pod
metadata: {name: ends-well}
spec:
  restartPolicy: OnFailure
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sh, -c, "echo fine > /dev/termination-log"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: ends-badly}
spec:
  restartPolicy: Never
  containers:
  - {name: c, image: minicloud.local/busybox:1, command: [sh, -c, "echo last words; exit 3"], terminationMessagePolicy: FallbackToLogsOnError}
---
apiVersion: v1
kind: Pod
metadata: {name: ends-late}
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 2
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: hooks}
spec:
  terminationGracePeriodSeconds: 20
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sh, -c, "trap 'echo signal >> /host/hooks; sleep 1; echo out >> /host/hooks; exit 0' TERM; while true; do sleep 0.1; done"]
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo started >> /host/hooks"]}}
      preStop: {exec: {command: [sh, -c, "echo stopping >> /host/hooks; sleep 1; echo stopped >> /host/hooks"]}}
    volumeMounts: [{name: host, mountPath: /host}]
  volumes: [{name: host, hostPath: {path: @host@}}]
"#;

pub fn init_containers_run_in_order(c: &Cluster) {
    becomes(c, "init", "{.status.phase}", "Succeeded");
    assert_eq!(c.k("logs init"), "one\ntwo\n");
    becomes(
        c,
        "init",
        "{.status.initContainerStatuses[*].state.terminated.exitCode}",
        "0 0",
    );
    becomes(c, "init-fails", "{.status.phase}", "Failed");
    c.says("get pod init-fails", &["Init:Error"]);
    becomes(
        c,
        "init-fails",
        "{.status.initContainerStatuses[0].state.terminated.exitCode}",
        "4",
    );
    eventually(
        "back-off of an init container",
        Duration::from_secs(60),
        || {
            let shown = c.try_k("get pod init-loops")?;
            anyhow::ensure!(shown.contains("Init:CrashLoopBackOff"), "{shown}");
            Ok(())
        },
    );
    c.k("delete pod init init-fails init-loops");
}

pub fn sidecars_serve_until_the_last_container_ends(c: &Cluster) {
    c.k("wait --for=condition=Ready pod/sidecar --timeout=30s");
    c.says("get pod sidecar", &["2/2", "Running"]);
    c.k("exec sidecar -c main -- touch /work/end");
    becomes(c, "sidecar", "{.status.phase}", "Succeeded");
    let file = c.scratch().join("host/sidecar");
    let order = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(order, "main saw it\nmain ended\nside ended\n");
    c.says("get pod sidecar", &["Completed"]);
    c.k("delete pod sidecar");
}

pub fn ended_pods_say_how_they_ended(c: &Cluster) {
    let ended = "{.status.phase} {.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].state.terminated.message}";
    becomes(c, "ends-well", ended, "Succeeded 0 fine\n");
    becomes(c, "ends-badly", ended, "Failed 3 last words\n");
    c.says("get pod ends-well ends-badly", &["Completed", "Error"]);
    becomes(
        c,
        "ends-late",
        "{.status.phase} {.status.reason}",
        "Failed DeadlineExceeded",
    );
    c.says("describe pod ends-late", &["DeadlineExceeded"]);
    c.k("delete pod ends-well ends-badly ends-late");
}

pub fn deletion_gives_time_and_runs_hooks(c: &Cluster) {
    super::ready(c, "hooks");
    let started = Instant::now();
    c.k("delete pod hooks --timeout=30s");
    let took = started.elapsed();
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(15)).contains(&took),
        "{took:?}"
    );
    let order = std::fs::read_to_string(c.scratch().join("host/hooks")).unwrap_or_default();
    assert_eq!(order, "started\nstopping\nstopped\nsignal\nout\n");
}
