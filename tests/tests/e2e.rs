//! End to end: the program, in a namespace of its own, used by real clients.

use std::time::Duration;

use minicloud_tests::images::busybox;
use minicloud_tests::programs::run;
use minicloud_tests::{Cluster, eventually};

const WEB: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: "hello from a config map\n"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: minicloud.local/busybox:1
        command: [httpd, -f, -p, "8080", -h, /page]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {port: http, path: /}, periodSeconds: 1}
        resources: {requests: {cpu: 10m, memory: 8Mi}, limits: {memory: 32Mi}}
        volumeMounts: [{name: page, mountPath: /page}]
      volumes: [{name: page, configMap: {name: page}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: http, nodePort: 30081}]
---
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: shell
    image: minicloud.local/busybox:1
    command: [sh, -c, "echo started; exec sleep 100000"]
"#;

/// A page, fetched from the machine itself.
fn fetch(cluster: &Cluster, url: &str) -> anyhow::Result<String> {
    run(cluster
        .command("curl")
        .args(["--silent", "--fail", "--max-time", "3", url]))
}

/// One cluster serves the whole walk: starting one costs more than any step.
#[test]
fn an_application_is_deployed_reached_changed_and_outlives_its_server() {
    let mut cluster = Cluster::start();
    cluster.import(&busybox(cluster.scratch()));
    cluster.apply(WEB);
    cluster.k("rollout status deployment/web --timeout=60s");
    cluster.k("wait --for=condition=Ready pod/shell --timeout=60s");
    eventually("the shell's log", Duration::from_secs(10), || {
        let log = cluster.try_k("logs shell")?;
        anyhow::ensure!(log == "started\n", "{log:?}");
        Ok(())
    });

    let page = "hello from a config map\n";
    let inside = || {
        cluster.try_k(
            "exec shell -- curl --silent --fail --max-time 3 http://web.default.svc.cluster.local/",
        )
    };
    // By node port from the machine, by name and cluster address from a pod.
    for url in ["http://127.0.0.1:30081/", "http://10.99.0.1:30081/"] {
        assert_eq!(
            eventually(url, Duration::from_secs(10), || fetch(&cluster, url)),
            page
        );
    }
    assert_eq!(
        eventually("the Service by name", Duration::from_secs(10), inside),
        page
    );

    // The server dies; the application does not, and neither do names or addresses.
    let before =
        cluster.k("get pods -o jsonpath={.items[*].status.containerStatuses[*].containerID}");
    cluster.kill_server();
    assert_eq!(
        eventually("without a server", Duration::from_secs(5), || fetch(
            &cluster,
            "http://127.0.0.1:30081/"
        )),
        page
    );
    let inside = || {
        let shell = cluster
            .ctr("containers list --quiet labels.\"io.kubernetes.container.name\"==shell")?;
        cluster.ctr(&format!(
            "tasks exec --exec-id without-server {} curl --silent --fail --max-time 3 http://web.default.svc.cluster.local/",
            shell.trim()
        ))
    };
    assert_eq!(
        eventually("names without a server", Duration::from_secs(5), inside),
        page
    );
    cluster.start_server();
    cluster.wait_ready();
    let after =
        cluster.k("get pods -o jsonpath={.items[*].status.containerStatuses[*].containerID}");
    assert_eq!(before, after, "a restart of the server touched containers");

    // A rollout, and back.
    cluster.k("set env deployment/web COLOUR=blue");
    cluster.k("rollout status deployment/web --timeout=60s");
    cluster.k("rollout undo deployment/web");
    cluster.k("rollout status deployment/web --timeout=60s");
    assert_eq!(
        eventually("after the rollout", Duration::from_secs(10), || fetch(
            &cluster,
            "http://127.0.0.1:30081/"
        )),
        page
    );
    cluster.k("scale deployment/web --replicas=1");
    eventually("one pod", Duration::from_secs(30), || {
        let pods = cluster.try_k("get pods -l app=web -o name")?;
        anyhow::ensure!(pods.lines().count() == 1, "{pods}");
        Ok(())
    });

    // What is deleted goes, with all it owned.
    cluster.k("delete deployment/web service/web pod/shell --wait=true --timeout=60s");
    eventually("no pods", Duration::from_secs(30), || {
        let pods = cluster.try_k("get pods -o name")?;
        anyhow::ensure!(pods.is_empty(), "{pods}");
        Ok(())
    });
    let status = run(&mut cluster.minicloud(&["status"])).unwrap_or_else(|e| panic!("{e:#}"));
    assert!(
        status.contains("edge-1") && status.contains("Ready"),
        "{status}"
    );
}
