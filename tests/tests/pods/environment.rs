//! Environment variables: given, expanded, and from objects.

use minicloud_tests::Cluster;

use super::{becomes, ready};

pub const PODS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: colours}
data: {sky: blue, grass: green, "not.a-name": x}
---
apiVersion: v1
kind: Secret
metadata: {name: words}
stringData: {word: sesame}
---
apiVersion: v1
kind: Service
metadata: {name: db-main}
spec: {selector: {app: none}, ports: [{name: sql, port: 3306}]}
---
apiVersion: v1
kind: Pod
metadata: {name: env, labels: {app: env}, annotations: {note: "hi"}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sh, -c, "echo '$(GREETING) $$(GREETING) $(NOBODY)' \"$@\"; exec sleep 1000", sh]
    args: ["$(WORD)"]
    workingDir: /tmp
    resources: {limits: {memory: 64Mi, cpu: 250m}, requests: {cpu: 100m}}
    envFrom:
    - {prefix: C_, configMapRef: {name: colours}}
    - {configMapRef: {name: nothing, optional: true}}
    - {secretRef: {name: words}}
    env:
    - {name: GREETING, value: "hello $(POD_NAME)"}
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: LATER, value: "from $(POD_NAME)"}
    - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
    - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: ACCOUNT, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: HOST_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: SKY, valueFrom: {configMapKeyRef: {name: colours, key: sky}}}
    - {name: WORD, valueFrom: {secretKeyRef: {name: words, key: word}}}
    - {name: NONE, valueFrom: {secretKeyRef: {name: nothing, key: x, optional: true}}}
---
apiVersion: v1
kind: Pod
metadata: {name: env-waits}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: minicloud.local/busybox:1
    command: [sleep, "1000"]
    env: [{name: LATE, valueFrom: {configMapKeyRef: {name: late, key: a}}}]
"#;

pub fn values_come_from_where_they_are_said_to(c: &Cluster) {
    ready(c, "env");
    let env = c.sh("env", "env; pwd").unwrap_or_else(|e| panic!("{e:#}"));
    let address = c.k("get pod env -o jsonpath='{.status.podIP}'");
    let uid = c.k("get pod env -o jsonpath='{.metadata.uid}'");
    let service = c.k("get service db-main -o jsonpath='{.spec.clusterIP}'");
    for line in [
        "C_sky=blue",
        "C_grass=green",
        "word=sesame",
        "GREETING=hello $(POD_NAME)",
        "LATER=from env",
        "POD_NAMESPACE=default",
        &format!("POD_UID={uid}"),
        "APP=env",
        "NODE=edge-1",
        "ACCOUNT=default",
        &format!("POD_IP={address}"),
        "HOST_IP=10.99.0.1",
        "MEMORY=64",
        "CPU=1",
        "SKY=blue",
        "WORD=sesame",
        "HOSTNAME=env",
        "KUBERNETES_SERVICE_HOST=10.43.0.1",
        "KUBERNETES_SERVICE_PORT=443",
        &format!("DB_MAIN_SERVICE_HOST={service}"),
        "DB_MAIN_SERVICE_PORT_SQL=3306",
        "/tmp",
    ] {
        assert!(env.lines().any(|l| l == line), "no {line:?} in\n{env}");
    }
    assert!(!env.contains("NONE="), "{env}");
    // A variable is known to those after it; a command's are expanded before its shell sees them.
    assert_eq!(
        c.k("logs env"),
        "hello $(POD_NAME) $(GREETING) $(NOBODY) sesame\n"
    );
    c.k("delete pod env");
}

pub fn pods_wait_for_what_they_refer_to(c: &Cluster) {
    becomes(
        c,
        "env-waits",
        "{.status.containerStatuses[0].state.waiting.reason}",
        "CreateContainerConfigError",
    );
    c.says("get pod env-waits", &["CreateContainerConfigError"]);
    c.says("describe pod env-waits", &["configmap \"late\" not found"]);
    c.k("create configmap late --from-literal=a=now");
    ready(c, "env-waits");
    assert_eq!(c.k("exec env-waits -- sh -c 'echo $LATE'"), "now\n");
    c.k("delete pod env-waits");
}
