use k8s_openapi::api::autoscaling::v2::MetricSpec;
use serde_json::{from_value, json};

use super::*;

fn question(metric: Value) -> Question {
    let metric: MetricSpec = from_value(metric).unwrap();
    Question::of(&metric).unwrap()
}

fn external(name: &str) -> Value {
    json!({"type": "External", "external": {"metric": {"name": name, "selector": {"matchLabels": {"queue": "mail"}, "matchExpressions":
        [{"key": "zone", "operator": "In", "values": ["a", "b"]}, {"key": "x", "operator": "DoesNotExist"}]}},
        "target": {"type": "Value", "value": "5"}}})
}

#[test]
fn each_api_has_its_path() {
    let check = |metric: Value, described: Option<(&ApiResource, bool)>, path: &str| {
        assert_eq!(
            question(metric).path("ns", "app=web", described).unwrap(),
            path
        );
    };
    let target = json!({"type": "AverageValue", "averageValue": "1"});
    check(
        json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}),
        None,
        "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods?labelSelector=app%3Dweb",
    );
    check(
        json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": target}}),
        None,
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/*/m?labelSelector=app%3Dweb",
    );
    check(
        json!({"type": "Pods", "pods": {"metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}}, "target": target}}),
        None,
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/*/m?labelSelector=app%3Dweb&metricLabelSelector=a%3Db",
    );
    let about = |kind: &str, api_version: &str| json!({"type": "Object", "object": {"describedObject": {"kind": kind, "name": "o", "apiVersion": api_version}, "metric": {"name": "m"}, "target": target}});
    let resource = |group: &str, plural: &str| ApiResource {
        group: group.into(),
        version: "v1".into(),
        api_version: String::new(),
        kind: String::new(),
        plural: plural.into(),
    };
    let base = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns";
    check(
        about("Deployment", "apps/v1"),
        Some((&resource("apps", "deployments"), true)),
        &format!("{base}/deployments.apps/o/m"),
    );
    check(
        about("Service", "v1"),
        Some((&resource("", "services"), true)),
        &format!("{base}/services/o/m"),
    );
    // Of its own namespace an autoscaler may know, of others and of what is the cluster's it may not.
    let own = question(about("Namespace", "v1")).path("o", "", None);
    assert_eq!(
        own.unwrap(),
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/o/metrics/m"
    );
    let other = question(about("Namespace", "v1")).path("ns", "", None);
    assert_eq!(other.unwrap_err(), "Namespace o is not in the namespace ns");
    let node = question(about("Node", "v1")).path("ns", "", Some((&resource("", "nodes"), false)));
    assert_eq!(node.unwrap_err(), "Node o is not in the namespace ns");
    check(
        external("q?x=1#é"),
        None,
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/q%3Fx%3D1%23%C3%A9?labelSelector=queue%3Dmail%2Czone%20in%20%28a%2Cb%29%2C%21x",
    );
    check(
        external("q"),
        None,
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/q?labelSelector=queue%3Dmail%2Czone%20in%20%28a%2Cb%29%2C%21x",
    );
}

#[test]
fn answers_are_read() {
    let pods = |items: Value| json!({"kind": "PodMetricsList", "items": items});
    let pod = |name: &str, containers: Value| json!({"metadata": {"name": name}, "timestamp": "2026-01-01T00:00:00Z", "window": "1m0.5s", "containers": containers});
    let both = json!([{"name": "a", "usage": {"cpu": "100500000n", "memory": "1Ki"}}, {"name": "b", "usage": {"cpu": "1"}}]);
    let all = question(
        json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}),
    );
    let values = |question: &Question, answer: Value| match question.read(answer) {
        Ok(Answer::Pods(values)) => Ok(values
            .into_iter()
            .map(|(name, m)| (name, m.millis))
            .collect::<Vec<_>>()),
        Ok(Answer::Value(value)) => Ok(vec![(String::new(), value)]),
        Err(why) => Err(why),
    };
    let some = |name: &str, millis: i64| Ok(vec![(name.to_owned(), millis)]);
    assert_eq!(
        values(&all, pods(json!([pod("p", both.clone())]))),
        some("p", 1101)
    );
    let Ok(Answer::Pods(measured)) = all.read(pods(json!([pod("p", both.clone())]))) else {
        panic!("not read");
    };
    assert_eq!(measured["p"].window, SignedDuration::from_millis(60_500));
    // Half of a pod would look like one at rest.
    let memory = question(
        json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization"}}}),
    );
    assert_eq!(
        values(&memory, pods(json!([pod("p", both.clone())]))),
        Ok(Vec::new())
    );
    let one = |container: &str| {
        question(
            json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": container, "target": {"type": "Utilization"}}}),
        )
    };
    assert_eq!(
        values(&one("b"), pods(json!([pod("p", both.clone())]))),
        some("p", 1000)
    );
    assert_eq!(
        values(&one("c"), pods(json!([pod("p", both)]))),
        Err("container c not present in metrics for pod p".to_owned())
    );
    assert_eq!(
        values(&all, pods(json!([]))),
        Err("no metrics returned from resource metrics API".to_owned())
    );
    let custom = question(
        json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue"}}}),
    );
    let item = json!({"describedObject": {"kind": "Pod", "name": "p"}, "timestamp": "2026-01-01T00:00:00Z", "value": "2500m"});
    assert_eq!(values(&custom, json!({"items": [item]})), some("p", 2500));
    assert_eq!(
        values(
            &question(external("q")),
            json!({"items": [{"value": "1"}, {"value": "500m"}]})
        ),
        some("", 1500)
    );
    assert_eq!(
        values(&question(external("q")), json!({"items": []})),
        Err("no metrics returned from external metrics API".to_owned())
    );
    for broken in [json!({}), json!({"items": [{"value": "x"}]}), json!([])] {
        assert!(
            question(external("q"))
                .read(broken)
                .unwrap_err()
                .starts_with("the external metrics API gave what is no answer")
        );
    }
}

#[test]
fn durations_of_go() {
    for (text, millis) in [
        ("15s", 15_000),
        ("1m0.5s", 60_500),
        ("250ms", 250),
        ("1h0m0s", 3_600_000),
        ("0s", 0),
    ] {
        assert_eq!(
            duration(text),
            Some(SignedDuration::from_millis(millis)),
            "{text}"
        );
    }
    for text in ["5", "s", "1x", "1.2.3s", "é"] {
        assert_eq!(duration(text), None, "{text}");
    }
}
