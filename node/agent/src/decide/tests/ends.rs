//! Deletion, deadlines, completion, lost objects.

use super::*;

#[test]
fn deletion_takes_its_time_and_its_order() {
    let spec = || pod_of(&["a", "b"], "Always");
    ask(spec(), "s0+ a#0=R b#0=X0")
        .deleted(30)
        .check("kill a#0 30 | Running | a=R! b=T0");
    let killing = |grace: i64| {
        move |m: &mut Memory| {
            m.kills.insert("a#0".into(), at(100 + grace));
            m.stopping_since = Some(at(100));
            m.busy.insert(Busy::Container("a#0".into()));
        }
    };
    ask(spec(), "s0+ a#0=R b#0=X0")
        .deleted(30)
        .with(killing(30))
        .at(110)
        .acts("");
    // A second deletion with less grace takes effect at once, without the hook.
    ask(spec(), "s0+ a#0=R b#0=X0")
        .deleted(5)
        .with(killing(30))
        .at(102)
        .acts("kill a#0 3 nohook");
    ask(spec(), "s0+ a#0=R b#0=X0")
        .deleted(0)
        .with(killing(30))
        .at(110)
        .acts("kill a#0 1 nohook");
    // Then the sandbox, the volumes, the end.
    ask(spec(), "s0+ a#0=X137 b#0=X0")
        .deleted(30)
        .acts("stop s0");
    ask(spec(), "s0+ a#0=X137 b#0=X0")
        .deleted(30)
        .busy(Busy::Sandbox)
        .acts("");
    ask(spec(), "s0- a#0=X137 b#0=X0")
        .deleted(30)
        .acts("unmount");
    let gone = |m: &mut Memory| m.volumes = Volumes::Gone;
    ask(spec(), "s0- a#0=X137 b#0=X0")
        .deleted(30)
        .with(gone)
        .check("finish | Failed | a=T137 b=T0");
    ask(spec(), "s0- a#0=X0 b#0=X0")
        .deleted(30)
        .with(gone)
        .check("finish | Succeeded | a=T0 b=T0");
    ask(spec(), "s0- a#0=X0 b#0=X0")
        .deleted(30)
        .with(gone)
        .busy(Busy::Finish)
        .acts("");
    ask(spec(), "")
        .deleted(30)
        .with(gone)
        .check("finish | Failed | a=W:ContainerCreating b=W:ContainerCreating");
    // An end that was told is not taken back while the rest goes.
    for busy in [Busy::Sandbox, Busy::Volumes, Busy::Finish] {
        ask(spec(), "s0- a#0=X0 b#0=X0")
            .deleted(30)
            .with(gone)
            .busy(busy.clone())
            .with(|m| m.volumes = Volumes::Gone)
            .ends("Succeeded");
    }
    let stopping = Busy::Container("a#0".into());
    ask(spec(), "s0+ a#0=X0 b#0=X0")
        .deleted(30)
        .busy(stopping)
        .ends("Running");
    // What is being started is waited for.
    ask(spec(), "s0+")
        .deleted(30)
        .busy(Busy::Start("a".into()))
        .acts("");
    ask(spec(), "s0+").deleted(30).busy(Busy::Volumes).acts("");
    // Created is not up: it goes with the sandbox.
    ask(spec(), "s0+ a#0=C").deleted(30).acts("stop s0");
    ask(spec(), "s0+ a#0=U")
        .deleted(30)
        .acts("kill a#0 30 nohook");
}

#[test]
fn sidecars_stop_last_and_in_reverse() {
    let spec = || json!({"initContainers": [sidecar("s"), sidecar("t")], "containers": [c("a")]});
    let since = |m: &mut Memory| m.stopping_since = Some(at(95));
    ask(spec(), "s0+ s#0=R t#0=R a#0=R")
        .deleted(30)
        .with(since)
        .acts("kill a#0 25");
    ask(spec(), "s0+ s#0=R t#0=R a#0=X0")
        .deleted(30)
        .with(since)
        .acts("kill t#0 25");
    ask(spec(), "s0+ s#0=R t#0=X0 a#0=X0")
        .deleted(30)
        .with(since)
        .acts("kill s#0 25");
    // The grace is used up: all at once.
    ask(spec(), "s0+ s#0=R t#0=R a#0=X0")
        .deleted(30)
        .with(since)
        .at(130)
        .acts("kill s#0 2, kill t#0 2");
    // A pod whose containers have all succeeded stops its sidecars, and is over only then.
    let mut job = spec();
    job["restartPolicy"] = "Never".into();
    ask(job.clone(), "s0+ s#0=R t#0=R a#0=X0").check("kill t#0 30 | Running | s=R! t=R! a=T0");
    ask(job, "s0- s#0=X0 t#0=X0 a#0=X0").check("unmount | Succeeded | s=T0 t=T0 a=T0");
}

#[test]
fn completion_and_deadline() {
    let spec = |policy: &str| pod_of(&["a", "b"], policy);
    ask(spec("Never"), "s0+ a#0=X0 b#0=X0").check("stop s0 | Succeeded | a=T0 b=T0");
    ask(spec("Never"), "s0+ a#0=X0 b#0=X2").check("stop s0 | Failed | a=T0 b=T2");
    ask(spec("OnFailure"), "s0+ a#0=X0 b#0=X0").check("stop s0 | Succeeded | a=T0 b=T0");
    ask(spec("Never"), "s0+ a#0=X0").check("start b#0 | Pending | a=T0 b=W:ContainerCreating");
    // Over is over: volumes go, the sandbox stays for its logs.
    let over = |m: &mut Memory| {
        m.outcome = Some(Outcome {
            phase: "Succeeded".into(),
            ..Outcome::default()
        });
        m.volumes = Volumes::Gone;
    };
    ask(spec("Never"), "s0- a#0=X0 b#0=X0")
        .with(over)
        .check(" | Succeeded | a=T0 b=T0");
    ask(spec("Never"), "")
        .with(over)
        .check(" | Succeeded | a=W:ContainerCreating b=W:ContainerCreating");
    ask(spec("Never"), "s0- a#0=X0 b#0=X0")
        .with(over)
        .deleted(30)
        .acts("finish");
    let mut reported = ask(spec("Always"), "s0- a#0=X0");
    reported.pod.status = Some(
        serde_json::from_value(json!({"phase": "Failed", "reason": "Evicted"})).expect("a status"),
    );
    let decision = reported.decide();
    assert_eq!(
        (
            actions(&decision).as_str(),
            decision.status.reason.as_deref()
        ),
        ("unmount", Some("Evicted"))
    );

    let mut limited = spec("Always");
    limited["activeDeadlineSeconds"] = 60.into();
    assert_eq!(
        ask(limited.clone(), "s0+ a#0=R b#0=R").at(10).decide().wake,
        Some(at(60))
    );
    let decision = ask(limited.clone(), "s0+ a#0=R b#0=R").at(60).decide();
    assert_eq!(
        show(&decision),
        "kill a#0 30, kill b#0 30 | Running | a=R! b=R!"
    );
    assert_eq!(
        decision.status.reason, None,
        "the end is reported when it has come"
    );
    let decision = ask(limited, "s0- a#0=X137 b#0=X137").at(60).decide();
    assert_eq!(show(&decision), "unmount | Failed | a=T137 b=T137");
    assert_eq!(decision.status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(
        decision.outcome.expect("an outcome").reason.as_deref(),
        Some("DeadlineExceeded")
    );
}

#[test]
fn what_was_refused_or_is_gone_never_runs() {
    let refused = |m: &mut Memory| {
        m.outcome = Some(Outcome {
            phase: "Failed".into(),
            reason: Some("OutOfcpu".into()),
            message: None,
        })
    };
    let decision = ask(pod_of(&["a"], "Always"), "").with(refused).decide();
    assert_eq!(show(&decision), "unmount | Failed | a=W:ContainerCreating");
    assert_eq!(decision.status.reason.as_deref(), Some("OutOfcpu"));
    let gone = |m: &mut Memory| m.gone = true;
    ask(pod_of(&["a"], "Always"), "s0+ a#0=R")
        .with(gone)
        .acts("kill a#0 30");
    ask(pod_of(&["a"], "Always"), "s0- a#0=X0")
        .with(gone)
        .with(|m| m.volumes = Volumes::Gone)
        .acts("finish");
    ask(pod_of(&["a"], "Always"), "").with(gone).acts("unmount");
}

/// Every state of two containers under every policy: the decision never contradicts itself.
#[test]
fn nothing_contradicts_itself() {
    let states = [
        "",
        "a#0=C",
        "a#0=R",
        "a#0=X0",
        "a#0=X1",
        "a#0=U",
        "a#1=R a#0=X1",
        "a#1=X0 a#0=X1",
    ];
    let others: Vec<String> = states.iter().map(|s| s.replace("a#", "b#")).collect();
    for policy in ["Always", "OnFailure", "Never"] {
        for sandbox in ["", "s0+", "s0-", "s0- s1+"] {
            for one in states {
                for other in &others {
                    for deleted in [false, true] {
                        let words = format!("{sandbox} {one} {other}");
                        if sandbox.is_empty() && !(one.is_empty() && other.is_empty()) {
                            continue;
                        }
                        let mut ask = ask(pod_of(&["a", "b"], policy), &words);
                        if deleted {
                            ask = ask.deleted(10);
                        }
                        let decision = ask.decide();
                        let starts = decision
                            .actions
                            .iter()
                            .filter(|a| {
                                matches!(a, Action::Start { .. } | Action::RunSandbox { .. })
                            })
                            .count();
                        let kills = decision
                            .actions
                            .iter()
                            .filter(|a| {
                                matches!(a, Action::Kill { .. } | Action::StopSandbox { .. })
                            })
                            .count();
                        let text =
                            format!("{policy} {words} deleted={deleted}: {}", show(&decision));
                        assert!(starts <= 1, "{text}");
                        assert!(!(deleted && starts > 0), "{text}");
                        assert!(!(decision.stopping && starts > 0), "{text}");
                        let up = ask.observed.containers.iter().any(|c| is_up(&c.state));
                        let terminal = status_is_terminal(&decision.status);
                        assert!(!(terminal && up), "over while something runs: {text}");
                        assert!(!(decision.stopping && up && kills == 0), "{text}");
                        let mut ids: Vec<String> =
                            decision.actions.iter().map(|a| format!("{a:?}")).collect();
                        ids.sort();
                        ids.dedup();
                        assert_eq!(ids.len(), decision.actions.len(), "{text}");
                    }
                }
            }
        }
    }
}
