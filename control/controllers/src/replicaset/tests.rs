use serde_json::{Value, from_value, json};

use super::*;

fn set(replicas: i32, extra: Value) -> ReplicaSet {
    let mut set = json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "set", "generation": 2},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web", "v": "1"}}, "spec": {"containers": []}}}
    });
    if let (Some(into), Some(from)) = (set["spec"].as_object_mut(), extra.as_object()) {
        into.extend(from.clone());
    }
    from_value(set).unwrap()
}

fn pod(name: &str, ready_since: Option<&str>, labels: Value) -> Arc<Pod> {
    let ready = ready_since.map_or(
        json!([]),
        |at| json!([{"type": "Ready", "status": "True", "lastTransitionTime": at}]),
    );
    Arc::new(
        from_value(json!({
            "metadata": {"name": name, "uid": name, "labels": labels},
            "spec": {"containers": []},
            "status": {"phase": "Running", "conditions": ready}
        }))
        .unwrap(),
    )
}

fn now() -> Timestamp {
    "2026-01-01T00:00:10Z".parse().unwrap()
}

#[test]
fn the_number_of_pods_follows_replicas() {
    let check = |replicas: i32, have: usize, create: usize, delete: usize| {
        let pods: Vec<_> = (0..have)
            .map(|n| pod(&n.to_string(), None, json!({})))
            .collect();
        let plan = decide(&set(replicas, json!({})), &pods, &pods, now());
        assert_eq!(
            (plan.create, plan.delete.len()),
            (create, delete),
            "{replicas} of {have}"
        );
    };
    check(3, 0, 3, 0);
    check(3, 3, 0, 0);
    check(3, 5, 0, 2);
    check(0, 5, 0, 5);
    check(-1, 1, 0, 1);
    check(2000, 0, BURST, 0);
    check(0, 600, 0, BURST);
}

#[test]
fn pods_are_created_slowly_at_first() {
    assert_eq!(batches(0).collect::<Vec<_>>(), [0; 0]);
    assert_eq!(batches(10).collect::<Vec<_>>(), [1, 2, 4, 3]);
    assert_eq!(batches(500).sum::<usize>(), 500);
}

#[test]
fn the_status_counts_and_tells_of_failure() {
    let set = set(3, json!({"minReadySeconds": 8}));
    let pods = [
        pod(
            "old",
            Some("2026-01-01T00:00:00Z"),
            json!({"app": "web", "v": "1"}),
        ),
        pod("new", Some("2026-01-01T00:00:05Z"), json!({"app": "web"})),
        pod("unready", None, json!({"app": "web", "v": "1"})),
    ];
    let got = status(
        &set,
        &pods,
        1,
        Some(("FailedCreate", "quota".into())),
        now(),
    );
    let counts = json!({
        "replicas": 3, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 1,
        "terminatingReplicas": 1, "observedGeneration": 2,
        "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota",
            "lastTransitionTime": "2026-01-01T00:00:10Z"}]
    });
    assert_eq!(serde_json::to_value(&got).unwrap(), counts);
    assert_eq!(
        next_available(&set, &pods, now()),
        Some(Duration::from_secs(3))
    );
    let mut failed = set.clone();
    failed.status = Some(got);
    let later = "2026-01-01T00:01:00Z".parse().unwrap();
    let again = status(
        &failed,
        &pods,
        0,
        Some(("FailedCreate", "quota, still".into())),
        later,
    );
    assert_eq!(
        again.conditions.as_ref().unwrap()[0].message.as_deref(),
        Some("quota")
    );
    assert_eq!(status(&failed, &pods, 0, None, later).conditions, None);
    assert_eq!(next_available(&set, &pods, later), None);
}

#[test]
fn a_new_pod_is_the_template_owned_by_the_set() {
    let pod = new_pod(&set(1, json!({}))).unwrap();
    let expect = json!({"generateName": "web-", "namespace": "ns", "labels": {"app": "web", "v": "1"}, "ownerReferences":
        [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true, "blockOwnerDeletion": true}]});
    assert_eq!(serde_json::to_value(&pod.metadata).unwrap(), expect);
}
