use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, from_value, json};

use super::super::replicas::Measured;
use super::*;

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn autoscaler(metrics: Value) -> HorizontalPodAutoscaler {
    from_value(json!({"metadata": {"name": "a", "namespace": "ns"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 5, "metrics": metrics}}))
    .unwrap()
}

fn pods(count: usize) -> Vec<Arc<Pod>> {
    let pod = |i: usize| {
        json!({"metadata": {"name": format!("p{i}")}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
            "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:09Z"}]}})
    };
    (0..count)
        .map(|i| Arc::new(from_value(pod(i)).unwrap()))
        .collect()
}

fn all_at(count: usize, millis: i64) -> Answer {
    let measured = Measured {
        millis,
        at: now(),
        window: SignedDuration::from_secs(15),
    };
    Answer::Pods((0..count).map(|i| (format!("p{i}"), measured)).collect())
}

/// Decides about two replicas; gives what becomes of them, the conditions and the events' reasons.
fn decide(
    metrics: Value,
    answers: Vec<Result<Answer, String>>,
) -> (
    Option<(i32, String)>,
    HorizontalPodAutoscalerStatus,
    Vec<String>,
) {
    let autoscaler = autoscaler(metrics);
    let pods = pods(2);
    let target = Target {
        wished: 2,
        there: 2,
        pods: &pods,
        tolerance: tolerance(&autoscaler),
        now: now(),
    };
    let mut draft = Draft::of(&autoscaler, now());
    let mut history = History::default();
    let wanted = measured(&mut draft, &autoscaler, &target, answers, &mut history);
    let events = draft
        .events
        .iter()
        .map(|note| format!("{}: {}", note.reason, note.message))
        .collect();
    (wanted, draft.status, events)
}

fn conditions(status: &HorizontalPodAutoscalerStatus) -> Vec<String> {
    let each = status.conditions.iter().flatten();
    each.map(|c| {
        format!(
            "{}={} {}",
            c.type_,
            c.status,
            c.reason.as_deref().unwrap_or_default()
        )
    })
    .collect()
}

fn cpu() -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}})
}

fn queue() -> Value {
    json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "10"}}})
}

#[test]
fn the_metric_that_asks_for_most_counts() {
    let (wanted, status, events) = decide(
        json!([cpu(), queue()]),
        vec![Ok(all_at(2, 700)), Ok(Answer::Value(39_000))],
    );
    assert_eq!(
        wanted,
        Some((4, "external metric queue() above target".to_owned()))
    );
    assert_eq!(events, Vec::<String>::new());
    assert_eq!(
        conditions(&status),
        [
            "ScalingActive=True ValidMetricFound",
            "AbleToScale=True ReadyForNewScale",
            "ScalingLimited=False DesiredWithinRange"
        ]
    );
    assert_eq!(
        serde_json::to_value(status.current_metrics).unwrap(),
        json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 70, "averageValue": "700m"}}},
            {"type": "External", "external": {"metric": {"name": "queue"}, "current": {"averageValue": "19500m"}}}])
    );
    let (wanted, _, _) = decide(
        json!([cpu(), queue()]),
        vec![Ok(all_at(2, 700)), Ok(Answer::Value(5_000))],
    );
    assert_eq!(
        wanted,
        Some((
            3,
            "cpu resource utilization (percentage of request) above target".to_owned()
        ))
    );
    let (wanted, _, _) = decide(json!([cpu()]), vec![Ok(all_at(2, 100))]);
    assert_eq!(wanted, Some((1, "All metrics below target".to_owned())));
}

#[test]
fn one_that_is_not_known_stops_the_way_down_only() {
    let away = || Err("unable to fetch metrics from external metrics API: away".to_owned());
    let (wanted, status, events) =
        decide(json!([cpu(), queue()]), vec![Ok(all_at(2, 100)), away()]);
    assert_eq!(wanted, None);
    assert_eq!(
        conditions(&status),
        ["ScalingActive=False FailedGetExternalMetric"]
    );
    let message = status.conditions.unwrap()[0].message.clone().unwrap();
    assert_eq!(
        message,
        "the HPA was unable to compute the replica count: unable to fetch metrics from external metrics API: away"
    );
    assert_eq!(
        events,
        [
            "FailedGetExternalMetric: unable to fetch metrics from external metrics API: away",
            "FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 2), first error is: unable to fetch metrics from external metrics API: away",
        ]
    );
    // What is known is shown at its place.
    let metrics = status.current_metrics.unwrap();
    assert!(metrics[0].resource.is_some() && metrics[1].external.is_none());
    let (wanted, status, _) = decide(json!([cpu(), queue()]), vec![Ok(all_at(2, 900)), away()]);
    assert_eq!(wanted.map(|(replicas, _)| replicas), Some(4));
    assert_eq!(
        conditions(&status)[0],
        "ScalingActive=True ValidMetricFound"
    );
    let (wanted, status, _) = decide(json!([queue()]), vec![away()]);
    assert_eq!((wanted, conditions(&status).len()), (None, 1));
}

#[test]
fn a_metric_without_its_requests_says_so() {
    let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}}});
    let (_, status, events) = decide(json!([memory]), vec![Ok(all_at(2, 700))]);
    assert_eq!(
        conditions(&status),
        ["ScalingActive=False FailedGetResourceMetric"]
    );
    assert_eq!(
        events[0],
        "FailedGetResourceMetric: failed to get memory utilization: missing request for memory in container c of Pod p0"
    );
}

#[test]
fn values_and_shares_are_told_apart() {
    let object = |target: Value| json!({"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "web"}, "metric": {"name": "hits"}, "target": target}});
    let check = |target: Value, value: i64, replicas: i32, current: Value| {
        let (wanted, status, _) = decide(json!([object(target)]), vec![Ok(Answer::Value(value))]);
        assert_eq!(wanted.map(|(replicas, _)| replicas), Some(replicas));
        let metrics = serde_json::to_value(status.current_metrics).unwrap();
        assert_eq!(metrics[0]["object"]["current"], current);
    };
    check(
        json!({"type": "Value", "value": "10"}),
        15_000,
        3,
        json!({"value": "15"}),
    );
    check(
        json!({"type": "AverageValue", "averageValue": "10"}),
        45_000,
        4,
        json!({"averageValue": "22500m"}),
    );
    check(
        json!({"type": "Value", "value": "10", "averageValue": "1"}),
        15_000,
        3,
        json!({"value": "15"}),
    );
}

#[test]
fn numbers_alone() {
    let check = |current: i32, expect: Numbers| {
        assert_eq!(numbers(&autoscaler(json!([])), current), expect)
    };
    check(0, Numbers::Disabled);
    check(1, Numbers::Within);
    check(5, Numbers::Within);
    check(
        6,
        Numbers::Outside(5, "Current number of replicas above Spec.MaxReplicas"),
    );
    let mut more = autoscaler(json!([]));
    more.spec.min_replicas = Some(3);
    assert_eq!(
        numbers(&more, 2),
        Numbers::Outside(3, "Current number of replicas below Spec.MinReplicas")
    );
}

#[test]
fn a_condition_changes_when_its_status_does() {
    let mut old = autoscaler(json!([]));
    let mut draft = Draft::of(&old, now());
    draft.condition(ABLE, true, "A", "a");
    old.status = Some(draft.status);
    let later = now() + SignedDuration::from_secs(60);
    let mut draft = Draft::of(&old, later);
    draft.condition(ABLE, true, "B", "b");
    draft.disabled();
    let conditions = draft.status.conditions.unwrap();
    assert_eq!(conditions[0].last_transition_time, Some(Time(now())));
    assert_eq!(conditions[0].reason.as_deref(), Some("B"));
    assert_eq!(conditions[1].last_transition_time, Some(Time(later)));
}

#[test]
fn tolerances_are_wished() {
    let mut wishes = autoscaler(json!([]));
    wishes.spec.behavior = from_value(json!({"scaleUp": {"tolerance": "10m"}})).unwrap();
    assert_eq!(
        tolerance(&wishes),
        Tolerance {
            up: 0.01,
            down: 0.1
        }
    );
}
