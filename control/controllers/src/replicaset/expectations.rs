//! What was asked of the API server and has not come back through the watch yet.
//!
//! An expectation that never comes true (the watch missed it) ends after five minutes, as in Kubernetes.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::plumbing::informer::Key;

/// How long the cache may lag before it is believed anyway.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Per controlling object.
#[derive(Default)]
pub(crate) struct Expectations(Mutex<HashMap<Key, Expected>>);

struct Expected {
    owner: String,
    creations: usize,
    deletions: HashSet<String>,
    since: Instant,
}

impl Expectations {
    /// True when nothing is outstanding for the object with this UID.
    pub(crate) fn satisfied(&self, key: &Key, owner: &str) -> bool {
        self.satisfied_at(key, owner, Instant::now())
    }

    fn satisfied_at(&self, key: &Key, owner: &str, now: Instant) -> bool {
        self.lock().get(key).is_none_or(|e| {
            e.owner != owner
                || (e.creations == 0 && e.deletions.is_empty())
                || now.duration_since(e.since) > PATIENCE
        })
    }

    /// `count` objects are about to be created.
    pub(crate) fn creating(&self, key: &Key, owner: &str, count: usize) {
        self.expect(key, owner, count, HashSet::new());
    }

    /// The objects with these UIDs are about to be deleted.
    pub(crate) fn deleting(&self, key: &Key, owner: &str, uids: impl IntoIterator<Item = String>) {
        self.expect(key, owner, 0, uids.into_iter().collect());
    }

    /// One object came, or will not come.
    pub(crate) fn saw_created(&self, key: &Key) {
        if let Some(expected) = self.lock().get_mut(key) {
            expected.creations = expected.creations.saturating_sub(1);
        }
    }

    /// The object went, is going, or will not go.
    pub(crate) fn saw_deleted(&self, key: &Key, uid: &str) {
        if let Some(expected) = self.lock().get_mut(key) {
            expected.deletions.remove(uid);
        }
    }

    /// True when the deletion of this object was asked for and has not been seen.
    pub(crate) fn is_going(&self, key: &Key, uid: &str) -> bool {
        self.lock()
            .get(key)
            .is_some_and(|e| e.deletions.contains(uid))
    }

    /// The controlling object is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn expect(&self, key: &Key, owner: &str, creations: usize, deletions: HashSet<String>) {
        let expected = Expected {
            owner: owner.to_owned(),
            creations,
            deletions,
            since: Instant::now(),
        };
        self.lock().insert(key.clone(), expected);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Expected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_waits_until_the_cache_has_caught_up() {
        let (all, key) = (Expectations::default(), Key::new("ns", "set"));
        assert!(all.satisfied(&key, "u"));
        all.creating(&key, "u", 2);
        all.saw_created(&key);
        assert!(!all.satisfied(&key, "u"));
        assert!(all.satisfied(&key, "another set of the same name"));
        all.saw_created(&key);
        assert!(all.satisfied(&key, "u"));
        all.deleting(&key, "u", ["p".to_owned()]);
        all.saw_deleted(&key, "q");
        assert!(!all.satisfied(&key, "u") && all.is_going(&key, "p"));
        assert!(all.satisfied_at(
            &key,
            "u",
            Instant::now() + PATIENCE + Duration::from_secs(1)
        ));
    }
}
