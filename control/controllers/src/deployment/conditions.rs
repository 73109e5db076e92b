//! A Deployment's status: counts and the conditions Available, Progressing and ReplicaFailure, with Kubernetes' reasons and
//! messages. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::model::{actual, available, max_unavailable, replicas, size};
use crate::plumbing::objects::seconds;

/// The reason of Progressing when the new set cannot be created.
pub(super) const CREATE_ERROR: &str = "ReplicaSetCreateError";
const CREATED: &str = "NewReplicaSetCreated";
const FOUND: &str = "FoundNewReplicaSet";
const UPDATED: &str = "ReplicaSetUpdated";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
const RESUMED: &str = "DeploymentResumed";

pub(super) type Conditions = Vec<DeploymentCondition>;

fn find<'a>(conditions: &'a Conditions, kind: &str) -> Option<&'a DeploymentCondition> {
    conditions.iter().find(|c| c.type_ == kind)
}

fn new(
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    let at = Some(Time(seconds(now)));
    DeploymentCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_transition_time: at.clone(),
        last_update_time: at,
    }
}

/// Sets a condition: one with the same status and reason stays as it is; one with the same status keeps its transition time.
fn set(conditions: &mut Conditions, mut condition: DeploymentCondition) {
    if let Some(old) = find(conditions, &condition.type_)
        && old.status == condition.status
    {
        if old.reason == condition.reason {
            return;
        }
        condition
            .last_transition_time
            .clone_from(&old.last_transition_time);
    }
    conditions.retain(|c| c.type_ != condition.type_);
    conditions.push(condition);
}

/// The progress deadline; none when there is none or it is Kubernetes' "never".
fn deadline(deployment: &Deployment) -> Option<SignedDuration> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds?;
    (seconds != i32::MAX).then(|| SignedDuration::from_secs(i64::from(seconds)))
}

/// Notes that the rollout was paused or resumed, so that the time in between does not count against the deadline.
pub(super) fn note_pause(deployment: &Deployment, conditions: &mut Conditions, now: Timestamp) {
    if deadline(deployment).is_none() {
        return;
    }
    let paused = deployment.spec.as_ref().and_then(|s| s.paused) == Some(true);
    let reason = find(conditions, "Progressing").and_then(|c| c.reason.as_deref());
    if reason == Some(TIMED_OUT) {
        return;
    }
    let noted = reason == Some(PAUSED);
    if paused && !noted {
        set(
            conditions,
            new(
                "Progressing",
                "Unknown",
                PAUSED,
                "Deployment is paused".into(),
                now,
            ),
        );
    } else if !paused && noted {
        set(
            conditions,
            new(
                "Progressing",
                "Unknown",
                RESUMED,
                "Deployment is resumed".into(),
                now,
            ),
        );
    }
}

/// Notes which set is the new one: just created, or found when nothing was noted yet.
pub(super) fn note_new_set(
    deployment: &Deployment,
    conditions: &mut Conditions,
    name: &str,
    created: bool,
    now: Timestamp,
) {
    if deadline(deployment).is_none() {
        return;
    }
    if created {
        set(
            conditions,
            new(
                "Progressing",
                "True",
                CREATED,
                format!("Created new replica set {name:?}"),
                now,
            ),
        );
    } else if find(conditions, "Progressing").is_none() {
        set(
            conditions,
            new(
                "Progressing",
                "True",
                FOUND,
                format!("Found new replica set {name:?}"),
                now,
            ),
        );
    }
}

/// Notes on the Deployment that its new set cannot be created.
pub(super) fn creation_failed(deployment: &mut Deployment, message: String, now: Timestamp) {
    let status = deployment.status.get_or_insert_default();
    let condition = new("Progressing", "False", CREATE_ERROR, message, now);
    set(status.conditions.get_or_insert_default(), condition);
}

/// Counts pods, and says whether enough are available.
pub(super) fn count(
    deployment: &Deployment,
    sets: &[ReplicaSet],
    new_set: Option<&ReplicaSet>,
    mut conditions: Conditions,
    now: Timestamp,
) -> DeploymentStatus {
    let sum = |f: &dyn Fn(&ReplicaSet) -> i32| sets.iter().map(f).fold(0, i32::saturating_add);
    let some = |n: i32| (n != 0).then_some(n);
    let ready = sum(&|s| {
        s.status
            .as_ref()
            .and_then(|s| s.ready_replicas)
            .unwrap_or(0)
    });
    let terminating = sum(&|s| {
        s.status
            .as_ref()
            .and_then(|s| s.terminating_replicas)
            .unwrap_or(0)
    });
    let total_available = sum(&available);
    let condition = if total_available >= replicas(deployment) - max_unavailable(deployment) {
        let message = "Deployment has minimum availability.".into();
        new(
            "Available",
            "True",
            "MinimumReplicasAvailable",
            message,
            now,
        )
    } else {
        let message = "Deployment does not have minimum availability.".into();
        new(
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            message,
            now,
        )
    };
    set(&mut conditions, condition);
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(sum(&actual)),
        updated_replicas: some(new_set.map_or(0, actual)),
        ready_replicas: some(ready),
        available_replicas: some(total_available),
        unavailable_replicas: some((sum(&size) - total_available).max(0)),
        terminating_replicas: Some(terminating),
        collision_count: deployment.status.as_ref().and_then(|s| s.collision_count),
        conditions: Some(conditions),
    }
}

fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = replicas(deployment);
    let is = |n: Option<i32>| n.unwrap_or(0) == wanted;
    is(status.updated_replicas)
        && is(status.replicas)
        && is(status.available_replicas)
        && status.observed_generation >= deployment.metadata.generation
}

fn has_moved(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let n = |n: Option<i32>| n.unwrap_or(0);
    let outdated = |s: &DeploymentStatus| n(s.replicas) - n(s.updated_replicas);
    n(new.updated_replicas) > n(old.updated_replicas)
        || outdated(new) < outdated(old)
        || n(new.ready_replicas) > n(old.ready_replicas)
        || n(new.available_replicas) > n(old.available_replicas)
}

/// Adds to the counted status how the rollout goes, and says when to look again because the deadline may pass.
pub(super) fn judge(
    deployment: &Deployment,
    sets: &[ReplicaSet],
    new_set: Option<&ReplicaSet>,
    mut status: DeploymentStatus,
    now: Timestamp,
) -> (DeploymentStatus, Option<Duration>) {
    let old = deployment.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.take().unwrap_or_default();
    let complete = is_complete(deployment, &status);
    let subject = new_set.map_or_else(
        || format!("Deployment {:?}", deployment.name_any()),
        |set| format!("ReplicaSet {:?}", set.name_any()),
    );
    match deadline(deployment) {
        None => conditions.retain(|c| c.type_ != "Progressing"),
        Some(deadline) => {
            let current = find(&conditions, "Progressing").cloned();
            let reason = current.as_ref().and_then(|c| c.reason.as_deref());
            let settled = status.replicas.unwrap_or(0) == status.updated_replicas.unwrap_or(0)
                && reason == Some(COMPLETE);
            if settled {
                // A finished rollout stays finished, whatever becomes of its pods later.
            } else if complete {
                set(
                    &mut conditions,
                    new(
                        "Progressing",
                        "True",
                        COMPLETE,
                        format!("{subject} has successfully progressed."),
                        now,
                    ),
                );
            } else if has_moved(&old, &status) {
                let mut condition = new(
                    "Progressing",
                    "True",
                    UPDATED,
                    format!("{subject} is progressing."),
                    now,
                );
                if let Some(current) = current.filter(|c| c.status == "True") {
                    condition.last_transition_time = current.last_transition_time;
                }
                // Always the fresh one: its update time is what the deadline counts from.
                conditions.retain(|c| c.type_ != "Progressing");
                conditions.push(condition);
            } else if let Some(current) = &current
                && reason != Some(COMPLETE)
                && (reason == Some(TIMED_OUT)
                    || current
                        .last_update_time
                        .as_ref()
                        .is_some_and(|at| at.0 + deadline < now))
            {
                set(
                    &mut conditions,
                    new(
                        "Progressing",
                        "False",
                        TIMED_OUT,
                        format!("{subject} has timed out progressing."),
                        now,
                    ),
                );
            }
        }
    }
    note_failures(&mut conditions, sets, new_set);
    let again = next_look(deployment, &conditions, complete, now);
    status.conditions = Some(conditions);
    (status, again)
}

/// The failure of the new set, or of any when the new one has none, becomes the Deployment's.
fn note_failures(conditions: &mut Conditions, sets: &[ReplicaSet], new_set: Option<&ReplicaSet>) {
    let failure = |set: &ReplicaSet| {
        let all = set.status.as_ref().and_then(|s| s.conditions.as_ref());
        all.into_iter()
            .flatten()
            .find(|c| c.type_ == "ReplicaFailure")
            .cloned()
    };
    match new_set
        .and_then(failure)
        .or_else(|| sets.iter().find_map(failure))
    {
        None => conditions.retain(|c| c.type_ != "ReplicaFailure"),
        Some(found) => set(
            conditions,
            DeploymentCondition {
                type_: "ReplicaFailure".into(),
                status: found.status,
                reason: found.reason,
                message: found.message,
                last_update_time: found.last_transition_time.clone(),
                last_transition_time: found.last_transition_time,
            },
        ),
    }
}

fn next_look(
    deployment: &Deployment,
    conditions: &Conditions,
    complete: bool,
    now: Timestamp,
) -> Option<Duration> {
    let deadline = deadline(deployment)?;
    let progressing = find(conditions, "Progressing")?;
    let over = matches!(progressing.reason.as_deref(), Some(TIMED_OUT | COMPLETE));
    if complete || over {
        return None;
    }
    let at = progressing.last_update_time.as_ref()?.0 + deadline;
    Some(
        at.duration_since(now)
            .max(SignedDuration::ZERO)
            .unsigned_abs()
            + Duration::from_secs(1),
    )
}
