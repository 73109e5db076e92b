use serde_json::{Value, from_value, json};

use super::super::model::{self, REVISION};
use super::*;

/// A deployment whose template runs `image`.
fn deployment(image: &str, spec: Value) -> Deployment {
    let mut d = json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "d", "generation": 1},
        "spec": {"replicas": 10, "selector": {"matchLabels": {"app": "web"}}, "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}
    });
    if let (Some(into), Some(from)) = (d["spec"].as_object_mut(), spec.as_object()) {
        into.extend(from.clone());
    }
    from_value(d).unwrap()
}

/// The set that a deployment with this image has: (image, revision, size, available); its age follows the revision.
fn set(d: &Deployment, image: &str, revision: i64, size: i32, available: i32) -> ReplicaSet {
    let mut d = d.clone();
    d.spec
        .as_mut()
        .unwrap()
        .template
        .spec
        .as_mut()
        .unwrap()
        .containers[0]
        .image = Some(image.into());
    let mut set = model::new_set(&d, revision).unwrap();
    set.metadata.uid = Some(image.into());
    set.metadata.name = Some(image.into());
    set.metadata.resource_version = Some("1".into());
    set.metadata.generation = Some(1);
    set.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        Timestamp::from_second(1_700_000_000 + revision).unwrap(),
    ));
    set.spec.as_mut().unwrap().replicas = Some(size);
    let status = set.status.get_or_insert_default();
    (
        status.replicas,
        status.available_replicas,
        status.ready_replicas,
    ) = (size, Some(available), Some(available));
    status.observed_generation = Some(1);
    set
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// The actions in short: `+name=size`, `name:from>to`, `-name`, `rN`.
fn short(decision: &Decision) -> Vec<String> {
    let mut all: Vec<String> = decision
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Create(set) => Some(format!("+new={} r{}", size(set), revision(set))),
            Action::Update(u) if size(&u.old) == size(&u.new) => {
                Some(format!("{} r{}", u.old.name_any(), revision(&u.new)))
            }
            Action::Update(u) => Some(format!(
                "{}:{}>{}",
                u.old.name_any(),
                size(&u.old),
                size(&u.new)
            )),
            Action::Delete(set) => Some(format!("-{}", set.name_any())),
            Action::Revision(_) | Action::Tell(_) => None,
        })
        .collect();
    all.sort();
    all
}

fn check(d: &Deployment, sets: &[ReplicaSet], expect: &[&str]) -> Decision {
    let decision = decide(d, sets, &HashSet::new(), now());
    assert_eq!(short(&decision), expect);
    decision
}

#[test]
fn a_rolling_update_goes_step_by_step() {
    let d = deployment("b", json!({}));
    let a = |size, available| set(&d, "a", 1, size, available);
    let b = |size, available| set(&d, "b", 2, size, available);
    // Nothing there: the new set gets everything at once.
    check(&d, &[], &["+new=10 r1"]);
    // A new version: up to ten and the surge of three.
    check(&d, &[a(10, 10)], &["+new=3 r2"]);
    // Two of the old may be missing, so they go before the new are ready.
    check(&d, &[a(10, 10), b(3, 0)], &["a:10>8"]);
    // Thirteen in all is the most: five new ones fit now.
    check(&d, &[a(8, 8), b(3, 0)], &["b:3>5"]);
    check(&d, &[a(8, 8), b(5, 0)], &[]);
    check(&d, &[a(8, 8), b(5, 3)], &["a:8>5"]);
    check(&d, &[a(5, 5), b(5, 3)], &["b:5>8"]);
    check(&d, &[a(2, 2), b(8, 8)], &["b:8>10"]);
    check(&d, &[a(2, 2), b(10, 8)], &["a:2>0"]);
    check(&d, &[a(0, 0), b(10, 10)], &[]);
    // Old pods that do not work go first, however few are available.
    check(&d, &[a(10, 4), b(3, 0)], &["a:10>8"]);
    check(&d, &[a(8, 4), b(5, 5)], &["a:8>3"]);
    // Too large: someone scaled the set by hand.
    check(&d, &[a(0, 0), b(14, 14)], &["b:14>10"]);
}

#[test]
fn without_surge_old_pods_make_room_first() {
    let d = deployment(
        "b",
        json!({"replicas": 2, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}),
    );
    let (a, b) = (|n| set(&d, "a", 1, n, n), |n, m| set(&d, "b", 2, n, m));
    check(&d, &[a(2)], &["+new=0 r2"]);
    check(&d, &[a(2), b(0, 0)], &["a:2>1"]);
    check(&d, &[a(1), b(0, 0)], &["b:0>1"]);
    check(&d, &[a(1), b(1, 0)], &[]);
    check(&d, &[a(1), b(1, 1)], &["a:1>0"]);
}

#[test]
fn recreate_waits_until_the_old_pods_are_gone() {
    let d = deployment("b", json!({"strategy": {"type": "Recreate"}}));
    let a = |n| set(&d, "a", 1, n, n);
    check(&d, &[], &["+new=10 r1"]);
    check(&d, &[a(10)], &["a:10>0"]);
    let stopping = decide(&d, &[a(0)], &HashSet::from(["a".to_owned()]), now());
    assert_eq!(short(&stopping), [""; 0]);
    check(&d, &[a(0)], &["+new=10 r2"]);
    check(&d, &[a(0), set(&d, "b", 2, 4, 4)], &["b:4>10"]);
}

#[test]
fn an_undo_gives_the_old_set_a_new_revision() {
    let d = deployment("a", json!({}));
    let decision = check(
        &d,
        &[set(&d, "a", 1, 0, 0), set(&d, "b", 2, 10, 10)],
        &["a:0>3"],
    );
    let Action::Update(update) = &decision.actions[0] else {
        panic!("{decision:?}")
    };
    assert_eq!(revision(&update.new), 3);
    assert_eq!(
        annotation(
            &update.new.metadata,
            "deployment.kubernetes.io/revision-history"
        ),
        Some("1")
    );
    assert!(decision.actions.contains(&Action::Revision("3".into())));
    assert!(
        decision
            .actions
            .contains(&Action::Tell("Scaled up replica set a from 0 to 3".into()))
    );
    // Once that is written, nothing more is to be annotated.
    let mut noted = d.clone();
    noted.annotations_mut().insert(REVISION.into(), "3".into());
    let decision = decide(
        &noted,
        &[set(&d, "a", 3, 3, 0), set(&d, "b", 2, 10, 10)],
        &HashSet::new(),
        now(),
    );
    assert_eq!(short(&decision), ["b:10>8"]);
    assert!(
        !decision
            .actions
            .iter()
            .any(|a| matches!(a, Action::Revision(_)))
    );
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_proportional() {
    let sized = |replicas: i32, surge: i32| {
        deployment(
            "b",
            json!({"replicas": replicas, "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 2}}}),
        )
    };
    let scale = |from: (i32, i32), to: i32, sizes: (i32, i32), expect: &[&str]| {
        let before = sized(from.0, from.1);
        check(
            &sized(to, from.1),
            &[
                set(&before, "a", 1, sizes.0, sizes.0),
                set(&before, "b", 2, sizes.1, 0),
            ],
            expect,
        );
    };
    // Kubernetes' own example: 10 replicas with 8 old and 5 new become 15.
    scale((10, 3), 15, (8, 5), &["a:8>11", "b:5>7"]);
    scale((10, 0), 5, (5, 5), &["a:5>2", "b:5>3"]);
    scale((10, 3), 0, (8, 5), &["a:8>0", "b:5>0"]);
    // One active set simply gets the size.
    scale((10, 3), 4, (0, 10), &["b:10>4"]);
    // A new set that is complete: what is left of the old goes.
    let before = sized(10, 3);
    let mut new = set(&before, "b", 2, 10, 10);
    model::note_size(&before, &mut new);
    let mut old = set(&before, "a", 1, 3, 3);
    old.annotations_mut().insert(
        "deployment.kubernetes.io/desired-replicas".into(),
        "9".into(),
    );
    check(&before, &[old, new], &["a:3>0"]);
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let d = deployment("b", json!({"paused": true, "replicas": 4}));
    let decision = check(&d, &[set(&d, "a", 1, 10, 10)], &["a:10>4"]);
    let reasons: Vec<_> = decision
        .status
        .conditions
        .unwrap()
        .into_iter()
        .map(|c| (c.type_, c.reason.unwrap()))
        .collect();
    assert!(
        reasons.contains(&("Progressing".into(), "DeploymentPaused".into())),
        "{reasons:?}"
    );
    check(&d, &[set(&d, "a", 1, 4, 4)], &[]);
}

#[test]
fn history_beyond_the_limit_goes_when_the_rollout_is_complete() {
    let mut d = deployment("c", json!({"revisionHistoryLimit": 1}));
    let sets = [
        set(&d, "a", 1, 0, 0),
        set(&d, "b", 2, 0, 0),
        set(&d, "c", 3, 10, 10),
    ];
    check(&d, &sets, &[]);
    let done = decide(&d, &sets, &HashSet::new(), now()).status;
    d.status = Some(done);
    check(&d, &sets, &["-a"]);
    let mut busy = sets.clone();
    busy[0].status.as_mut().unwrap().replicas = 1;
    check(&d, &busy, &[]);
}

#[test]
fn the_conditions_tell_how_the_rollout_goes() {
    let mut d = deployment("b", json!({}));
    let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
    let mut step = |sets: &[ReplicaSet], seconds: i64, expect: [&str; 2]| {
        let decision = decide(&d, sets, &HashSet::new(), at(seconds));
        let conditions = decision.status.conditions.clone().unwrap();
        let said = |kind: &str| {
            conditions
                .iter()
                .find(|c| c.type_ == kind)
                .map_or("-", |c| c.reason.as_deref().unwrap())
        };
        assert_eq!(
            [said("Available"), said("Progressing")],
            expect,
            "at {seconds}"
        );
        d.status = Some(decision.status);
        decision.again
    };
    let d = deployment("b", json!({}));
    let (a, b) = (|n| set(&d, "a", 1, n, n), |n, m| set(&d, "b", 2, n, m));
    let (yes, no) = ("MinimumReplicasAvailable", "MinimumReplicasUnavailable");
    step(&[], 0, [no, "NewReplicaSetCreated"]);
    step(&[a(0), b(10, 0)], 10, [no, "ReplicaSetUpdated"]);
    // Nothing moves for the deadline of ten minutes.
    assert_eq!(
        step(&[a(0), b(10, 0)], 600, [no, "ReplicaSetUpdated"]),
        Some(Duration::from_secs(11))
    );
    assert_eq!(
        step(&[a(0), b(10, 0)], 611, [no, "ProgressDeadlineExceeded"]),
        None
    );
    step(&[a(0), b(10, 8)], 620, [yes, "ReplicaSetUpdated"]);
    assert_eq!(
        step(&[a(0), b(10, 10)], 630, [yes, "NewReplicaSetAvailable"]),
        None
    );
    // Finished stays finished, whatever happens to the pods later.
    step(&[a(0), b(10, 2)], 5000, [no, "NewReplicaSetAvailable"]);
    step(&[a(0), b(10, 10)], 5010, [yes, "NewReplicaSetAvailable"]);
}

#[test]
fn the_status_counts_pods() {
    let d = deployment("b", json!({}));
    let got = decide(
        &d,
        &[set(&d, "a", 1, 7, 7), set(&d, "b", 2, 6, 1)],
        &HashSet::new(),
        now(),
    )
    .status;
    let mut got = serde_json::to_value(got).unwrap();
    got.as_object_mut().unwrap().remove("conditions");
    let expect = json!({"observedGeneration": 1, "replicas": 13, "updatedReplicas": 6, "readyReplicas": 8,
        "availableReplicas": 8, "unavailableReplicas": 5, "terminatingReplicas": 0});
    assert_eq!(got, expect);
}
