use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::objects::Data;

fn objects() -> Resolved {
    let data = |pairs: &[(&str, &str)]| {
        let text = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec()))
            .collect();
        Some(Arc::new(Data {
            text,
            ..Data::default()
        }))
    };
    let mut resolved = Resolved::default();
    resolved.insert(
        false,
        "cm",
        data(&[("A", "from-cm"), ("B", "b"), ("bad=name", "x")]),
    );
    resolved.insert(
        true,
        "sec",
        data(&[("A", "from-secret"), ("password", "s3cret")]),
    );
    resolved.insert(false, "gone", None);
    resolved
}

fn check(container: serde_json::Value, expect: Expect) {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "x"}, "annotations": {"note": "a \"b\""}},
        "spec": {"nodeName": "n1", "serviceAccountName": "sa", "containers": [container]},
    }))
    .expect("a pod");
    let services = [
        Service {
            namespace: "default".into(),
            name: "kubernetes".into(),
            cluster_ip: "10.43.0.1".into(),
            ports: vec![("https".into(), 443, "TCP".into())],
        },
        Service {
            namespace: "ns".into(),
            name: "my-db".into(),
            cluster_ip: "10.43.0.7".into(),
            ports: vec![(String::new(), 53, "UDP".into())],
        },
        Service {
            namespace: "other".into(),
            name: "x".into(),
            cluster_ip: "10.43.0.8".into(),
            ports: vec![(String::new(), 1, "TCP".into())],
        },
    ];
    let allocatable = [("cpu".to_owned(), 2000), ("memory".to_owned(), 1 << 30)].into();
    let objects = objects();
    let inputs = Inputs {
        objects: &objects,
        services: &services,
        pod_ips: &["10.42.0.5".into(), "fd00::5".into()],
        host_ips: &["192.0.2.1".into()],
        allocatable: &allocatable,
    };
    let text = match environment(&pod, &pod::spec(&pod).containers[0], inputs) {
        Ok(vars) => vars
            .into_iter()
            .filter(|(n, _)| !n.starts_with("KUBERNETES_PORT") && !n.starts_with("MY_DB_PORT_"))
            .map(|(n, v)| format!("{n}={v}\n"))
            .collect(),
        Err(error) => format!("error: {error}\n"),
    };
    expect.assert_eq(&text);
}

#[test]
fn order_and_precedence() {
    check(
        json!({"name": "c", "envFrom": [{"configMapRef": {"name": "cm"}}, {"prefix": "P_", "secretRef": {"name": "sec"}},
            {"configMapRef": {"name": "gone", "optional": true}}],
            "env": [{"name": "B", "value": "own $(A) $(P_A) $(LATER)"}, {"name": "LATER", "value": "$(B)"},
                {"name": "URL", "value": "http://$(MY_DB_SERVICE_HOST):$(MY_DB_SERVICE_PORT)"}, {"name": "EMPTY"},
                {"name": "MY_DB_PORT", "value": "mine"}]}),
        expect![[r#"
            A=from-cm
            B=own from-cm from-secret $(LATER)
            P_A=from-secret
            P_password=s3cret
            LATER=own from-cm from-secret $(LATER)
            URL=http://10.43.0.7:53
            EMPTY=
            MY_DB_PORT=mine
            KUBERNETES_SERVICE_HOST=10.43.0.1
            KUBERNETES_SERVICE_PORT=443
            KUBERNETES_SERVICE_PORT_HTTPS=443
            MY_DB_SERVICE_HOST=10.43.0.7
            MY_DB_SERVICE_PORT=53
        "#]],
    );
}

#[test]
fn sources() {
    check(
        json!({"name": "c", "resources": {"requests": {"cpu": "250m"}}, "env": [
            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "A"}}},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "password"}}},
            {"name": "O", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "none", "optional": true}}},
            {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "I", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
            {"name": "H", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
            {"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ]}),
        expect![[r#"
            K=from-cm
            S=s3cret
            N=p
            L=x
            I=10.42.0.5,fd00::5
            H=192.0.2.1
            C=250
            M=1024
            KUBERNETES_SERVICE_HOST=10.43.0.1
            KUBERNETES_SERVICE_PORT=443
            KUBERNETES_SERVICE_PORT_HTTPS=443
            MY_DB_PORT=udp://10.43.0.7:53
            MY_DB_SERVICE_HOST=10.43.0.7
            MY_DB_SERVICE_PORT=53
        "#]],
    );
}

#[test]
fn what_is_missing_is_named() {
    let env = |source| json!({"name": "c", "env": [{"name": "X", "valueFrom": source}]});
    check(
        env(json!({"configMapKeyRef": {"name": "gone", "key": "k"}})),
        expect![["error: configmap \"gone\" not found\n"]],
    );
    check(
        env(json!({"secretKeyRef": {"name": "nope", "key": "k"}})),
        expect![["error: secret \"nope\" not found\n"]],
    );
    check(
        env(json!({"configMapKeyRef": {"name": "cm", "key": "k"}})),
        expect![["error: couldn't find key k in ConfigMap ns/cm\n"]],
    );
    check(
        env(json!({"fieldRef": {"fieldPath": "spec.x"}})),
        expect![["error: fieldPath \"spec.x\" not supported\n"]],
    );
    check(
        json!({"name": "c", "envFrom": [{"secretRef": {"name": "nope"}}]}),
        expect![["error: secret \"nope\" not found\n"]],
    );
}

#[test]
fn maps_are_quoted_lines() {
    let pod: Pod =
        serde_json::from_value(json!({"metadata": {"labels": {"a": "1", "b": "x\"y\n"}}}))
            .expect("a pod");
    assert_eq!(
        field(&pod, "metadata.labels", &[], &[]).expect("labels"),
        "a=\"1\"\nb=\"x\\\"y\\n\""
    );
}
