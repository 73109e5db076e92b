//! What pods and nodes may ask the API, and how a namespace ends.

use std::path::PathBuf;
use std::time::Duration;

use minicloud_tests::programs::run;
use minicloud_tests::{Cluster, eventually};

use super::ready;

pub const PODS: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: asker}
---
apiVersion: v1
kind: Secret
metadata: {name: mounted}
stringData: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: not-mounted}
stringData: {a: b}
---
apiVersion: v1
kind: Pod
metadata: {name: asks}
spec:
  serviceAccountName: asker
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"], volumeMounts: [{name: s, mountPath: /s}]}]
  volumes: [{name: s, secret: {secretName: mounted}}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-token}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"]}]
"#;

pub fn tokens_work_inside_pods(c: &Cluster) {
    ready(c, "asks");
    let ask = |path: &str| {
        let script = format!(
            "cd /var/run/secrets/kubernetes.io/serviceaccount; curl --silent --max-time 5 --cacert ca.crt --header \"Authorization: Bearer $(cat token)\" https://kubernetes.default.svc{path}"
        );
        c.sh("asks", &script)
            .unwrap_or_else(|e| panic!("{path}: {e:#}"))
    };
    let pods = "/api/v1/namespaces/default/pods/asks";
    assert!(
        ask(pods).contains(
            "User \\\"system:serviceaccount:default:asker\\\" cannot get resource \\\"pods\\\""
        ),
        "{}",
        ask(pods)
    );
    c.k("create role asker --verb=get --resource=pods");
    c.k("create rolebinding asker --role=asker --serviceaccount=default:asker");
    eventually("the right is given", Duration::from_secs(5), || {
        let said = ask(pods);
        anyhow::ensure!(said.contains("\"kind\": \"Pod\""), "{said}");
        Ok(())
    });
    assert_eq!(
        c.sh(
            "asks",
            "cat /var/run/secrets/kubernetes.io/serviceaccount/namespace"
        )
        .unwrap_or_default(),
        "default"
    );
    ready(c, "no-token");
    c.refuses(
        "exec no-token -- ls /var/run/secrets/kubernetes.io",
        1,
        &["No such file"],
    );
    // A token is its pod's: it ends with it.
    let token = c
        .sh(
            "asks",
            "cat /var/run/secrets/kubernetes.io/serviceaccount/token",
        )
        .unwrap_or_default();
    c.k("delete pod no-token");
    let with_token = |words: &str| {
        let mut command = c.kubectl(&[
            "--kubeconfig=/dev/null",
            "--server=https://127.0.0.1:6443",
            "--insecure-skip-tls-verify",
            &format!("--token={token}"),
        ]);
        command.args(minicloud_tests::programs::words(words));
        run(&mut command)
    };
    assert!(with_token("get pod asks").is_ok());
    nodes_token(c);
    c.k("delete pod asks");
    let refused = with_token("get pod asks")
        .expect_err("the token outlived its pod")
        .to_string();
    assert!(
        refused.contains("Unauthorized") || refused.contains("must be logged in"),
        "{refused}"
    );
}

/// The node reads what its pods mount, while they are there.
fn nodes_token(c: &Cluster) {
    let node = Node::of(c);
    assert!(node.k(c, "get secret mounted").is_ok());
}

/// Credentials of the node, as its agent has them.
struct Node(PathBuf);

impl Node {
    fn of(c: &Cluster) -> Self {
        let file = c.scratch().join("node.kubeconfig");
        let text = run(&mut c.minicloud(&[
            "kubeconfig",
            "--user",
            "system:node:edge-1",
            "--group",
            "system:nodes",
        ]));
        std::fs::write(&file, text.unwrap_or_else(|e| panic!("{e:#}")))
            .unwrap_or_else(|e| panic!("{e}"));
        Self(file)
    }

    fn k(&self, c: &Cluster, words: &str) -> anyhow::Result<String> {
        run(c.kubectl_line(words).env("KUBECONFIG", &self.0))
    }
}

pub fn nodes_see_only_what_is_their_own(c: &Cluster) {
    let node = Node::of(c);
    for words in [
        "get node edge-1",
        "get pods -A --field-selector=spec.nodeName=edge-1",
        "get services -A",
    ] {
        assert!(node.k(c, words).is_ok(), "{words}");
    }
    for words in [
        "get secret not-mounted",
        "get secrets",
        "get secrets -A",
        "get secret mounted",
        "get configmaps -A",
        "create token asker",
        "delete node edge-1",
        "label node edge-1 node-role.kubernetes.io/control-plane=",
        "taint node edge-1 a=b:NoSchedule",
        "create clusterrolebinding me --clusterrole=cluster-admin --user=system:node:edge-1",
        "create deployment mine --image=x",
        "run mine --image=minicloud.local/busybox:1",
        "delete namespace default",
    ] {
        let refused = node.k(c, words).map_or_else(
            |e| e.to_string(),
            |said| panic!("{words} was carried out: {said}"),
        );
        assert!(refused.contains("orbidden"), "{words}: {refused}");
    }
}

pub fn namespaces_end_with_all_they_hold(c: &Cluster) {
    c.k("create namespace ending");
    c.k("create deployment web -n ending --image=minicloud.local/busybox:1 -- sh -c 'trap exit TERM; sleep 1000 & wait'");
    c.k("create configmap held -n ending");
    c.k("create service clusterip web -n ending --tcp=80");
    c.k("create role r -n ending --verb=get --resource=pods");
    c.k("rollout status deployment/web -n ending --timeout=30s");
    c.k("patch configmap held -n ending --type=merge -p '{\"metadata\":{\"finalizers\":[\"test.minicloud.io/hold\"]}}'");
    c.k("delete namespace ending --wait=false");
    c.says("get namespace ending", &["Terminating"]);
    c.refuses(
        "create configmap late -n ending",
        1,
        &["because it is being terminated"],
    );
    eventually("it says what holds it", Duration::from_secs(30), || {
        let said = c.try_k("get namespace ending -o jsonpath='{.status.conditions[*].message}'")?;
        anyhow::ensure!(
            said.contains("test.minicloud.io/hold in 1 resource instances"),
            "{said}"
        );
        Ok(())
    });
    c.k("patch configmap held -n ending --type=merge -p '{\"metadata\":{\"finalizers\":null}}'");
    c.k("wait --for=delete namespace/ending --timeout=60s");
    for kind in [
        "pods",
        "deployments",
        "replicasets",
        "configmaps",
        "services",
        "endpointslices",
        "roles",
        "serviceaccounts",
        "events",
    ] {
        assert_eq!(c.k(&format!("get {kind} -n ending -o name")), "", "{kind}");
    }
    c.refuses(
        "delete namespace kube-system",
        1,
        &["this namespace may not be deleted"],
    );
}
