//! What the decoder says to wrong types and unknown fields, and the form in which it leaves an object.

use k8s_openapi::api::{apps::v1::Deployment, core::v1 as core};
use serde_json::{Value, json};

use super::decode::base64_fault;
use super::{decode, probe};

fn check<T: for<'de> serde::Deserialize<'de>>(value: Value, expect: &str) {
    let got = match decode(value, probe::<T>()) {
        Err(error) => error.to_string(),
        Ok(decoded) if decoded.unknown.is_empty() => decoded.value.to_string(),
        Ok(decoded) => decoded.unknown.join(", "),
    };
    assert_eq!(got, expect);
}

#[test]
fn wrong_types_are_named_as_go_names_them() {
    check::<Deployment>(
        json!({"spec": {"replicas": "1"}}),
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    );
    check::<Deployment>(
        json!({"spec": {"replicas": 1.5}}),
        "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
    );
    check::<core::Pod>(
        json!({"spec": {"containers": [{"ports": [{"containerPort": "x"}]}]}}),
        "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
    );
    check::<core::Pod>(
        json!({"metadata": {"labels": {"a": 1}}}),
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
    );
    check::<core::Pod>(
        json!({"spec": {"containers": {}}}),
        "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
    );
    check::<core::Pod>(
        json!([]),
        "json: cannot unmarshal array into Go value of type v1.Pod",
    );
    check::<core::Pod>(
        json!({"metadata": {"creationTimestamp": "yesterday"}}),
        r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006" (in field metadata.creationTimestamp)"#,
    );
    check::<core::Secret>(
        json!({"data": {"a": "Zg="}}),
        "illegal base64 data at input byte 0 (in field data)",
    );
    check::<core::Pod>(
        json!({"spec": {"overhead": {"cpu": "1x"}}}),
        "unable to parse quantity's suffix (in field spec.overhead)",
    );
}

#[test]
fn unknown_fields_are_named_with_their_paths() {
    check::<Deployment>(
        json!({"foo": 1, "spec": {"template": {"spec": {"containers": [{"name": "a"}, {"nam": "a"}]}}}}),
        r#"unknown field "foo", unknown field "spec.template.spec.containers[1].nam""#,
    );
}

#[test]
fn the_value_is_in_canonical_form() {
    check::<core::Pod>(
        json!({
            "apiVersion": "v1", "kind": "Pod", "status": null,
            "metadata": {"creationTimestamp": "2026-01-02T03:04:05.5+01:00", "labels": {}, "annotations": {"a": null}},
            "spec": {"volumes": [{"emptyDir": {}}], "tolerations": [], "overhead": {"cpu": 0.5, "memory": "1024Mi"}},
        }),
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"creationTimestamp": "2026-01-02T02:04:05Z", "annotations": {"a": ""}},
            "spec": {"volumes": [{"emptyDir": {}}], "overhead": {"cpu": "500m", "memory": "1Gi"}},
        })
        .to_string(),
    );
}

#[test]
fn base64_is_checked_without_decoding() {
    let check = |text: &str, expect: Option<usize>| {
        assert_eq!(base64_fault(text.as_bytes()), expect, "{text:?}")
    };
    check("", None);
    check("Zg==", None);
    check("Zm9v", None);
    check("Zm9vYg", Some(4));
    check("Z===", Some(1));
    check("Zm!v", Some(2));
}
