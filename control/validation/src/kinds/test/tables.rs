//! What each kind says to good and bad objects, but pods, which have tables of their own.

use serde_json::{Value, json};

use super::super::check_node_ports;
use super::{create, created, update, update_status};

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
        &["[]: Too long: may not be more than 1048576 bytes"],
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
    let mut none = good.clone();
    none["spec"].as_object_mut().unwrap().remove("selector");
    create(
        "Deployment",
        none,
        &[
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
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
    let errors = check_node_ports(&old, None, &(31000..=32767));
    assert_eq!(
        errors.to_string(),
        "spec.ports[0].nodePort: Invalid value: 30080: provided port is not in the valid range. The range of valid ports is 31000-32767"
    );
    assert!(check_node_ports(&old, Some(&old), &(31000..=32767)).is_empty());
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
    let modern = json!({"involvedObject": {"namespace": "x"}, "eventTime": "2020-01-01T00:00:00Z", "reason": "r"});
    create(
        "Event",
        modern,
        &[
            "reportingComponent: Required value",
            "reportingInstance: Required value",
            "action: Required value",
        ],
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
fn autoscalers() {
    let with = |spec: Value| {
        let mut whole = json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5});
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        json!({"spec": whole})
    };
    let stored = created("HorizontalPodAutoscaler", with(json!({})));
    assert_eq!(
        stored["spec"],
        json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]})
    );
    assert_eq!(stored["status"], json!({"desiredReplicas": 0}));
    let rules = created(
        "HorizontalPodAutoscaler",
        with(json!({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}})),
    );
    assert_eq!(
        rules["spec"]["behavior"],
        json!({"scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max",
                "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max",
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}})
    );
    let check =
        |spec: Value, expect: &[&str]| create("HorizontalPodAutoscaler", with(spec), expect);
    check(json!({}), &[]);
    check(
        json!({"minReplicas": 0, "maxReplicas": 0, "scaleTargetRef": {"kind": "a/b", "apiVersion": "a/b/c"}}),
        &[
            "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
            "spec.maxReplicas: Invalid value: 0: must be greater than 0",
            "spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'",
            "spec.scaleTargetRef.name: Required value",
            "spec.scaleTargetRef.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
        ],
    );
    check(
        json!({"minReplicas": 6}),
        &["spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"],
    );
    check(
        json!({"behavior": {
            "scaleUp": {"stabilizationWindowSeconds": -1, "selectPolicy": "Most", "policies": [{"type": "Cores", "value": 0, "periodSeconds": 1801}]},
            "scaleDown": {"stabilizationWindowSeconds": 3601, "tolerance": "-1"}}}),
        &[
            "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero",
            "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Most\": supported values: \"Disabled\", \"Max\", \"Min\"",
            "spec.behavior.scaleUp.policies[0].type: Unsupported value: \"Cores\": supported values: \"Percent\", \"Pods\"",
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
            "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
            "spec.behavior.scaleDown.tolerance: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
    let cpu =
        |target: Value| json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
    check(
        json!({"metrics": [
            {"type": ""},
            {"type": "Pods"},
            cpu(json!({"type": "Utilization"})),
            cpu(json!({"type": "Utilization", "averageUtilization": 0, "averageValue": "1"})),
            {"type": "ContainerResource", "containerResource": {"name": "", "target": {"type": "Much", "averageValue": "0"}}},
            {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "web"}, "metric": {"name": ""}, "target": {"type": "Value"}}},
            {"type": "External", "external": {"metric": {"name": "a/b", "selector": {"matchLabels": {"-": "x"}}},
                "target": {"type": "Value", "value": "1", "averageValue": "1"}}},
            {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue"}}, "object": {"metric": {"name": ""}}},
        ]}),
        &[
            "spec.metrics[0].type: Required value: must specify a metric source type",
            "spec.metrics[0].type: Unsupported value: \"\": supported values: \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"",
            "spec.metrics[1].pods: Required value: must populate information for the given metric source",
            "spec.metrics[2].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
            "spec.metrics[3].resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
            "spec.metrics[3].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization",
            "spec.metrics[4].containerResource.container: Required value: must specify a container",
            "spec.metrics[4].containerResource.name: Required value: must specify a resource name",
            "spec.metrics[4].containerResource.target.type: Invalid value: \"Much\": must be either Utilization, Value, or AverageValue",
            "spec.metrics[4].containerResource.target.averageValue: Invalid value: \"0\": must be positive",
            "spec.metrics[5].object.metric.name: Required value: must specify a metric name",
            "spec.metrics[5].object.target.averageValue: Required value: must set either a target value for metric or a per-pod target",
            "spec.metrics[6].external.metric.name: Invalid value: \"a/b\": may not contain '/'",
            "spec.metrics[6].external.metric.selector.matchLabels: Invalid value: \"-\": QUALIFIED",
            "spec.metrics[6].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target",
            "spec.metrics[7].object.describedObject.kind: Required value",
            "spec.metrics[7].object.describedObject.name: Required value",
            "spec.metrics[7].object.metric.name: Required value: must specify a metric name",
            "spec.metrics[7].object.target.type: Required value: must specify a metric target type",
            "spec.metrics[7].object.target.type: Invalid value: \"\": must be either Utilization, Value, or AverageValue",
            "spec.metrics[7].object.target.averageValue: Required value: must set either a target value for metric or a per-pod target",
            "spec.metrics[7].object: Forbidden: must populate the given metric source only",
        ],
    );
    let mut scaled = stored.clone();
    scaled["spec"]["maxReplicas"] = json!(9);
    scaled["status"] = json!({"currentReplicas": -1, "desiredReplicas": 2});
    update_status(
        "HorizontalPodAutoscaler",
        &stored,
        scaled,
        &["status.currentReplicas: Invalid value: -1: must be greater than or equal to 0"],
    );
}
