//! Tables of what each kind says to good and bad objects, and what holds for all of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::rules;

pub(super) const ALL: [(&str, &str, &str); 32] = [
    ("", "v1", "Pod"),
    ("", "v1", "Binding"),
    ("", "v1", "Namespace"),
    ("", "v1", "Node"),
    ("", "v1", "Service"),
    ("", "v1", "Endpoints"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Secret"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Event"),
    ("events.k8s.io", "v1", "Event"),
    ("", "v1", "PersistentVolume"),
    ("", "v1", "PersistentVolumeClaim"),
    ("storage.k8s.io", "v1", "StorageClass"),
    ("discovery.k8s.io", "v1", "EndpointSlice"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "ReplicaSet"),
    ("autoscaling", "v1", "Scale"),
    ("coordination.k8s.io", "v1", "Lease"),
    ("rbac.authorization.k8s.io", "v1", "Role"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"),
    ("authentication.k8s.io", "v1", "TokenReview"),
    ("authentication.k8s.io", "v1", "TokenRequest"),
    ("authentication.k8s.io", "v1", "SelfSubjectReview"),
    ("authorization.k8s.io", "v1", "SubjectAccessReview"),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "v1", "LocalSubjectAccessReview"),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview"),
    ("policy", "v1", "Eviction"),
    ("", "v1", "DeleteOptions"),
];

fn found(kind: &str) -> &'static dyn super::KindRules {
    let (group, version, kind) = ALL
        .iter()
        .find(|(_, _, k)| *k == kind)
        .copied()
        .unwrap_or(("", "", ""));
    rules(group, version, kind).unwrap()
}

/// Metadata is given unless the object brings its own.
fn object(mut value: Value, kind: &str) -> Value {
    if value.get("metadata").is_none() && kind != "DeleteOptions" {
        let cluster = [
            "Namespace",
            "Node",
            "PersistentVolume",
            "StorageClass",
            "ClusterRole",
            "ClusterRoleBinding",
        ];
        value["metadata"] = if cluster.contains(&kind) {
            json!({"name": "a"})
        } else {
            json!({"name": "a", "namespace": "ns"})
        };
    }
    value
}

/// The object as it would be stored.
pub(super) fn created(kind: &str, value: Value) -> Value {
    let rules = found(kind);
    let decoded = rules.decode(object(value, kind)).unwrap();
    assert_eq!(decoded.unknown, Vec::<String>::new());
    let mut value = decoded.value;
    rules.default(&mut value);
    rules.prepare_create(&mut value);
    value
}

fn shown(errors: super::ErrorList) -> Vec<String> {
    errors.iter().map(|e| shorten(&e.to_string())).collect()
}

/// Regular expressions are long and alike; the tables leave them out.
fn shorten(text: &str) -> String {
    let text = text.split(" (e.g. '").next().unwrap_or(text);
    text.replace("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character", "LABEL")
        .replace("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character", "SUBDOMAIN")
        .replace("name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", "QUALIFIED")
        .replace("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", "VALUE")
}

/// Creates and compares the complaints.
pub(super) fn create(kind: &str, value: Value, expect: &[&str]) {
    let value = created(kind, value);
    let errors = shown(found(kind).validate(&value));
    assert_eq!(errors, expect, "{value:#}");
}

/// Creates both, updates the first to the second, and compares the complaints.
pub(super) fn update(kind: &str, old: Value, new: Value, expect: &[&str]) -> Value {
    let rules = found(kind);
    let old = created(kind, old);
    let mut new = rules.decode(object(new, kind)).unwrap().value;
    rules.default(&mut new);
    rules.prepare_update(&mut new, &old);
    let errors = shown(rules.validate_update(&new, &old));
    assert_eq!(errors, expect, "{new:#}");
    new
}

/// The same for an update of status; both objects are taken as stored.
pub(super) fn update_status(kind: &str, old: &Value, mut new: Value, expect: &[&str]) -> Value {
    let rules = found(kind);
    rules.prepare_status_update(&mut new, old);
    let errors = shown(rules.validate_status_update(&new, old));
    assert_eq!(errors, expect, "{new:#}");
    new
}

#[test]
fn metadata() {
    let check = |metadata: Value, expect: &[&str]| {
        create("ConfigMap", json!({"metadata": metadata}), expect)
    };
    check(json!({"name": "a", "namespace": "ns"}), &[]);
    check(
        json!({"namespace": "ns"}),
        &["metadata.name: Required value: name or generateName is required"],
    );
    check(
        json!({"name": "a"}),
        &["metadata.namespace: Required value"],
    );
    check(
        json!({"name": "A_", "namespace": "ns"}),
        &["metadata.name: Invalid value: \"A_\": SUBDOMAIN"],
    );
    check(
        json!({"name": "a", "generateName": "a-", "namespace": "ns"}),
        &[],
    );
    check(
        json!({"name": "a", "namespace": "ns", "labels": {"-a": "b c"}}),
        &[
            "metadata.labels: Invalid value: \"-a\": QUALIFIED",
            "metadata.labels: Invalid value: \"b c\": VALUE",
        ],
    );
    check(
        json!({"name": "a", "namespace": "ns", "annotations": {"A.Io/B": "x", "a": "b".repeat(262_144)}}),
        &["metadata.annotations: Too long: may not be more than 262144 bytes"],
    );
    check(
        json!({"name": "a", "namespace": "ns", "finalizers": ["mine", "a.io/b", "orphan", "foregroundDeletion"]}),
        &[
            "metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified",
            "metadata.finalizers: Invalid value: [\"mine\",\"a.io/b\",\"orphan\",\"foregroundDeletion\"]: finalizer foregroundDeletion and orphan cannot be both set",
        ],
    );
    check(
        json!({"name": "a", "namespace": "ns", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod"}]}),
        &[
            "metadata.ownerReferences.name: Invalid value: \"\": must not be empty",
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ],
    );
    create(
        "Namespace",
        json!({"metadata": {"name": "a", "namespace": "ns"}}),
        &["metadata.namespace: Forbidden: not allowed on this type"],
    );
}

#[test]
fn metadata_that_may_not_change() {
    update(
        "ConfigMap",
        json!({"metadata": {"name": "a", "namespace": "ns", "uid": "1"}}),
        json!({"metadata": {"name": "b", "namespace": "ns", "uid": "2", "creationTimestamp": "2020-01-01T00:00:00Z"}}),
        &[
            "metadata.name: Invalid value: \"b\": field is immutable",
            "metadata.uid: Invalid value: \"2\": field is immutable",
        ],
    );
    update(
        "ConfigMap",
        json!({"metadata": {"name": "a", "namespace": "ns", "deletionTimestamp": "2020-01-01T00:00:00Z", "finalizers": ["a.io/b"]}}),
        json!({"metadata": {"name": "a", "namespace": "ns", "finalizers": ["a.io/b", "a.io/c"]}}),
        &[
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"a.io/c\"}",
        ],
    );
    update(
        "Lease",
        json!({}),
        json!({"metadata": {"name": "a", "namespace": "ns"}}),
        &["metadata.resourceVersion: Invalid value: \"\": must be specified for an update"],
    );
}

#[test]
fn config_maps_and_secrets() {
    create(
        "ConfigMap",
        json!({"data": {"a": "b", "..c": ""}, "binaryData": {"a": "Zg=="}}),
        &[
            "data[..c]: Invalid value: \"..c\": must not start with '..'",
            "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
        ],
    );
    create(
        "ConfigMap",
        json!({"data": {"a": "b".repeat((1 << 20) + 1)}}),
        &["<nil>: Too long: may not be more than 1048576 bytes"],
    );
    update(
        "ConfigMap",
        json!({"immutable": true, "data": {"a": "b"}}),
        json!({"data": {"a": "c"}}),
        &[
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ],
    );
    let secret = created(
        "Secret",
        json!({"stringData": {"a": "new"}, "data": {"a": "b2xk", "b": "Yg=="}}),
    );
    assert_eq!(secret["data"], json!({"a": "bmV3", "b": "Yg=="}));
    assert_eq!(
        (secret.get("stringData"), &secret["type"]),
        (None, &json!("Opaque"))
    );
    create(
        "Secret",
        json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
        &["data[tls.key]: Required value"],
    );
    create(
        "Secret",
        json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}),
        &[],
    );
    create(
        "Secret",
        json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "Zg=="}}),
        &[
            "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": EOF while parsing a value at line 1 column 1",
        ],
    );
    update(
        "Secret",
        json!({}),
        json!({"type": "a"}),
        &["type: Invalid value: \"a\": field is immutable"],
    );
}

#[test]
fn workloads() {
    let template = |labels: Value| json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
    let good = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template(json!({"a": "b"}))}});
    let stored = created("Deployment", good.clone());
    assert_eq!(
        stored["spec"]["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(stored["metadata"]["generation"], 1);
    assert_eq!(stored["status"], json!({}));
    create("Deployment", good.clone(), &[]);
    create("ReplicaSet", good.clone(), &[]);
    let mut other = good.clone();
    other["spec"]["template"] = template(json!({"a": "c"}));
    create(
        "ReplicaSet",
        other.clone(),
        &[
            "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`",
        ],
    );
    other["spec"]["selector"] = json!({"matchLabels": {"a": "c"}});
    update(
        "Deployment",
        good.clone(),
        other,
        &["spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable"],
    );
    let mut bad = good.clone();
    bad["spec"]["replicas"] = json!(-1);
    bad["spec"]["selector"] = json!({});
    bad["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}});
    bad["spec"]["minReadySeconds"] = json!(600);
    bad["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    create(
        "Deployment",
        bad,
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
        ],
    );
    let mut scaled = good.clone();
    scaled["spec"]["replicas"] = json!(3);
    assert_eq!(
        update("Deployment", good.clone(), scaled, &[])["metadata"]["generation"],
        2
    );
    assert_eq!(
        update("Deployment", good.clone(), good, &[])["metadata"]["generation"],
        1
    );
    create(
        "Scale",
        json!({"spec": {"replicas": -1}}),
        &["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    );
}

#[test]
fn services() {
    let port = json!([{"port": 80}]);
    let stored = created(
        "Service",
        json!({"spec": {"ports": port, "clusterIP": "10.43.0.7"}}),
    );
    assert_eq!(
        stored["spec"],
        json!({
            "clusterIP": "10.43.0.7", "clusterIPs": ["10.43.0.7"], "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "type": "ClusterIP",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        })
    );
    create("Service", json!({"spec": {"ports": port}}), &[]);
    create("Service", json!({"spec": {"clusterIP": "None"}}), &[]);
    create(
        "Service",
        json!({"spec": {}}),
        &["spec.ports: Required value"],
    );
    create(
        "Service",
        json!({"spec": {"type": "ExternalName"}}),
        &["spec.externalName: Required value"],
    );
    create(
        "Service",
        json!({"spec": {"ports": [{"port": 0}, {"name": "A", "port": 80, "nodePort": 30080}]}}),
        &[
            "spec.ports[0].name: Required value",
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[1].name: Invalid value: \"A\": LABEL",
            "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ],
    );
    create(
        "Service",
        json!({"spec": {"ports": port, "externalIPs": ["127.0.0.1"], "clusterIP": "x"}}),
        &[
            "spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ],
    );
    let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.43.0.7", "ports": [{"port": 80, "nodePort": 30080}]}});
    let kept = update(
        "Service",
        old.clone(),
        json!({"spec": {"type": "NodePort", "ports": port}}),
        &[],
    );
    assert_eq!(
        (
            &kept["spec"]["clusterIP"],
            &kept["spec"]["ports"][0]["nodePort"]
        ),
        (&json!("10.43.0.7"), &json!(30080))
    );
    let mut plain = old.clone();
    plain["spec"]["type"] = json!("ClusterIP");
    assert_eq!(
        update("Service", old.clone(), plain, &[])["spec"]["ports"][0].get("nodePort"),
        None
    );
    let moved = json!({"spec": {"type": "NodePort", "clusterIP": "10.43.0.8", "ports": port}});
    update(
        "Service",
        old.clone(),
        moved,
        &["spec.clusterIPs[0]: Invalid value: [\"10.43.0.8\"]: may not change once set"],
    );
    let errors = super::check_node_ports(&old, None, &(31000..=32767));
    assert_eq!(
        errors.to_string(),
        "spec.ports[0].nodePort: Invalid value: 30080: provided port is not in the valid range. The range of valid ports is 31000-32767"
    );
    assert!(super::check_node_ports(&old, Some(&old), &(31000..=32767)).is_empty());
}

#[test]
fn namespaces_and_nodes() {
    let stored = created("Namespace", json!({}));
    assert_eq!(stored["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(
        stored["metadata"]["labels"],
        json!({"kubernetes.io/metadata.name": "a"})
    );
    let terminating = json!({"metadata": {"name": "a"}, "status": {"phase": "Terminating"}});
    update_status(
        "Namespace",
        &stored,
        terminating,
        &[
            "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty",
        ],
    );
    let node = json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}, {"key": "-", "effect": "x"}]},
        "status": {"capacity": {"cpu": "2", "pods": "1500m"}}});
    create(
        "Node",
        node,
        &[
            "metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: taints must be unique by key and effect pair",
            "metadata.taints[2].key: Invalid value: \"-\": QUALIFIED",
            "metadata.taints[2].effect: Unsupported value: \"x\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
            "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
            "status.allocatable.pods: Invalid value: \"1500m\": must be an integer",
        ],
    );
    let old = json!({"spec": {"podCIDR": "10.42.0.0/24"}});
    update(
        "Node",
        old,
        json!({"spec": {"podCIDR": "10.42.1.0/24"}}),
        &[
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
        ],
    );
}

#[test]
fn volumes_and_claims() {
    let claim = |size: &str| json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}});
    create("PersistentVolumeClaim", claim("1Gi"), &[]);
    create(
        "PersistentVolumeClaim",
        json!({"spec": {"accessModes": ["x"]}}),
        &[
            "spec.accessModes: Unsupported value: \"x\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            "spec.resources[storage]: Required value",
        ],
    );
    update(
        "PersistentVolumeClaim",
        claim("1Gi"),
        claim("2Gi"),
        &[
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ],
    );
    let mut bound = claim("1Gi");
    bound["spec"]["volumeName"] = json!("v");
    update("PersistentVolumeClaim", claim("1Gi"), bound, &[]);
    let volume = json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/a"}}});
    create("PersistentVolume", volume.clone(), &[]);
    let mut moved = volume.clone();
    moved["spec"]["hostPath"]["path"] = json!("/b");
    update(
        "PersistentVolume",
        volume,
        moved,
        &[
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation",
        ],
    );
    create(
        "PersistentVolume",
        json!({"spec": {"local": {"path": "/a/../b"}}}),
        &[
            "spec.accessModes: Required value",
            "spec.capacity: Required value",
            "spec.local.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ],
    );
    create("StorageClass", json!({"provisioner": "a/b"}), &[]);
    create(
        "StorageClass",
        json!({"volumeBindingMode": "x"}),
        &[
            "provisioner: Required value",
            "volumeBindingMode: Unsupported value: \"x\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
        ],
    );
    update(
        "StorageClass",
        json!({"provisioner": "a"}),
        json!({"provisioner": "b"}),
        &["provisioner: Forbidden: updates to provisioner are forbidden."],
    );
}

#[test]
fn endpoints_and_slices() {
    create(
        "Endpoints",
        json!({"subsets": [{"addresses": [{"ip": "169.254.0.1"}], "ports": [{"port": 1}, {"port": 2}]}, {}]}),
        &[
            "subsets[0].addresses[0].ip: Invalid value: \"169.254.0.1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)",
            "subsets[0].ports[0].name: Required value",
            "subsets[0].ports[1].name: Required value",
            "subsets[1]: Required value: must specify `addresses` or `notReadyAddresses`",
        ],
    );
    create(
        "EndpointSlice",
        json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}),
        &[],
    );
    create(
        "EndpointSlice",
        json!({"addressType": "IPv4", "endpoints": [{"addresses": ["::1"]}, {}], "ports": [{}, {}]}),
        &[
            "endpoints[0].addresses[0]: Invalid value: \"::1\": must be a valid IPv4 address",
            "endpoints[1].addresses: Required value: must contain at least 1 address",
            "ports[1].name: Duplicate value: \"\"",
        ],
    );
    update(
        "EndpointSlice",
        json!({"addressType": "IPv4"}),
        json!({"addressType": "IPv6"}),
        &["addressType: Invalid value: \"IPv6\": field is immutable"],
    );
}

#[test]
fn roles_and_bindings() {
    create(
        "Role",
        json!({"metadata": {"name": "a:b", "namespace": "ns"}, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}, {}]}),
        &[
            "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            "rules[1].verbs: Required value: verbs must contain at least one value",
            "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[1].resources: Required value: resource rules must supply at least one resource",
        ],
    );
    let binding = |name: &str| json!({"roleRef": {"kind": "ClusterRole", "name": name}, "subjects": [{"kind": "User", "name": "u"}]});
    assert_eq!(
        created("RoleBinding", binding("a"))["subjects"][0]["apiGroup"],
        "rbac.authorization.k8s.io"
    );
    update(
        "ClusterRoleBinding",
        binding("a"),
        binding("b"),
        &[
            "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"b\"}: cannot change roleRef",
        ],
    );
    create(
        "ClusterRoleBinding",
        json!({"roleRef": {"kind": "Role", "name": "a"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}, {"kind": "x"}]}),
        &[
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
            "subjects[0].namespace: Required value",
            "subjects[1].name: Required value",
            "subjects[1].kind: Unsupported value: \"x\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
        ],
    );
}

#[test]
fn the_rest() {
    create("Event", json!({"involvedObject": {"namespace": "ns"}}), &[]);
    create(
        "Event",
        json!({"involvedObject": {"namespace": "x"}}),
        &["involvedObject.namespace: Invalid value: \"x\": does not match event.namespace"],
    );
    create(
        "Binding",
        json!({"target": {"kind": "Pod"}}),
        &[
            "target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\"",
            "target.name: Required value",
        ],
    );
    create(
        "Lease",
        json!({"spec": {"leaseDurationSeconds": 0}}),
        &["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
    );
    create(
        "TokenRequest",
        json!({"spec": {"audiences": [], "expirationSeconds": 1}}),
        &[
            "spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
        ],
    );
    create(
        "SubjectAccessReview",
        json!({"metadata": {}, "spec": {}}),
        &[
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            "spec.user: Invalid value: \"\": at least one of user or group must be specified",
        ],
    );
    create(
        "DeleteOptions",
        json!({"propagationPolicy": "x"}),
        &[
            "propagationPolicy: Unsupported value: \"x\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
        ],
    );
}

#[test]
fn every_kind_has_a_shape() {
    for (group, version, kind) in ALL {
        let shape = rules(group, version, kind).unwrap().shape();
        assert_eq!(shape.name, kind);
        assert!(shape.fields().len() > 1, "{kind}");
    }
}

/// Values with the names and texts that mean something, so that they get past the first checks.
fn json_like() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 28] = [
        "metadata",
        "name",
        "namespace",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "spec",
        "status",
        "template",
        "containers",
        "initContainers",
        "volumes",
        "env",
        "ports",
        "resources",
        "limits",
        "requests",
        "selector",
        "matchLabels",
        "securityContext",
        "livenessProbe",
        "httpGet",
        "subsets",
        "rules",
        "data",
        "type",
        "strategy",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..80).prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "a",
            "25%",
            "1Gi",
            "Always",
            "LoadBalancer",
            "é",
            "2020-01-01T00:00:00Z",
            "-1",
            "10.0.0.1"
        ])
        .prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((prop::sample::select(NAMES.to_vec()), inner), 0..6).prop_map(
                |entries| Value::Object(
                    entries
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect()
                )
            ),
        ]
    })
}

proptest! {
    /// Whether or not it decodes, nothing panics, defaulting is idempotent and stored objects decode to themselves.
    #[test]
    fn nothing_panics(mut a in json_like(), b in json_like(), kind in prop::sample::select(ALL.to_vec())) {
        let rules = rules(kind.0, kind.1, kind.2).unwrap();
        for mut raw in [a.clone(), b.clone()] {
            rules.default(&mut raw);
            rules.prepare_create(&mut raw);
            rules.validate(&raw);
            rules.prepare_update(&mut raw, &b);
            rules.validate_update(&raw, &b);
            rules.prepare_status_update(&mut raw, &b);
            rules.validate_status_update(&raw, &b);
        }
        if let Ok(decoded) = rules.decode(std::mem::take(&mut a)) {
            let mut value = decoded.value;
            rules.default(&mut value);
            rules.prepare_create(&mut value);
            let once = value.clone();
            rules.default(&mut value);
            prop_assert_eq!(&once, &value);
            if let Ok(again) = rules.decode(value) {
                prop_assert_eq!(again.unknown, Vec::<String>::new());
            }
        }
    }
}
