//! Input that means no good: the answer is a refusal, and the next honest request is served.

use std::time::Duration;

use http::Method;
use minicloud_apiserver::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{MAPS, Server, call, send};

/// Sends bytes over TLS and reads what comes until the end.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    use rustls::pki_types::ServerName;
    let identity = server.identity("admin", &["system:masters"]);
    let tls =
        minicloud_auth::pki::client_config(&server.pki.ca_pem(), Some(&identity), &["http/1.1"])
            .unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the server holds the connection open");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A GET whose answer is taken as it is: kube's client tries 429 and 504 again by itself.
pub(crate) async fn get(server: &Server, path: &str) -> String {
    raw(
        server,
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request() {
    let limits = Limits {
        handshake_timeout: Duration::from_millis(600),
        head_timeout: Duration::from_millis(600),
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let c = server.admin().await;
    let long = format!(
        "GET /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "a".repeat(20_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "x: y\r\n".repeat(500)
    );
    for bytes in [
        b"\x00\x01\x02\x03garbage\r\n\r\n".to_vec(),
        b"GET /api/v1/pods".to_vec(),
        b"".to_vec(),
        long.into_bytes(),
        many.into_bytes(),
        b"GET /api/%ff%fe/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(),
        b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\nconnection: close\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff".to_vec(),
    ] {
        let answer = raw(&server, &bytes).await;
        assert!(!answer.contains(" 200 ") && !answer.contains(" 500 "), "{answer}");
    }
    // Not even TLS.
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    let _ = plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), plain.read_to_end(&mut answer))
        .await
        .unwrap();
    assert_eq!(send(&c, Method::GET, "/livez", &[], "").await.0, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_queries_that_mean_no_good() {
    let server = Server::start().await;
    let c = server.admin().await;
    let json = [("content-type", "application/json")];
    let deep = "[".repeat(100_000);
    let deep_object = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    for (body, code) in [
        (deep, 400),
        (deep_object, 400),
        ("{".to_owned(), 400),
        ("\u{0}".to_owned(), 400),
        ("null".to_owned(), 400),
        ("5".to_owned(), 400),
        ("{\"metadata\":5}".to_owned(), 400),
        ("{\"metadata\":{\"name\":5}}".to_owned(), 400),
        ("{\"metadata\":{\"name\":\"a/../b\"}}".to_owned(), 422),
        ("{\"metadata\":{\"generateName\":\"é\"}}".to_owned(), 422),
        (
            format!("{{\"metadata\":{{\"name\":\"{}\"}}}}", "a".repeat(10_000)),
            422,
        ),
        (
            format!(
                "{{\"metadata\":{{\"name\":\"big\"}},\"data\":{{\"a\":\"{}\"}}}}",
                "x".repeat(4 << 20)
            ),
            413,
        ),
    ] {
        let (got, _, answer) = send(&c, Method::POST, MAPS, &json, body.clone()).await;
        assert_eq!(got, code, "{:.80}: {answer:.300}", body);
    }
    assert_eq!(
        call(&c, Method::POST, MAPS, &json!({"metadata": {"name": "ok"}}))
            .await
            .0,
        201
    );
    for (kind, body, most) in [
        ("application/json-patch+json", "[{\"op\":\"copy\"}]", 422),
        ("application/json-patch+json", "{}", 422),
        (
            "application/json-patch+json",
            "[{\"op\":\"remove\",\"path\":\"/metadata\"}]",
            422,
        ),
        (
            "application/json-patch+json",
            "[{\"op\":\"replace\",\"path\":\"\",\"value\":null}]",
            422,
        ),
        ("application/merge-patch+json", "[]", 422),
        ("application/merge-patch+json", "{\"metadata\":null}", 422),
        (
            "application/merge-patch+json",
            "{\"metadata\":{\"name\":\"other\"}}",
            422,
        ),
        (
            "application/strategic-merge-patch+json",
            "{\"$patch\":\"delete\"}",
            422,
        ),
    ] {
        let (got, _, answer) = send(
            &c,
            Method::PATCH,
            &format!("{MAPS}/ok"),
            &[("content-type", kind)],
            body,
        )
        .await;
        assert!((400..=most).contains(&got), "{kind} {body}: {got} {answer}");
    }
    for query in [
        "limit=-1",
        "limit=x",
        "limit=99999999999999999999",
        "continue=%00",
        "continue=AAAA",
        "labelSelector=%28%28%28",
        "labelSelector=a%20in%20(",
        "fieldSelector=%5C",
        "resourceVersion=-5",
        "resourceVersion=x",
        "timeoutSeconds=x",
        "watch=1&resourceVersion=x",
        "watch=1&timeoutSeconds=1&resourceVersionMatch=Exact",
        "watch=1&sendInitialEvents=true",
        "%ff=%fe&&&==",
        "fieldSelector=metadata.name=%ff",
    ] {
        let (got, _, answer) = send(&c, Method::GET, &format!("{MAPS}?{query}"), &[], "").await;
        assert!(got < 500, "{query}: {got} {answer}");
    }
    let (code, list) = call(&c, Method::GET, MAPS, &Value::Null).await;
    assert_eq!(
        (code, list["items"].as_array().map(Vec::len)),
        (200, Some(1)),
        "{list}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_are_not_waited_for() {
    let limits = Limits {
        request_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let head = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\nconnection: close\r\n\r\n{";
    let answer = raw(&server, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_put_off() {
    let limits = Limits {
        long_running: 2,
        users_share: 1,
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let path = format!("{MAPS}?watch=1&timeoutSeconds=2&resourceVersion=0");
    let (a, b, d) = tokio::join!(
        get(&server, &path),
        get(&server, &path),
        get(&server, &path)
    );
    let refused: Vec<String> = [a, b, d]
        .into_iter()
        .filter(|answer| answer.starts_with("HTTP/1.1 429 "))
        .collect();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("retry-after: 1"), "{}", refused[0]);
    // The places are free again.
    let again = get(&server, &path).await;
    assert!(again.starts_with("HTTP/1.1 200 "), "{again}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_objects_of_every_kind() {
    let server = Server::start().await;
    let c = server.admin().await;
    call(
        &c,
        Method::POST,
        "/api/v1/namespaces/default/serviceaccounts",
        &json!({"metadata": {"name": "default"}}),
    )
    .await;
    let odd = [
        json!(null),
        json!(5),
        json!("x"),
        json!([]),
        json!([[{}]]),
        json!({}),
        json!({"a": {"b": [null]}}),
        json!({"": ""}),
        json!({"containers": [{}], "template": {}, "versions": [{}], "names": {}, "ports": [{}], "rules": [{}]}),
        json!({"containers": [null], "template": null, "versions": [null], "names": [], "ports": [null], "scope": 1}),
        json!({"type": "NodePort", "clusterIP": "é", "clusterIPs": [1, null], "ports": [{"port": -1, "nodePort": 9_999_999_999_i64}]}),
        json!({"replicas": 1e300, "selector": {"matchExpressions": [{"operator": "In"}]}, "nodeName": {}}),
    ];
    let (_, core) = call(&c, Method::GET, "/api/v1", &Value::Null).await;
    let mut kinds = vec![("/api/v1".to_owned(), core)];
    let (_, groups) = call(&c, Method::GET, "/apis", &Value::Null).await;
    for group in groups["groups"].as_array().unwrap() {
        let path = format!(
            "/apis/{}",
            group["preferredVersion"]["groupVersion"].as_str().unwrap()
        );
        let (_, list) = call(&c, Method::GET, &path, &Value::Null).await;
        kinds.push((path, list));
    }
    let mut asked = 0;
    for (path, list) in kinds {
        for resource in list["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap();
            let creatable = resource["verbs"]
                .as_array()
                .unwrap()
                .iter()
                .any(|v| v == "create");
            if name.contains('/') || !creatable {
                continue;
            }
            let path = if resource["namespaced"] == true {
                format!("{path}/namespaces/default/{name}")
            } else {
                format!("{path}/{name}")
            };
            for odd in &odd {
                for field in [
                    "spec",
                    "status",
                    "metadata",
                    "data",
                    "subsets",
                    "endpoints",
                    "roleRef",
                    "involvedObject",
                    "regarding",
                ] {
                    let mut object = json!({"metadata": {"generateName": "odd-"}});
                    object[field] = odd.clone();
                    let (code, answer) = call(&c, Method::POST, &path, &object).await;
                    assert!(code < 500, "POST {path} {object}: {code} {answer}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 1000);
    for path in [
        "pods/p/binding",
        "pods/p/eviction",
        "serviceaccounts/default/token",
    ] {
        for odd in &odd {
            for body in [
                odd.clone(),
                json!({"spec": odd, "target": odd, "deleteOptions": odd, "metadata": odd}),
            ] {
                let (code, answer) = call(
                    &c,
                    Method::POST,
                    &format!("/api/v1/namespaces/default/{path}"),
                    &body,
                )
                .await;
                assert!(code < 500, "{path} {body}: {code} {answer}");
            }
        }
    }
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    for (path, object) in [
        (
            "/api/v1/namespaces/default/services",
            json!({"spec": {"ports": [{"port": 80}]}}),
        ),
        (
            "/api/v1/namespaces/default/pods",
            json!({"spec": template["spec"]}),
        ),
        ("/api/v1/nodes", json!({})),
        ("/api/v1/namespaces", json!({})),
        (
            "/apis/apps/v1/namespaces/default/deployments",
            json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}),
        ),
        (
            "/apis/coordination.k8s.io/v1/namespaces/default/leases",
            json!({"spec": {}}),
        ),
    ] {
        let mut object = object.clone();
        object["metadata"] = json!({"name": "odd"});
        let (code, answer) = call(&c, Method::POST, path, &object).await;
        assert_eq!(code, 201, "{path}: {answer}");
        for odd in &odd {
            for field in ["spec", "status", "metadata"] {
                let mut patch = json!({});
                patch[field] = odd.clone();
                for part in ["", "/status", "/scale"] {
                    for kind in [
                        "application/merge-patch+json",
                        "application/strategic-merge-patch+json",
                    ] {
                        let path = format!("{path}/odd{part}");
                        let (code, _, answer) = send(
                            &c,
                            Method::PATCH,
                            &path,
                            &[("content-type", kind)],
                            patch.to_string(),
                        )
                        .await;
                        assert!(code < 500, "PATCH {path} {patch}: {code} {answer}");
                    }
                }
            }
        }
    }
    server.stop().await;
}

/// A length-delimited protobuf field of fewer than 128 bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a short field");
    assert!(length < 128, "a short field");
    [&[number << 3 | 2, length][..], content].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_protobuf_is_refused() {
    let server = Server::start().await;
    let c = server.admin().await;
    let kind = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
    let data = [field(1, b"a"), field(2, b"b")].concat();
    let object = [field(1, &field(1, b"whole")), field(2, &data)].concat();
    let whole = [&b"k8s\0"[..], &field(1, &kind), &field(2, &object)].concat();
    let post = async |bytes: &[u8]| {
        // Bodies of bytes, which the harness' text cannot carry.
        let request = http::Request::post(MAPS)
            .header("content-type", "application/vnd.kubernetes.protobuf")
            .body(kube::client::Body::from(bytes.to_vec()))
            .unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), c.send(request)).await;
        answer
            .expect("an answer in time")
            .expect("an answer")
            .status()
            .as_u16()
    };
    assert_eq!(post(&whole).await, 201, "the body itself is good");
    let mut refused = 0;
    for end in 0..whole.len() {
        let code = post(&whole[..end]).await;
        assert!((400..500).contains(&code), "cut after {end} bytes: {code}");
    }
    for place in 0..whole.len() {
        for byte in [0x00, 0x07, 0x7f, 0x80, 0xff] {
            let mut broken = whole.clone();
            broken[place] = byte;
            let code = post(&broken).await;
            assert!(code < 500, "byte {place} is {byte:#x}: {code}");
            refused += usize::from(code >= 400);
        }
    }
    assert!(
        refused > 100,
        "{refused} of the changed bodies were refused"
    );
    // Messages within messages, deeper than any kind has them, and lengths beyond the body.
    let mut deep = Vec::new();
    for _ in 0..30 {
        deep = field(1, &deep);
    }
    let huge = [0x12, 0xff, 0xff, 0xff, 0xff, 0x0f];
    for raw in [deep.as_slice(), &huge[..]] {
        let body = [&b"k8s\0"[..], &field(1, &kind), &field(2, raw)].concat();
        let code = post(&body).await;
        assert!((400..500).contains(&code), "{raw:x?}: {code}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quantities_that_mean_no_good() {
    let server = Server::start().await;
    let c = server.admin().await;
    let account = json!({"metadata": {"name": "default"}});
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(call(&c, Method::POST, accounts, &account).await.0, 201);
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |quantity: &Value| {
        json!({"metadata": {"generateName": "odd-"}, "spec": {"containers": [{"name": "c", "image": "i",
            "resources": {"limits": {"memory": quantity, "cpu": quantity}}}]}})
    };
    let long_digits = "9".repeat(100_000);
    let long_fraction = format!("0.{}1", "0".repeat(100_000));
    // What is too large or too fine is taken as the largest or the finest there is, as Kubernetes does.
    for (quantity, code) in [
        (json!("1e999999999"), 201),
        (json!("1e-999999999"), 201),
        (json!("1e99999999999999999999"), 201),
        (json!(long_digits), 201),
        (json!(long_fraction), 201),
        (json!("-1"), 422),
        (json!("NaN"), 400),
        (json!("inf"), 400),
        (json!("0x10"), 400),
        (json!("1_000"), 400),
        (json!("１"), 400),
        (json!("1 Gi"), 400),
        (json!("Gi"), 400),
        (json!(""), 400),
        (json!("+-1"), 400),
        (json!(1e300), 201),
        (json!([1]), 400),
        (json!({}), 400),
        (json!(true), 400),
    ] {
        let began = std::time::Instant::now();
        let (got, answer) = call(&c, Method::POST, pods, &pod(&quantity)).await;
        let shown = format!(
            "{:.60}: {got} {:.300}",
            quantity.to_string(),
            answer.to_string()
        );
        assert_eq!(got, code, "{shown}");
        assert!(began.elapsed() < Duration::from_secs(2), "{shown}");
    }
    server.stop().await;
}
