//! The server ends in the middle of its work.

use std::time::{Duration, Instant};

use anyhow::ensure;
use minicloud_tests::processes::shims;
use minicloud_tests::programs::run;
use minicloud_tests::{Cluster, eventually};

use crate::machine::{mounts_below, nothing_is_left, tasks};

/// Pods whose start takes several steps: volumes, an init container, two containers.
const PODS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {key: value}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: many}
spec:
  replicas: 6
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      terminationGracePeriodSeconds: 2
      initContainers: [{name: first, image: minicloud.local/busybox:1, command: [cp, /settings/key, /work/key], volumeMounts: [{name: settings, mountPath: /settings}, {name: work, mountPath: /work}]}]
      containers:
      - {name: deaf, image: minicloud.local/busybox:1, command: [sh, -c, "trap '' TERM; test $(cat /work/key) = value && while true; do sleep 1; done"], volumeMounts: [{name: work, mountPath: /work}]}
      - {name: plain, image: minicloud.local/busybox:1, command: [sleep, "100000"]}
      volumes: [{name: settings, configMap: {name: settings}}, {name: work, emptyDir: {medium: Memory}}]
"#;

fn end(c: &mut Cluster, signal: &str) {
    match signal {
        "TERM" => c.stop_server(),
        _ => c.kill_server(),
    }
}

/// At moments that differ, so that it is met at several steps.
const MOMENTS: [u64; 3] = [150, 500, 1100];

pub fn ends_during_starts(c: &mut Cluster, signal: &str) {
    for moment in MOMENTS {
        c.apply(PODS);
        std::thread::sleep(Duration::from_millis(moment));
        end(c, signal);
        c.start_server();
        c.wait_ready();
        c.k("rollout status deployment/many --timeout=60s");
        eventually("the sandboxes", Duration::from_secs(20), || {
            let count = tasks(c)?.len();
            // Six pods with a sandbox and two containers each.
            ensure!(count == 18, "{count} processes");
            Ok(())
        });
        c.k("delete deployment/many --cascade=foreground --timeout=60s");
        nothing_is_left(c);
    }
}

pub fn ends_during_deletions(c: &mut Cluster, signal: &str) {
    for moment in MOMENTS {
        c.apply(PODS);
        c.k("rollout status deployment/many --timeout=60s");
        c.k("delete deployment/many --wait=false");
        std::thread::sleep(Duration::from_millis(moment));
        end(c, signal);
        c.start_server();
        c.wait_ready();
        nothing_is_left(c);
    }
}

/// Containers that wait for the end of their grace must not make a person wait.
pub fn reset_is_quick(c: &mut Cluster) {
    let pods = PODS.replace(
        "terminationGracePeriodSeconds: 2",
        "terminationGracePeriodSeconds: 30",
    );
    c.apply(&pods);
    c.k("rollout status deployment/many --timeout=60s");
    let started = Instant::now();
    run(&mut c.minicloud(&["reset", "--yes"])).unwrap_or_else(|e| panic!("{e:#}"));
    let took = started.elapsed();
    println!("reset of 6 pods: {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(shims(c).is_empty(), "{:?}", shims(c));
    assert!(!c.run_dir().exists());
    assert_eq!(
        mounts_below(&c.data_dir()),
        Vec::<std::path::PathBuf>::new()
    );
}
