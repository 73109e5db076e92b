//! What follows from a look at the runtime: adopted containers, termination messages, probes that are due.

use jiff::Timestamp;

use super::{Done, Worker, messages};
use crate::pod;
use crate::probe::check::{self, Target};
use crate::probe::{Kind, Probes};
use crate::runtime::{ContainerState, ObservedContainer};

impl Worker {
    /// Brings memory in line with what was observed. `first` is the agent's first look at the pod: what runs then was started by
    /// an earlier agent, and is taken over as it was reported.
    pub(super) fn observe(&mut self, first: bool) {
        let exists = |id: &String| self.observed.containers.iter().any(|c| c.id == *id);
        self.memory.probes.retain(|id, _| exists(id));
        self.memory.messages.retain(|id, _| exists(id));
        self.memory.kills.retain(|id, _| exists(id));
        for container in &self.observed.containers {
            match container.state {
                ContainerState::Running { .. } => {
                    self.memory
                        .probes
                        .entry(container.id.clone())
                        .or_insert_with(|| {
                            if first {
                                adopt(&self.pod, container)
                            } else {
                                Probes::default()
                            }
                        });
                }
                ContainerState::Exited { .. } => {
                    self.memory
                        .messages
                        .entry(container.id.clone())
                        .or_insert_with(|| messages::read(container, &self.shared.dirs));
                }
                _ => {}
            }
        }
    }

    /// Asks the probes that are due; says when the next one is.
    pub(super) fn ask_probes(&mut self, now: Timestamp) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        let ip = self.pod_ips().into_iter().next().unwrap_or_default();
        let mut due = Vec::new();
        for container in &self.observed.containers {
            let ContainerState::Running { started_at } = container.state else {
                continue;
            };
            let Some((role, spec)) = pod::container(&self.pod, &container.name) else {
                continue;
            };
            if role == pod::Role::Init || self.memory.kills.contains_key(&container.id) {
                continue;
            }
            let Some(probes) = self.memory.probes.get_mut(&container.id) else {
                continue;
            };
            let (kinds, at) = probes.due(spec, started_at, now);
            next = [next, at].into_iter().flatten().min();
            for kind in kinds {
                probes.asking(kind, now);
                due.push((container.id.clone(), spec.name.clone(), kind));
            }
        }
        for (id, name, kind) in due {
            let (shared, pod) = (self.shared.clone(), self.pod.clone());
            let target = Target {
                container_id: id.clone(),
                pod_ip: ip.clone(),
            };
            self.begin(None, async move {
                let probe = pod::container(&pod, &name).and_then(|(_, c)| Some((c, kind.of(c)?)));
                let result = match probe {
                    Some((container, probe)) => {
                        check::probe(&*shared.runtime, container, probe, &target).await
                    }
                    None => Ok(()),
                };
                Done::Probed { id, kind, result }
            });
        }
        next
    }

    /// Takes a probe's answer.
    pub(super) fn probed(&mut self, id: &str, kind: Kind, result: Result<(), check::Unhealthy>) {
        let Some(name) = self
            .observed
            .containers
            .iter()
            .find(|c| c.id == id)
            .map(|c| c.name.clone())
        else {
            return;
        };
        let Some(probes) = self.memory.probes.get_mut(id) else {
            return;
        };
        let Some(probe) = pod::container(&self.pod, &name).and_then(|(_, c)| kind.of(c)) else {
            probes.dropped(kind);
            return;
        };
        let healthy = match &result {
            Ok(()) => true,
            Err(check::Unhealthy::Failed(_)) => false,
            Err(check::Unhealthy::Unknown(why)) => {
                tracing::debug!(container = name, why, "a probe could not be asked");
                probes.dropped(kind);
                self.stale = true;
                return;
            }
        };
        probes.answer(kind, probe, healthy);
        if let Err(check::Unhealthy::Failed(why)) = result {
            let message = format!("{} probe failed: {why}", kind.as_str());
            self.event(
                Some(&name),
                crate::events::Severity::Warning,
                "Unhealthy",
                message,
            );
        }
    }

    /// The pod's addresses; the machine's with host network.
    pub(super) fn pod_ips(&self) -> Vec<String> {
        if pod::host_network(&self.pod) {
            return self.shared.host.ips.clone();
        }
        let sandbox = self
            .observed
            .sandboxes
            .iter()
            .filter(|s| s.ready)
            .max_by_key(|s| s.attempt);
        sandbox.map(|s| s.ips.clone()).unwrap_or_default()
    }
}

/// What was last reported of a container that still runs. Without a report (a cold agent) it counts as started, for a startup probe
/// that fails would kill what works.
fn adopt(pod: &k8s_openapi::api::core::v1::Pod, container: &ObservedContainer) -> Probes {
    let reported = pod::container_statuses(pod::status(pod)).find(|s| {
        s.name == container.name
            && s.container_id
                .as_deref()
                .is_some_and(|id| id.ends_with(&format!("://{}", container.id)))
    });
    match reported {
        Some(status) => Probes::adopted(status.started.unwrap_or(true), status.ready),
        None => Probes::adopted(true, false),
    }
}
