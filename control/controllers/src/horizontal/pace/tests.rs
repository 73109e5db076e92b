use serde_json::{Value, from_value, json};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

/// An autoscaler and its target, which does what it is told.
struct Site {
    history: History,
    behavior: Option<HorizontalPodAutoscalerBehavior>,
    current: i32,
    min: i32,
    max: i32,
}

impl Site {
    fn new(current: i32, behavior: Value) -> Self {
        let mut history = History::default();
        history.begin(current, at(0));
        Self {
            history,
            behavior: from_value(behavior).unwrap(),
            current,
            min: 1,
            max: 100,
        }
    }

    /// Recommends, scales, and says what was made of it.
    fn wants(&mut self, seconds: i64, wanted: i32) -> (i32, &'static str, &'static str) {
        let bounds = Bounds {
            current: self.current,
            min: self.min,
            max: self.max,
        };
        let paced = pace(
            &mut self.history,
            self.behavior.as_ref(),
            bounds,
            wanted,
            at(seconds),
        );
        if paced.replicas != self.current {
            self.history
                .scaled(self.current, paced.replicas, at(seconds));
        }
        self.current = paced.replicas;
        (paced.replicas, paced.able.0, paced.limited.1.0)
    }
}

#[test]
fn without_rules_it_doubles_at_most_and_waits_before_it_shrinks() {
    let mut site = Site::new(1, Value::Null);
    assert_eq!(site.wants(0, 50), (4, "ReadyForNewScale", "ScaleUpLimit"));
    assert_eq!(site.wants(15, 50), (8, "ReadyForNewScale", "ScaleUpLimit"));
    site.max = 10;
    assert_eq!(
        site.wants(30, 50),
        (10, "ReadyForNewScale", "TooManyReplicas")
    );
    site.max = 100;
    assert_eq!(
        site.wants(45, 12),
        (20, "ScaleDownStabilized", "ScaleUpLimit")
    );
    // The fifty were wished at 30 last, so they count until 330.
    site.current = 50;
    assert_eq!(
        site.wants(329, 2),
        (50, "ScaleDownStabilized", "DesiredWithinRange")
    );
    assert_eq!(
        site.wants(331, 0),
        (12, "ScaleDownStabilized", "DesiredWithinRange")
    );
    assert_eq!(
        site.wants(700, 0),
        (1, "ReadyForNewScale", "TooFewReplicas")
    );
}

#[test]
fn what_was_at_the_start_counts_as_recommended() {
    let mut site = Site::new(5, Value::Null);
    assert_eq!(site.wants(10, 1).0, 5);
    assert_eq!(site.wants(299, 1).0, 5);
    assert_eq!(site.wants(300, 1).0, 1);
}

#[test]
fn windows_hold_back_both_ways() {
    let rules = json!({"scaleUp": {"stabilizationWindowSeconds": 60, "selectPolicy": "Max", "policies": [{"type": "Percent", "value": 1000, "periodSeconds": 15}]},
        "scaleDown": {"stabilizationWindowSeconds": 30, "selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}});
    let mut site = Site::new(4, rules);
    assert_eq!(
        site.wants(10, 8),
        (4, "ScaleUpStabilized", "DesiredWithinRange")
    );
    assert_eq!(
        site.wants(59, 9),
        (4, "ScaleUpStabilized", "DesiredWithinRange")
    );
    assert_eq!(
        site.wants(61, 9),
        (8, "ScaleUpStabilized", "DesiredWithinRange")
    );
    assert_eq!(
        site.wants(80, 2),
        (8, "ScaleDownStabilized", "DesiredWithinRange")
    );
    assert_eq!(
        site.wants(92, 2),
        (2, "ReadyForNewScale", "DesiredWithinRange")
    );
}

#[test]
fn policies_bound_what_changes_in_a_period() {
    let policies = |select: &str| {
        let list = json!([{"type": "Pods", "value": 3, "periodSeconds": 60}, {"type": "Percent", "value": 50, "periodSeconds": 60}]);
        let rules =
            json!({"stabilizationWindowSeconds": 0, "selectPolicy": select, "policies": list});
        json!({"scaleUp": rules, "scaleDown": rules})
    };
    let mut most = Site::new(10, policies("Max"));
    assert_eq!(most.wants(1, 100), (15, "ReadyForNewScale", "ScaleUpLimit"));
    assert_eq!(most.wants(30, 100).0, 15);
    // The period is over, and it starts from fifteen.
    assert_eq!(most.wants(61, 100).0, 23);
    assert_eq!(
        most.wants(122, 1),
        (11, "ReadyForNewScale", "ScaleDownLimit")
    );
    let mut least = Site::new(10, policies("Min"));
    assert_eq!(least.wants(1, 100).0, 13);
    assert_eq!(least.wants(61, 1).0, 10);
    // What went up within the period is undone first: it was ten at its beginning.
    assert_eq!(least.wants(62, 1).0, 10);
    let mut never = Site::new(10, policies("Disabled"));
    assert_eq!(
        never.wants(1, 100),
        (10, "ReadyForNewScale", "ScaleUpLimit")
    );
    assert_eq!(
        never.wants(1, 1),
        (10, "ReadyForNewScale", "ScaleDownLimit")
    );
    let mut few = Site::new(
        1,
        json!({"scaleUp": {"policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}}),
    );
    assert_eq!(few.wants(1, 100).0, 2, "a tenth of one is one more");
}

#[test]
fn memory_is_bounded() {
    let mut history = History::default();
    for second in 0..10_000 {
        let bounds = Bounds {
            current: 1,
            min: 1,
            max: 9,
        };
        pace(&mut history, None, bounds, 3, at(second));
        history.scaled(1, 2, at(second));
    }
    assert_eq!(
        (history.recommended.len(), history.up.len()),
        (REMEMBERED, REMEMBERED)
    );
    pace(
        &mut history,
        None,
        Bounds {
            current: 1,
            min: 1,
            max: 9,
        },
        3,
        at(20_000),
    );
    assert_eq!(history.recommended.len(), 1);
    for extreme in [i32::MIN, i32::MAX] {
        history.scaled(extreme, -1, at(20_000));
        history.scaled(-1, extreme, at(20_000));
        let behavior = json!({"scaleUp": {"policies": [{"type": "Percent", "value": i32::MAX, "periodSeconds": 1800}]}, "scaleDown": {"policies": [{"type": "Pods", "value": i32::MAX, "periodSeconds": 1800}]}});
        let behavior = from_value(behavior).unwrap();
        pace(
            &mut history,
            Some(&behavior),
            Bounds {
                current: extreme,
                min: 1,
                max: 9,
            },
            extreme,
            at(20_001),
        );
    }
}
