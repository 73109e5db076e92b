use super::*;

fn pod(namespace: &str, name: &str, node: &str, kind: &str, workload: &str) -> PodPlaces {
    PodPlaces {
        namespace: namespace.into(),
        name: name.into(),
        node: node.into(),
        workload: Workload {
            kind: kind.into(),
            name: workload.into(),
        },
        places: vec![Place {
            path: "/var/lib/minicloud".into(),
            volume: String::new(),
        }],
    }
}

fn with_volume(mut pod: PodPlaces, volume: &str, path: &str) -> PodPlaces {
    pod.places.push(Place {
        path: path.into(),
        volume: volume.into(),
    });
    pod
}

fn site() -> Facts {
    Facts {
        pods: vec![
            pod("shop", "web-1", "edge-1", "Deployment", "web"),
            pod("shop", "web-2", "edge-1", "Deployment", "web"),
            with_volume(
                pod("shop", "db-0", "edge-1", "StatefulSet", "db"),
                "data",
                "/data/db",
            ),
            with_volume(
                pod("shop", "usb", "edge-1", "Pod", "usb"),
                "stick",
                "/media/usb",
            ),
            pod("other", "web-1", "edge-2", "Pod", "web-1"),
        ],
        mounts: [(
            "edge-1".to_owned(),
            vec!["/".to_owned(), "/data".into(), "/da".into()],
        )]
        .into(),
        ..Facts::default()
    }
}

fn violation(kind: &'static str, subject: &str, value: f64) -> Violation {
    Violation {
        kind,
        node: "edge-1".into(),
        subject: subject.into(),
        pod: None,
        value,
    }
}

fn sign(measure: &'static str, pod: &str, value: f64) -> Shown {
    Shown {
        measure,
        namespace: "shop".into(),
        pod: pod.into(),
        value,
    }
}

/// Each problem in a line: severity, what, and who feels it how surely.
fn told(facts: &Facts) -> Vec<String> {
    let line = |p: Problem| {
        let affected: Vec<_> = p
            .affected
            .iter()
            .map(|a| format!("{:?} {}/{} {:?}", a.certainty, a.kind, a.name, a.pods))
            .collect();
        format!(
            "{:?} {} {}: {}",
            p.severity,
            p.kind,
            p.subject,
            affected.join(", ")
        )
    };
    judge(facts, &str::to_owned).into_iter().map(line).collect()
}

/// One violation, signs of pods, and what comes of it.
#[test]
fn who_feels_what() {
    let check = |violation: Violation, signs: &[Shown], expected: &str| {
        let facts = Facts {
            violations: vec![violation],
            signs: signs.to_vec(),
            ..site()
        };
        assert_eq!(told(&facts), [expected]);
    };
    check(
        violation("cpu_pressure", "", 0.6),
        &[
            sign("cpu_used_cores", "web-1", 0.4),
            sign("cpu_waiting_ratio", "db-0", 0.3),
        ],
        "Warning cpu_pressure : Certain StatefulSet/db [\"db-0\"], Likely Deployment/web [\"web-1\"]",
    );
    // What suffers for one reason and uses for another is told once, with the surer one.
    check(
        violation("memory_shortage", "", 0.04),
        &[
            sign("memory_working_set_bytes", "web-1", 1e9),
            sign("major_faults_per_second", "web-2", 50.0),
            sign("cpu_waiting_ratio", "db-0", 1.0),
        ],
        "Critical memory_shortage : Certain Deployment/web [\"web-1\", \"web-2\"]",
    );
    check(
        violation("disk_pressure", "", 0.5),
        &[sign("disk_bytes_per_second", "db-0", 1e6)],
        "Warning disk_pressure : Likely StatefulSet/db [\"db-0\"]",
    );
    check(
        violation("slow_disk", "sda", 3.0),
        &[],
        "Critical slow_disk sda: ",
    );
    check(
        violation("full_file_system", "/data", 0.02),
        &[sign("disk_bytes_per_second", "web-1", 1e6)],
        "Critical full_file_system /data: Certain StatefulSet/db [\"db-0\"]",
    );
    // What hangs below a folder that is not measured is not the root's.
    check(
        violation("full_file_system", "/", 0.08),
        &[],
        "Warning full_file_system /: Likely Deployment/web [\"web-1\", \"web-2\"], Likely Pod/usb [\"usb\"], Likely StatefulSet/db [\"db-0\"]",
    );
    check(
        violation("full_file_system", "/da", 0.0),
        &[],
        "Critical full_file_system /da: ",
    );
    check(
        violation("flapping_network", "eth0", 5.0),
        &[sign("network_bytes_per_second", "web-2", 5e3)],
        "Warning flapping_network eth0: Likely Deployment/web [\"web-2\"]",
    );
    check(
        violation("silent_node", "", 1.0),
        &[],
        "Critical silent_node : Certain Deployment/web [\"web-1\", \"web-2\"], Certain Pod/usb [\"usb\"], Certain StatefulSet/db [\"db-0\"]",
    );
    check(
        Violation {
            pod: Some(("shop".into(), "web-2".into())),
            ..violation("cpu_limit", "", 0.5)
        },
        &[],
        "Warning cpu_limit shop/web-2: Certain Deployment/web [\"web-2\"]",
    );
}

#[test]
fn a_node_that_is_not_ready_is_told_once() {
    let not_ready = NotReady {
        node: "edge-2".into(),
        message: "no heartbeat for 40 s".into(),
        since: Some("2026-03-01T10:00:00Z".into()),
    };
    let mut facts = Facts {
        not_ready: vec![not_ready],
        ..site()
    };
    let expected = "Critical silent_node : Certain Pod/web-1 [\"web-1\"]";
    assert_eq!(told(&facts), [expected]);
    let problem = judge(&facts, &str::to_owned).remove(0);
    assert_eq!(problem.since.as_deref(), Some("2026-03-01T10:00:00Z"));
    facts.violations.push(Violation {
        node: "edge-2".into(),
        ..violation("silent_node", "", 1.0)
    });
    assert_eq!(told(&facts), [expected]);
    let problem = judge(&facts, &str::to_owned).remove(0);
    assert!(
        problem.detail.ends_with("no heartbeat for 40 s"),
        "{}",
        problem.detail
    );
}

#[test]
fn the_worst_comes_first() {
    let facts = Facts {
        violations: vec![
            violation("cpu_pressure", "", 0.6),
            violation("overheating", "cpu/0", 95.0),
            violation("full_file_system", "/", 0.08),
        ],
        ..Facts::default()
    };
    let kinds: Vec<_> = judge(&facts, &str::to_owned)
        .iter()
        .map(|p| p.kind)
        .collect();
    assert_eq!(kinds, ["overheating", "cpu_pressure", "full_file_system"]);
}

/// From a pod back to its causes, without a word of others.
#[test]
fn the_causes_of_one_pod() {
    let facts = Facts {
        violations: vec![
            violation("full_file_system", "/data", 0.0),
            violation("silent_node", "", 1.0),
        ],
        ..site()
    };
    let problems = judge(&facts, &str::to_owned);
    let of = |index: usize| of_pod(problems.clone(), &facts.pods[index]);
    let web = of(0);
    assert_eq!(web.len(), 1);
    assert_eq!((web[0].kind, web[0].affected.len()), ("silent_node", 1));
    assert_eq!(web[0].affected[0].pods, ["web-1"]);
    assert_eq!(of(2).len(), 2);
    assert!(of(4).is_empty(), "the same name elsewhere");
}

/// Words of one problem, as they are told.
#[test]
fn a_problem_in_words() {
    let facts = Facts {
        violations: vec![violation("full_file_system", "/data", 0.0204)],
        ..site()
    };
    let problem = &judge(&facts, &|q| q.chars().take(12).collect())[0];
    expect_test::expect![[r#"
        {
          "node": "edge-1",
          "kind": "full_file_system",
          "severity": "critical",
          "resource": "file_system",
          "subject": "/data",
          "summary": "hardly any space is left",
          "detail": "hardly any space is left (/data): 0.02 ratio, where at most 0.03 counts",
          "hint": "remove what is not needed, or give the workload a larger volume",
          "evidence": [
            {
              "metric": "full_file_system",
              "value": 0.0204,
              "threshold": 0.03,
              "unit": "ratio",
              "query": "min by (node"
            }
          ],
          "affected": [
            {
              "kind": "StatefulSet",
              "namespace": "shop",
              "name": "db",
              "pods": [
                "db-0"
              ],
              "certainty": "certain",
              "why": "its volume data is on it"
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(problem).unwrap());
}

#[test]
fn rules_and_signs_are_told_apart() {
    for (n, rule) in RULES.iter().enumerate() {
        assert!(
            RULES[..n].iter().all(|other| other.kind != rule.kind),
            "{}",
            rule.kind
        );
        let worse = match rule.beyond {
            Beyond::AtLeast => rule.critical >= rule.warning,
            Beyond::AtMost => rule.critical <= rule.warning,
        };
        assert!(worse, "{}", rule.kind);
    }
    for (n, sign) in SIGNS.iter().enumerate() {
        assert!(SIGNS[..n].iter().all(|other| other.measure != sign.measure));
    }
}
