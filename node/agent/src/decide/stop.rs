//! A pod that shall stop: containers within the grace, sidecars after them in reverse order, then the sandbox, the volumes, the end.

use std::time::Duration;

use super::world::World;
use super::{Action, Busy, Plan, Volumes, is_up};
use crate::backoff::elapsed;
use crate::pod::{self, Role};

/// What a container gets at least, as in the kubelet.
const LEAST_GRACE: Duration = Duration::from_secs(2);

pub(super) fn plan(world: &World<'_>, plan: &mut Plan) {
    let up: Vec<_> = world
        .observed
        .containers
        .iter()
        .filter(|c| is_up(&c.state))
        .collect();
    if !up.is_empty() {
        let since = world.memory.stopping_since.unwrap_or(world.now);
        let total = pod::grace(world.pod);
        let left = total.saturating_sub(elapsed(since, world.now));
        let sidecar = |name: &str| {
            world
                .views
                .iter()
                .position(|v| v.role == Role::Sidecar && v.spec.name == name)
        };
        let (sidecars, others): (Vec<_>, Vec<_>) =
            up.into_iter().partition(|c| sidecar(&c.name).is_some());
        if others.is_empty() {
            // The last of the order goes first; when the grace is used up, all at once.
            let last = sidecars.iter().filter_map(|c| sidecar(&c.name)).max();
            for container in &sidecars {
                if left.is_zero() || sidecar(&container.name) == last {
                    world.kill(
                        plan,
                        container,
                        left.max(LEAST_GRACE.min(total)),
                        true,
                        &stopping(&container.name),
                    );
                }
            }
        }
        for container in &others {
            world.kill(
                plan,
                container,
                left.max(LEAST_GRACE.min(total)),
                true,
                &stopping(&container.name),
            );
        }
        if !sidecars.is_empty() {
            plan.wake_at(
                since
                    .checked_add(total)
                    .unwrap_or(world.now)
                    .max(world.now + Duration::from_secs(1)),
            );
        }
        return;
    }
    let starting = world
        .memory
        .busy
        .iter()
        .any(|b| matches!(b, Busy::Start(_) | Busy::Container(_)));
    if starting || world.busy(&Busy::Sandbox) || world.busy(&Busy::Volumes) {
        return;
    }
    let mut stopped = true;
    for sandbox in world.observed.sandboxes.iter().filter(|s| s.ready) {
        stopped = false;
        match world.memory.sandbox_retry.retry_at(world.now) {
            Some(at) => plan.wake_at(at),
            None => plan.act(Action::StopSandbox {
                id: sandbox.id.clone(),
            }),
        }
    }
    if !stopped {
        return;
    }
    if world.memory.volumes != Volumes::Gone {
        match world.memory.volumes_retry.retry_at(world.now) {
            Some(at) => plan.wake_at(at),
            None => plan.act(Action::UnmountVolumes),
        }
        return;
    }
    if world.deleted() && !world.busy(&Busy::Finish) {
        plan.act(Action::Finish);
    }
}

fn stopping(name: &str) -> String {
    format!("Stopping container {name}")
}
