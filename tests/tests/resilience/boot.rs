//! The machine loses its power and comes back: no process, no mount, no interface and nothing in `/run`; what was on disk is there.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use minicloud_tests::processes::{processes_with, shims};
use minicloud_tests::programs::run;
use minicloud_tests::{Cluster, eventually};
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{cgroup_roots, cgroups_of, mounts_below, nothing_is_left, tasks};

const PODS: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {word: sesame}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper, labels: {app: keeper}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sh, -c, "echo $WORD >> /kept/starts; cat /words/word >> /kept/starts; exec httpd -f -p 8080 -h /kept"]
    env: [{name: WORD, valueFrom: {configMapKeyRef: {name: words, key: word}}}]
    volumeMounts: [{name: kept, mountPath: /kept}, {name: words, mountPath: /words}]
  volumes: [{name: kept, persistentVolumeClaim: {claimName: kept}}, {name: words, configMap: {name: words}}]
---
apiVersion: v1
kind: Service
metadata: {name: keeper}
spec: {selector: {app: keeper}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: over}
spec:
  restartPolicy: Never
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sh, -c, "exit 3"]}]
"#;

fn kill(pid: i32) {
    let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
}

/// Ends everything of this cluster as a power cut would.
fn lose_power(c: &mut Cluster) {
    c.kill_server();
    let config = c.run_dir().join("containerd/config.toml");
    let dns = c.run_dir().join("dns.json");
    for word in [config, dns] {
        for (pid, _) in processes_with(&word.display().to_string()) {
            kill(pid);
        }
    }
    shims(c).into_iter().for_each(kill);
    eventually("no process", Duration::from_secs(10), || {
        let groups: Vec<PathBuf> = cgroup_roots(c).iter().flat_map(|d| cgroups_of(d)).collect();
        for group in &groups {
            let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            text.lines()
                .filter_map(|pid| pid.parse().ok())
                .for_each(kill);
            let _ = std::fs::remove_dir(group);
        }
        ensure!(cgroup_roots(c).is_empty(), "{groups:?}");
        Ok(())
    });
    for dir in [c.run_dir(), c.data_dir()] {
        for point in mounts_below(&dir).iter().rev() {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
        }
    }
    std::fs::remove_dir_all(c.run_dir()).unwrap_or_else(|e| panic!("{e}"));
    for line in [
        "ip link delete minicloud0",
        "ip route flush type unreachable",
        "nft flush ruleset",
    ] {
        let mut words = line.split(' ');
        let mut command = c.command(words.next().unwrap_or_default());
        let _ = run(command.args(words));
    }
}

/// Each start has left two words in the volume.
fn starts(c: &Cluster, count: usize) {
    eventually("the pod's data", Duration::from_secs(60), || {
        let text = c.sh("keeper", "cat /kept/starts")?;
        ensure!(
            text.replace('\n', "") == "sesame".repeat(2 * count),
            "{text:?}"
        );
        Ok(())
    });
}

fn serves(c: &Cluster) {
    eventually("the Service by name", Duration::from_secs(20), || {
        c.sh(
            "keeper",
            "curl --silent --fail --max-time 2 http://keeper.default.svc.cluster.local/starts",
        )
    });
}

fn is_back(c: &Cluster, uid: &str, restarts: &str) {
    eventually("the pod is the same", Duration::from_secs(60), || {
        let now = c.try_k("get pod keeper -o jsonpath='{.metadata.uid} {.status.containerStatuses[0].restartCount} {.status.conditions[?(@.type==\"Ready\")].status}'")?;
        ensure!(now == format!("{uid} {restarts} True"), "{now}");
        Ok(())
    });
    let over = c.k("get pod over -o jsonpath='{.status.phase} {.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].restartCount}'");
    assert_eq!(over, "Failed 3 0", "what had ended must not run again");
    assert_eq!(tasks(c).map(|t| t.len()).unwrap_or_default(), 2);
}

fn uid(c: &Cluster) -> String {
    c.k("get pod keeper -o jsonpath={.metadata.uid}")
}

pub fn pods_come_back_with_their_data(c: &mut Cluster) {
    c.apply(PODS);
    c.k("wait --for=condition=Ready pod/keeper --timeout=60s");
    c.k("wait --for=jsonpath={.status.phase}=Failed pod/over --timeout=60s");
    starts(c, 1);
    let uid = uid(c);
    lose_power(c);
    c.start_server();
    c.wait_ready();
    is_back(c, &uid, "1");
    starts(c, 2);
    serves(c);
}

/// No network at all, and nobody asks for anything: what must run is known on the machine.
pub fn pods_come_back_by_themselves(c: &mut Cluster) {
    let uid = uid(c);
    lose_power(c);
    run(c.command("ip").args(["link", "delete", "eth0"])).unwrap_or_else(|e| panic!("{e:#}"));
    c.start_server();
    c.wait_ready();
    is_back(c, &uid, "2");
    starts(c, 3);
    serves(c);
    c.k("delete pod keeper over --timeout=60s");
    c.k("delete service keeper");
    c.k("delete pvc kept --timeout=30s");
    nothing_is_left(c);
}
