use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;

use super::records::Record;
use super::*;

fn put<K: DeserializeOwned, R: Record<K>>(map: &mut BTreeMap<Key, R>, object: Value) {
    let meta = |name: &str| {
        object["metadata"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let key = (meta("namespace"), meta("name"));
    let object: K = serde_json::from_value(object).unwrap();
    map.extend(R::of(&object).map(|record| (key, record)));
}

fn node(name: &str, annotations: Value, addresses: Value) -> Value {
    json!({ "metadata": { "name": name, "annotations": annotations }, "status": { "addresses": addresses } })
}

fn pod(name: &str, annotations: Value, ip: &str, phase: &str) -> Value {
    json!({
        "metadata": { "namespace": "shop", "name": name, "annotations": annotations },
        "spec": { "nodeName": "edge-1", "containers": [
            { "name": "a", "ports": [{ "containerPort": 80 }, { "containerPort": 53, "protocol": "UDP" }] },
            { "name": "b", "ports": [{ "containerPort": 9113 }, { "containerPort": 80 }] },
        ] },
        "status": { "phase": phase, "podIP": ip },
    })
}

fn check(known: &Known, file: &str, expected: Expect) {
    let files = files(known, 9100, Files::default());
    let groups: Vec<Value> = serde_json::from_str(files.get(file).unwrap()).unwrap();
    let lines: String = groups.iter().map(|group| format!("{group}\n")).collect();
    expected.assert_eq(&lines);
}

#[test]
fn every_node_is_scraped() {
    let mut known = Known::default();
    for object in [
        node(
            "a",
            json!({}),
            json!([
                { "type": "Hostname", "address": "a" }, { "type": "InternalIP", "address": "10.0.0.1" },
            ]),
        ),
        node(
            "b",
            json!({ "minicloud.io/metrics-port": "9101" }),
            json!([{ "type": "InternalIP", "address": "fd00::2" }]),
        ),
        node(
            "c",
            json!({ "minicloud.io/metrics-port": "0" }),
            json!([{ "type": "InternalIP", "address": "10.0.0.3" }]),
        ),
        node("new", json!({}), json!([])),
        node(
            "odd",
            json!({}),
            json!([{ "type": "InternalIP", "address": "nonsense" }]),
        ),
    ] {
        put::<Node, _>(&mut known.nodes, object);
    }
    check(
        &known,
        NODES_FILE,
        expect![[r#"
        {"labels":{"node":"a"},"targets":["10.0.0.1:9100"]}
        {"labels":{"node":"b"},"targets":["[fd00::2]:9101"]}
        {"labels":{"node":"c"},"targets":["10.0.0.3:9100"]}
    "#]],
    );
}

#[test]
fn pods_are_scraped_when_they_ask_and_run() {
    let mut known = Known::default();
    let scrape = |more: Value| {
        let mut annotations = json!({ "prometheus.io/scrape": "true" });
        for (name, value) in more.as_object().unwrap() {
            annotations[format!("prometheus.io/{name}")] = value.clone();
        }
        annotations
    };
    for object in [
        pod("asks-all", scrape(json!({})), "10.42.0.2", "Running"),
        pod(
            "asks-one",
            scrape(json!({ "port": "9113", "path": "stub", "scheme": "https" })),
            "10.42.0.3",
            "Running",
        ),
        pod(
            "bad-port",
            scrape(json!({ "port": "99999", "path": "", "scheme": "gopher" })),
            "10.42.0.4",
            "Running",
        ),
        pod(
            "asks-not",
            json!({ "prometheus.io/scrape": "false" }),
            "10.42.0.5",
            "Running",
        ),
        pod("plain", json!({}), "10.42.0.6", "Running"),
        pod("ended", scrape(json!({})), "10.42.0.7", "Succeeded"),
        pod("loopback", scrape(json!({})), "127.0.0.1", "Running"),
        pod("metadata", scrape(json!({})), "169.254.169.254", "Running"),
        pod("mapped", scrape(json!({})), "::ffff:127.0.0.1", "Running"),
    ] {
        put::<Pod, _>(&mut known.pods, object);
    }
    check(
        &known,
        PODS_FILE,
        expect![[r#"
        {"labels":{"__metrics_path__":"/metrics","__scheme__":"http","namespace":"shop","node":"edge-1","pod":"asks-all"},"targets":["10.42.0.2:80","10.42.0.2:9113"]}
        {"labels":{"__metrics_path__":"/stub","__scheme__":"https","namespace":"shop","node":"edge-1","pod":"asks-one"},"targets":["10.42.0.3:9113"]}
        {"labels":{"__metrics_path__":"/metrics","__scheme__":"http","namespace":"shop","node":"edge-1","pod":"bad-port"},"targets":["10.42.0.4:80","10.42.0.4:9113"]}
    "#]],
    );
}

#[test]
fn services_are_scraped_at_their_endpoints() {
    let mut known = Known::default();
    let service = |name: &str, annotations: Value| json!({ "metadata": { "namespace": "shop", "name": name, "annotations": annotations } });
    put::<Service, _>(
        &mut known.services,
        service("web", json!({ "prometheus.io/scrape": "true" })),
    );
    put::<Service, _>(&mut known.services, service("quiet", json!({})));
    let slice = |name: &str, service: &str, endpoints: Value| {
        json!({
            "addressType": "IPv4",
            "metadata": { "namespace": "shop", "name": name, "labels": { "kubernetes.io/service-name": service } },
            "ports": [{ "port": 8080 }, { "port": 53, "protocol": "UDP" }],
            "endpoints": endpoints,
        })
    };
    for object in [
        slice(
            "web-1",
            "web",
            json!([
                { "addresses": ["10.42.0.2"], "nodeName": "edge-1", "targetRef": { "kind": "Pod", "name": "web-abc" } },
                { "addresses": ["192.0.2.7"] },
                { "addresses": ["127.0.0.1"] },
            ]),
        ),
        slice("quiet-1", "quiet", json!([{ "addresses": ["10.42.0.3"] }])),
        slice("orphan", "gone", json!([{ "addresses": ["10.42.0.4"] }])),
    ] {
        put::<EndpointSlice, _>(&mut known.slices, object);
    }
    check(
        &known,
        SERVICES_FILE,
        expect![[r#"
        {"labels":{"__metrics_path__":"/metrics","__scheme__":"http","namespace":"shop","node":"edge-1","pod":"web-abc","service":"web"},"targets":["10.42.0.2:8080"]}
        {"labels":{"__metrics_path__":"/metrics","__scheme__":"http","namespace":"shop","service":"web"},"targets":["192.0.2.7:8080"]}
    "#]],
    );
}

#[test]
fn there_is_an_end_to_targets() {
    let mut known = Known::default();
    for n in 0..2000 {
        let addresses = json!([{ "type": "InternalIP", "address": "10.0.0.1" }]);
        put::<Node, _>(
            &mut known.nodes,
            node(&format!("n{n}"), json!({}), addresses),
        );
    }
    let files = files(&known, 9100, Files::default());
    let groups: Vec<Value> = serde_json::from_str(files.get(NODES_FILE).unwrap()).unwrap();
    assert_eq!(groups.len(), MAX_TARGETS);
}

#[test]
fn a_pod_with_thousands_of_ports_leaves_room() {
    let mut known = Known::default();
    for n in 0..3 {
        let pod = PodRecord {
            asked: Asked {
                port: None,
                path: "/metrics".into(),
                scheme: "http",
            },
            address: Some("10.42.0.2".parse().unwrap()),
            node: "edge-1".into(),
            ports: (1..=30_000).collect(),
        };
        known.pods.insert(("shop".into(), format!("p{n}")), pod);
    }
    let files = files(&known, 9100, Files::default());
    let groups: Vec<Value> = serde_json::from_str(files.get(PODS_FILE).unwrap()).unwrap();
    let counts: Vec<_> = groups.iter().map(|group| targets_of(group).len()).collect();
    assert_eq!(counts, [MAX_PORTS; 3]);
}
