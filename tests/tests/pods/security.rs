//! Security contexts.

use minicloud_tests::Cluster;

use super::{becomes, ready};

pub const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: bounded}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1000, runAsGroup: 1001, fsGroup: 1002, supplementalGroups: [1003], seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sleep, "1000"]
    securityContext:
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      runAsNonRoot: true
      capabilities: {drop: [ALL]}
    volumeMounts: [{name: tmp, mountPath: /tmp}]
  - name: capable
    image: minicloud.local/busybox:1
    command: [sleep, "1000"]
    securityContext: {runAsUser: 0, capabilities: {add: [NET_ADMIN], drop: [CHOWN]}}
  - name: privileged
    image: minicloud.local/busybox:1
    command: [sleep, "1000"]
    securityContext: {runAsUser: 0, privileged: true}
  volumes: [{name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: unbounded}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: root-refused}
spec:
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"], securityContext: {runAsNonRoot: true}}]
---
apiVersion: v1
kind: Pod
metadata: {name: shares}
spec:
  terminationGracePeriodSeconds: 1
  shareProcessNamespace: true
  hostname: named
  subdomain: sub
  hostAliases: [{ip: 192.0.2.7, hostnames: [alias.example]}]
  dnsConfig: {searches: [more.example], options: [{name: ndots, value: "3"}]}
  containers:
  - {name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"]}
  - {name: other, image: minicloud.local/busybox:1, command: [sleep, "2000"]}
"#;

pub fn containers_get_the_rights_they_ask_for_and_no_more(c: &Cluster) {
    ready(c, "bounded");
    ready(c, "unbounded");
    let status = |pod: &str, container: &str, field: &str| {
        let text = c.k(&format!(
            "exec {pod} -c {container} -- grep {field}: /proc/1/status"
        ));
        text.split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned()
    };
    let bounded = |script: &str| c.sh("bounded", script).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(
        bounded("id -u; id -g; id -G"),
        "1000\n1001\n1001 1002 1003\n"
    );
    assert_eq!(
        bounded("touch /x 2>&1; touch /tmp/x && stat -c %g /tmp/x"),
        "touch: /x: Read-only file system\n1002\n"
    );
    assert_eq!(status("bounded", "c", "CapEff"), "0000000000000000");
    assert_eq!(status("bounded", "c", "CapBnd"), "0000000000000000");
    assert_eq!(status("bounded", "c", "NoNewPrivs"), "1");
    assert_eq!(status("bounded", "c", "Seccomp"), "2");
    // The default of containerd, with NET_ADMIN (bit 12), without CHOWN (bit 0).
    assert_eq!(status("unbounded", "c", "CapEff"), "00000000a80425fb");
    assert_eq!(status("bounded", "capable", "CapEff"), "00000000a80435fa");
    let all = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let all = all
        .lines()
        .find_map(|l| l.strip_prefix("CapBnd:\t"))
        .unwrap_or_default()
        .to_owned();
    assert_eq!(status("bounded", "privileged", "CapEff"), all);
    c.k("exec bounded -c privileged -- sh -c 'test -e /dev/kmsg || test -e /dev/loop-control'");
    c.refuses(
        "exec unbounded -- sh -c 'echo x > /proc/sys/kernel/hostname'",
        1,
        &["Read-only file system"],
    );
    becomes(
        c,
        "root-refused",
        "{.status.containerStatuses[0].state.waiting.reason}",
        "CreateContainerConfigError",
    );
    c.says(
        "describe pod root-refused",
        &["container has runAsNonRoot and image will run as root"],
    );
    c.k("delete pod bounded unbounded root-refused");
}

pub fn namespaces_are_shared_when_asked_for(c: &Cluster) {
    ready(c, "shares");
    let said = |script: &str| c.sh("shares", script).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(
        said("hostname; hostname -f"),
        "named\nnamed.sub.default.svc.cluster.local\n"
    );
    assert!(said("ps -o args").contains("sleep 2000"));
    assert!(said("cat /etc/hosts").contains("192.0.2.7\talias.example"));
    let resolv = said("cat /etc/resolv.conf");
    for part in [
        "nameserver 10.43.0.10",
        "default.svc.cluster.local svc.cluster.local cluster.local",
        "more.example",
        "ndots:3",
    ] {
        assert!(resolv.contains(part), "{part}: {resolv}");
    }
    c.k("delete pod shares");
}
