//! What a pod's status says, in the kubelet's words and by its rules.

mod conditions;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState as ApiState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::world::{View, World};
use super::{Busy, Outcome, is_up};
use crate::pod::{self, RestartPolicy, Role};
use crate::runtime::{ContainerState, ObservedContainer};

/// Whether a status says that the pod is over.
pub fn status_is_terminal(status: &PodStatus) -> bool {
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

pub(super) fn compute(world: &World<'_>, outcome: Option<&Outcome>) -> PodStatus {
    let old = world
        .memory
        .last_status
        .as_ref()
        .unwrap_or(pod::status(world.pod));
    let stopping = outcome.is_some() || world.deleted();
    let up = world.observed.containers.iter().any(|c| is_up(&c.state));
    // What is being started or stopped may still change how the pod ended; nothing else can.
    let moving = |b: &Busy| matches!(b, Busy::Start(_) | Busy::Container(_));
    let pending_work = world.memory.busy.iter().any(moving);
    let phase = match outcome {
        // The end is reported when nothing runs any more; until then the pod is what it was.
        Some(_) if up => old
            .phase
            .clone()
            .filter(|p| p != "Succeeded" && p != "Failed")
            .unwrap_or_else(|| "Running".into()),
        Some(Outcome { phase, .. }) if !phase.is_empty() => phase.clone(),
        _ if stopping && !up && !pending_work => match self::phase(world, true) {
            end @ ("Succeeded" | "Failed") => end.into(),
            _ => "Failed".into(),
        },
        _ => self::phase(world, false).into(),
    };
    let has_init = world.views.iter().any(|v| v.role != Role::Main);
    let statuses = |main: bool| -> Vec<ContainerStatus> {
        let views = world
            .views
            .iter()
            .filter(|v| (v.role == Role::Main) == main);
        views
            .map(|v| container_status(world, v, stopping, has_init))
            .collect()
    };
    let (init, main) = (statuses(false), statuses(true));
    let ips = pod_ips(world, old);
    let ended = outcome.filter(|_| !up);
    let mut status = PodStatus {
        phase: Some(phase),
        reason: ended.and_then(|o| o.reason.clone()),
        message: ended.and_then(|o| o.message.clone()),
        host_ip: world.host.ips.first().cloned(),
        host_ips: some(
            world
                .host
                .ips
                .iter()
                .map(|ip| HostIP { ip: ip.clone() })
                .collect(),
        ),
        pod_ip: ips.first().cloned(),
        pod_ips: some(ips.into_iter().map(|ip| PodIP { ip }).collect()),
        start_time: Some(Time(whole_seconds(world.start_time()))),
        qos_class: Some(crate::resources::qos(world.pod).as_str().into()),
        init_container_statuses: some(init),
        container_statuses: some(main),
        observed_generation: world.pod.metadata.generation,
        ..PodStatus::default()
    };
    status.conditions = Some(conditions::all(world, &status, old));
    status
}

fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

/// Kubernetes' times have whole seconds.
pub(super) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn time(at: Timestamp) -> Option<Time> {
    (at != Timestamp::UNIX_EPOCH).then(|| Time(whole_seconds(at)))
}

fn pod_ips(world: &World<'_>, old: &PodStatus) -> Vec<String> {
    if pod::host_network(world.pod) {
        return world.host.ips.clone();
    }
    match world.sandbox.filter(|s| s.ready) {
        Some(sandbox) => sandbox.ips.clone(),
        // A pod that is over keeps the address it had.
        None => old
            .pod_ips
            .iter()
            .flatten()
            .map(|ip| ip.ip.clone())
            .collect(),
    }
}

/// The phase by the containers. `terminal` says that none of them will run again.
pub(super) fn phase(world: &World<'_>, terminal: bool) -> &'static str {
    let begun = world
        .views
        .iter()
        .any(|v| v.role == Role::Main && v.current.is_some());
    let mut pending = false;
    for view in world
        .views
        .iter()
        .filter(|v| v.role != Role::Main && !begun)
    {
        match (view.role, view.exit_code()) {
            (Role::Sidecar, _) => pending |= !world.started(view),
            (_, Some(0)) => {}
            (_, Some(_)) if pod::restart_policy(world.pod) == RestartPolicy::Never => {
                return "Failed";
            }
            _ => pending = true,
        }
    }
    let (mut running, mut stopped, mut succeeded, mut waiting, mut unknown) = (0, 0, 0, 0, 0);
    for view in world.views.iter().filter(|v| v.role == Role::Main) {
        match view.newest.map(|c| &c.state) {
            Some(ContainerState::Running { .. }) => running += 1,
            Some(ContainerState::Exited { exit_code, .. }) => {
                stopped += 1;
                succeeded += usize::from(*exit_code == 0);
            }
            Some(ContainerState::Unknown) => unknown += 1,
            Some(ContainerState::Created) if view.previous.is_some() => stopped += 1,
            _ => waiting += 1,
        }
    }
    if terminal && running == 0 && unknown == 0 && waiting == 0 && !pending {
        return if stopped == succeeded {
            "Succeeded"
        } else {
            "Failed"
        };
    }
    match pod::restart_policy(world.pod) {
        _ if pending || waiting > 0 => "Pending",
        _ if running > 0 || unknown > 0 => "Running",
        RestartPolicy::Always => "Running",
        _ if stopped == succeeded => "Succeeded",
        RestartPolicy::Never => "Failed",
        RestartPolicy::OnFailure => "Running",
    }
}

fn terminated(
    world: &World<'_>,
    container: &ObservedContainer,
) -> Option<ContainerStateTerminated> {
    let ContainerState::Exited {
        started_at,
        finished_at,
        exit_code,
        reason,
        message,
    } = &container.state
    else {
        return None;
    };
    let text = world
        .memory
        .messages
        .get(&container.id)
        .filter(|m| !m.is_empty())
        .unwrap_or(message);
    let reason = match reason.as_str() {
        "" if *exit_code == 0 => "Completed",
        "" => "Error",
        given => given,
    };
    Some(ContainerStateTerminated {
        container_id: Some(container_id(world, container)),
        exit_code: *exit_code,
        reason: Some(reason.into()),
        message: (!text.is_empty()).then(|| text.clone()),
        started_at: started_at.and_then(time),
        finished_at: time(*finished_at),
        signal: None,
    })
}

fn container_id(world: &World<'_>, container: &ObservedContainer) -> String {
    format!("{}://{}", world.host.runtime, container.id)
}

fn waiting(reason: &str, message: &str) -> ApiState {
    let message = (!message.is_empty()).then(|| message.to_owned());
    ApiState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.into()),
            message,
        }),
        ..ApiState::default()
    }
}

fn container_status(
    world: &World<'_>,
    view: &View<'_>,
    stopping: bool,
    has_init: bool,
) -> ContainerStatus {
    let ended = |c: &ObservedContainer| ApiState {
        terminated: terminated(world, c),
        ..ApiState::default()
    };
    let not_yet = || match view.memory.and_then(|m| m.error.as_ref()) {
        Some((reason, message)) => waiting(reason, message),
        None if has_init => waiting("PodInitializing", ""),
        None => waiting("ContainerCreating", ""),
    };
    let previous = view
        .previous
        .filter(|c| matches!(c.state, ContainerState::Exited { .. }));
    let (state, last) = match view.newest {
        None => lost(world, view, not_yet(), stopping),
        Some(c) => match &c.state {
            ContainerState::Created => (not_yet(), previous.map(ended)),
            ContainerState::Running { started_at } => {
                let running = Some(ContainerStateRunning {
                    started_at: time(*started_at),
                });
                (
                    ApiState {
                        running,
                        ..ApiState::default()
                    },
                    previous.map(ended),
                )
            }
            ContainerState::Unknown => (
                waiting(
                    "ContainerStatusUnknown",
                    "The runtime does not know its state",
                ),
                previous.map(ended),
            ),
            ContainerState::Exited {
                exit_code,
                finished_at,
                ..
            } => {
                let again =
                    !stopping && (world.restarts(view, *exit_code) || view.current.is_none());
                match again
                    .then(|| held_back(world, view, *finished_at))
                    .flatten()
                {
                    Some(state) => (state, Some(ended(c))),
                    None => (ended(c), previous.map(ended)),
                }
            }
        },
    };
    let done = view.role == Role::Init && view.exit_code() == Some(0);
    ContainerStatus {
        name: view.spec.name.clone(),
        image: view.newest.map_or_else(
            || view.spec.image.clone().unwrap_or_default(),
            |c| c.image.clone(),
        ),
        image_id: view.newest.map(|c| c.image_ref.clone()).unwrap_or_default(),
        container_id: view.newest.map(|c| container_id(world, c)),
        ready: if view.role == Role::Init {
            done
        } else {
            world.ready(view)
        },
        started: Some(if view.role == Role::Init {
            view.running().is_some()
        } else {
            world.started(view)
        }),
        restart_count: match view.newest {
            Some(c) => i32::try_from(pod::restarts(c)).unwrap_or(i32::MAX),
            None => view.reported.map_or(0, |r| r.restart_count),
        },
        state: Some(state),
        last_state: last,
        ..ContainerStatus::default()
    }
}

/// State and last state of a container that the runtime has no trace of.
fn lost(
    world: &World<'_>,
    view: &View<'_>,
    not_yet: ApiState,
    stopping: bool,
) -> (ApiState, Option<ApiState>) {
    let Some(reported) = view.reported else {
        return (not_yet, None);
    };
    let state = reported.state.as_ref();
    if let Some(ended) = state.and_then(|s| s.terminated.as_ref()) {
        let ended = ApiState {
            terminated: Some(ended.clone()),
            ..ApiState::default()
        };
        // An init container that is through stays so; its trace may be gone.
        return if stopping {
            (ended, reported.last_state.clone())
        } else {
            (not_yet, Some(ended))
        };
    }
    if state.is_some_and(|s| s.running.is_some()) {
        let ended = ApiState {
            terminated: Some(ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".into()),
                message: Some(
                    "The container could not be located when the pod was terminated".into(),
                ),
                container_id: reported.container_id.clone(),
                finished_at: time(world.now),
                ..ContainerStateTerminated::default()
            }),
            ..ApiState::default()
        };
        return if stopping {
            (ended, reported.last_state.clone())
        } else {
            (not_yet, Some(ended))
        };
    }
    (not_yet, reported.last_state.clone())
}

/// Why a container that shall run again does not yet.
fn held_back(world: &World<'_>, view: &View<'_>, ended: Timestamp) -> Option<ApiState> {
    let memory = view.memory?;
    if let Some((reason, message)) = &memory.error {
        return Some(waiting(reason, message));
    }
    memory.crash.until(ended, world.now)?;
    let delay = go_duration(memory.crash.delay().as_secs());
    let pod = format!(
        "{}_{}({})",
        pod::name(world.pod),
        pod::namespace(world.pod),
        pod::uid(world.pod)
    );
    Some(waiting(
        "CrashLoopBackOff",
        &format!(
            "back-off {delay} restarting failed container={} pod={pod}",
            view.spec.name
        ),
    ))
}

/// Seconds as Go prints a duration: `10s`, `1m20s`, `5m0s`.
fn go_duration(seconds: u64) -> String {
    if seconds < 60 {
        format!("{seconds}s")
    } else {
        format!("{}m{}s", seconds / 60, seconds % 60)
    }
}
