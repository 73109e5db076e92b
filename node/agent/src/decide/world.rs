//! One look at a pod: object, observation and memory joined per container.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

use super::{Action, Busy, ContainerMemory, Host, Memory, Outcome, Plan, is_up, status};
use crate::pod::{self, RestartPolicy, Role};
use crate::runtime::{ContainerState, ObservedContainer, ObservedPod, ObservedSandbox};

/// One container of the specification with what is known about it.
pub(super) struct View<'a> {
    pub(super) spec: &'a Container,
    pub(super) role: Role,
    /// The newest, in any sandbox.
    pub(super) newest: Option<&'a ObservedContainer>,
    /// The one before.
    pub(super) previous: Option<&'a ObservedContainer>,
    /// The newest, if it is in the current sandbox.
    pub(super) current: Option<&'a ObservedContainer>,
    pub(super) memory: Option<&'a ContainerMemory>,
    /// As last reported.
    pub(super) reported: Option<&'a ContainerStatus>,
}

impl View<'_> {
    pub(super) fn exit_code(&self) -> Option<i32> {
        match self.current?.state {
            ContainerState::Exited { exit_code, .. } => Some(exit_code),
            _ => None,
        }
    }

    pub(super) fn running(&self) -> Option<&ObservedContainer> {
        self.current
            .filter(|c| matches!(c.state, ContainerState::Running { .. }))
    }

    pub(super) fn next_attempt(&self) -> u32 {
        // What was created and never started does not count as a run.
        let observed = self
            .newest
            .map(|c| pod::restarts(c) + u32::from(c.state != ContainerState::Created));
        // With the runtime's memory lost, the API's counts on.
        let reported = self.reported.map(|s| {
            let ran = s.container_id.as_deref().is_some_and(|id| !id.is_empty());
            u32::try_from(s.restart_count).unwrap_or(0) + u32::from(ran)
        });
        observed.or(reported).unwrap_or(0)
    }
}

pub(super) struct World<'a> {
    pub(super) pod: &'a Pod,
    pub(super) observed: &'a ObservedPod,
    pub(super) memory: &'a Memory,
    pub(super) host: &'a Host,
    pub(super) now: Timestamp,
    pub(super) views: Vec<View<'a>>,
    /// The newest sandbox.
    pub(super) sandbox: Option<&'a ObservedSandbox>,
}

impl<'a> World<'a> {
    pub(super) fn new(
        pod: &'a Pod,
        observed: &'a ObservedPod,
        memory: &'a Memory,
        host: &'a Host,
        now: Timestamp,
    ) -> Self {
        let sandbox = observed
            .sandboxes
            .iter()
            .max_by_key(|s| (s.attempt, s.created_at));
        let reported = memory.last_status.as_ref().unwrap_or(pod::status(pod));
        let views = pod::containers(pod)
            .map(|(role, spec)| {
                let mut own: Vec<&ObservedContainer> = observed
                    .containers
                    .iter()
                    .filter(|c| c.name == spec.name)
                    .collect();
                own.sort_by_key(|c| std::cmp::Reverse((c.attempt, c.created_at)));
                let newest = own.first().copied();
                let statuses = match role {
                    Role::Main => &reported.container_statuses,
                    _ => &reported.init_container_statuses,
                };
                View {
                    spec,
                    role,
                    newest,
                    previous: own.get(1).copied(),
                    current: newest.filter(|c| sandbox.is_some_and(|s| s.id == c.sandbox_id)),
                    memory: memory.containers.get(&spec.name),
                    reported: statuses.iter().flatten().find(|s| s.name == spec.name),
                }
            })
            .collect();
        Self {
            pod,
            observed,
            memory,
            host,
            now,
            views,
            sandbox,
        }
    }

    pub(super) fn deleted(&self) -> bool {
        self.memory.gone || self.pod.metadata.deletion_timestamp.is_some()
    }

    pub(super) fn busy(&self, operation: &Busy) -> bool {
        self.memory.busy.contains(operation)
    }

    pub(super) fn start_time(&self) -> Timestamp {
        let reported = pod::status(self.pod).start_time.as_ref().map(|t| t.0);
        self.memory.start_time.or(reported).unwrap_or(self.now)
    }

    /// The pod's end, if it has come: recalled, reported before, by its deadline, or by its containers.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        if let Some(outcome) = &self.memory.outcome {
            return Some(outcome.clone());
        }
        let reported = pod::status(self.pod);
        if let Some(phase @ ("Succeeded" | "Failed")) = reported.phase.as_deref() {
            return Some(Outcome {
                phase: phase.into(),
                reason: reported.reason.clone(),
                message: reported.message.clone(),
            });
        }
        if self.deleted() {
            return None;
        }
        if pod::deadline(self.pod, self.start_time()).is_some_and(|end| end <= self.now) {
            return Some(Outcome {
                phase: "Failed".into(),
                reason: Some("DeadlineExceeded".into()),
                message: Some(
                    "Pod was active on the node longer than the specified deadline".into(),
                ),
            });
        }
        let phase = status::phase(self, false);
        let starting = self.memory.busy.iter().any(|b| matches!(b, Busy::Start(_)));
        (matches!(phase, "Succeeded" | "Failed") && !starting).then(|| Outcome {
            phase: phase.into(),
            ..Outcome::default()
        })
    }

    /// Whether a container that ended shall run again, by its policy alone.
    pub(super) fn restarts(&self, view: &View<'_>, exit_code: i32) -> bool {
        match pod::restart_policy_of(self.pod, view.role) {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Never => false,
        }
    }

    /// Whether the container is up and its start is through: postStart done and startup probe passed.
    pub(super) fn started(&self, view: &View<'_>) -> bool {
        let Some(container) = view.running() else {
            return false;
        };
        if self.busy(&Busy::Start(view.spec.name.clone())) {
            return false;
        }
        view.spec.startup_probe.is_none()
            || self
                .memory
                .probes
                .get(&container.id)
                .is_some_and(|p| p.started())
    }

    /// Whether the container is ready: started and, if it has a readiness probe, by its last result.
    pub(super) fn ready(&self, view: &View<'_>) -> bool {
        let Some(container) = view.running() else {
            return false;
        };
        self.started(view)
            && (view.spec.readiness_probe.is_none()
                || self
                    .memory
                    .probes
                    .get(&container.id)
                    .is_some_and(|p| p.ready()))
    }

    /// Kills unless that is under way with no more grace than this.
    pub(super) fn kill(
        &self,
        plan: &mut Plan,
        container: &ObservedContainer,
        grace: Duration,
        hook: bool,
        why: &str,
    ) {
        let until = self.now.checked_add(grace).unwrap_or(Timestamp::MAX);
        let begun = self.memory.kills.get(&container.id);
        if begun.is_some_and(|earlier| *earlier <= until + Duration::from_secs(1)) {
            return;
        }
        plan.act(Action::Kill {
            id: container.id.clone(),
            name: container.name.clone(),
            grace,
            hook: hook
                && begun.is_none()
                && matches!(container.state, ContainerState::Running { .. }),
            why: why.into(),
        });
    }

    /// Keeps the newest two of each container (state and last state, logs and previous logs), and of the sandboxes the current one
    /// and those that hold a container kept.
    pub(super) fn collect_garbage(&self, plan: &mut Plan) {
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        for view in &self.views {
            // An init container's end is kept while it counts; its earlier runs are kept like any other's.
            kept.extend(view.newest.map(|c| c.id.as_str()));
            kept.extend(view.previous.map(|c| c.id.as_str()));
        }
        for container in &self.observed.containers {
            let over = !is_up(&container.state);
            if over
                && !kept.contains(container.id.as_str())
                && !self.busy(&Busy::Container(container.id.clone()))
            {
                plan.act(Action::RemoveContainer {
                    id: container.id.clone(),
                });
            }
        }
        if self.busy(&Busy::Sandbox) {
            return;
        }
        for sandbox in &self.observed.sandboxes {
            let current = self.sandbox.is_some_and(|s| s.id == sandbox.id);
            let used = self
                .observed
                .containers
                .iter()
                .any(|c| c.sandbox_id == sandbox.id);
            if !current && !used {
                plan.act(Action::RemoveSandbox {
                    id: sandbox.id.clone(),
                });
            }
        }
    }
}
