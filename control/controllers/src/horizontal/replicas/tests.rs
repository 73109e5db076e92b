use serde_json::{Value, from_value, json};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

/// Each word is a pod: `r` at work, `p` pending, `n` never ready, `s` started a moment ago and ready, `u` started a moment ago and not
/// ready, `d` being deleted, `f` failed.
fn pods(words: &str) -> Vec<Arc<Pod>> {
    let pod = |(i, word): (usize, &str)| {
        let (phase, ready, started, changed) = match word {
            "r" => ("Running", "True", "00:00:00", "00:00:05"),
            "p" => ("Pending", "False", "00:59:00", "00:59:00"),
            "n" => ("Running", "False", "00:00:00", "00:00:05"),
            "s" => ("Running", "True", "00:59:00", "00:59:50"),
            "u" => ("Running", "False", "00:59:00", "00:59:00"),
            "d" => ("Running", "True", "00:00:00", "00:00:05"),
            "f" => ("Failed", "False", "00:00:00", "00:00:05"),
            other => panic!("{other}"),
        };
        let mut pod = json!({
            "metadata": {"name": format!("p{i}")},
            "spec": {"containers": [
                {"name": "main", "resources": {"requests": {"cpu": "600m"}}},
                {"name": "side", "resources": {"requests": {"cpu": "400m"}}},
            ]},
            "status": {"phase": phase, "startTime": format!("2026-01-01T{started}Z"), "conditions":
                [{"type": "Ready", "status": ready, "lastTransitionTime": format!("2026-01-01T{changed}Z")}]},
        });
        if word == "d" {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:59:00Z");
        }
        Arc::new(from_value(pod).unwrap())
    };
    words.split_whitespace().enumerate().map(pod).collect()
}

/// Values of pods in their order; a negative one is that of a pod that was not measured.
fn measured(values: &[i64]) -> ByPod {
    let each = values
        .iter()
        .enumerate()
        .filter(|(_, millis)| **millis >= 0);
    let measured = |millis: i64| Measured {
        millis,
        at: now(),
        window: SignedDuration::from_secs(15),
    };
    each.map(|(i, millis)| (format!("p{i}"), measured(*millis)))
        .collect()
}

fn target<'a>(wished: i32, pods: &'a [Arc<Pod>]) -> Target<'a> {
    Target {
        wished,
        there: wished,
        pods,
        tolerance: Tolerance::default(),
        now: now(),
    }
}

/// What 50 % of the CPU asks for. Every pod requests 1000m.
fn cpu(wished: i32, words: &str, values: &[i64]) -> Result<(i32, Option<i32>), String> {
    let pods = pods(words);
    let wish = Wish::Utilization {
        percent: 50,
        resource: "cpu",
        container: None,
    };
    let proposal = by_pods(&target(wished, &pods), &measured(values), wish)?;
    Ok((proposal.replicas, proposal.percent))
}

#[test]
fn the_ratio_says_how_many() {
    let check = |wished: i32, words: &str, values: &[i64], replicas: i32, percent: i32| {
        assert_eq!(
            cpu(wished, words, values),
            Ok((replicas, Some(percent))),
            "{words} {values:?}"
        );
    };
    check(3, "r r r", &[500, 500, 500], 3, 50);
    check(3, "r r r", &[1000, 1000, 1000], 6, 100);
    check(3, "r r r", &[100, 200, 300], 2, 20);
    // Within a tenth nothing is done, at its edge neither, beyond it something is.
    check(3, "r r r", &[550, 550, 550], 3, 55);
    check(3, "r r r", &[450, 450, 450], 3, 45);
    check(3, "r r r", &[560, 560, 560], 4, 56);
    check(10, "r r r r r r r r r r", &[440; 10], 9, 44);
    // Deleted and failed pods do not count, whatever they were measured at.
    check(3, "r r d f", &[1000, 1000, 0, 0], 4, 100);
    check(1, "r", &[0], 0, 0);
}

#[test]
fn what_is_not_known_does_not_speed_it_up() {
    let check = |wished: i32, words: &str, values: &[i64], replicas: i32| {
        assert_eq!(
            cpu(wished, words, values).map(|(replicas, _)| replicas),
            Ok(replicas),
            "{words} {values:?}"
        );
    };
    // Not measured: idle on the way up, fully used on the way down.
    check(3, "r r r", &[1000, 1000, -1], 4);
    check(3, "r r r", &[600, 600, -1], 3);
    check(3, "r r r", &[100, 100, -1], 3);
    check(4, "r r r r", &[100, 100, 100, -1], 3);
    // Not ready: idle on the way up, left out on the way down.
    check(3, "r r p", &[1000, 1000, -1], 4);
    check(3, "r r p", &[100, 100, -1], 1);
    check(3, "r r u", &[1000, 1000, 1000], 4);
    check(3, "r r n", &[1000, 1000, 1000], 4);
    // Ready for less than the window: its start is not its work; a window later it is.
    check(2, "r s", &[1000, 1000], 2);
    let pods = pods("s");
    let wish = Wish::Utilization {
        percent: 50,
        resource: "cpu",
        container: None,
    };
    let mut values = measured(&[1000]);
    assert!(by_pods(&target(1, &pods), &values, wish).is_err());
    values.get_mut("p0").unwrap().window = SignedDuration::from_secs(10);
    assert_eq!(
        by_pods(&target(1, &pods), &values, wish).unwrap().replicas,
        2
    );
    // It was asked for six, of which two are still missing: more than before, so it is not made fewer.
    check(6, "r r r r", &[700, 700, 700, 700], 6);
}

#[test]
fn other_kinds_of_wishes() {
    let pods = pods("r r");
    let target = target(2, &pods);
    let one = Wish::Utilization {
        percent: 50,
        resource: "cpu",
        container: Some("side"),
    };
    let proposal = by_pods(&target, &measured(&[400, 400]), one).unwrap();
    assert_eq!(
        (proposal.replicas, proposal.percent, proposal.millis),
        (4, Some(100), 400)
    );
    let average = Wish::Average {
        millis: 10_000,
        cpu: false,
    };
    let proposal = by_pods(&target, &measured(&[25_000, 5_000]), average).unwrap();
    assert_eq!(
        (proposal.replicas, proposal.percent, proposal.millis),
        (3, None, 15_000)
    );
    // One that was not measured is taken to be on target when fewer are asked for.
    let proposal = by_pods(&target, &measured(&[1_000, -1]), average).unwrap();
    assert_eq!(proposal.replicas, 2);

    assert_eq!(by_value(&target, 300, 100).unwrap().replicas, 6);
    assert_eq!(by_value(&target, 105, 100).unwrap().replicas, 2);
    assert_eq!(by_share(&target, 300, 100).replicas, 3);
    assert_eq!(
        by_share(&target, 210, 100),
        Proposal {
            replicas: 2,
            millis: 105,
            percent: None
        }
    );
    let none = Target {
        wished: 0,
        there: 0,
        ..target
    };
    assert_eq!(by_value(&none, 250, 100).unwrap().replicas, 3);
    assert_eq!(by_share(&none, 250, 100).replicas, 3);
    assert_eq!(by_share(&none, 0, 100).replicas, 0);
}

#[test]
fn what_cannot_be_counted_is_said() {
    let all = pods("r r");
    let cpu = |container| Wish::Utilization {
        percent: 50,
        resource: "cpu",
        container,
    };
    let fails = |pods: &[Arc<Pod>], values: &[i64], wish, why: &str| {
        assert_eq!(
            by_pods(&target(2, pods), &measured(values), wish),
            Err(why.to_owned())
        );
    };
    fails(&[], &[], cpu(None), NO_PODS);
    fails(
        &all,
        &[-1, -1],
        cpu(None),
        "did not receive metrics for targeted pods (pods might be unready)",
    );
    let memory = Wish::Utilization {
        percent: 50,
        resource: "memory",
        container: None,
    };
    fails(
        &all,
        &[1, 1],
        memory,
        "missing request for memory in container main of Pod p0",
    );
    fails(
        &all,
        &[1, 1],
        cpu(Some("none")),
        "no metrics returned matched known pods",
    );
    assert_eq!(by_value(&target(2, &[]), 300, 100), Err(NO_PODS.to_owned()));
}

#[test]
fn a_tolerance_may_differ_up_and_down() {
    let tolerance = Tolerance { up: 0.0, down: 0.5 };
    let pods = pods("r r");
    let check = |value: i64, replicas: i32| {
        let target = Target {
            tolerance,
            ..target(2, &pods)
        };
        assert_eq!(
            by_value(&target, value, 100).unwrap().replicas,
            replicas,
            "{value}"
        );
    };
    check(101, 3);
    check(100, 2);
    check(50, 2);
    check(49, 1);
}

/// Nothing that can be stored or measured ends in a panic.
#[test]
fn extremes() {
    let pods: Vec<Arc<Pod>> = [
        json!({}),
        json!({"metadata": {"name": "p0"}, "spec": {"containers": []}}),
    ]
    .into_iter()
    .map(|pod: Value| Arc::new(from_value(pod).unwrap()))
    .collect();
    for value in [0, 1, i64::MAX, i64::MIN] {
        for wish in [1, i64::MAX] {
            let target = target(i32::MAX, &pods);
            let _ = by_value(&target, value, wish);
            let _ = by_share(&target, value, wish);
            let all: ByPod = measured(&[value.max(0)]);
            let _ = by_pods(
                &target,
                &all,
                Wish::Average {
                    millis: wish,
                    cpu: true,
                },
            );
            let _ = by_pods(
                &target,
                &all,
                Wish::Utilization {
                    percent: i32::MAX,
                    resource: "cpu",
                    container: None,
                },
            );
        }
    }
}
