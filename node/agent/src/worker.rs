//! One pod's worker: looks, asks [`crate::decide`], carries out, reports; again whenever something changed. Know before changing: the
//! loop itself never waits for anything slow. What takes time is an operation in `ops`, noted in `memory.busy` until it is done.

mod carry_out;
mod messages;
mod observe;
mod prepare;
mod report;
mod start;
mod stop;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::backoff::Backoff;
use crate::checkpoint::Checkpoint;
use crate::decide::{self, Busy, Memory, Outcome, Volumes};
use crate::events::Severity;
use crate::pod;
use crate::probe::Kind;
use crate::probe::check::Unhealthy;
use crate::runtime::{ObservedPod, RuntimeError};
use crate::shared::Shared;
use prepare::{Prepared, Token};
use report::Report;
use start::Failure;

/// Longest sleep: the clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What the API says about a pod.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    pub(crate) pod: Arc<Pod>,
    /// The API says that it is not there (any more).
    pub(crate) gone: bool,
}

/// Reaches a worker.
pub(crate) struct Handle {
    pub(crate) desired: watch::Sender<Desired>,
    /// The runtime noticed a change.
    pub(crate) changed: Arc<Notify>,
    /// What the worker decided last, for admission and the server.
    pub(crate) view: watch::Receiver<Arc<Pod>>,
}

/// How a worker begins.
pub(crate) struct Begin {
    pub(crate) desired: Desired,
    pub(crate) observed: ObservedPod,
    /// From before the agent started.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Refused at admission.
    pub(crate) outcome: Option<Outcome>,
}

/// An operation that is done.
enum Done {
    Volumes(Result<Box<Prepared>, String>),
    Unmounted(Result<(), String>),
    SandboxStarted(Result<String, String>),
    Sandbox(Result<(), RuntimeError>),
    Started {
        name: String,
        ended: Option<Timestamp>,
        result: Result<String, Failure>,
    },
    Killed {
        id: String,
        result: Result<(), RuntimeError>,
    },
    Removed(Result<(), RuntimeError>),
    Finished(Result<(), String>),
    Reported(Result<Box<Pod>, crate::shared::ApiError>),
    Probed {
        id: String,
        kind: Kind,
        result: Result<(), Unhealthy>,
    },
    Saved,
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    uid: String,
    pod: Arc<Pod>,
    desired: watch::Receiver<Desired>,
    changed: Arc<Notify>,
    objects_changed: Arc<Notify>,
    view: watch::Sender<Arc<Pod>>,
    memory: Memory,
    observed: ObservedPod,
    /// The last look failed, or something changed since.
    stale: bool,
    look_again: Backoff,
    /// The volumes' content may be out of date.
    refresh: bool,
    prepared: Arc<Prepared>,
    tokens: std::collections::BTreeMap<(String, String), Token>,
    ops: JoinSet<Done>,
    begun: HashMap<tokio::task::Id, Busy>,
    report: Report,
    finish_retry: Backoff,
    finished: bool,
    /// The checkpoint is out of date.
    save_wanted: bool,
    /// A checkpoint is being written.
    saving: bool,
    /// Tells starts that the pod is to stop.
    stop: watch::Sender<bool>,
}

/// Starts a worker; `over` is called with the UID when nothing is left of the pod.
pub(crate) fn spawn(
    shared: Arc<Shared>,
    begin: Begin,
    over: impl FnOnce(String) + Send + 'static,
) -> Handle {
    let pod = begin.desired.pod.clone();
    let uid = pod::uid(&pod).to_owned();
    let (view, views) = watch::channel(pod.clone());
    let (desired, receiver) = watch::channel(begin.desired);
    let changed = Arc::new(Notify::new());
    let (prepared, outcome) = match begin.checkpoint {
        Some(kept) => (
            Prepared {
                objects: kept.objects,
                claims: kept.claims,
                ..Prepared::default()
            },
            kept.outcome,
        ),
        None => (Prepared::default(), None),
    };
    let reported = pod::status(&pod);
    let memory = Memory {
        start_time: Some(
            reported
                .start_time
                .as_ref()
                .map_or_else(Timestamp::now, |t| t.0),
        ),
        outcome: begin.outcome.or(outcome),
        gone: receiver.borrow().gone,
        ..Memory::default()
    };
    let worker = Worker {
        shared,
        uid: uid.clone(),
        report: Report::new(&pod),
        pod,
        desired: receiver,
        changed: changed.clone(),
        objects_changed: Arc::new(Notify::new()),
        view,
        memory,
        observed: begin.observed,
        stale: false,
        look_again: Backoff::default(),
        refresh: false,
        prepared: Arc::new(prepared),
        tokens: Default::default(),
        ops: JoinSet::new(),
        begun: HashMap::new(),
        finish_retry: Backoff::default(),
        finished: false,
        save_wanted: false,
        saving: false,
        stop: watch::channel(false).0,
    };
    tokio::spawn(async move {
        worker.run().await;
        over(uid);
    });
    Handle {
        desired,
        changed,
        view: views,
    }
}

impl Worker {
    async fn run(mut self) {
        self.hold_objects();
        self.observe(true);
        while !self.finished {
            let now = Timestamp::now();
            if self.stale && self.look_again.retry_at(now).is_none() {
                self.look(now).await;
            }
            let wake = if self.stale {
                self.look_again.retry_at(now)
            } else {
                self.step(now)
            };
            let sleep = wake.map_or(LONGEST_SLEEP, |at| {
                crate::backoff::elapsed(now, at).min(LONGEST_SLEEP)
            });
            tokio::select! {
                _ = tokio::time::sleep(sleep), if wake.is_some() => {}
                () = self.changed.notified() => self.stale = true,
                () = self.objects_changed.notified() => self.object_changed(),
                result = self.desired.changed() => match result {
                    Ok(()) => self.update(),
                    // The agent is shutting down; the pod runs on.
                    Err(_) => return,
                },
                Some(done) = self.ops.join_next_with_id(), if !self.ops.is_empty() => match done {
                    Ok((id, done)) => {
                        self.begun.remove(&id).inspect(|busy| { self.memory.busy.remove(busy); });
                        self.done(done);
                    }
                    Err(error) => {
                        tracing::error!(pod = pod::key(&self.pod), %error, "an operation on a pod broke off");
                        self.begun.remove(&error.id()).inspect(|busy| { self.memory.busy.remove(busy); });
                        self.report.broke_off();
                        self.saving = false;
                        self.stale = true;
                    }
                },
            }
        }
        self.shared.objects.hold(
            &self.uid,
            pod::namespace(&self.pod),
            &[],
            &self.objects_changed,
        );
    }

    /// Runtime's truth about this pod; what cannot be seen is not decided about.
    async fn look(&mut self, now: Timestamp) {
        match self.shared.runtime.pod(&self.uid).await {
            Ok(observed) => {
                self.observed = observed.unwrap_or_default();
                self.stale = false;
                self.look_again = Backoff::default();
                self.observe(false);
            }
            Err(error) => {
                tracing::debug!(pod = pod::key(&self.pod), %error, "the runtime cannot be asked about a pod");
                self.look_again.fail_soon(now);
            }
        }
    }

    /// Decides and begins what is to be done; says when to decide again.
    fn step(&mut self, now: Timestamp) -> Option<Timestamp> {
        let decision = decide::decide(
            &self.pod,
            &self.observed,
            &self.memory,
            &self.shared.host,
            now,
        );
        let stop_begins = decision.stopping && self.memory.stopping_since.is_none();
        if stop_begins {
            self.memory.stopping_since = Some(now);
            self.stop.send_replace(true);
            // What could not be made is taken down without waiting for its next try.
            self.memory.volumes_retry = Backoff::default();
            self.memory.sandbox_retry = Backoff::default();
        }
        if decision.outcome.is_some() && self.memory.outcome.is_none() {
            self.memory.outcome = decision.outcome.clone();
            self.save_wanted = true;
        }
        self.note_backoffs(&decision.status);
        let mut shown = (*self.pod).clone();
        shown.status = Some(decision.status.clone());
        self.view.send_if_modified(|view| {
            let moved = view.status != shown.status
                || view.metadata.resource_version != shown.metadata.resource_version;
            if moved {
                *view = Arc::new(shown);
            }
            moved
        });
        self.memory.last_status = Some(decision.status);
        self.save();
        let mut wake = decision.wake;
        let mut earlier = |at: Option<Timestamp>| wake = [wake, at].into_iter().flatten().min();
        earlier(stop_begins.then_some(now));
        earlier(self.send_report(now));
        for action in decision.actions {
            earlier(self.carry_out(action, now));
        }
        if !decision.stopping {
            earlier(self.ask_probes(now));
            earlier(self.refresh_volumes(now));
        }
        wake
    }

    /// Takes over what the API says now.
    fn update(&mut self) {
        let Desired { pod, gone } = self.desired.borrow_and_update().clone();
        self.memory.gone |= gone;
        // An object of the same name is another pod: its own worker has it.
        if pod::uid(&pod) != self.uid {
            return;
        }
        let volumes_see = |p: &Pod| (p.metadata.labels.clone(), p.metadata.annotations.clone());
        self.refresh |= volumes_see(&pod) != volumes_see(&self.pod);
        let moved = crate::checkpoint::strip(&pod) != crate::checkpoint::strip(&self.pod);
        // The server is there again, if it was away.
        self.report.try_now();
        self.finish_retry = Backoff::default();
        self.report.seen(&pod);
        self.pod = pod;
        if moved {
            self.hold_objects();
            self.save_wanted = true;
        }
    }

    fn hold_objects(&self) {
        let names = pod::referenced_objects(&self.pod);
        self.shared.objects.hold(
            &self.uid,
            pod::namespace(&self.pod),
            &names,
            &self.objects_changed,
        );
    }

    fn object_changed(&mut self) {
        self.refresh = true;
        for memory in self.memory.containers.values_mut() {
            // What was missing may be there now.
            if memory
                .error
                .as_ref()
                .is_some_and(|(reason, _)| reason == "CreateContainerConfigError")
            {
                memory.retry = Backoff::default();
            }
        }
        if self.memory.volumes != Volumes::Mounted {
            self.memory.volumes_retry = Backoff::default();
        }
    }

    /// Tells of containers that began to wait for their next try.
    fn note_backoffs(&self, status: &k8s_openapi::api::core::v1::PodStatus) {
        let waits = |status: &k8s_openapi::api::core::v1::PodStatus, name: &str| {
            pod::container_statuses(status)
                .filter(|c| c.name == name)
                .any(|c| {
                    let waiting = c.state.as_ref().and_then(|s| s.waiting.as_ref());
                    waiting.and_then(|w| w.reason.as_deref()) == Some("CrashLoopBackOff")
                })
        };
        for (_, container) in pod::containers(&self.pod) {
            let before = self
                .memory
                .last_status
                .as_ref()
                .is_some_and(|s| waits(s, &container.name));
            if !before && waits(status, &container.name) {
                let pod = format!(
                    "{}_{}({})",
                    pod::name(&self.pod),
                    pod::namespace(&self.pod),
                    self.uid
                );
                let message = format!(
                    "Back-off restarting failed container {} in pod {pod}",
                    container.name
                );
                self.event(Some(&container.name), Severity::Warning, "BackOff", message);
            }
        }
    }

    fn event(
        &self,
        container: Option<&str>,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.shared
            .events
            .pod(&self.pod, container, severity, reason, message);
    }

    /// Begins an operation that keeps `busy` until it is done.
    fn begin(
        &mut self,
        busy: Option<Busy>,
        operation: impl Future<Output = Done> + Send + 'static,
    ) {
        let id = self.ops.spawn(operation).id();
        if let Some(busy) = busy {
            self.memory.busy.insert(busy.clone());
            self.begun.insert(id, busy);
        }
    }
}
