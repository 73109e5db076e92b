//! Services: TCP and UDP, by cluster address, node port and external address; who is reached and from where.

use std::collections::BTreeSet;
use std::time::Duration;

use minicloud_tests::programs::run;
use minicloud_tests::{Cluster, eventually};

use super::ready;

pub const PODS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 3
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: minicloud.local/busybox:1
        command: [sh, -c, "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho; echo $HOSTNAME $REMOTE_ADDR\\n' > /www/cgi-bin/who; chmod 755 /www/cgi-bin/who; socat UDP-RECVFROM:5000,fork SYSTEM:'read x; echo $HOSTNAME $x' & exec httpd -f -p 8080 -h /www"]
        ports: [{name: http, containerPort: 8080}, {name: udp, containerPort: 5000, protocol: UDP}]
        readinessProbe: {exec: {command: [test, "!", -e, /tmp/not-ready]}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  type: NodePort
  externalIPs: [10.99.0.1]
  selector: {app: echo}
  ports:
  - {name: http, port: 8888, targetPort: http, nodePort: 30888}
  - {name: udp, port: 5000, targetPort: udp, protocol: UDP, nodePort: 30500}
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec:
  sessionAffinity: ClientIP
  selector: {app: echo}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  selector: {app: echo}
  ports: [{port: 80, targetPort: http, nodePort: 30889}]
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: by-hand}
spec: {ports: [{port: 80, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: by-hand, labels: {kubernetes.io/service-name: by-hand}}
addressType: IPv4
endpoints: [{addresses: [10.99.0.1]}]
ports: [{port: 6443, protocol: TCP, name: ""}]
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"]}]
"#;

const PATIENCE: Duration = Duration::from_secs(15);

/// Who answers at a URL's `/cgi-bin/who`: the pod's name, and where it saw the question come from.
fn who(c: &Cluster, from: Option<&str>, host: &str) -> anyhow::Result<(String, String)> {
    let url = format!("http://{host}/cgi-bin/who");
    let said = match from {
        Some(pod) => c.sh(pod, &format!("curl --silent --fail --max-time 5 {url}"))?,
        None => run(c
            .command("curl")
            .args(["--silent", "--fail", "--max-time", "5", &url]))?,
    };
    let mut words = said.split_whitespace().map(str::to_owned);
    match (words.next(), words.next()) {
        (Some(name), Some(address)) => Ok((name, address)),
        _ => anyhow::bail!("{said:?}"),
    }
}

pub fn services_reach_their_pods(c: &Cluster) {
    c.k("rollout status deployment/echo --timeout=60s");
    ready(c, "client");
    let pod = c.k("get pods -l app=echo -o jsonpath='{.items[0].metadata.name}'");
    // From a pod, from one of its own pods (which may get itself), from the machine; by name, node port and external address.
    for (from, host) in [
        (Some("client"), "echo:8888"),
        (Some("client"), "echo.default.svc.cluster.local:8888"),
        (Some("client"), "10.99.0.1:30888"),
        (Some(pod.as_str()), "echo:8888"),
        (None, "127.0.0.1:30888"),
        (None, "10.99.0.1:30888"),
        (None, "10.99.0.1:8888"),
        (Some("client"), "local"),
        (None, "10.99.0.1:30889"),
        (Some("client"), "alias:8888"),
    ] {
        let mut names = BTreeSet::new();
        eventually(
            &format!("all pods by {host} from {from:?}"),
            PATIENCE,
            || {
                names.insert(who(c, from, host)?.0);
                anyhow::ensure!(names.len() == 3, "only {names:?}");
                Ok(())
            },
        );
    }
    // Within the cluster, and from outside by a Service that keeps to its node, the client's own address is seen.
    let client = c.k("get pod client -o jsonpath='{.status.podIP}'");
    let seen = |from: Option<&str>, host: &str| {
        who(c, from, host)
            .map(|w| {
                w.1.trim_matches(['[', ']'])
                    .trim_start_matches("::ffff:")
                    .to_owned()
            })
            .unwrap_or_else(|e| panic!("{e:#}"))
    };
    assert_eq!(seen(Some("client"), "echo:8888"), client);

    let address = c.k("get service echo -o jsonpath='{.spec.clusterIP}'");
    let mut names = BTreeSet::new();
    eventually("UDP", PATIENCE, || {
        let said = c.sh(
            "client",
            &format!("echo ping | timeout 2 socat -t 0.5 - UDP:{address}:5000"),
        )?;
        anyhow::ensure!(said.trim_end().ends_with("ping"), "{said:?}");
        names.insert(said);
        anyhow::ensure!(names.len() == 3, "only {names:?}");
        Ok(())
    });
    // Nobody behind it: refused at once, not a wait.
    let nobody = c.k("get service nobody -o jsonpath='{.spec.clusterIP}'");
    let said = c
        .sh(
            "client",
            &format!("curl --silent --show-error --max-time 5 http://{nobody}/ 2>&1; true"),
        )
        .unwrap_or_default();
    assert!(
        said.contains("refused")
            || said.contains("Could not connect")
            || said.contains("Couldn't connect"),
        "{said}"
    );
    // Endpoints that a person wrote.
    let said = c
        .sh(
            "client",
            "curl --silent --insecure --max-time 5 https://by-hand:80/livez",
        )
        .unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(said, "ok");
}

pub fn only_ready_pods_are_reached(c: &Cluster) {
    let pod = c.k("get pods -l app=echo -o jsonpath='{.items[0].metadata.name}'");
    c.k(&format!("exec {pod} -- touch /tmp/not-ready"));
    c.k(&format!(
        "wait --for=condition=Ready=false pod/{pod} --timeout=20s"
    ));
    eventually("it is no longer reached", PATIENCE, || {
        for _ in 0..12 {
            let (name, _) = who(c, Some("client"), "echo:8888")?;
            anyhow::ensure!(name != pod, "{name} answered");
        }
        Ok(())
    });
    c.says("get deployment echo", &["2/3"]);
    c.k(&format!("exec {pod} -- rm /tmp/not-ready"));
    c.k("rollout status deployment/echo --timeout=20s");
}

pub fn clients_stay_with_their_pod(c: &Cluster) {
    let names: BTreeSet<String> = (0..12)
        .map(|_| {
            who(c, Some("client"), "sticky")
                .unwrap_or_else(|e| panic!("{e:#}"))
                .0
        })
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    c.k("delete deployment/echo pod/client service/echo service/sticky service/local service/nobody service/by-hand");
}
