//! Who owns what, and who has to be looked at when something comes, changes or goes. Pure.
//!
//! An object without owners is not kept: that it was there is remembered only for as long as something depends on it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PropagationPolicy;

use crate::plumbing::objects::{is_deleting, uid};

/// The finalizer that makes a deletion wait for dependents that block it.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that makes a deletion wait until dependents have been let go.
pub(super) const ORPHAN: &str = "orphan";

/// What an object's deletion waits for, as far as it is our business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    No,
    ForDependents,
    ToOrphan,
}

/// An object that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// `resource.group`.
    pub(super) resource: Arc<str>,
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
    pub(super) deleting: bool,
    pub(super) waiting: Waiting,
    /// UIDs of the owners, and whether the object blocks their deletion.
    owners: Vec<(Arc<str>, bool)>,
}

/// What is known of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Present,
    /// It is there, and its own deletion waits for its dependents.
    WaitsForDependents,
    Absent,
}

/// What is to become of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Keep,
    /// It has an owner that stays: only these references are kept.
    Drop(Vec<OwnerReference>),
    /// No owner is left.
    Delete {
        policy: PropagationPolicy,
        /// First it must stop blocking its owners.
        unblock: bool,
    },
}

/// What is known of an owner, and what depends on it.
#[derive(Default)]
struct Owning {
    known: Option<Owner>,
    resource: Option<Arc<str>>,
    dependents: HashSet<Arc<str>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Graph {
    objects: HashMap<Arc<str>, Object>,
    /// By UID.
    owners: HashMap<Arc<str>, Owning>,
    /// What was seen before the first lists are complete, with its resource, so that dependents need not ask for it.
    early: HashMap<Box<str>, Arc<str>>,
    started: bool,
}

/// True when the deletion of this object waits for its dependents.
pub(super) fn waits_for_dependents(meta: &ObjectMeta) -> bool {
    is_deleting(meta) && meta.finalizers.iter().flatten().any(|f| f == FOREGROUND)
}

fn waiting(meta: &ObjectMeta) -> Waiting {
    let has = |finalizer: &str| meta.finalizers.iter().flatten().any(|f| f == finalizer);
    match is_deleting(meta) {
        true if has(ORPHAN) => Waiting::ToOrphan,
        true if has(FOREGROUND) => Waiting::ForDependents,
        _ => Waiting::No,
    }
}

impl Graph {
    /// Takes in a live object. Returns the UIDs of what must be looked at now.
    pub(super) fn seen(&mut self, resource: &Arc<str>, meta: &ObjectMeta) -> Vec<Arc<str>> {
        let id: Arc<str> = uid(meta).into();
        if !self.started {
            self.early.insert(uid(meta).into(), resource.clone());
        }
        let references = meta.owner_references.as_deref().unwrap_or_default();
        let new = Object {
            resource: resource.clone(),
            namespace: meta.namespace.as_deref().unwrap_or_default().into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
            deleting: is_deleting(meta),
            waiting: waiting(meta),
            owners: references
                .iter()
                .map(|r| (r.uid.as_str().into(), r.block_owner_deletion == Some(true)))
                .collect(),
        };
        if let Some(owning) = self.owners.get_mut(&id) {
            let waits = new.waiting == Waiting::ForDependents;
            owning.known = Some(if waits {
                Owner::WaitsForDependents
            } else {
                Owner::Present
            });
            owning.resource = Some(resource.clone());
        }
        if new.owners.is_empty() && new.waiting == Waiting::No {
            // It may have had owners before.
            self.forget(&id);
            return Vec::new();
        }
        let old = self.objects.get(&id);
        if old == Some(&new) {
            return Vec::new();
        }
        let new_owners = old.is_none_or(|old| old.owners != new.owners);
        let new_wait =
            old.is_none_or(|old| old.waiting != new.waiting) && new.waiting != Waiting::No;
        let freed = if new.deleting {
            self.foreground_owners(&new)
        } else {
            Vec::new()
        };
        if new_owners {
            self.forget(&id);
        }
        let mut look = freed;
        for (owner, _) in &new.owners {
            self.owners
                .entry(owner.clone())
                .or_default()
                .dependents
                .insert(id.clone());
        }
        let doubtful = |graph: &Self, (owner, _): &(Arc<str>, bool)| {
            graph.owner(owner) != Some(Owner::Present)
        };
        if new_wait || (new_owners && !new.deleting && new.owners.iter().any(|o| doubtful(self, o)))
        {
            look.push(id.clone());
        }
        if new_wait && new.waiting == Waiting::ForDependents {
            look.extend(self.dependents(&id));
        }
        self.objects.insert(id, new);
        look
    }

    /// An object went. Returns the UIDs of what must be looked at now.
    pub(super) fn gone(&mut self, id: &str) -> Vec<Arc<str>> {
        self.early.remove(id);
        let mut look = match self.objects.get(id).cloned() {
            Some(object) => self.foreground_owners(&object),
            None => Vec::new(),
        };
        self.forget(id);
        if let Some(owning) = self.owners.get_mut(id) {
            owning.known = Some(Owner::Absent);
            look.extend(owning.dependents.iter().cloned());
        }
        look
    }

    /// The first lists are complete. Returns the UIDs of what must be looked at now.
    pub(super) fn start(&mut self) -> Vec<Arc<str>> {
        self.started = true;
        let early = std::mem::take(&mut self.early);
        let mut look = Vec::new();
        for (owner, owning) in &mut self.owners {
            if owning.known.is_none()
                && let Some(resource) = early.get(&**owner)
            {
                owning.known = Some(Owner::Present);
                owning.resource = Some(resource.clone());
            }
            if owning.known != Some(Owner::Present) {
                look.extend(owning.dependents.iter().cloned());
            }
        }
        look.extend(
            self.objects
                .iter()
                .filter(|(_, o)| o.waiting != Waiting::No)
                .map(|(id, _)| id.clone()),
        );
        look
    }

    /// Of the objects of a resource that are kept or depended on, those that are not in a fresh list.
    pub(super) fn unlisted(&self, resource: &str, listed: &HashSet<Box<str>>) -> Vec<Arc<str>> {
        let kept = self
            .objects
            .iter()
            .filter(|(_, o)| &*o.resource == resource)
            .map(|(id, _)| id);
        let owning = self.owners.iter().filter(|(_, o)| {
            o.resource.as_deref() == Some(resource) && o.known != Some(Owner::Absent)
        });
        let all: HashSet<&Arc<str>> = kept.chain(owning.map(|(id, _)| id)).collect();
        all.into_iter()
            .filter(|id| !listed.contains(&***id))
            .cloned()
            .collect()
    }

    /// A kept object.
    pub(super) fn get(&self, id: &str) -> Option<Object> {
        self.objects.get(id).cloned()
    }

    /// What is known of an owner.
    pub(super) fn owner(&self, id: &str) -> Option<Owner> {
        self.owners.get(id).and_then(|owning| owning.known)
    }

    /// Notes what the server said of an owner of a resource.
    pub(super) fn learn(&mut self, id: &str, found: Owner, resource: &Arc<str>) {
        if let Some(owning) = self.owners.get_mut(id) {
            owning.known = Some(found);
            owning.resource = Some(resource.clone());
        }
    }

    /// True when something depends on the object.
    pub(super) fn has_dependents(&self, id: &str) -> bool {
        self.owners
            .get(id)
            .is_some_and(|owning| !owning.dependents.is_empty())
    }

    /// The UIDs of what depends on the object.
    pub(super) fn dependents(&self, id: &str) -> Vec<Arc<str>> {
        self.owners
            .get(id)
            .map(|owning| owning.dependents.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Whether dependents hold up the object's deletion, and which of them must still be deleted.
    pub(super) fn blocking(&self, id: &str) -> (bool, Vec<Arc<str>>) {
        let mut blocking = false;
        let mut look = Vec::new();
        for dependent in self.dependents(id) {
            let Some(object) = self.objects.get(&dependent) else {
                continue;
            };
            blocking |= object
                .owners
                .iter()
                .any(|(owner, blocks)| &**owner == id && *blocks);
            if !object.deleting {
                look.push(dependent);
            }
        }
        (blocking, look)
    }

    /// The owners whose deletion waits and may have waited for this object.
    fn foreground_owners(&self, object: &Object) -> Vec<Arc<str>> {
        let waits = |id: &Arc<str>| {
            self.objects
                .get(id)
                .is_some_and(|o| o.waiting == Waiting::ForDependents)
        };
        object
            .owners
            .iter()
            .map(|(owner, _)| owner)
            .filter(|id| waits(id))
            .cloned()
            .collect()
    }

    /// Takes an object and its edges to its owners away.
    fn forget(&mut self, id: &str) {
        let Some(old) = self.objects.remove(id) else {
            return;
        };
        for (owner, _) in old.owners {
            if let Some(owning) = self.owners.get_mut(&owner) {
                owning.dependents.remove(id);
                if owning.dependents.is_empty() {
                    self.owners.remove(&owner);
                }
            }
        }
    }
}

/// Decides about an object from its references and what is known of the owner behind each.
pub(super) fn judge(
    references: &[OwnerReference],
    owners: &[Owner],
    meta: &ObjectMeta,
    has_dependents: bool,
) -> Verdict {
    let keep: Vec<OwnerReference> = references
        .iter()
        .zip(owners)
        .filter(|(_, owner)| **owner == Owner::Present)
        .map(|(reference, _)| reference.clone())
        .collect();
    if keep.len() == references.len() {
        return Verdict::Keep;
    }
    if !keep.is_empty() {
        return Verdict::Drop(keep);
    }
    if owners.contains(&Owner::WaitsForDependents) && has_dependents {
        return Verdict::Delete {
            policy: PropagationPolicy::Foreground,
            unblock: true,
        };
    }
    let has = |finalizer: &str| meta.finalizers.iter().flatten().any(|f| f == finalizer);
    let policy = match () {
        () if has(ORPHAN) => PropagationPolicy::Orphan,
        () if has(FOREGROUND) => PropagationPolicy::Foreground,
        () => PropagationPolicy::Background,
    };
    Verdict::Delete {
        policy,
        unblock: false,
    }
}

#[cfg(test)]
mod tests;
