use super::*;

#[test]
fn workloads() {
    let template = json!({"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}]}});
    let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}, {"key": "b", "operator": "DoesNotExist"}]});
    let object = json!({"spec": {"replicas": 3, "selector": selector, "template": template},
        "status": {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2}});
    check(
        "apps",
        "Deployment",
        object.clone(),
        expect![[r#"
        NAME: n
        READY: 2/3
        UP-TO-DATE: 1
        AVAILABLE: 2
        AGE: 60m
        CONTAINERS+: a,b
        IMAGES+: x:1,y:2
        SELECTOR+: a in (x,y),app=web,!b
    "#]],
    );
    check(
        "apps",
        "ReplicaSet",
        object.clone(),
        expect![[r#"
        NAME: n
        DESIRED: 3
        CURRENT: 3
        READY: 2
        AGE: 60m
        CONTAINERS+: a,b
        IMAGES+: x:1,y:2
        SELECTOR+: a in (x,y),app=web,!b
    "#]],
    );
    check(
        "apps",
        "ReplicaSet",
        json!({}),
        expect![[r#"
        NAME: n
        DESIRED: 1
        CURRENT: 0
        READY: 0
        AGE: 60m
        CONTAINERS+:
        IMAGES+:
        SELECTOR+: <none>
    "#]],
    );
    check(
        "autoscaling",
        "Scale",
        object,
        expect![[r#"
        NAME: n
        DESIRED: 3
        AVAILABLE: 3
        AGE: 60m
    "#]],
    );
}

#[test]
fn networks() {
    check(
        "",
        "Service",
        json!({"spec": {"type": "NodePort", "clusterIPs": ["10.43.0.5"], "clusterIP": "10.43.0.5", "selector": {"app": "web"},
            "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}),
        expect![[r#"
            NAME: n
            TYPE: NodePort
            CLUSTER-IP: 10.43.0.5
            EXTERNAL-IP: <none>
            PORT(S): 80:30080/TCP,53/UDP
            AGE: 60m
            SELECTOR+: app=web
        "#]],
    );
    let external = |spec: Value, status: Value, expect: &str| {
        let cells =
            Columns::builtin("", "Service").cells(&json!({"spec": spec, "status": status}), now());
        assert_eq!(cells[3], expect);
    };
    external(
        json!({"type": "ClusterIP", "externalIPs": ["1.2.3.4", "5.6.7.8"]}),
        json!({}),
        "1.2.3.4,5.6.7.8",
    );
    external(json!({"type": "LoadBalancer"}), json!({}), "<pending>");
    external(
        json!({"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]}),
        json!({"loadBalancer": {"ingress": [{"hostname": "h"}, {"ip": "1.1.1.1"}]}}),
        "1.1.1.1,h,9.9.9.9",
    );
    external(
        json!({"type": "ExternalName", "externalName": "a.b"}),
        json!({}),
        "a.b",
    );
    external(json!({}), json!({}), "<unknown>");
    check(
        "",
        "Endpoints",
        json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 443}]}, {"addresses": [{"ip": "10.0.0.3"}]}]}),
        expect![[r#"
            NAME: n
            ENDPOINTS: 10.0.0.1:80,[fd00::1]:80,10.0.0.1:443 + 2 more...
            AGE: 60m
        "#]],
    );
    check(
        "",
        "Endpoints",
        json!({}),
        expect![[r#"
        NAME: n
        ENDPOINTS: <none>
        AGE: 60m
    "#]],
    );
    check(
        "discovery.k8s.io",
        "EndpointSlice",
        json!({"addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}, {}], "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}]}),
        expect![[r#"
            NAME: n
            ADDRESSTYPE: IPv4
            PORTS: 80,x,*
            ENDPOINTS: 10.0.0.1,10.0.0.2
            AGE: 60m
        "#]],
    );
    check(
        "discovery.k8s.io",
        "EndpointSlice",
        json!({}),
        expect![[r#"
            NAME: n
            ADDRESSTYPE:
            PORTS: <unset>
            ENDPOINTS: <unset>
            AGE: 60m
        "#]],
    );
}

#[test]
fn autoscalers() {
    let check_targets = |metrics: Value, now: Value, expect: &str| {
        let object = json!({"spec": {"metrics": metrics}, "status": {"currentMetrics": now}});
        let cells =
            Columns::builtin("autoscaling", "HorizontalPodAutoscaler").cells(&object, super::now());
        assert_eq!(cells[2], expect);
    };
    check(
        "autoscaling",
        "HorizontalPodAutoscaler",
        json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 5,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}}]},
            "status": {"currentReplicas": 2, "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 12, "averageValue": "6m"}}}]}}),
        expect![[r#"
            NAME: n
            REFERENCE: Deployment/web
            TARGETS: cpu: 12%/50%
            MINPODS: 1
            MAXPODS: 5
            REPLICAS: 2
            AGE: 60m
        "#]],
    );
    check_targets(json!([]), json!([]), "<none>");
    let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}});
    let memory = json!({"type": "ContainerResource", "containerResource": {"name": "memory", "container": "c", "target": {"averageValue": "1Gi"}}});
    let pods = json!({"type": "Pods", "pods": {"target": {"averageValue": "10"}}});
    let object = json!({"type": "Object", "object": {"target": {"value": "100"}}});
    let external = json!({"type": "External", "external": {"target": {"averageValue": "5"}}});
    check_targets(
        json!([cpu, memory]),
        Value::Null,
        "cpu: <unknown>/50%, memory: <unknown>/1Gi",
    );
    check_targets(
        json!([pods, external]),
        json!([{"pods": {"current": {"averageValue": "2500m"}}}, {"external": {"current": {"averageValue": "2"}}}]),
        "2500m/10, 2/5 (avg)",
    );
    check_targets(
        json!([object, memory, cpu, pods]),
        json!([{"object": {"current": {"value": "7"}}}, {"containerResource": {"current": {"averageValue": "1024Mi"}}}]),
        "7/100, memory: 1Gi/1Gi + 2 more...",
    );
}
