//! A pod that shall run: sandbox, then init containers in order, then containers.

use std::time::Duration;

use super::world::{View, World};
use super::{Action, Busy, Plan, Volumes, is_up};
use crate::pod::{self, RestartPolicy, Role};
use crate::probe::Failed;
use crate::runtime::ContainerState;

pub(super) fn plan(world: &World<'_>, plan: &mut Plan) {
    if let Some(end) = pod::deadline(world.pod, world.start_time()) {
        plan.wake_at(end);
    }
    if world.memory.volumes != Volumes::Mounted && !world.busy(&Busy::Volumes) {
        match world.memory.volumes_retry.retry_at(world.now) {
            Some(at) => plan.wake_at(at),
            None => plan.act(Action::MountVolumes),
        }
    }
    let ready = world
        .sandbox
        .filter(|s| s.ready && s.host_network == pod::host_network(world.pod));
    if ready.is_none() {
        replace_sandbox(world, plan);
        return;
    }
    if !initialize(world, plan) {
        return;
    }
    for view in world.views.iter().filter(|v| v.role == Role::Main) {
        drive(world, view, plan);
    }
}

/// Without a sandbox there is nothing: what is left of the old one is stopped first, then comes the next.
fn replace_sandbox(world: &World<'_>, plan: &mut Plan) {
    if world.busy(&Busy::Sandbox) {
        return;
    }
    let mut waiting = false;
    for container in world.observed.containers.iter().filter(|c| is_up(&c.state)) {
        waiting = true;
        world.kill(
            plan,
            container,
            pod::grace(world.pod),
            false,
            "Pod sandbox changed, it will be killed and re-created.",
        );
    }
    if waiting {
        return;
    }
    if let Some(old) = world.observed.sandboxes.iter().find(|s| s.ready) {
        plan.act(Action::StopSandbox { id: old.id.clone() });
        return;
    }
    if world.memory.volumes != Volumes::Mounted {
        return;
    }
    match world.memory.sandbox_retry.retry_at(world.now) {
        Some(at) => plan.wake_at(at),
        None => plan.act(Action::RunSandbox {
            attempt: world.sandbox.map_or(0, |s| s.attempt + 1),
        }),
    }
}

/// Drives the init containers; true when the containers' turn has come.
fn initialize(world: &World<'_>, plan: &mut Plan) -> bool {
    let init: Vec<&View<'_>> = world
        .views
        .iter()
        .filter(|v| v.role != Role::Main)
        .collect();
    let initialized = world
        .views
        .iter()
        .any(|v| v.role == Role::Main && v.current.is_some());
    // The furthest that was begun: those before it are through.
    let frontier = init.iter().rposition(|v| v.current.is_some());
    for (index, view) in init.iter().enumerate() {
        let passed = initialized || frontier.is_some_and(|f| index < f);
        if view.role == Role::Sidecar {
            drive(world, view, plan);
            if !passed && !world.started(view) {
                return false;
            }
        } else if !passed {
            if view.exit_code() == Some(0) {
                continue;
            }
            drive(world, view, plan);
            return false;
        }
    }
    true
}

/// Keeps one container as it should be: running, with the right definition and alive.
fn drive(world: &World<'_>, view: &View<'_>, plan: &mut Plan) {
    if let Some(container) = view.current.filter(|c| is_up(&c.state)) {
        let name = &view.spec.name;
        let grace = pod::grace(world.pod);
        let changed = container
            .annotations
            .get(pod::ANNOTATION_HASH)
            .is_some_and(|h| *h != pod::container_hash(view.spec));
        if container.state == ContainerState::Unknown {
            world.kill(
                plan,
                container,
                Duration::from_secs(2),
                false,
                &format!("Container {name} is in an unknown state"),
            );
        } else if changed {
            let why = format!("Container {name} definition changed, will be restarted");
            world.kill(plan, container, grace, true, &why);
        } else if let Some(failed) = world
            .memory
            .probes
            .get(&container.id)
            .and_then(|p| p.failed())
        {
            let (which, probe) = match failed {
                Failed::Startup => ("startup", &view.spec.startup_probe),
                Failed::Liveness => ("liveness", &view.spec.liveness_probe),
            };
            let own = probe
                .as_ref()
                .and_then(|p| p.termination_grace_period_seconds);
            let grace = own
                .and_then(|s| u64::try_from(s).ok())
                .map_or(grace, Duration::from_secs);
            let again = if pod::restart_policy_of(world.pod, view.role) == RestartPolicy::Never {
                ""
            } else {
                ", will be restarted"
            };
            world.kill(
                plan,
                container,
                grace,
                true,
                &format!("Container {name} failed {which} probe{again}"),
            );
        }
        return;
    }
    let newest_exit = view.newest.and_then(|c| match &c.state {
        ContainerState::Exited {
            exit_code,
            finished_at,
            ..
        } => Some((*exit_code, *finished_at)),
        _ => None,
    });
    let in_current = view.current.is_some();
    let wanted = match newest_exit {
        // In a new sandbox everything runs again, but what has succeeded for good.
        Some((code, _)) if !in_current && view.role == Role::Main => {
            pod::restart_policy(world.pod) != RestartPolicy::OnFailure || code != 0
        }
        Some((code, _)) if in_current => world.restarts(view, code),
        _ => true,
    };
    if wanted {
        start(world, view, newest_exit.map(|(_, at)| at), plan);
    }
}

fn start(world: &World<'_>, view: &View<'_>, ended: Option<jiff::Timestamp>, plan: &mut Plan) {
    // One start at a time, in order: a container's postStart hook holds back the next one.
    let starting = world
        .memory
        .busy
        .iter()
        .any(|b| matches!(b, Busy::Start(_)))
        || plan
            .actions
            .iter()
            .any(|a| matches!(a, Action::Start { .. }));
    let stopping = view
        .newest
        .is_some_and(|c| world.busy(&Busy::Container(c.id.clone())));
    if stopping || world.memory.volumes != Volumes::Mounted || world.busy(&Busy::Sandbox) {
        return;
    }
    if let Some(memory) = view.memory {
        let crash = ended.and_then(|at| memory.crash.until(at, world.now));
        let retry = memory
            .error
            .as_ref()
            .and_then(|_| memory.retry.retry_at(world.now));
        if let Some(at) = crash.max(retry) {
            plan.wake_at(at);
            return;
        }
    }
    if !starting {
        plan.act(Action::Start {
            name: view.spec.name.clone(),
            attempt: view.next_attempt(),
            ended,
        });
    }
}
