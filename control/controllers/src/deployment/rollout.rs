//! The next step of a rollout: which ReplicaSets to create, resize, annotate or delete, and what the status says. Pure.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use kube::ResourceExt;

use super::conditions::{self, Conditions};
use super::model::{
    annotate, available, desired, is_rolling, max_replicas, max_surge, max_unavailable, new_set,
    note_size, replicas, revision, same_template, size,
};
use crate::plumbing::objects::{annotation, created, is_deleting, uid};

/// A set as it was and as it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Update {
    pub(crate) old: ReplicaSet,
    pub(crate) new: ReplicaSet,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Create this set.
    Create(Box<ReplicaSet>),
    /// Change a set.
    Update(Box<Update>),
    /// Delete a set that history need not remember.
    Delete(Box<ReplicaSet>),
    /// Write the Deployment's own revision annotation.
    Revision(String),
    /// Emit an event with this message.
    Tell(String),
}

/// What one sync does.
#[derive(Debug, PartialEq)]
pub(crate) struct Decision {
    /// In this order.
    pub(crate) actions: Vec<Action>,
    /// The status to write afterwards.
    pub(crate) status: DeploymentStatus,
    /// Look again after this time even if nothing changes.
    pub(crate) again: Option<Duration>,
}

/// `sets` are those that the Deployment controls; `alive` the UIDs of those that still have an unfinished pod.
pub(crate) fn decide(
    deployment: &Deployment,
    sets: &[ReplicaSet],
    alive: &HashSet<String>,
    now: Timestamp,
) -> Decision {
    let mut work = Work::new(deployment, sets, now);
    let paused = deployment.spec.as_ref().and_then(|s| s.paused) == Some(true);
    if is_deleting(&deployment.metadata) {
        return work.finish(false);
    }
    conditions::note_pause(deployment, &mut work.conditions, now);
    if paused || work.was_resized() {
        work.find_new_set();
        work.scale_in_proportion();
        if paused {
            work.forget_history();
        }
        return work.finish(false);
    }
    if is_rolling(deployment) {
        work.roll()
    } else {
        work.recreate(alive)
    }
    work.finish(true)
}

struct Work<'a> {
    deployment: &'a Deployment,
    now: Timestamp,
    /// The sets as they were, and after them none for a new one.
    before: Vec<Option<ReplicaSet>>,
    /// The sets as they should be. Index for index like `before`.
    sets: Vec<ReplicaSet>,
    new: Option<usize>,
    deletions: Vec<usize>,
    told: Vec<String>,
    conditions: Conditions,
    revision: Option<String>,
}

impl<'a> Work<'a> {
    fn new(deployment: &'a Deployment, sets: &[ReplicaSet], now: Timestamp) -> Self {
        let mut sets = sets.to_vec();
        sets.sort_by(|a, b| {
            (created(&a.metadata), a.name_any()).cmp(&(created(&b.metadata), b.name_any()))
        });
        // Of several that match, the oldest is the new set, as everywhere in Kubernetes.
        let new = sets.iter().position(|set| same_template(deployment, set));
        Self {
            deployment,
            now,
            before: sets.iter().cloned().map(Some).collect(),
            sets,
            new,
            deletions: Vec::new(),
            told: Vec::new(),
            conditions: deployment
                .status
                .as_ref()
                .and_then(|s| s.conditions.clone())
                .unwrap_or_default(),
            revision: None,
        }
    }

    fn old(&self) -> Vec<usize> {
        (0..self.sets.len())
            .filter(|i| Some(*i) != self.new)
            .collect()
    }

    fn is_active(&self, index: usize) -> bool {
        size(&self.sets[index]) > 0
    }

    fn total(&self) -> i32 {
        self.sets.iter().map(size).fold(0, i32::saturating_add)
    }

    fn total_available(&self) -> i32 {
        self.sets.iter().map(available).fold(0, i32::saturating_add)
    }

    /// True when a set's status speaks of an older size: its pods may be fewer than it says.
    fn is_any_status_old(&self) -> bool {
        let observed = |set: &ReplicaSet| set.status.as_ref().and_then(|s| s.observed_generation);
        self.sets
            .iter()
            .any(|set| observed(set) < set.metadata.generation)
    }

    /// True when `spec.replicas` is not what it was when the active sets were sized.
    fn was_resized(&self) -> bool {
        self.sets
            .iter()
            .filter(|set| size(set) > 0)
            .any(|set| desired(set).is_some_and(|was| was != replicas(self.deployment)))
    }

    /// The revision of the present template: one more than any other set's.
    fn next_revision(&self) -> i64 {
        self.old()
            .into_iter()
            .map(|i| revision(&self.sets[i]))
            .max()
            .unwrap_or(0)
            + 1
    }

    /// Brings the new set's annotations up to date, if there is one.
    fn find_new_set(&mut self) {
        let Some(new) = self.new else { return };
        let next = self.next_revision();
        let min_ready = self
            .deployment
            .spec
            .as_ref()
            .and_then(|s| s.min_ready_seconds);
        let set = &mut self.sets[new];
        annotate(self.deployment, set, next);
        if let Some(spec) = &mut set.spec
            && spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0)
        {
            spec.min_ready_seconds = min_ready;
        }
        let name = set.name_any();
        conditions::note_new_set(
            self.deployment,
            &mut self.conditions,
            &name,
            false,
            self.now,
        );
        self.note_revision(new);
    }

    /// As [`Work::find_new_set`], creating the set when there is none.
    fn find_or_create_new_set(&mut self) {
        if self.new.is_some() {
            return self.find_new_set();
        }
        let Some(set) = new_set(self.deployment, self.next_revision()) else {
            return;
        };
        conditions::note_new_set(
            self.deployment,
            &mut self.conditions,
            &set.name_any(),
            true,
            self.now,
        );
        self.before.push(None);
        self.sets.push(set);
        let new = self.sets.len() - 1;
        self.new = Some(new);
        let first = self.new_set_size(new);
        self.scale(new, first);
        self.note_revision(new);
    }

    fn note_revision(&mut self, new: usize) {
        let of_set = annotation(&self.sets[new].metadata, super::model::REVISION);
        if of_set != annotation(&self.deployment.metadata, super::model::REVISION) {
            self.revision = of_set.map(str::to_owned);
        }
    }

    /// How large the new set may be now.
    fn new_set_size(&self, new: usize) -> i32 {
        let wanted = replicas(self.deployment);
        if !is_rolling(self.deployment) {
            return wanted;
        }
        let most = wanted.saturating_add(max_surge(self.deployment));
        let total = self.total();
        let now = size(&self.sets[new]);
        if total >= most {
            now
        } else {
            now + (most - total).min(wanted - now)
        }
    }

    fn scale(&mut self, index: usize, to: i32) {
        let set = &mut self.sets[index];
        let from = size(set);
        if let Some(spec) = &mut set.spec {
            spec.replicas = Some(to);
        }
        note_size(self.deployment, set);
        if from != to {
            let direction = if to > from { "up" } else { "down" };
            self.told.push(format!(
                "Scaled {direction} replica set {} from {from} to {to}",
                set.name_any()
            ));
        }
    }

    // Rolling update.

    fn roll(&mut self) {
        self.find_or_create_new_set();
        let Some(new) = self.new else { return };
        if self.before[new].is_none() {
            return;
        }
        if self.scale_new_set(new) || self.scale_old_sets(new) {
            return;
        }
        self.forget_history_when_complete();
    }

    fn scale_new_set(&mut self, new: usize) -> bool {
        let (now, wanted) = (size(&self.sets[new]), replicas(self.deployment));
        let to = if now > wanted {
            wanted
        } else {
            self.new_set_size(new)
        };
        if now == wanted || to == now {
            return false;
        }
        self.scale(new, to);
        true
    }

    /// Takes down old pods, first those that do not work anyway, as far as availability allows.
    fn scale_old_sets(&mut self, new: usize) -> bool {
        let old: Vec<usize> = self
            .old()
            .into_iter()
            .filter(|i| self.is_active(*i))
            .collect();
        if old.is_empty() || self.is_any_status_old() {
            return false;
        }
        let least = replicas(self.deployment) - max_unavailable(self.deployment);
        let new_unavailable = size(&self.sets[new]) - available(&self.sets[new]);
        let mut may_go = self.total() - least - new_unavailable;
        if may_go <= 0 {
            return false;
        }
        let mut scaled = false;
        for index in &old {
            let (now, works) = (size(&self.sets[*index]), available(&self.sets[*index]));
            let go = may_go.min(now - works);
            if go > 0 {
                self.scale(*index, now - go);
                may_go -= go;
                scaled = true;
            }
        }
        let mut surplus = self.total_available() - least;
        for index in &old {
            let go = surplus.min(size(&self.sets[*index]));
            if go > 0 {
                self.scale(*index, size(&self.sets[*index]) - go);
                surplus -= go;
                scaled = true;
            }
        }
        scaled
    }

    // Recreate.

    fn recreate(&mut self, alive: &HashSet<String>) {
        self.find_new_set();
        let active: Vec<usize> = self
            .old()
            .into_iter()
            .filter(|i| self.is_active(*i))
            .collect();
        for index in &active {
            self.scale(*index, 0);
        }
        let old_alive = self
            .old()
            .into_iter()
            .any(|i| alive.contains(uid(&self.sets[i].metadata)));
        if !active.is_empty() || old_alive {
            return;
        }
        self.find_or_create_new_set();
        let Some(new) = self.new else { return };
        let wanted = replicas(self.deployment);
        if size(&self.sets[new]) != wanted {
            self.scale(new, wanted);
        }
        self.forget_history_when_complete();
    }

    // Scaling.

    /// Spreads a change of `spec.replicas` over the sets in the middle of a rollout, so that one bad new version does not
    /// get all the new pods.
    fn scale_in_proportion(&mut self) {
        let wanted = replicas(self.deployment);
        let mut active: Vec<usize> = (0..self.sets.len())
            .filter(|i| self.is_active(*i))
            .collect();
        if active.len() < 2 {
            let only = active
                .first()
                .copied()
                .or(self.new)
                .or_else(|| self.old().last().copied());
            if let Some(only) = only {
                let same =
                    size(&self.sets[only]) == wanted && desired(&self.sets[only]) == Some(wanted);
                if !same {
                    self.scale(only, wanted);
                }
            }
            return;
        }
        if self.new.is_some_and(|new| self.is_saturated(new)) {
            for index in self.old() {
                if self.is_active(index) {
                    self.scale(index, 0);
                }
            }
            return;
        }
        if !is_rolling(self.deployment) {
            return;
        }
        let allowed = if wanted > 0 {
            wanted.saturating_add(max_surge(self.deployment))
        } else {
            0
        };
        let to_add = allowed - self.total();
        // Largest first; of equals the newer gains first and the older loses first.
        active.sort_by_key(|i| {
            let order = i64::try_from(*i).unwrap_or(i64::MAX);
            (
                Reverse(size(&self.sets[*i])),
                if to_add > 0 { -order } else { order },
            )
        });
        let mut added = 0;
        let mut sizes: Vec<i32> = Vec::with_capacity(active.len());
        for index in &active {
            let share = self.share(*index, to_add, added);
            added += share;
            sizes.push(size(&self.sets[*index]) + share);
        }
        if to_add != 0
            && let Some(first) = sizes.first_mut()
        {
            *first = (*first + to_add - added).max(0);
        }
        for (index, to) in active.into_iter().zip(sizes) {
            self.scale(index, to);
        }
    }

    fn is_saturated(&self, new: usize) -> bool {
        let (set, wanted) = (&self.sets[new], replicas(self.deployment));
        size(set) == wanted && desired(set) == Some(wanted) && available(set) == wanted
    }

    fn share(&self, index: usize, to_add: i32, added: i32) -> i32 {
        let now = size(&self.sets[index]);
        if now == 0 || to_add == 0 || to_add == added {
            return 0;
        }
        let share = self.fraction(index);
        let left = to_add - added;
        if to_add > 0 {
            share.min(left)
        } else {
            share.max(left)
        }
    }

    fn fraction(&self, index: usize) -> i32 {
        let set = &self.sets[index];
        let now = size(set);
        let wanted = replicas(self.deployment);
        if wanted == 0 {
            return -now;
        }
        let most = wanted.saturating_add(max_surge(self.deployment));
        let was = max_replicas(set)
            .filter(|was| *was > 0)
            .or_else(|| self.deployment.status.as_ref().and_then(|s| s.replicas))
            .filter(|was| *was > 0)
            .unwrap_or(most);
        let exact = f64::from(now) * f64::from(most) / f64::from(was);
        // Sizes are far below 2^31, where this conversion is exact.
        #[allow(clippy::cast_possible_truncation)]
        let rounded = exact.round() as i32;
        rounded - now
    }

    // History.

    fn forget_history_when_complete(&mut self) {
        let wanted = Some(replicas(self.deployment));
        let status = self.deployment.status.clone().unwrap_or_default();
        let n = |n: Option<i32>| Some(n.unwrap_or(0));
        let complete = n(status.updated_replicas) == wanted
            && n(status.replicas) == wanted
            && n(status.available_replicas) == wanted
            && status.observed_generation >= self.deployment.metadata.generation;
        if complete {
            self.forget_history();
        }
    }

    /// Deletes the oldest revisions beyond `revisionHistoryLimit`, unless they still have pods.
    fn forget_history(&mut self) {
        let limit = self
            .deployment
            .spec
            .as_ref()
            .and_then(|s| s.revision_history_limit);
        let Some(limit) = limit
            .filter(|l| *l != i32::MAX)
            .and_then(|l| usize::try_from(l).ok())
        else {
            return;
        };
        let mut old: Vec<usize> = self
            .old()
            .into_iter()
            .filter(|i| !is_deleting(&self.sets[*i].metadata))
            .collect();
        let excess = old.len().saturating_sub(limit);
        old.sort_by_key(|i| revision(&self.sets[*i]));
        for index in old.into_iter().take(excess) {
            let set = &self.sets[index];
            let status = set.status.clone().unwrap_or_default();
            if status.replicas == 0
                && size(set) == 0
                && status.observed_generation >= set.metadata.generation
            {
                self.deletions.push(index);
            }
        }
    }

    /// Turns the differences into actions. `rollout`: also judge the rollout's progress.
    fn finish(mut self, rollout: bool) -> Decision {
        let mut actions = Vec::new();
        for (index, (before, after)) in self.before.iter().zip(&self.sets).enumerate() {
            match before {
                None => actions.push(Action::Create(Box::new(after.clone()))),
                Some(_) if self.deletions.contains(&index) => {
                    actions.push(Action::Delete(Box::new(after.clone())))
                }
                Some(before) if before != after => actions.push(Action::Update(Box::new(Update {
                    old: before.clone(),
                    new: after.clone(),
                }))),
                Some(_) => {}
            }
        }
        actions.extend(self.revision.take().map(Action::Revision));
        actions.extend(self.told.drain(..).map(Action::Tell));
        let new = self.new.map(|i| &self.sets[i]);
        let counted =
            conditions::count(self.deployment, &self.sets, new, self.conditions, self.now);
        let (status, again) = if rollout {
            conditions::judge(self.deployment, &self.sets, new, counted, self.now)
        } else {
            (counted, None)
        };
        Decision {
            actions,
            status,
            again,
        }
    }
}

#[cfg(test)]
mod tests;
