//! Sandbox, init containers, containers, restarts.

use super::*;

#[test]
fn a_pods_beginning() {
    let spec = || pod_of(&["a", "b"], "Always");
    let unmounted = |m: &mut Memory| m.volumes = Volumes::Unknown;
    ask(spec(), "")
        .with(unmounted)
        .check("mount | Pending | a=W:ContainerCreating b=W:ContainerCreating");
    ask(spec(), "").with(unmounted).busy(Busy::Volumes).acts("");
    ask(spec(), "")
        .with(unmounted)
        .with(|m| m.volumes_retry.fail_soon(at(99)))
        .at(99)
        .acts("");
    ask(spec(), "").acts("run s0");
    ask(spec(), "").busy(Busy::Sandbox).acts("");
    ask(spec(), "")
        .with(|m| m.sandbox_retry.fail(at(95)))
        .acts("");
    ask(spec(), "")
        .with(|m| m.sandbox_retry.fail(at(85)))
        .acts("run s0");
    ask(spec(), "s0+").acts("start a#0");
    ask(spec(), "s0+").busy(Busy::Start("a".into())).acts("");
    ask(spec(), "s0+ a#0=R")
        .busy(Busy::Start("a".into()))
        .check(" | Pending | a=R b=W:ContainerCreating");
    ask(spec(), "s0+ a#0=R").check("start b#0 | Pending | a=R! b=W:ContainerCreating");
    ask(spec(), "s0+ a#0=R b#0=R").check(" | Running | a=R! b=R!");
    // A container that cannot be started holds none of the others up.
    let failed = |m: &mut Memory| {
        let memory = m.containers.entry("a".into()).or_default();
        memory.error = Some(("ErrImagePull".into(), "no".into()));
        memory.retry.fail(at(95));
    };
    ask(spec(), "s0+")
        .with(failed)
        .check("start b#0 | Pending | a=W:ErrImagePull b=W:ContainerCreating");
    ask(spec(), "s0+ b#0=R")
        .with(failed)
        .check(" | Pending | a=W:ErrImagePull b=R!");
    ask(spec(), "s0+ b#0=R")
        .with(failed)
        .at(105)
        .acts("start a#0");
    // Created and never started is started again under the same number.
    ask(spec(), "s0+ a#0=C").acts("start a#0");
    ask(spec(), "s0+ a#1=C a#0=X1").acts("start a#1");
}

#[test]
fn restarts_by_policy() {
    let crashed = |m: &mut Memory| {
        m.containers
            .entry("a".into())
            .or_default()
            .crash
            .step(at(80), at(81))
    };
    for (policy, code, expect) in [
        ("Always", 0, "start a#1 | Running | a=T0 b=R!"),
        ("Always", 1, "start a#1 | Running | a=T1 b=R!"),
        ("OnFailure", 0, " | Running | a=T0 b=R!"),
        ("OnFailure", 1, "start a#1 | Running | a=T1 b=R!"),
        ("Never", 0, " | Running | a=T0 b=R!"),
        ("Never", 1, " | Running | a=T1 b=R!"),
    ] {
        ask(
            pod_of(&["a", "b"], policy),
            &format!("s0+ a#0=X{code} b#0=R"),
        )
        .check(expect);
    }
    let spec = || pod_of(&["a"], "Always");
    ask(spec(), "s0+ a#1=X1@95")
        .with(crashed)
        .check(" | Running | a=W:CrashLoopBackOff+1");
    assert_eq!(
        ask(spec(), "s0+ a#1=X1@95").with(crashed).decide().wake,
        Some(at(105))
    );
    ask(spec(), "s0+ a#1=X1@95")
        .with(crashed)
        .at(105)
        .acts("start a#2");
    ask(spec(), "s0+ a#1=X1@85").with(crashed).acts("start a#2");
    // The last two runs are kept, with their logs.
    ask(spec(), "s0+ a#3=R a#2=X1 a#1=X1 a#0=X1").check("rm a#1, rm a#0 | Running | a=R+3!");
    ask(spec(), "s0+ a#3=R a#2=X1 a#1=X1")
        .busy(Busy::Container("a#1".into()))
        .acts("");
    ask(spec(), "s0+ a#0=U").check("kill a#0 2 nohook | Running | a=W:ContainerStatusUnknown");
}

#[test]
fn a_change_of_definition_restarts() {
    let mut changed = ask(pod_of(&["a"], "Always"), "s0+ a#0=R");
    changed.pod.spec.as_mut().expect("a spec").containers[0].image = Some("other".into());
    changed.acts("kill a#0 30");
    let mut foreign = ask(pod_of(&["a"], "Always"), "s0+ a#0=R");
    foreign.observed.containers[0].annotations.clear();
    foreign.acts("");
    let mut trivial = ask(pod_of(&["a"], "Always"), "s0+ a#0=R");
    trivial.pod.spec.as_mut().expect("a spec").containers[0].command = Some(vec!["x".into()]);
    trivial.acts("");
}

#[test]
fn probes_restart_and_gate() {
    let probe = json!({"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 7});
    let plain = json!({"exec": {"command": ["x"]}});
    let one = |kind: &str, probe: &Value, policy| json!({"containers": [{"name": "a", "image": "img", kind: probe}], "restartPolicy": policy});
    let with = |p: Probes| {
        move |m: &mut Memory| {
            m.probes.insert("a#0".into(), p);
        }
    };
    let running = "s0+ a#0=R";
    ask(one("livenessProbe", &plain, "Always"), running)
        .with(with(probes(None, Some(false), None)))
        .check("kill a#0 30 | Running | a=R!");
    ask(one("livenessProbe", &probe, "Never"), running)
        .with(with(probes(None, Some(false), None)))
        .acts("kill a#0 7");
    ask(one("livenessProbe", &plain, "Always"), running)
        .with(with(probes(None, Some(true), None)))
        .check(" | Running | a=R!");
    ask(one("readinessProbe", &plain, "Always"), running).check(" | Running | a=R");
    ask(one("readinessProbe", &plain, "Always"), running)
        .with(with(probes(None, None, Some(true))))
        .check(" | Running | a=R!");
    ask(one("readinessProbe", &plain, "Always"), running)
        .with(with(probes(None, None, Some(false))))
        .check(" | Running | a=R");
    ask(one("startupProbe", &plain, "Always"), running).check(" | Running | a=R");
    ask(one("startupProbe", &plain, "Always"), running)
        .with(with(probes(Some(true), None, None)))
        .check(" | Running | a=R!");
    ask(one("startupProbe", &plain, "Always"), running)
        .with(with(probes(Some(false), None, None)))
        .acts("kill a#0 30");
    // Once is enough.
    let killing = |m: &mut Memory| {
        m.kills.insert("a#0".into(), at(130));
    };
    ask(one("livenessProbe", &plain, "Always"), running)
        .with(with(probes(None, Some(false), None)))
        .with(killing)
        .acts("");
    let why = ask(one("livenessProbe", &plain, "Always"), running)
        .with(with(probes(None, Some(false), None)))
        .decide();
    assert!(
        matches!(&why.actions[0], Action::Kill { why, .. } if why == "Container a failed liveness probe, will be restarted")
    );
}

#[test]
fn init_containers_run_in_order() {
    let spec = |policy: &str| json!({"initContainers": [c("i"), c("j")], "containers": [c("a")], "restartPolicy": policy});
    ask(spec("Always"), "s0+")
        .check("start i#0 | Pending | i=W:PodInitializing j=W:PodInitializing a=W:PodInitializing");
    ask(spec("Always"), "s0+ i#0=R")
        .check(" | Pending | i=R j=W:PodInitializing a=W:PodInitializing");
    ask(spec("Always"), "s0+ i#0=X0")
        .check("start j#0 | Pending | i=T0! j=W:PodInitializing a=W:PodInitializing");
    ask(spec("Always"), "s0+ i#0=X1").acts("start i#1");
    ask(spec("OnFailure"), "s0+ i#0=X1").acts("start i#1");
    ask(spec("Never"), "s0+ i#0=X1")
        .check("stop s0 | Failed | i=T1 j=W:PodInitializing a=W:PodInitializing");
    ask(spec("Always"), "s0+ i#0=X0 j#0=X0").acts("start a#0");
    ask(spec("Always"), "s0+ i#0=X0 j#0=X0 a#0=R").check(" | Running | i=T0! j=T0! a=R!");
    // Their records may be gone once the containers' turn has come.
    ask(spec("Always"), "s0+ a#0=X1").acts("start a#1");
    ask(spec("Always"), "s0+ j#0=X0").acts("start a#0");
}

#[test]
fn sidecars_start_before_and_stay() {
    let spec = || json!({"initContainers": [c("i"), sidecar("s"), c("j")], "containers": [c("a")], "restartPolicy": "Always"});
    ask(spec(), "s0+ i#0=X0").acts("start s#0");
    ask(spec(), "s0+ i#0=X0 s#0=R")
        .busy(Busy::Start("s".into()))
        .acts("");
    ask(spec(), "s0+ i#0=X0 s#0=R")
        .check("start j#0 | Pending | i=T0! s=R! j=W:PodInitializing a=W:PodInitializing");
    ask(spec(), "s0+ i#0=X0 s#0=X1").acts("start s#1");
    ask(spec(), "s0+ i#0=X0 s#0=X1 j#0=R").acts("start s#1");
    ask(spec(), "s0+ i#0=X0 s#0=X0 j#0=X0 a#0=R")
        .check("start s#1 | Running | i=T0! s=T0 j=T0! a=R!");
    let mut gated = spec();
    gated["initContainers"][1]["startupProbe"] = json!({"exec": {"command": ["x"]}});
    ask(gated.clone(), "s0+ i#0=X0 s#0=R").acts("");
    ask(gated, "s0+ i#0=X0 s#0=R")
        .with(|m| {
            m.probes
                .insert("s#0".into(), probes(Some(true), None, None));
        })
        .acts("start j#0");
}

#[test]
fn a_lost_sandbox_is_replaced() {
    let spec = |policy: &str| pod_of(&["a"], policy);
    ask(spec("Always"), "s0- a#0/0=R").acts("kill a#0 30 nohook");
    ask(spec("Always"), "s0- a#0/0=X137").check("run s1 | Running | a=T137");
    ask(spec("Always"), "s0- a#0/0=X137")
        .with(|m| m.volumes = Volumes::Unknown)
        .acts("mount");
    ask(spec("Always"), "s0- a#0/0=X137 s1+").check("start a#1 | Running | a=T137");
    ask(spec("Always"), "s0- a#0/0=X137 s1+ a#1=R").check(" | Running | a=R+1!");
    ask(spec("Always"), "s0- s1+ a#1=R").acts("rm s0");
    ask(spec("Always"), "s0- s1+ a#1=R")
        .busy(Busy::Sandbox)
        .acts("");
    // What has come to its end does not run again for that.
    ask(spec("Never"), "s0- a#0/0=X255").check("unmount | Failed | a=T255");
    ask(spec("OnFailure"), "s0- a#0/0=X0").check("unmount | Succeeded | a=T0");
    let two = pod_of(&["a", "b"], "OnFailure");
    ask(two, "s0- a#0/0=X0 b#0/0=X1 s1+").acts("start b#1");
    // Init containers run again in a new sandbox.
    let init = json!({"initContainers": [c("i")], "containers": [c("a")]});
    ask(init, "s0- i#0/0=X0 a#0/0=X1 s1+").acts("start i#1");
    // Another network than asked for.
    let mut host = pod_of(&["a"], "Always");
    host["hostNetwork"] = true.into();
    ask(host, "s0+").acts("stop s0");
}
