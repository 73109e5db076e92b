//! Names, and the host's own network.

use minicloud_tests::programs::run;
use minicloud_tests::{Cluster, eventually};

use super::ready;

pub const PODS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, selector: {app: peer}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: echo.default.svc.cluster.local}
---
apiVersion: v1
kind: Pod
metadata: {name: peer-1, labels: {app: peer}}
spec:
  hostname: one
  subdomain: peers
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [httpd, -f, -p, "8080", -h, /etc]}]
---
apiVersion: v1
kind: Pod
metadata: {name: peer-2, labels: {app: peer}}
spec:
  hostname: two
  subdomain: peers
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [httpd, -f, -p, "8080", -h, /etc]}]
---
apiVersion: v1
kind: Pod
metadata: {name: on-host}
spec:
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [httpd, -f, -p, "8099", -h, /etc], ports: [{containerPort: 8099}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: host-port}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [httpd, -f, -p, "8080", -h, /etc], ports: [{containerPort: 8080, hostPort: 8098}]}]
"#;

pub fn names_are_resolved(c: &Cluster) {
    for pod in ["peer-1", "peer-2", "on-host"] {
        ready(c, pod);
    }
    let address = |pod: &str| c.k(&format!("get pod {pod} -o jsonpath='{{.status.podIP}}'"));
    let (one, two) = (address("peer-1"), address("peer-2"));
    // By the C library of the machine, as curl in the image uses it.
    let asks = |from: &str, name: &str| {
        let script = format!(
            "curl --silent --fail --max-time 5 --output /dev/null --write-out %{{remote_ip}} http://{name}:8080/passwd"
        );
        c.sh(from, &script)
    };
    let patience = std::time::Duration::from_secs(10);
    for name in [
        "one.peers",
        "one.peers.default",
        "one.peers.default.svc.cluster.local",
        "one.peers.default.svc.cluster.local.",
    ] {
        let found = eventually(name, patience, || asks("peer-2", name));
        assert_eq!(found, one, "{name}");
    }
    let found = eventually("one of two", patience, || asks("peer-1", "peers"));
    assert!(found == one || found == two, "{found}");
    let lookup = |name: &str| {
        c.sh("peer-1", &format!("nslookup {name} 10.43.0.10"))
            .unwrap_or_else(|e| e.to_string())
    };
    let both = lookup("peers.default.svc.cluster.local");
    assert!(both.contains(&one) && both.contains(&two), "{both}");
    assert!(lookup("alias.default.svc.cluster.local").contains("echo.default.svc.cluster.local"));
    let service = lookup("-type=srv _http._tcp.peers.default.svc.cluster.local");
    assert!(
        service.contains("8080 one.peers.default.svc.cluster.local"),
        "{service}"
    );
    let reverse = lookup(&format!("-type=ptr {}", "1.0.43.10.in-addr.arpa"));
    assert!(
        reverse.contains("kubernetes.default.svc.cluster.local"),
        "{reverse}"
    );
    assert!(lookup("nothing.default.svc.cluster.local").contains("NXDOMAIN"));
    // From the host's network with the cluster's names, by its policy.
    assert_eq!(
        asks("on-host", "one.peers.default").unwrap_or_else(|e| panic!("{e:#}")),
        one
    );
    c.k("delete pod peer-1 peer-2");
}

pub fn the_hosts_network_and_ports_are_used(c: &Cluster) {
    ready(c, "on-host");
    ready(c, "host-port");
    assert_eq!(
        c.k("get pod on-host -o jsonpath='{.status.podIP} {.status.hostIP}'"),
        "10.99.0.1 10.99.0.1"
    );
    for port in [8099, 8098] {
        let url = format!("http://10.99.0.1:{port}/passwd");
        let page = run(c
            .command("curl")
            .args(["--silent", "--fail", "--max-time", "5", &url]));
        assert!(page.is_ok_and(|p| p.contains("root:x:0:0")), "{url}");
    }
    c.k("delete pod on-host host-port");
    let gone = run(c.command("curl").args([
        "--silent",
        "--fail",
        "--max-time",
        "5",
        "http://10.99.0.1:8098/passwd",
    ]));
    assert!(gone.is_err(), "the port of a pod that is gone answers");
}
