//! Containers that end or hang, and come again.

use std::time::Duration;

use minicloud_tests::{Cluster, eventually};

use super::becomes;

pub const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: crashes}
spec:
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sh, -c, "echo again; exit 9"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: hangs}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sh, -c, "touch /tmp/alive; sleep 4; rm /tmp/alive; sleep 1000"]
    livenessProbe: {exec: {command: [cat, /tmp/alive]}, periodSeconds: 1, failureThreshold: 2}
---
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sh, -c, "sleep 4; httpd -p 8080 -h /etc; sleep 1000"]
    startupProbe: {httpGet: {path: /passwd, port: 8080}, periodSeconds: 1, failureThreshold: 60}
    livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 1}
    readinessProbe: {httpGet: {path: /nothing, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: eats}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [tail, /dev/zero]
    resources: {limits: {memory: 24Mi, cpu: 200m}}
"#;

pub fn containers_restart_with_back_off(c: &Cluster) {
    eventually("back-off", Duration::from_secs(60), || {
        let shown = c.try_k("get pod crashes")?;
        anyhow::ensure!(shown.contains("CrashLoopBackOff"), "{shown}");
        let restarts =
            c.try_k("get pod crashes -o jsonpath='{.status.containerStatuses[0].restartCount}'")?;
        anyhow::ensure!(restarts.parse::<u32>()? >= 2, "{restarts} restarts");
        Ok(())
    });
    becomes(
        c,
        "crashes",
        "{.status.containerStatuses[0].lastState.terminated.exitCode}",
        "9",
    );
    c.says(
        "get pod crashes -o jsonpath='{.status.containerStatuses[0].state.waiting.message}'",
        &[
            "back-off",
            "restarting failed container=c pod=crashes_default(",
        ],
    );
    c.says(
        "describe pod crashes",
        &[
            "Reason:       CrashLoopBackOff",
            "Last State:     Terminated",
            "Exit Code:    9",
            "BackOff",
            "Back-off restarting failed container c",
        ],
    );
    assert_eq!(c.k("logs crashes"), "again\n");
    c.k("delete pod crashes");
}

pub fn probes_restart_what_hangs(c: &Cluster) {
    eventually("a restart", Duration::from_secs(30), || {
        let count =
            c.try_k("get pod hangs -o jsonpath='{.status.containerStatuses[0].restartCount}'")?;
        anyhow::ensure!(count.parse::<u32>()? >= 1, "{count}");
        Ok(())
    });
    c.says(
        "describe pod hangs",
        &["Last State:", "Terminated", "Exit Code:    137"],
    );
    c.says(
        "events --for pod/hangs",
        &["Liveness probe failed: cat: can't open '/tmp/alive'"],
    );
    c.says(
        "events --for pod/hangs",
        &["Container c failed liveness probe, will be restarted"],
    );
    // A probe of the start holds the others back; one of readiness restarts nothing.
    becomes(
        c,
        "slow",
        "{.status.containerStatuses[0].started} {.status.containerStatuses[0].ready} {.status.containerStatuses[0].restartCount}",
        "true false 0",
    );
    c.says(
        "events --for pod/slow",
        &["Readiness probe failed: HTTP probe failed with statuscode: 404"],
    );
    c.k("delete pod hangs slow");
}

pub fn memory_limits_hold_and_their_breach_is_told(c: &Cluster) {
    becomes(
        c,
        "eats",
        "{.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}",
        "OOMKilled 137",
    );
    c.says("get pod eats", &["OOMKilled"]);
    becomes(c, "eats", "{.status.qosClass}", "Guaranteed");
    c.k("delete pod eats");
}
