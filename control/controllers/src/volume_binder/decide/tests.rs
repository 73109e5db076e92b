use serde_json::{Value, from_value, json};

use super::*;

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

fn a_claim(class: Value, change: Value) -> PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": {"namespace": "ns", "name": "data", "uid": "c1", "resourceVersion": "5"},
        "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    });
    merge(&mut claim, &change);
    from_value(claim).unwrap()
}

fn a_volume(name: &str, class: &str, size: &str, change: Value) -> Arc<PersistentVolume> {
    let mut volume = json!({
        "metadata": {"name": name},
        "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": size}},
        "status": {"phase": "Available"}
    });
    merge(&mut volume, &change);
    Arc::new(from_value(volume).unwrap())
}

fn a_class(name: &str, provisioner: &str, mode: &str, default: bool) -> Arc<StorageClass> {
    let annotations = json!({IS_DEFAULT: default.to_string()});
    Arc::new(
        from_value(json!({"metadata": {"name": name, "annotations": annotations}, "provisioner": provisioner, "volumeBindingMode": mode}))
            .unwrap(),
    )
}

fn at() -> Time {
    Time("2026-01-01T00:00:00Z".parse().unwrap())
}

/// The step in short.
fn short(step: ClaimStep) -> String {
    match step {
        ClaimStep::Nothing => "-".into(),
        ClaimStep::Bind(volume) => format!("bind {}", volume.name_any()),
        ClaimStep::Write { claim, tell } => {
            let phase = claim.status.and_then(|s| s.phase).unwrap_or_default();
            let class = claim
                .spec
                .and_then(|s| s.storage_class_name)
                .unwrap_or_default();
            format!(
                "{phase} {class} {}",
                tell.map_or("", |(_, reason, _)| reason)
            )
        }
    }
}

#[test]
fn an_unbound_claim_finds_its_volume_or_says_why_not() {
    let classes = [
        a_class("now", "some.io/p", "Immediate", false),
        a_class("wait", "some.io/p", "WaitForFirstConsumer", false),
        a_class("manual", NO_PROVISIONER, "Immediate", false),
    ];
    let check = |claim_: PersistentVolumeClaim, volumes: &[Arc<PersistentVolume>], expect: &str| {
        assert_eq!(
            short(claim(&claim_, volumes, &classes)),
            expect,
            "{claim_:?}"
        );
    };
    let plain = |class: &str| a_claim(json!(class), json!({}));
    let free = |name: &str, size: &str| a_volume(name, "now", size, json!({}));
    check(plain("now"), &[], "Pending now ExternalProvisioning");
    check(plain("wait"), &[], "Pending wait WaitForFirstConsumer");
    check(plain("manual"), &[], "Pending manual FailedBinding");
    check(plain("absent"), &[], "Pending absent ProvisioningFailed");
    check(plain(""), &[], "Pending  FailedBinding");
    check(
        a_claim(Value::Null, json!({})),
        &[],
        "Pending  FailedBinding",
    );
    check(
        a_claim(
            json!("wait"),
            json!({"metadata": {"annotations": {SELECTED_NODE: "n"}}}),
        ),
        &[],
        "Pending wait ExternalProvisioning",
    );
    // The smallest that is large enough.
    check(
        plain("now"),
        &[free("big", "9Gi"), free("fit", "1Gi"), free("small", "1Mi")],
        "bind fit",
    );
    check(
        plain("now"),
        &[a_volume("other", "x", "1Gi", json!({}))],
        "Pending now ExternalProvisioning",
    );
    check(
        plain("now"),
        &[a_volume(
            "used",
            "now",
            "1Gi",
            json!({"status": {"phase": "Released"}}),
        )],
        "Pending now ExternalProvisioning",
    );
    check(
        plain("now"),
        &[a_volume(
            "block",
            "now",
            "1Gi",
            json!({"spec": {"volumeMode": "Block"}}),
        )],
        "Pending now ExternalProvisioning",
    );
    let wide = a_claim(
        json!("now"),
        json!({"spec": {"accessModes": ["ReadWriteMany"]}}),
    );
    check(
        wide,
        &[free("fit", "1Gi")],
        "Pending now ExternalProvisioning",
    );
    let picky = a_claim(
        json!("now"),
        json!({"spec": {"selector": {"matchLabels": {"disk": "ssd"}}}}),
    );
    check(
        picky.clone(),
        &[free("fit", "1Gi")],
        "Pending now ExternalProvisioning",
    );
    check(
        picky,
        &[a_volume(
            "ssd",
            "now",
            "1Gi",
            json!({"metadata": {"labels": {"disk": "ssd"}}}),
        )],
        "bind ssd",
    );
    // A reserved volume goes to whom it is reserved for, also when the claim waits.
    let reserved = |class: &str, name: &str| {
        a_volume(
            "mine",
            class,
            "5Gi",
            json!({"spec": {"claimRef": {"namespace": "ns", "name": name}}}),
        )
    };
    check(
        plain("now"),
        &[free("fit", "1Gi"), reserved("now", "data")],
        "bind mine",
    );
    check(plain("wait"), &[reserved("wait", "data")], "bind mine");
    check(
        plain("wait"),
        &[a_volume("free", "wait", "1Gi", json!({}))],
        "Pending wait WaitForFirstConsumer",
    );
    check(
        plain("now"),
        &[reserved("now", "other")],
        "Pending now ExternalProvisioning",
    );
    // A volume asked for by name.
    let named = a_claim(json!("now"), json!({"spec": {"volumeName": "fit"}}));
    check(named.clone(), &[], "Pending now ");
    check(named.clone(), &[free("fit", "1Gi")], "bind fit");
    check(
        named.clone(),
        &[free("fit", "1Mi")],
        "Pending now VolumeMismatch",
    );
    check(
        named,
        &[a_volume(
            "fit",
            "now",
            "1Gi",
            json!({"spec": {"claimRef": {"namespace": "ns", "name": "x"}}}),
        )],
        "Pending now FailedBinding",
    );
}

#[test]
fn a_claim_without_a_class_gets_the_default() {
    let classes = [
        a_class("a", "p", "Immediate", false),
        a_class("c", "p", "Immediate", true),
        a_class("b", "p", "Immediate", true),
    ];
    assert_eq!(
        short(claim(&a_claim(Value::Null, json!({})), &[], &classes)),
        "Pending b "
    );
    assert_eq!(
        short(claim(&a_claim(json!(""), json!({})), &[], &classes)),
        "Pending  FailedBinding"
    );
}

#[test]
fn a_bound_claim_keeps_its_volume_or_is_lost() {
    let done = |change: Value| {
        let mut base = json!({"metadata": {"annotations": {BIND_COMPLETED: "yes"}}, "spec": {"volumeName": "v"}});
        merge(&mut base, &change);
        a_claim(json!("now"), base)
    };
    let check = |claim_: PersistentVolumeClaim, volumes: &[Arc<PersistentVolume>], expect: &str| {
        assert_eq!(short(claim(&claim_, volumes, &[])), expect);
    };
    let with = |uid: &str| {
        a_volume(
            "v",
            "now",
            "1Gi",
            json!({"spec": {"claimRef": {"namespace": "ns", "name": "data", "uid": uid}}}),
        )
    };
    check(done(json!({})), &[with("c1")], "bind v");
    check(
        done(json!({})),
        &[a_volume("v", "now", "1Gi", json!({}))],
        "bind v",
    );
    check(done(json!({})), &[with("c0")], "Lost now ClaimMisbound");
    check(done(json!({})), &[], "Lost now ClaimLost");
    check(
        done(json!({"spec": {"volumeName": ""}})),
        &[],
        "Lost now ClaimLost",
    );
    check(done(json!({"status": {"phase": "Lost"}})), &[], "-");
}

#[test]
fn a_binding_is_written_on_both_sides_and_then_nothing_more() {
    let claim_ = a_claim(json!("now"), json!({}));
    let volume_ = a_volume("v", "now", "2Gi", json!({}));
    let (v, c) = (
        bound_volume(&volume_, &claim_, at()),
        bound_claim(&claim_, &volume_),
    );
    let expect = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "ns", "name": "data", "uid": "c1", "resourceVersion": "5"});
    assert_eq!(
        serde_json::to_value(v.spec.as_ref().unwrap().claim_ref.as_ref()).unwrap(),
        expect
    );
    let status = json!({"phase": "Bound", "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": "2Gi"}});
    assert_eq!(serde_json::to_value(c.status.as_ref()).unwrap(), status);
    assert_eq!(
        serde_json::to_value(c.annotations()).unwrap(),
        json!({BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes"})
    );
    assert_eq!(
        (bound_volume(&v, &c, at()), bound_claim(&c, &v)),
        (v.clone(), c.clone())
    );
    assert_eq!(volume(&v, Some(&c), at()), VolumeStep::Nothing);
    // A volume that a person reserved is not marked as ours.
    let reserved = a_volume(
        "v",
        "now",
        "2Gi",
        json!({"spec": {"claimRef": {"namespace": "ns", "name": "data"}}}),
    );
    assert!(
        bound_volume(&reserved, &claim_, at())
            .metadata
            .annotations
            .is_none()
    );
}

#[test]
fn a_volume_follows_its_claim() {
    let check = |change: Value, claim_: Option<PersistentVolumeClaim>, expect: &str| {
        let got = match volume(
            &a_volume("v", "now", "1Gi", change.clone()),
            claim_.as_ref(),
            at(),
        ) {
            VolumeStep::Nothing => "-".into(),
            VolumeStep::WakeClaim => "wake".into(),
            VolumeStep::Write { volume, released } => {
                let free = if volume.spec.as_ref().unwrap().claim_ref.is_none() {
                    " free"
                } else {
                    ""
                };
                format!(
                    "{}{free}{}",
                    volume.status.unwrap().phase.unwrap(),
                    if released { "!" } else { "" }
                )
            }
        };
        assert_eq!(got, expect, "{change}");
    };
    let claimed = |uid: &str, phase: &str, by_us: bool| {
        let annotations = if by_us {
            json!({BOUND_BY_CONTROLLER: "yes"})
        } else {
            json!({})
        };
        json!({"metadata": {"annotations": annotations}, "spec": {"claimRef": {"namespace": "ns", "name": "data", "uid": uid}}, "status": {"phase": phase}})
    };
    let to = |volume: &str| {
        Some(a_claim(
            json!("now"),
            json!({"spec": {"volumeName": volume}}),
        ))
    };
    check(json!({"status": {"phase": ""}}), None, "Available free");
    check(json!({}), None, "-");
    check(claimed("", "Pending", false), None, "Available");
    check(claimed("", "Available", false), to(""), "wake");
    check(claimed("c1", "Available", true), to(""), "wake");
    check(claimed("c1", "Available", true), to("v"), "Bound");
    check(claimed("c1", "Bound", true), to("v"), "-");
    check(claimed("c1", "Bound", true), None, "Released!");
    check(claimed("c0", "Bound", true), to("v"), "Released!");
    check(claimed("c1", "Released", true), None, "-");
    check(claimed("c1", "Bound", true), to("w"), "Available free");
    check(claimed("c1", "Bound", false), to("w"), "Available");
}
