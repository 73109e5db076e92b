//! Volumes of every kind that is served, and what happens to what they hold.

use std::time::Duration;

use minicloud_tests::{Cluster, eventually};

use super::ready;

pub const PODS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: files}
data: {a.txt: "a1\n", b.txt: "b1\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {word: sesame}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: volumes, labels: {colour: red}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {fsGroup: 2000}
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sleep, "1000"]
    volumeMounts:
    - {name: files, mountPath: /files}
    - {name: files, mountPath: /single/a.txt, subPath: a.txt}
    - {name: some, mountPath: /some}
    - {name: hidden, mountPath: /hidden, readOnly: true}
    - {name: all, mountPath: /all}
    - {name: memory, mountPath: /memory}
    - {name: disk, mountPath: /disk}
    - {name: disk, mountPath: /part, subPathExpr: "$(PART)"}
    - {name: host, mountPath: /host}
    - {name: info, mountPath: /info}
    env: [{name: PART, value: inner}]
  - name: other
    image: minicloud.local/busybox:1
    command: [sleep, "1000"]
    volumeMounts: [{name: disk, mountPath: /disk, readOnly: true}]
  volumes:
  - {name: files, configMap: {name: files}}
  - {name: some, configMap: {name: files, items: [{key: b.txt, path: deep/er.txt, mode: 0600}]}}
  - {name: hidden, secret: {secretName: hidden, defaultMode: 0400}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 8Mi}}
  - {name: disk, emptyDir: {}}
  - {name: host, hostPath: {path: @host@/made, type: DirectoryOrCreate}}
  - {name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: name, fieldRef: {fieldPath: metadata.name}}]}}
  - name: all
    projected:
      sources:
      - {configMap: {name: files, items: [{key: a.txt, path: config/a}]}}
      - {secret: {name: hidden}}
      - {downwardAPI: {items: [{path: ns, fieldRef: {fieldPath: metadata.namespace}}]}}
      - {serviceAccountToken: {path: token, audience: elsewhere, expirationSeconds: 600}}
---
apiVersion: v1
kind: Pod
metadata: {name: keeps}
spec: &keeps
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: minicloud.local/busybox:1, command: [sh, -c, "echo $HOSTNAME >> /kept/names; exec sleep 1000"], volumeMounts: [{name: kept, mountPath: /kept}]}
  volumes: [{name: kept, persistentVolumeClaim: {claimName: kept}}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-file}
spec:
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"], volumeMounts: [{name: v, mountPath: /v}]}]
  volumes: [{name: v, hostPath: {path: @host@/nothing, type: File}}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-claim}
spec:
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"], volumeMounts: [{name: v, mountPath: /v}]}]
  volumes: [{name: v, persistentVolumeClaim: {claimName: nothing}}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-kind}
spec:
  containers: [{name: c, image: minicloud.local/busybox:1, command: [sleep, "1000"], volumeMounts: [{name: v, mountPath: /v}]}]
  volumes: [{name: v, nfs: {server: localhost, path: /}}]
"#;

pub fn every_kind_of_volume_is_mounted(c: &Cluster) {
    ready(c, "volumes");
    let check = |script: &str, wanted: &str| {
        let said = c.sh("volumes", script).unwrap_or_else(|e| panic!("{e:#}"));
        assert_eq!(said, wanted, "{script}");
    };
    check("cat /files/* /single/a.txt", "a1\nb1\na1\n");
    check(
        "cat /some/deep/er.txt; stat -Lc %a /some/deep/er.txt; ls /some",
        "b1\n640\ndeep\n",
    );
    check(
        "cat /hidden/word; stat -Lc ' %a %g' /hidden/word",
        "sesame 440 2000\n",
    );
    check(
        "cat /all/config/a /all/word /all/ns; ls /all | sort | tr '\\n' ' '",
        "a1\nsesamedefaultconfig ns token word ",
    );
    check(
        "cut -d . -f 2 /all/token | tr -- '-_' '+/' | base64 -d 2>/dev/null | grep -c '\"elsewhere\"'",
        "1\n",
    );
    check(
        "stat -fc %T /memory; df -m /memory | tail -1 | awk '{print $2}'",
        "tmpfs\n8\n",
    );
    check(
        "echo x > /disk/x; mkdir -p /disk/y; stat -c %g /disk/x; touch /part/z; ls /disk/inner",
        "2000\nz\n",
    );
    check(
        "echo from the pod > /host/file; stat -c %F /host",
        "directory\n",
    );
    check("cat /info/labels /info/name", "colour=\"red\"volumes");
    check(
        "touch /files/x 2>&1; true",
        "touch: /files/x: Read-only file system\n",
    );
    let made = std::fs::read_to_string(c.scratch().join("host/made/file")).unwrap_or_default();
    assert_eq!(made, "from the pod\n");
    assert_eq!(c.k("exec volumes -c other -- cat /disk/x"), "x\n");
    c.refuses(
        "exec volumes -c other -- touch /disk/other",
        1,
        &["Read-only file system"],
    );
}

pub fn claims_keep_their_data(c: &Cluster) {
    ready(c, "keeps");
    c.k("delete pvc kept --wait=false");
    c.says("get pvc kept", &["Terminating"]);
    assert_eq!(
        c.k("exec keeps -- cat /kept/names"),
        "keeps\n",
        "in use, it stays"
    );
    c.k("delete pod keeps");
    c.k("wait --for=delete pvc/kept --timeout=20s");
    eventually(
        "the volume goes with its claim",
        Duration::from_secs(20),
        || {
            let volumes = c.try_k("get pv -o name")?;
            anyhow::ensure!(volumes.is_empty(), "{volumes}");
            Ok(())
        },
    );
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: kept}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}\n";
    c.apply(claim);
    for (n, name) in ["first", "second"].iter().enumerate() {
        let pods = PODS
            .split("\n---\n")
            .find(|m| m.contains("name: keeps}"))
            .unwrap_or_default();
        c.apply(&pods.replace("name: keeps", &format!("name: {name}")));
        ready(c, name);
        let names = c
            .sh(name, "cat /kept/names")
            .unwrap_or_else(|e| panic!("{e:#}"));
        assert_eq!(names, ["first\n", "first\nsecond\n"][n]);
        c.k(&format!("delete pod {name}"));
    }
    c.k("delete pvc kept");
}

pub fn what_cannot_be_mounted_is_told(c: &Cluster) {
    for (pod, said) in [
        ("no-file", "hostPath type check failed"),
        ("no-claim", "persistentvolumeclaim \"nothing\" not found"),
        ("no-kind", "nfs"),
    ] {
        eventually(pod, Duration::from_secs(20), || {
            let events = c.try_k(&format!("describe pod {pod}"))?;
            anyhow::ensure!(events.contains(said), "no {said:?} in {events}");
            Ok(())
        });
        c.k(&format!("delete pod {pod}"));
    }
}

pub fn volumes_follow_their_source(c: &Cluster) {
    c.k("patch configmap files -p '{\"data\":{\"a.txt\":\"a2\\n\",\"c.txt\":\"c\\n\",\"b.txt\":null}}'");
    c.k("patch secret hidden -p '{\"stringData\":{\"word\":\"open\"}}'");
    c.k("label pod volumes colour=blue --overwrite");
    eventually(
        "the volumes are as their sources",
        Duration::from_secs(90),
        || {
            let said = c.sh(
                "volumes",
                "ls /files; cat /files/a.txt /all/config/a /hidden/word /info/labels",
            )?;
            anyhow::ensure!(
                said == "a.txt\nc.txt\na2\na2\nopencolour=\"blue\"",
                "{said:?}"
            );
            Ok(())
        },
    );
    // Another one cannot follow, since what it names is gone; it keeps what it has, and the pod says so.
    assert_eq!(c.k("exec volumes -c c -- cat /some/deep/er.txt"), "b1\n");
    c.says(
        "describe pod volumes",
        &["references non-existent key: b.txt"],
    );
    // A part of a volume is mounted once.
    assert_eq!(c.k("exec volumes -c c -- cat /single/a.txt"), "a1\n");
    c.k("delete pod volumes");
}
