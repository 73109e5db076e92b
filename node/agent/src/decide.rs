//! The decision about one pod: a pure function of the object, what the runtime reports, what the agent recalls, and the clock.
//! Know before changing: it is level-triggered. It says what to do *next*; whoever carries it out looks again and asks again, so an
//! action that is lost, repeated or fails half-way is harmless.

mod run;
mod status;
mod stop;
#[cfg(test)]
mod tests;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use crate::backoff::Backoff;
use crate::probe::Probes;
use crate::runtime::{ContainerState, ObservedPod};

pub use status::status_is_terminal;

/// What to do next. Actions of one decision may run at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the pod's directories and volumes ready.
    MountVolumes,
    /// Create and start a sandbox.
    RunSandbox {
        /// Its number.
        attempt: u32,
    },
    /// Ensure the image, create, start, run postStart.
    Start {
        /// Container name.
        name: String,
        /// Its number, which is its restart count.
        attempt: u32,
        /// When its predecessor ended; back-off counts from there.
        ended: Option<Timestamp>,
    },
    /// Run preStop, then stop.
    Kill {
        /// Container id.
        id: String,
        /// Container name.
        name: String,
        /// From now until SIGKILL.
        grace: Duration,
        /// Whether preStop is still to run.
        hook: bool,
        /// For the event.
        why: String,
    },
    /// Stop a sandbox.
    StopSandbox {
        /// Sandbox id.
        id: String,
    },
    /// Remove a sandbox with all that is left in it.
    RemoveSandbox {
        /// Sandbox id.
        id: String,
    },
    /// Remove a container that is over.
    RemoveContainer {
        /// Container id.
        id: String,
    },
    /// Unmount and remove the pod's volumes.
    UnmountVolumes,
    /// Nothing of the pod runs any more: report it, let the object go, clean up.
    Finish,
}

/// What one decision says.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What to do next.
    pub actions: Vec<Action>,
    /// What to report.
    pub status: PodStatus,
    /// When to ask again at the latest, if time alone changes the answer.
    pub wake: Option<Timestamp>,
    /// The pod is being stopped or is over.
    pub stopping: bool,
    /// The pod's end, to be recalled in [`Memory::outcome`]: it never changes again.
    pub outcome: Option<Outcome>,
}

/// How a pod ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// `Succeeded` or `Failed`; empty leaves it to the containers' exit codes.
    pub phase: String,
    /// CamelCase word.
    pub reason: Option<String>,
    /// Sentence.
    pub message: Option<String>,
}

/// An operation under way, so that it is not begun twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Busy {
    /// Volumes are being made or removed.
    Volumes,
    /// A sandbox is being started, stopped or removed.
    Sandbox,
    /// A container (by name) is being started.
    Start(String),
    /// A container (by id) is being stopped or removed.
    Container(String),
    /// The end is being reported.
    Finish,
}

/// The state of the pod's volumes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Volumes {
    /// Not made since the agent started.
    #[default]
    Unknown,
    /// Ready.
    Mounted,
    /// Removed.
    Gone,
}

/// What the agent recalls about a pod beyond what the runtime reports. Losing it (a restart) costs back-off and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Operations under way.
    pub busy: BTreeSet<Busy>,
    /// Volumes.
    pub volumes: Volumes,
    /// Failures to make them.
    pub volumes_retry: Backoff,
    /// Failures to run a sandbox.
    pub sandbox_retry: Backoff,
    /// Per container name.
    pub containers: BTreeMap<String, ContainerMemory>,
    /// Probe results per container id.
    pub probes: BTreeMap<String, Probes>,
    /// Termination messages per container id.
    pub messages: BTreeMap<String, String>,
    /// Until when each container (by id) that is being killed has grace.
    pub kills: BTreeMap<String, Timestamp>,
    /// When stopping began.
    pub stopping_since: Option<Timestamp>,
    /// When the agent first saw the pod; `status.startTime` if the object says so.
    pub start_time: Option<Timestamp>,
    /// The object is gone from the API.
    pub gone: bool,
    /// The pod's end, once decided.
    pub outcome: Option<Outcome>,
    /// The last status decided: keeps transition times.
    pub last_status: Option<PodStatus>,
}

/// What is recalled per container name.
#[derive(Debug, Clone, Default)]
pub struct ContainerMemory {
    /// Back-off between crashes.
    pub crash: Backoff,
    /// Why the last start failed: `status.state.waiting`.
    pub error: Option<(String, String)>,
    /// Back-off between failed starts.
    pub retry: Backoff,
}

/// Facts about the machine that a status needs.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Addresses, the primary one first.
    pub ips: Vec<String>,
    /// The runtime's name: the scheme of container ids.
    pub runtime: String,
}

/// Decides.
pub fn decide(
    pod: &Pod,
    observed: &ObservedPod,
    memory: &Memory,
    host: &Host,
    now: Timestamp,
) -> Decision {
    let world = world::World::new(pod, observed, memory, host, now);
    let mut plan = Plan::default();
    let outcome = world.outcome();
    let stopping = outcome.is_some() || world.deleted();
    if stopping {
        stop::plan(&world, &mut plan);
    } else {
        run::plan(&world, &mut plan);
    }
    world.collect_garbage(&mut plan);
    let status = status::compute(&world, outcome.as_ref());
    Decision {
        actions: plan.actions,
        status,
        wake: plan.wake,
        stopping,
        outcome,
    }
}

/// A decision in the making.
#[derive(Debug, Default)]
struct Plan {
    actions: Vec<Action>,
    wake: Option<Timestamp>,
}

impl Plan {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }
}

/// Whether a state counts as up: something that must be stopped before the pod is over.
fn is_up(state: &ContainerState) -> bool {
    matches!(
        state,
        ContainerState::Running { .. } | ContainerState::Unknown
    )
}
