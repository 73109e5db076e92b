//! Tables of what each kind says to good and bad objects, and what holds for all of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::rules;

mod tables;

pub(super) const ALL: [(&str, &str, &str); 33] = [
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
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
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
fn every_kind_has_a_shape() {
    for (group, version, kind) in ALL {
        let shape = rules(group, version, kind).unwrap().shape();
        assert_eq!(shape.name, kind);
        assert!(shape.fields().len() > 1, "{kind}");
        no_maps_of_structures(shape, 0);
    }
}

/// The decoder does not name the keys of such maps.
fn no_maps_of_structures(shape: &'static crate::schema::Struct, depth: usize) {
    use crate::schema::Ty;
    for (name, ty) in shape.fields() {
        match ty {
            Ty::Struct(inner) if depth < 12 => no_maps_of_structures(inner, depth + 1),
            Ty::List(item) => match &**item {
                Ty::Struct(inner) if depth < 12 => no_maps_of_structures(inner, depth + 1),
                _ => {}
            },
            Ty::Map(item) => assert!(!matches!(**item, Ty::Struct(_)), "{}.{name}", shape.name),
            _ => {}
        }
    }
}

/// A request of a few megabytes holds lists this long. What looks at every pair would run into the test's deadline.
#[test]
fn long_lists_cost_little() {
    const LENGTH: usize = 8_000;
    let list = |item: fn(usize) -> Value| Value::Array((0..LENGTH).map(item).collect());
    let named = list(|i| json!({"name": format!("n{i}")}));
    let metadata = json!({"name": "a", "namespace": "ns", "finalizers": list(|i| json!(format!("a/f{i}"))),
        "ownerReferences": list(|i| json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": format!("u{i}"), "controller": true}))});
    let pod = json!({"metadata": metadata, "spec": {
        "containers": [{"name": "a", "image": "i", "ports": list(|i| json!({"containerPort": i, "hostPort": i, "name": format!("p{i}")})),
            "volumeMounts": list(|i| json!({"name": format!("n{i}"), "mountPath": format!("/{i}")})),
            "volumeDevices": list(|i| json!({"name": format!("d{i}"), "devicePath": format!("/d{i}")})),
            "resources": {"claims": named}}],
        "initContainers": named, "ephemeralContainers": named, "resourceClaims": named, "schedulingGates": named,
        "volumes": list(|i| json!({"name": format!("n{i}"), "persistentVolumeClaim": {"claimName": format!("c{i}")}})),
        "tolerations": list(|i| json!({"key": format!("k{i}"), "operator": "Exists"})),
        "topologySpreadConstraints": list(|i| json!({"maxSkew": 1, "topologyKey": format!("k{i}"), "whenUnsatisfiable": "DoNotSchedule"})),
    }});
    let stored = created("Pod", pod);
    let rules = found("Pod");
    let errors = rules.validate(&stored);
    assert_eq!(errors.len(), 500, "errors are bounded, too");
    let mut deleting = stored.clone();
    deleting["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z");
    rules.validate_update(&stored, &deleting);
    let service = json!({"spec": {"ports": list(|i| json!({"name": format!("p{i}"), "port": i, "nodePort": i}))}});
    let stored = created("Service", service);
    let mut bare = stored.clone();
    found("Service").prepare_update(&mut bare, &stored);
    found("Service").validate_update(&bare, &stored);
    let spec = json!({"spec": {"containers": named, "$setElementOrder/containers": named, "volumes": named}});
    let reversed = Value::Array(named.as_array().unwrap().iter().rev().cloned().collect());
    let old = json!({"metadata": metadata, "spec": {"containers": reversed, "volumes": reversed}});
    let patched = crate::patch::strategic_merge_patch(&old, &spec, "", "v1", "Pod").unwrap();
    assert_eq!(patched["spec"]["containers"], named);
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
