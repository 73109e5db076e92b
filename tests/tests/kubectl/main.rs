//! kubectl, unmodified, against the program: what a person does in a terminal, and what comes back.
//!
//! One cluster serves the whole walk, since starting one costs more than any step. A step has a file of its own, says in its
//! name what it shows, and leaves the objects of [`APPLICATION`] as it found them.

mod access;
mod changing;
mod explain;
mod nodes;
mod reading;
mod rollouts;
mod streams;

use minicloud_tests::images::busybox;
use minicloud_tests::walk::Step;
use minicloud_tests::{Cluster, walk};

/// What most steps look at: two web servers behind a Service, and a pod with two containers and a volume.
const APPLICATION: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: "hello from a config map\n"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
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
        command: [sh, -c, "echo serving; exec httpd -f -p 8080 -h /page"]
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
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: shell, labels: {app: shell}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: shell
    image: minicloud.local/busybox:1
    command: [sh, -c, "n=0; while true; do echo tick $n; n=$((n+1)); sleep 0.5; done"]
    volumeMounts: [{name: data, mountPath: /data}]
  - name: second
    image: minicloud.local/busybox:1
    command: [sh, -c, "echo second; exec sleep 100000"]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"#;

#[test]
fn kubectl_works_unmodified() {
    let cluster = Cluster::start();
    cluster.import(&busybox(cluster.scratch()));
    let applied = cluster.apply(APPLICATION);
    assert!(applied.contains("deployment.apps/web created"), "{applied}");
    cluster.says(
        "rollout status deployment/web --timeout=60s",
        &["successfully rolled out"],
    );
    cluster.says(
        "wait --for=condition=Ready pod/shell --timeout=60s",
        &["pod/shell condition met"],
    );
    let steps: &[Step] = &[
        ("get", reading::objects_are_shown_in_every_format),
        ("get -w", reading::changes_are_watched),
        ("describe", reading::every_kind_is_described),
        ("explain", explain::the_api_is_explained),
        ("create", changing::objects_are_created),
        ("apply", changing::manifests_are_applied_and_compared),
        ("patch", changing::objects_are_patched_and_edited),
        ("delete", changing::objects_are_deleted),
        ("logs", streams::logs_are_read),
        ("exec", streams::commands_run_in_containers),
        ("attach", streams::pods_are_run_and_attached_to),
        ("cp", streams::files_are_copied_both_ways),
        ("port-forward", streams::ports_are_forwarded),
        ("rollout", rollouts::deployments_are_rolled_out_and_back),
        ("set", rollouts::deployments_are_set_scaled_and_exposed),
        ("auth", access::rights_are_told_and_kept),
        ("drain", nodes::nodes_are_cordoned_tainted_and_drained),
    ];
    walk(&cluster, steps);
}
