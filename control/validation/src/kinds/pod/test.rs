//! Pods: defaults, what is refused, what may change.

use serde_json::{Value, json};

use super::super::test::{create, created, update, update_status};
use super::{defaults, qos};

/// A pod of one container `a` with these fields, and these fields of the specification.
fn pod(container: Value, spec: Value) -> Value {
    let mut first = json!({"name": "a", "image": "i"});
    merge(&mut first, container);
    let mut whole = json!({"containers": [first]});
    merge(&mut whole, spec);
    json!({"spec": whole})
}

fn merge(into: &mut Value, from: Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}

fn container(fields: Value, expect: &[&str]) {
    create("Pod", pod(fields, json!({})), expect);
}

fn spec(fields: Value, expect: &[&str]) {
    create("Pod", pod(json!({}), fields), expect);
}

#[test]
fn a_bare_pod_gets_all_defaults() {
    let stored = created(
        "Pod",
        pod(
            json!({"ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": 80}}}),
            json!({}),
        ),
    );
    assert_eq!(
        stored,
        json!({
            "metadata": {"name": "a", "namespace": "ns", "generation": 1},
            "spec": {
                "containers": [{
                    "name": "a", "image": "i", "imagePullPolicy": "Always", "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "livenessProbe": {
                        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                        "failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
                    },
                }],
                "dnsPolicy": "ClusterFirst", "enableServiceLinks": true,
                "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {},
                "terminationGracePeriodSeconds": 30,
            },
            "status": {"phase": "Pending", "qosClass": "BestEffort"},
        })
    );
}

#[test]
fn defaults_that_depend() {
    let policy =
        |image: &str, expect: &str| assert_eq!(defaults::pull_policy(image), expect, "{image}");
    policy("a", "Always");
    policy("a:latest", "Always");
    policy("a:1", "IfNotPresent");
    policy("host:5000/a", "Always");
    policy("host:5000/a:1", "IfNotPresent");
    policy("a@sha256:00", "IfNotPresent");
    policy("a:latest@sha256:00", "Always");
    let stored = created(
        "Pod",
        pod(
            json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100u"}}, "ports": [{"containerPort": 80}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            json!({"hostNetwork": true, "serviceAccount": "s", "volumes": [
                {"name": "none"}, {"name": "s", "secret": {"secretName": "x"}}, {"name": "h", "hostPath": {"path": "/"}},
                {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            ]}),
        ),
    );
    let (spec, container) = (&stored["spec"], &stored["spec"]["containers"][0]);
    assert_eq!(
        container["resources"]["requests"],
        json!({"cpu": "1m", "memory": "1Gi"})
    );
    assert_eq!(container["ports"][0]["hostPort"], 80);
    assert_eq!(
        container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"],
        "v1"
    );
    assert_eq!(spec["serviceAccountName"], "s");
    assert_eq!(
        spec["volumes"],
        json!([
            {"name": "none", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
            {"name": "h", "hostPath": {"path": "/", "type": ""}},
            {"name": "p", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
        ])
    );
}

#[test]
fn quality_of_service() {
    let check = |resources: Value, expect: &str| {
        assert_eq!(
            qos::class(&json!({"containers": [{"resources": resources}]})),
            expect
        );
    };
    check(json!({}), "BestEffort");
    check(json!({"limits": {"cpu": "1"}}), "Burstable");
    check(json!({"requests": {"memory": "1"}}), "Burstable");
    check(
        json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
        "Guaranteed",
    );
    check(
        json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}),
        "Guaranteed",
    );
    check(
        json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}),
        "Burstable",
    );
}

#[test]
fn containers() {
    create(
        "Pod",
        json!({"spec": {}}),
        &["spec.containers: Required value"],
    );
    create(
        "Pod",
        json!({"spec": {"containers": [{}, {"name": "A b", "image": " i"}]}}),
        &[
            "spec.containers[0].name: Required value",
            "spec.containers[0].image: Required value",
            "spec.containers[1].name: Invalid value: \"A b\": LABEL",
            "spec.containers[1].image: Invalid value: \" i\": must not have leading or trailing whitespace",
        ],
    );
    container(
        json!({"imagePullPolicy": "x", "terminationMessagePolicy": "y"}),
        &[
            "spec.containers[0].terminationMessagePolicy: Unsupported value: \"y\": supported values: \"File\", \"FallbackToLogsOnError\"",
            "spec.containers[0].imagePullPolicy: Unsupported value: \"x\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ],
    );
    container(
        json!({"ports": [{"name": "a", "containerPort": 1, "hostPort": 1}, {"name": "a", "containerPort": 70000, "hostPort": 1}, {"protocol": "x"}]}),
        &[
            "spec.containers[0].ports[1].name: Duplicate value: \"a\"",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[2].containerPort: Required value",
            "spec.containers[0].ports[2].protocol: Unsupported value: \"x\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//1\"",
        ],
    );
    let init = json!([
        {"name": "a", "image": "i"}, {"name": "b", "image": "i", "restartPolicy": "Always", "readinessProbe": {"exec": {"command": ["x"]}}},
        {"name": "c", "image": "i", "restartPolicy": "Never", "lifecycle": {}},
    ]);
    spec(
        json!({"initContainers": init}),
        &[
            "spec.initContainers[0].name: Duplicate value: \"a\"",
            "spec.initContainers[2].restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            "spec.initContainers[2].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
        ],
    );
    spec(
        json!({"ephemeralContainers": [{"name": "e", "image": "i", "targetContainerName": "x", "ports": [{"containerPort": 1}]}]}),
        &[
            "spec.ephemeralContainers[0].targetContainerName: Not found: \"x\"",
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ],
    );
}

#[test]
fn environment() {
    container(
        json!({"env": [{"name": ""}, {"name": "a=b"}, {"name": "a.b-c", "value": "x"}]}),
        &[
            "spec.containers[0].env[0].name: Required value",
            "spec.containers[0].env[1].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
        ],
    );
    let from = |from: Value, expect: &[&str]| {
        container(json!({"env": [{"name": "A", "valueFrom": from}]}), expect)
    };
    from(
        json!({}),
        &[
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        ],
    );
    from(json!({"fieldRef": {"fieldPath": "status.podIP"}}), &[]);
    from(
        json!({"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}),
        &[],
    );
    from(
        json!({"fieldRef": {"fieldPath": "status.phase"}}),
        &[
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
        ],
    );
    from(
        json!({"fieldRef": {"fieldPath": "x"}}),
        &[
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"x\": error converting fieldPath: field label not supported: x",
        ],
    );
    from(
        json!({"secretKeyRef": {"name": "s", "key": "a b"}, "configMapKeyRef": {"name": "", "key": ""}}),
        &[
            "spec.containers[0].env[0].valueFrom.configMapKeyRef.name: Invalid value: \"\": SUBDOMAIN",
            "spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value",
            "spec.containers[0].env[0].valueFrom.secretKeyRef.key: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
        ],
    );
    from(
        json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1Mi"}}),
        &[
            "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
        ],
    );
    container(
        json!({"envFrom": [{}, {"configMapRef": {"name": ""}}]}),
        &[
            "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            "spec.containers[0].envFrom[1].configMapRef.name: Required value",
        ],
    );
}

#[test]
fn volumes_and_mounts() {
    let volumes = json!([
        {"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}, {"name": "w", "secret": {"defaultMode": 512}, "emptyDir": {}},
        {"name": "h", "hostPath": {"path": "/a/..", "type": "x"}}, {"name": "c", "persistentVolumeClaim": {"claimName": ""}},
    ]);
    spec(
        json!({"volumes": volumes}),
        &[
            "spec.volumes[1].name: Duplicate value: \"v\"",
            "spec.volumes[2].secret: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[3].hostPath.path: Invalid value: \"/a/..\": must not contain '..'",
            "spec.volumes[3].hostPath.type: Unsupported value: \"x\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
            "spec.volumes[4].persistentVolumeClaim.claimName: Required value",
        ],
    );
    let items = json!([{"name": "s", "secret": {"secretName": "s", "defaultMode": 512, "items": [{"key": "", "path": "/a"}, {"key": "k", "path": "..x"}]}}]);
    spec(
        json!({"volumes": items}),
        &[
            "spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
            "spec.volumes[0].secret.items[0].key: Required value",
            "spec.volumes[0].secret.items[0].path: Invalid value: \"/a\": must be a relative path",
            "spec.volumes[0].secret.items[1].path: Invalid value: \"..x\": must not start with '..'",
        ],
    );
    let mounts = json!([{"name": "v", "mountPath": "/a"}, {"name": "x", "mountPath": "/a"}, {"name": "v", "mountPath": "/b", "subPath": "/c"}]);
    create(
        "Pod",
        pod(
            json!({"volumeMounts": mounts}),
            json!({"volumes": [{"name": "v"}]}),
        ),
        &[
            "spec.containers[0].volumeMounts[1].name: Not found: \"x\"",
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            "spec.containers[0].volumeMounts.subPath: Invalid value: \"/c\": must be a relative path",
        ],
    );
    let token = json!([{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 1}}]}}]);
    spec(
        json!({"volumes": token}),
        &[
            "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
            "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
        ],
    );
}

#[test]
fn probes_and_hooks() {
    container(
        json!({"livenessProbe": {"successThreshold": 2, "periodSeconds": -1}, "readinessProbe": {"exec": {}, "tcpSocket": {"port": 1}}}),
        &[
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            "spec.containers[0].readinessProbe.exec.command: Required value",
            "spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ],
    );
    container(
        json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}, "postStart": {"httpGet": {"port": "A_"}}}}),
        &[
            "spec.containers[0].lifecycle.postStart.httpGet.port: Invalid value: \"A_\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
            "spec.containers[0].lifecycle.postStart.httpGet.port: Invalid value: \"A_\": must contain at least one letter (a-z)",
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
        ],
    );
}

#[test]
fn resources() {
    container(
        json!({"resources": {"limits": {"cpu": "1", "gpu": "1", "a.io/gpu": "1"}, "requests": {"cpu": "2", "memory": "-1", "a.io/x": "500m"}}}),
        &[
            "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[a.io/x]: Invalid value: \"500m\": must be an integer",
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
}

#[test]
fn security() {
    container(
        json!({"securityContext": {"runAsUser": -1, "privileged": true, "allowPrivilegeEscalation": false, "seccompProfile": {"type": "Localhost"}}}),
        &[
            "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true,\"runAsUser\":-1,\"seccompProfile\":{\"type\":\"Localhost\"}}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ],
    );
    spec(
        json!({"hostNetwork": true, "securityContext": {"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}, {"name": "A", "value": ""}], "fsGroupChangePolicy": "x"}}),
        &[
            "spec.securityContext.sysctls[0].name: Invalid value: \"net.ipv4.ip_forward\": may not be specified when 'hostNetwork' is true",
            "spec.securityContext.sysctls[1].name: Invalid value: \"A\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            "spec.securityContext.fsGroupChangePolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnRootMismatch\"",
        ],
    );
    create(
        "Pod",
        pod(
            json!({"ports": [{"containerPort": 80, "hostPort": 81}]}),
            json!({"hostNetwork": true}),
        ),
        &[
            "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
        ],
    );
}

#[test]
fn scheduling() {
    spec(
        json!({"tolerations": [{"operator": "Equal"}, {"key": "a", "operator": "Exists", "value": "x", "tolerationSeconds": 1}]}),
        &[
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            "spec.tolerations[1].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            "spec.tolerations[1].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'",
        ],
    );
    let affinity = json!({
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}, {"key": "a", "operator": "x"}]}]}},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "podAffinityTerm": {"topologyKey": "a"}}]},
    });
    spec(
        json!({"affinity": affinity}),
        &[
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].operator: Invalid value: \"x\": not a valid selector operator",
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100",
        ],
    );
    spec(
        json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "x"}]}),
        &[
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"x\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
        ],
    );
    spec(
        json!({"dnsPolicy": "None", "nodeName": "n", "schedulingGates": [{"name": "g"}], "hostname": "A"}),
        &[
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            "spec.hostname: Invalid value: \"A\": LABEL",
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ],
    );
}

#[test]
fn what_may_change() {
    let check = |change: fn(&mut Value), expect: &[&str]| {
        let old = pod(
            json!({}),
            json!({"activeDeadlineSeconds": 10, "tolerations": [{"key": "a", "operator": "Exists"}]}),
        );
        let mut new = created("Pod", old.clone());
        change(&mut new["spec"]);
        update("Pod", old, new, expect)
    };
    check(|_| {}, &[]);
    assert_eq!(
        check(|spec| spec["containers"][0]["image"] = json!("other"), &[])["metadata"]["generation"],
        2
    );
    check(|spec| spec["activeDeadlineSeconds"] = json!(5), &[]);
    check(
        |spec| spec["activeDeadlineSeconds"] = json!(11),
        &[
            "spec.activeDeadlineSeconds: Invalid value: 11: must be less than or equal to previous value",
        ],
    );
    check(
        |spec| spec["tolerations"] = json!([]),
        &[
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ],
    );
    check(
        |spec| {
            spec["containers"] = json!([{"name": "a", "image": "i"}, {"name": "b", "image": "i"}])
        },
        &["spec.containers: Forbidden: pod updates may not add or remove containers"],
    );
    check(
        |spec| spec["nodeName"] = json!("n"),
        &[
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n  spec.nodeName: null -> \"n\"\n",
        ],
    );
}

#[test]
fn status() {
    let old = created("Pod", pod(json!({}), json!({"restartPolicy": "Never"})));
    let mut ended = old.clone();
    ended["status"]["containerStatuses"] =
        json!([{"name": "a", "state": {"terminated": {"exitCode": 1}}}]);
    ended["spec"]["nodeName"] = json!("dropped");
    let ended = update_status("Pod", &old, ended, &[]);
    assert_eq!(ended["spec"].get("nodeName"), None);
    let mut back = ended.clone();
    back["status"] = json!({"phase": "Running", "containerStatuses": [{"name": "a", "state": {"running": {}}}], "podIPs": [{"ip": "x"}], "hostIPs": [{"ip": "10.0.0.1"}]});
    update_status(
        "Pod",
        &ended,
        back,
        &[
            "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
            "status.podIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            "status.hostIPs[0].ip: Invalid value: \"10.0.0.1\": must be equal to `hostIP`",
        ],
    );
}
