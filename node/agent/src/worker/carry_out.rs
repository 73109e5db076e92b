//! Begins what was decided, and takes what came of it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Busy, Done, Worker, start, stop};
use crate::backoff::Backoff;
use crate::decide::{Action, Volumes};
use crate::events::Severity;
use crate::runtime::ContainerState;
use crate::{pod, translate, volumes};

/// Pause after an operation that failed for reasons of the runtime.
const PAUSE: Duration = Duration::from_secs(1);

impl Worker {
    /// Begins an action; says when to come back if it cannot be begun now.
    pub(super) fn carry_out(&mut self, action: Action, now: Timestamp) -> Option<Timestamp> {
        let shared = self.shared.clone();
        match action {
            Action::MountVolumes => self.prepare_volumes(),
            Action::UnmountVolumes => {
                let uid = self.uid.clone();
                self.begin(Some(Busy::Volumes), async move {
                    let work = tokio::task::spawn_blocking(move || {
                        volumes::remove_pod(&shared.dirs, &uid, false)
                    });
                    Done::Unmounted(
                        work.await
                            .unwrap_or_else(|e| Err(format!("unmounting broke off: {e}"))),
                    )
                });
            }
            Action::RunSandbox { attempt } => self.run_sandbox(attempt),
            Action::StopSandbox { id } => {
                self.begin(Some(Busy::Sandbox), async move {
                    Done::Sandbox(shared.runtime.stop_sandbox(&id).await)
                });
            }
            Action::RemoveSandbox { id } => {
                self.begin(Some(Busy::Sandbox), async move {
                    Done::Sandbox(shared.runtime.remove_sandbox(&id).await)
                });
            }
            Action::RemoveContainer { id } => {
                let busy = Busy::Container(id.clone());
                self.begin(Some(busy), async move {
                    Done::Removed(shared.runtime.remove_container(&id).await)
                });
            }
            Action::Start {
                name,
                attempt,
                ended,
            } => self.start(name, attempt, ended),
            Action::Kill {
                id,
                name,
                grace,
                hook,
                why,
            } => self.kill(id, name, grace, hook, &why, now),
            Action::Finish => {
                // A write under way would bring the checkpoint back, a report be made twice.
                if self.saving || self.report.busy() {
                    return None;
                }
                if let Some(at) = self.finish_retry.retry_at(now) {
                    return Some(at);
                }
                let (pod, observed, gone) =
                    (self.pod.clone(), self.observed.clone(), self.memory.gone);
                let status = self
                    .memory
                    .last_status
                    .clone()
                    .filter(|s| !self.report.has(s));
                let known = pod::status(&self.pod).clone();
                self.begin(Some(Busy::Finish), async move {
                    Done::Finished(
                        stop::finish(&shared, &pod, status.as_ref(), &known, &observed, gone).await,
                    )
                });
            }
        }
        None
    }

    fn run_sandbox(&mut self, attempt: u32) {
        let (shared, pod) = (self.shared.clone(), self.pod.clone());
        self.begin(Some(Busy::Sandbox), async move {
            let _permit = shared.starts.acquire().await;
            let config = &shared.config;
            let spec = translate::sandbox(
                &pod,
                attempt,
                &config.log_dir,
                shared.resolver(&pod),
                &config.cluster_domain,
            );
            Done::SandboxStarted(match spec {
                Ok(spec) => shared
                    .runtime
                    .run_sandbox(&spec)
                    .await
                    .map_err(|e| e.to_string()),
                Err(why) => Err(why),
            })
        });
    }

    fn start(&mut self, name: String, attempt: u32, ended: Option<Timestamp>) {
        let Some(sandbox) = self
            .observed
            .sandboxes
            .iter()
            .filter(|s| s.ready)
            .max_by_key(|s| s.attempt)
        else {
            return;
        };
        let leftover = self.observed.containers.iter().find(|c| {
            c.name == name
                && c.attempt == attempt
                && c.sandbox_id == sandbox.id
                && c.state == ContainerState::Created
        });
        let order = start::Order {
            name: name.clone(),
            attempt,
            sandbox_id: sandbox.id.clone(),
            sandbox_attempt: sandbox.attempt,
            pod_ips: self.pod_ips(),
            leftover: leftover.map(|c| c.id.clone()),
        };
        let (shared, pod, prepared, stop) = (
            self.shared.clone(),
            self.pod.clone(),
            self.prepared.clone(),
            self.stop.subscribe(),
        );
        self.begin(Some(Busy::Start(name.clone())), async move {
            let result = start::start(&shared, &pod, &prepared, &order, stop).await;
            Done::Started {
                name,
                ended,
                result,
            }
        });
    }

    fn kill(
        &mut self,
        id: String,
        name: String,
        grace: Duration,
        hook: bool,
        why: &str,
        now: Timestamp,
    ) {
        let until = now.checked_add(grace).unwrap_or(Timestamp::MAX);
        if self.memory.kills.insert(id.clone(), until).is_none() {
            self.event(Some(&name), Severity::Normal, "Killing", why);
        }
        let pod_ip = self.pod_ips().into_iter().next().unwrap_or_default();
        let order = stop::Order {
            id: id.clone(),
            name,
            grace,
            hook,
            pod_ip,
        };
        let (shared, pod) = (self.shared.clone(), self.pod.clone());
        self.begin(Some(Busy::Container(id.clone())), async move {
            let result = stop::kill(&shared, &pod, &order).await;
            if result.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            Done::Killed { id, result }
        });
    }

    /// Takes what came of an operation.
    pub(super) fn done(&mut self, done: Done) {
        let now = Timestamp::now();
        match done {
            Done::Volumes(Ok(prepared)) => {
                self.memory.volumes = Volumes::Mounted;
                self.memory.volumes_retry = Backoff::default();
                self.tokens = prepared.tokens.clone();
                self.prepared = std::sync::Arc::new(*prepared);
                self.save_wanted = true;
            }
            Done::Volumes(Err(why)) => {
                self.event(None, Severity::Warning, "FailedMount", why);
                self.memory.volumes_retry.fail_soon(now);
                self.refresh |= self.memory.volumes == Volumes::Mounted;
            }
            Done::Unmounted(Ok(())) => {
                self.memory.volumes = Volumes::Gone;
                self.memory.volumes_retry = Backoff::default();
            }
            Done::Unmounted(Err(why)) => {
                tracing::warn!(
                    pod = pod::key(&self.pod),
                    why,
                    "a pod's volumes cannot be removed, trying again"
                );
                self.memory.volumes_retry.fail_soon(now);
            }
            Done::SandboxStarted(Ok(_)) => {
                self.memory.sandbox_retry = Backoff::default();
                self.stale = true;
            }
            Done::SandboxStarted(Err(why)) => {
                self.event(
                    None,
                    Severity::Warning,
                    "FailedCreatePodSandBox",
                    format!("Failed to create pod sandbox: {why}"),
                );
                self.memory.sandbox_retry.fail_soon(now);
                self.stale = true;
            }
            Done::Sandbox(result) => {
                match result {
                    Ok(()) => self.memory.sandbox_retry = Backoff::default(),
                    Err(error) => {
                        tracing::warn!(pod = pod::key(&self.pod), %error, "a sandbox cannot be stopped or removed, trying again");
                        self.memory.sandbox_retry.fail_soon(now);
                    }
                }
                self.stale = true;
            }
            Done::Started {
                name,
                ended,
                result,
            } => {
                let memory = self.memory.containers.entry(name).or_default();
                match result {
                    Ok(_) => {
                        memory.error = None;
                        memory.retry = Backoff::default();
                        if let Some(ended) = ended {
                            memory.crash.step(ended, now);
                        }
                    }
                    Err(failure) => {
                        if failure.reason == "CreateContainerConfigError" {
                            // Looked at again soon and steadily: it is somebody's object that is missing.
                            memory.retry = Backoff::default();
                        }
                        memory.retry.fail(now);
                        memory.error = Some((failure.reason, failure.message));
                    }
                }
                self.stale = true;
            }
            Done::Killed { id, result } => {
                if let Err(error) = result {
                    tracing::warn!(pod = pod::key(&self.pod), %error, "a container cannot be stopped, trying again");
                    self.memory.kills.remove(&id);
                }
                self.stale = true;
            }
            Done::Removed(result) => {
                if let Err(error) = result {
                    tracing::debug!(pod = pod::key(&self.pod), %error, "a container cannot be removed now");
                    self.look_again.fail_soon(now);
                }
                self.stale = true;
            }
            Done::Finished(Ok(())) => self.finished = true,
            Done::Finished(Err(why)) => {
                tracing::debug!(
                    pod = pod::key(&self.pod),
                    why,
                    "a pod's end is not through, trying again"
                );
                self.finish_retry.fail_soon(now);
                self.stale = true;
            }
            Done::Reported(result) => self.reported(result),
            Done::Probed { id, kind, result } => self.probed(&id, kind, result),
            Done::Saved => self.saving = false,
        }
    }
}
