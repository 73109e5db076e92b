//! The decision as tables. A pod's observation is written as words: `s0+` a sandbox that is ready (`s0-` is not), `a#1` a container's
//! run in the newest sandbox (`a#1/0` in sandbox 0), then `=R` running, `=C` created, `=U` unknown, `=X3@90` exited with code 3 at second
//! 90. A decision is shown as its actions, then phase, then each container: `R` running, `T3` terminated, `W:Reason` waiting; `!` ready.

mod containers;
mod ends;
mod statuses;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::{Value, json};

use super::*;
use crate::probe::{Kind, Probes};
use crate::runtime::{ContainerState, ObservedContainer, ObservedPod, ObservedSandbox};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("in range")
}

/// One question; built by words, answered as text.
struct Ask {
    pod: Pod,
    observed: ObservedPod,
    memory: Memory,
    now: i64,
}

fn ask(spec: Value, observed: &str) -> Ask {
    let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u", "generation": 1}, "spec": spec});
    let memory = Memory {
        volumes: Volumes::Mounted,
        start_time: Some(at(0)),
        ..Memory::default()
    };
    let mut ask = Ask {
        pod: serde_json::from_value(pod).expect("a pod"),
        observed: ObservedPod::default(),
        memory,
        now: 100,
    };
    ask.observed = observe(observed, &ask.pod);
    ask
}

fn observe(words: &str, pod: &Pod) -> ObservedPod {
    let mut found = ObservedPod {
        uid: "u".into(),
        ..ObservedPod::default()
    };
    for word in words.split_whitespace() {
        if let Some((number, ready)) = word.strip_prefix('s').and_then(|w| {
            w.strip_suffix('+')
                .map(|n| (n, true))
                .or(w.strip_suffix('-').map(|n| (n, false)))
        }) {
            found.sandboxes.push(ObservedSandbox {
                id: format!("s{number}"),
                attempt: number.parse().expect("a number"),
                ready,
                ips: vec!["10.42.0.5".into()],
                ..ObservedSandbox::default()
            });
            continue;
        }
        let (who, state) = word.split_once('=').expect("a state");
        let (who, sandbox) = who.split_once('/').unwrap_or((who, ""));
        let (name, attempt) = who.split_once('#').expect("a number");
        let newest = found
            .sandboxes
            .iter()
            .map(|s| s.attempt)
            .max()
            .unwrap_or(0)
            .to_string();
        let sandbox = if sandbox.is_empty() { &newest } else { sandbox };
        let (kind, when) = state.split_once('@').unwrap_or((state, "90"));
        let when = at(when.parse().expect("a second"));
        let state = match kind.split_at(1) {
            ("R", _) => ContainerState::Running { started_at: at(50) },
            ("C", _) => ContainerState::Created,
            ("U", _) => ContainerState::Unknown,
            (_, code) => ContainerState::Exited {
                started_at: Some(at(50)),
                finished_at: when,
                exit_code: code.parse().expect("a code"),
                reason: String::new(),
                message: String::new(),
            },
        };
        let hash = crate::pod::container(pod, name)
            .map(|(_, c)| crate::pod::container_hash(c))
            .unwrap_or_default();
        found.containers.push(ObservedContainer {
            id: who.into(),
            sandbox_id: format!("s{sandbox}"),
            name: name.into(),
            attempt: attempt.parse().expect("a number"),
            image: "img".into(),
            state,
            annotations: [(crate::pod::ANNOTATION_HASH.to_owned(), hash)].into(),
            ..ObservedContainer::default()
        });
    }
    found
}

impl Ask {
    fn with(mut self, change: impl FnOnce(&mut Memory)) -> Self {
        change(&mut self.memory);
        self
    }

    fn at(mut self, second: i64) -> Self {
        self.now = second;
        self
    }

    fn busy(self, busy: Busy) -> Self {
        self.with(|m| {
            m.busy.insert(busy);
        })
    }

    fn deleted(mut self, grace: i64) -> Self {
        self.pod.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(100)),
        );
        self.pod.metadata.deletion_grace_period_seconds = Some(grace);
        self
    }

    fn decide(&self) -> Decision {
        let host = Host {
            ips: vec!["192.0.2.1".into()],
            runtime: "test".into(),
        };
        decide(&self.pod, &self.observed, &self.memory, &host, at(self.now))
    }

    #[track_caller]
    fn check(self, expect: &str) {
        assert_eq!(show(&self.decide()), expect);
    }

    /// Only the phase.
    #[track_caller]
    fn ends(self, expect: &str) {
        assert_eq!(self.decide().status.phase.as_deref(), Some(expect));
    }

    /// Only what is to be done.
    #[track_caller]
    fn acts(self, expect: &str) {
        assert_eq!(actions(&self.decide()), expect);
    }
}

fn actions(decision: &Decision) -> String {
    let words = decision.actions.iter().map(|action| match action {
        Action::MountVolumes => "mount".into(),
        Action::RunSandbox { attempt } => format!("run s{attempt}"),
        Action::Start { name, attempt, .. } => format!("start {name}#{attempt}"),
        Action::Kill {
            id, grace, hook, ..
        } => format!(
            "kill {id} {}{}",
            grace.as_secs(),
            if *hook { "" } else { " nohook" }
        ),
        Action::StopSandbox { id } => format!("stop {id}"),
        Action::RemoveSandbox { id } => format!("rm {id}"),
        Action::RemoveContainer { id } => format!("rm {id}"),
        Action::UnmountVolumes => "unmount".into(),
        Action::Finish => "finish".into(),
    });
    words.collect::<Vec<String>>().join(", ")
}

fn show(decision: &Decision) -> String {
    let status = &decision.status;
    let containers = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten());
    let words: Vec<String> = containers.map(one).collect();
    format!(
        "{} | {} | {}",
        actions(decision),
        status.phase.as_deref().unwrap_or_default(),
        words.join(" ")
    )
}

fn one(status: &ContainerStatus) -> String {
    let state = status.state.clone().unwrap_or_default();
    let text = if state.running.is_some() {
        "R".into()
    } else if let Some(ended) = state.terminated {
        format!("T{}", ended.exit_code)
    } else {
        format!(
            "W:{}",
            state.waiting.and_then(|w| w.reason).unwrap_or_default()
        )
    };
    let restarts = if status.restart_count > 0 {
        format!("+{}", status.restart_count)
    } else {
        String::new()
    };
    let ready = if status.ready { "!" } else { "" };
    format!("{}={text}{restarts}{ready}", status.name)
}

fn c(name: &str) -> Value {
    json!({"name": name, "image": "img"})
}

fn pod_of(containers: &[&str], policy: &str) -> Value {
    json!({"containers": containers.iter().map(|n| c(n)).collect::<Vec<_>>(), "restartPolicy": policy})
}

fn sidecar(name: &str) -> Value {
    json!({"name": name, "image": "img", "restartPolicy": "Always"})
}

/// Probes of a container with these results.
fn probes(startup: Option<bool>, liveness: Option<bool>, readiness: Option<bool>) -> Probes {
    let mut probes = Probes::default();
    let probe = k8s_openapi::api::core::v1::Probe {
        failure_threshold: Some(1),
        ..Default::default()
    };
    for (kind, result) in [
        (Kind::Startup, startup),
        (Kind::Liveness, liveness),
        (Kind::Readiness, readiness),
    ] {
        if let Some(healthy) = result {
            probes.answer(kind, &probe, healthy);
        }
    }
    probes
}
