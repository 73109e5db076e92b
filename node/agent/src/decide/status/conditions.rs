//! The pod's conditions. Who else writes conditions (readiness gates) is left alone.

use k8s_openapi::api::core::v1::{PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::whole_seconds;
use crate::decide::world::{View, World};
use crate::pod::{self, Role};

pub(super) fn all(world: &World<'_>, status: &PodStatus, old: &PodStatus) -> Vec<PodCondition> {
    let phase = status.phase.as_deref().unwrap_or_default();
    let names = |test: &dyn Fn(&View<'_>) -> bool| -> Vec<&str> {
        world
            .views
            .iter()
            .filter(|v| test(v))
            .map(|v| v.spec.name.as_str())
            .collect()
    };
    let network = world
        .sandbox
        .is_some_and(|s| s.ready && (s.host_network || !s.ips.is_empty()));
    let begun = world
        .views
        .iter()
        .any(|v| v.role == Role::Main && v.current.is_some());
    let incomplete = names(&|v| match v.role {
        Role::Init => v.exit_code() != Some(0),
        Role::Sidecar => !world.started(v),
        Role::Main => false,
    });
    let initialized = match phase {
        "Succeeded" => Said::yes("PodCompleted"),
        _ if begun || incomplete.is_empty() => Said::yes(""),
        _ => Said::no(
            "ContainersNotInitialized",
            format!(
                "containers with incomplete status: [{}]",
                incomplete.join(" ")
            ),
        ),
    };
    let unready = names(&|v| v.role != Role::Init && !world.ready(v));
    let containers = match phase {
        "Succeeded" => Said::no("PodCompleted", String::new()),
        "Failed" => Said::no("PodFailed", String::new()),
        _ if unready.is_empty() => Said::yes(""),
        _ => Said::no(
            "ContainersNotReady",
            format!("containers with unready status: [{}]", unready.join(" ")),
        ),
    };
    let gates: Vec<String> = pod::spec(world.pod)
        .readiness_gates
        .iter()
        .flatten()
        .filter_map(|gate| {
            let name = &gate.condition_type;
            let reported = pod::status(world.pod)
                .conditions
                .iter()
                .flatten()
                .find(|c| c.type_ == *name);
            match reported {
                None => Some(format!(
                    "corresponding condition of pod readiness gate \"{name}\" does not exist."
                )),
                Some(c) if c.status != "True" => Some(format!(
                    "the status of pod readiness gate \"{name}\" is not \"True\", but {}",
                    c.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    let ready = match &containers {
        Said { yes: false, .. } => containers.clone(),
        _ if gates.is_empty() => Said::yes(""),
        _ => Said::no("ReadinessGatesNotReady", gates.join(", ")),
    };
    let said = [
        (
            "PodReadyToStartContainers",
            Said {
                yes: network,
                reason: String::new(),
                message: String::new(),
            },
        ),
        ("Initialized", initialized),
        ("Ready", ready),
        ("ContainersReady", containers),
        ("PodScheduled", Said::yes("")),
    ];
    said.into_iter()
        .map(|(kind, said)| condition(world, kind, said, old))
        .collect()
}

#[derive(Clone)]
struct Said {
    yes: bool,
    reason: String,
    message: String,
}

impl Said {
    fn yes(reason: &str) -> Self {
        Self {
            yes: true,
            reason: reason.into(),
            message: String::new(),
        }
    }

    fn no(reason: &str, message: String) -> Self {
        Self {
            yes: false,
            reason: reason.into(),
            message,
        }
    }
}

fn condition(world: &World<'_>, kind: &str, said: Said, old: &PodStatus) -> PodCondition {
    let status = if said.yes { "True" } else { "False" };
    let find = |status: &PodStatus| {
        status
            .conditions
            .iter()
            .flatten()
            .find(|c| c.type_ == kind)
            .cloned()
    };
    let before = find(old).or_else(|| find(pod::status(world.pod)));
    let since = before
        .filter(|c| c.status == status)
        .and_then(|c| c.last_transition_time);
    PodCondition {
        type_: kind.into(),
        status: status.into(),
        reason: (!said.reason.is_empty()).then_some(said.reason),
        message: (!said.message.is_empty()).then_some(said.message),
        last_transition_time: Some(since.unwrap_or(Time(whole_seconds(world.now)))),
        observed_generation: world.pod.metadata.generation,
        ..PodCondition::default()
    }
}
