//! containerd dies or hangs.

use std::time::{Duration, Instant};

use anyhow::ensure;
use minicloud_tests::{Cluster, eventually};
use rustix::process::Signal;

use crate::machine::{containerd, restarts, send, tasks};

/// Probes that forgive nothing, beside a container without any.
pub const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: steady, labels: {app: steady}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: probed
    image: minicloud.local/busybox:1
    command: [sh, -c, "echo started; httpd -p 8080 -h /etc; while true; do sleep 1; done"]
    livenessProbe: {exec: {command: ["true"]}, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 1}
    readinessProbe: {httpGet: {path: /passwd, port: 8080}, periodSeconds: 1, failureThreshold: 1}
  - name: plain
    image: minicloud.local/busybox:1
    command: [sleep, "100000"]
---
apiVersion: v1
kind: Service
metadata: {name: steady}
spec: {selector: {app: steady}, ports: [{port: 8080}]}
"#;

const NEW: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "100000"]}]
"#;

pub fn ready(c: &Cluster) {
    c.k("wait --for=condition=Ready pod/steady --timeout=60s");
}

fn node_ready(c: &Cluster) -> anyhow::Result<String> {
    let path = "{.status.conditions[?(@.type==\"Ready\")].status} {.status.conditions[?(@.type==\"Ready\")].lastTransitionTime}";
    c.try_k(&format!("get node edge-1 -o jsonpath='{path}'"))
}

/// Everything works that needs containerd.
fn works(c: &Cluster, new: &str) {
    eventually("exec", Duration::from_secs(20), || {
        let said = c.sh("steady", "echo here")?;
        ensure!(said == "here\n", "{said:?}");
        Ok(())
    });
    assert_eq!(c.k("logs steady -c probed"), "started\n");
    c.apply(&NEW.replace("NAME", new));
    c.k(&format!(
        "wait --for=condition=Ready pod/{new} --timeout=30s"
    ));
    // A notice of an end still arrives.
    c.k(&format!("delete pod {new} --timeout=20s"));
}

pub fn dies(c: &Cluster) {
    let (before, since) = (
        tasks(c).unwrap_or_default(),
        node_ready(c).unwrap_or_default(),
    );
    assert_eq!(before.len(), 3, "{before:?}");
    let first = containerd(c);
    // Again and again, also while it starts.
    for _ in 0..3 {
        send(containerd(c), Signal::KILL);
        let killed = containerd(c);
        eventually("another containerd", Duration::from_secs(5), || {
            ensure!(containerd(c) != killed, "still {killed}");
            Ok(())
        });
    }
    eventually("it answers", Duration::from_secs(10), || tasks(c));
    assert_ne!(containerd(c), first);
    works(c, "after-death");
    assert_eq!(tasks(c).unwrap_or_default(), before);
    assert_eq!(restarts(c), "steady 0 0\n");
    assert_eq!(
        node_ready(c).unwrap_or_default(),
        since,
        "the node was not ready"
    );
}

pub fn hangs(c: &Cluster) {
    let before = tasks(c).unwrap_or_default();
    let hung = containerd(c);
    let since = Instant::now();
    send(hung, Signal::STOP);
    let mut told = None;
    eventually("another containerd", Duration::from_secs(75), || {
        if told.is_none() && node_ready(c)?.starts_with("False") {
            told = Some(since.elapsed());
        }
        ensure!(containerd(c) != hung, "still {hung}");
        Ok(())
    });
    println!(
        "not ready after {told:?}, restarted after {:?}",
        since.elapsed()
    );
    assert!(
        since.elapsed() > Duration::from_secs(20),
        "that is no hang yet"
    );
    assert!(told.is_some(), "the node was ready all the time");
    eventually("the node is ready", Duration::from_secs(20), || {
        ensure!(node_ready(c)?.starts_with("True"), "not yet");
        Ok(())
    });
    works(c, "after-hang");
    assert_eq!(tasks(c).unwrap_or_default(), before);
    assert_eq!(restarts(c), "steady 0 0\n");
    ready(c);
}
