mod table;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// A field with bytes.
fn bytes(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = varint(u64::from(number) << 3 | 2);
    out.extend(varint(content.len() as u64));
    out.extend(content);
    out
}

/// A field with a number.
fn number(field: u32, value: i64) -> Vec<u8> {
    [varint(u64::from(field) << 3), varint(value.cast_unsigned())].concat()
}

fn text(number: u32, content: &str) -> Vec<u8> {
    bytes(number, content.as_bytes())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn body(api_version: &str, kind: &str, fields: &[Vec<u8>]) -> Vec<u8> {
    let meta = [text(1, api_version), text(2, kind)].concat();
    [
        MAGIC.to_vec(),
        bytes(1, &meta),
        bytes(2, &fields.concat()),
        text(3, ""),
        text(4, ""),
    ]
    .concat()
}

fn check(body: &[u8], expect: Expect) {
    let shown = match decode(body) {
        Ok(decoded) => format!(
            "{}\nunknown: {:?}",
            serde_json::to_string_pretty(&decoded.value).unwrap(),
            decoded.unknown
        ),
        Err(error) => error.to_string(),
    };
    expect.assert_eq(&shown);
}

#[test]
fn objects_are_decoded_as_go_would_write_them_in_json() {
    // A ConfigMap as `kubectl create configmap` sends it, with all that Go sends although it is empty.
    let metadata = [
        text(1, "c"),
        text(2, ""),
        text(3, "default"),
        text(4, ""),
        text(5, ""),
        text(6, ""),
        number(7, 0),
        bytes(8, &[]),
    ]
    .concat();
    let entry = [text(1, "a"), text(2, "b")].concat();
    let binary = [text(1, "x"), bytes(2, &[0, 255])].concat();
    check(
        &body(
            "v1",
            "ConfigMap",
            &[
                bytes(1, &metadata),
                bytes(2, &entry),
                bytes(3, &binary),
                number(4, 0),
            ],
        ),
        expect![[r#"
            {
              "apiVersion": "v1",
              "binaryData": {
                "x": "AP8="
              },
              "data": {
                "a": "b"
              },
              "immutable": false,
              "kind": "ConfigMap",
              "metadata": {
                "name": "c",
                "namespace": "default"
              }
            }
            unknown: []"#]],
    );
    let probe = [
        bytes(
            1,
            &bytes(
                2,
                &[
                    text(1, "/"),
                    bytes(2, &[number(1, 1), number(2, 0), text(3, "http")].concat()),
                ]
                .concat(),
            ),
        ),
        number(2, 0),
        number(4, 5),
    ]
    .concat();
    let limits = [text(1, "cpu"), bytes(2, &text(1, "100m"))].concat();
    let container = [
        text(1, "a"),
        text(2, ""),
        bytes(8, &bytes(1, &limits)),
        bytes(10, &probe),
        number(16, 1),
        number(17, 0),
    ]
    .concat();
    let volume = [text(1, "v"), bytes(2, &bytes(2, &[]))].concat();
    let security = [
        number(2, 0),
        bytes(4, &[varint(1), varint(300)].concat()),
        number(4, -1),
    ]
    .concat();
    let spec = [
        bytes(2, &container),
        bytes(1, &volume),
        number(4, 0),
        number(11, 0),
        bytes(14, &security),
    ]
    .concat();
    let selector = bytes(1, &[text(1, "app"), text(2, "")].concat());
    let template = [bytes(1, &text(1, "")), bytes(2, &spec)].concat();
    let strategy = bytes(
        2,
        &bytes(1, &[number(1, 0), number(2, 25), text(3, "")].concat()),
    );
    let deployment = [
        number(1, 0),
        bytes(2, &selector),
        bytes(3, &template),
        bytes(4, &strategy),
        number(5, 0),
    ]
    .concat();
    check(
        &body(
            "apps/v1",
            "Deployment",
            &[
                bytes(1, &text(1, "d")),
                bytes(2, &deployment),
                bytes(3, &[]),
                text(99, "new"),
            ],
        ),
        expect![[r##"
            {
              "apiVersion": "apps/v1",
              "kind": "Deployment",
              "metadata": {
                "name": "d"
              },
              "spec": {
                "replicas": 0,
                "selector": {
                  "matchLabels": {
                    "app": ""
                  }
                },
                "strategy": {
                  "rollingUpdate": {
                    "maxUnavailable": 25
                  }
                },
                "template": {
                  "spec": {
                    "containers": [
                      {
                        "livenessProbe": {
                          "httpGet": {
                            "path": "/",
                            "port": "http"
                          },
                          "periodSeconds": 5
                        },
                        "name": "a",
                        "resources": {
                          "limits": {
                            "cpu": "100m"
                          }
                        },
                        "stdin": true
                      }
                    ],
                    "securityContext": {
                      "runAsUser": 0,
                      "supplementalGroups": [
                        1,
                        300,
                        -1
                      ]
                    },
                    "terminationGracePeriodSeconds": 0,
                    "volumes": [
                      {
                        "emptyDir": {},
                        "name": "v"
                      }
                    ]
                  }
                }
              }
            }
            unknown: ["#99"]"##]],
    );
    let review = bytes(
        2,
        &[bytes(
            1,
            &[text(1, "ns"), text(2, "get"), text(5, "pods")].concat(),
        )]
        .concat(),
    );
    check(
        &body(
            "authorization.k8s.io/v1",
            "SelfSubjectAccessReview",
            &[review],
        ),
        expect![[r#"
            {
              "apiVersion": "authorization.k8s.io/v1",
              "kind": "SelfSubjectAccessReview",
              "spec": {
                "resourceAttributes": {
                  "namespace": "ns",
                  "resource": "pods",
                  "verb": "get"
                }
              }
            }
            unknown: []"#]],
    );
    let extra = bytes(
        5,
        &[
            text(1, "k"),
            bytes(2, &[text(1, "a"), text(1, "b")].concat()),
        ]
        .concat(),
    );
    check(
        &body(
            "authorization.k8s.io/v1",
            "SubjectAccessReview",
            &[bytes(2, &extra)],
        ),
        expect![[r#"
            {
              "apiVersion": "authorization.k8s.io/v1",
              "kind": "SubjectAccessReview",
              "spec": {
                "extra": {
                  "k": [
                    "a",
                    "b"
                  ]
                }
              }
            }
            unknown: []"#]],
    );
    let times = [
        bytes(
            3,
            &[number(1, 1_795_489_200), number(2, 123_456_000)].concat(),
        ),
        bytes(4, &[number(1, 1_795_489_200)].concat()),
        number(5, -3),
    ]
    .concat();
    check(
        &body("coordination.k8s.io/v1", "Lease", &[bytes(2, &times)]),
        expect![[r#"
            {
              "apiVersion": "coordination.k8s.io/v1",
              "kind": "Lease",
              "spec": {
                "acquireTime": "2026-11-24T03:00:00.123456Z",
                "leaseTransitions": -3,
                "renewTime": "2026-11-24T03:00:00.000000Z"
              }
            }
            unknown: []"#]],
    );
    let managed = bytes(
        17,
        &[
            text(1, "m"),
            bytes(7, &text(1, r#"{"f:spec":{}}"#)),
            bytes(4, &number(1, 0)),
        ]
        .concat(),
    );
    check(
        &body("v1", "Namespace", &[bytes(1, &managed)]),
        expect![[r#"
            {
              "apiVersion": "v1",
              "kind": "Namespace",
              "metadata": {
                "managedFields": [
                  {
                    "fieldsV1": {
                      "f:spec": {}
                    },
                    "manager": "m",
                    "time": "1970-01-01T00:00:00Z"
                  }
                ]
              }
            }
            unknown: []"#]],
    );
    check(
        &body(
            "policy/v1",
            "DeleteOptions",
            &[number(1, 0), text(4, "Background")],
        ),
        expect![[r#"
            {
              "apiVersion": "policy/v1",
              "gracePeriodSeconds": 0,
              "kind": "DeleteOptions",
              "propagationPolicy": "Background"
            }
            unknown: []"#]],
    );
}

#[test]
fn malformed_bodies_are_explained() {
    check(
        b"{}",
        expect!["the body does not begin as Kubernetes' protobuf encoding does"],
    );
    check(b"k8s\0\x0a\xff", expect!["the body ends within a field"]);
    check(b"k8s\0\x0b", expect!["field 1 has the unknown wire type 3"]);
    check(
        b"k8s\0\x00\x00",
        expect!["a field's number is out of range"],
    );
    check(
        b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        expect!["a number is longer than 64 bits"],
    );
    check(
        &body("v1", "Widget", &[]),
        expect![[r#"no protobuf message is known for kind "Widget" in version "v1"; send JSON"#]],
    );
    check(
        &body("v1", "PodSpec", &[]),
        expect![[r#"no protobuf message is known for kind "PodSpec" in version "v1"; send JSON"#]],
    );
    check(
        &body("v1", "Pod", &[bytes(2, &number(2, 1))]),
        expect!["spec.containers[0]: expected bytes, found a number"],
    );
    check(
        &body("v1", "Pod", &[bytes(1, &bytes(1, b"\xff"))]),
        expect!["metadata.name: a text is not UTF-8"],
    );
    check(
        &body("v1", "Pod", &[bytes(1, &bytes(8, &number(1, i64::MAX)))]),
        expect!["metadata.creationTimestamp: the time 9223372036854775807 s is out of range"],
    );
    check(
        &body(
            "v1",
            "Namespace",
            &[bytes(1, &bytes(17, &bytes(7, &text(1, "{"))))],
        ),
        expect![
            "metadata.managedFields[0].fieldsV1: not JSON: EOF while parsing an object at line 1 column 1"
        ],
    );
    let gzip = [MAGIC.to_vec(), text(3, "gzip")].concat();
    check(
        &gzip,
        expect![[r#"the content encoding "gzip" is not known"#]],
    );
}

proptest! {
    #[test]
    fn no_body_panics(kind in prop::sample::select(vec!["Pod", "Service", "Event", "Secret"]), raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&body("v1", kind, std::slice::from_ref(&raw)));
        let _ = decode(&[MAGIC, &raw].concat());
    }

    #[test]
    fn no_message_panics(fields in prop::collection::vec((1_u32..45, prop::collection::vec((1_u32..20, prop::collection::vec(any::<u8>(), 0..12)), 0..6)), 0..8)) {
        let spec: Vec<u8> = fields.iter().flat_map(|(n, inner)| bytes(*n, &inner.iter().flat_map(|(n, raw)| bytes(*n, raw)).collect::<Vec<_>>())).collect();
        let _ = decode(&body("v1", "Pod", &[bytes(2, &spec)]));
    }
}
