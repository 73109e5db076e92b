//! What reads are served from: the index of all entries, the ring of recent events, and what is known of history.
//!
//! Know before changing: pure, and behind one lock that reads hold while they copy. Only the writer changes it, only
//! after the disk has it. Past states are computed by undoing events, so every event must carry the true `previous`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::recent::Recent;
use crate::{Entry, Event, EventKind, StoreError};

/// How a key was at an earlier revision.
#[derive(Debug, Clone)]
pub(crate) enum Before {
    /// It did not exist.
    Absent,
    /// It was this.
    Entry(Entry),
    /// It was what row `.0` of the log on disk says.
    Row(u64),
}

/// Keys that have changed since, and how they were.
pub(crate) type Undo = BTreeMap<Arc<str>, Before>;

/// The state at `revision`, and how to get to earlier ones.
#[derive(Debug)]
pub(crate) struct Memory {
    index: BTreeMap<Arc<str>, Entry>,
    revision: u64,
    compacted: u64,
    recent: Recent,
    /// Keys with volatile writes since `compacted`, with the revision of the last one: for these, the history on disk
    /// is not complete before that revision.
    volatile: BTreeMap<Arc<str>, u64>,
}

impl Memory {
    pub(crate) fn new(
        index: BTreeMap<Arc<str>, Entry>,
        revision: u64,
        compacted: u64,
        volatile: BTreeMap<Arc<str>, u64>,
        recent: Recent,
    ) -> Memory {
        Memory {
            index,
            revision,
            compacted,
            recent,
            volatile,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.index.get(key)
    }

    pub(crate) fn count(&self, prefix: &str) -> usize {
        range(&self.index, prefix, None).count()
    }

    /// Makes one change visible.
    pub(crate) fn apply(&mut self, event: Arc<Event>, volatile: bool) {
        let entry = &event.entry;
        match event.kind {
            EventKind::Put => {
                self.index.insert(entry.key.clone(), entry.clone());
            }
            EventKind::Delete => {
                self.index.remove(&entry.key);
            }
        }
        self.revision = entry.mod_revision;
        if volatile {
            self.volatile.insert(entry.key.clone(), entry.mod_revision);
        }
        self.recent.push(event);
    }

    /// Forgets the history before `revision`.
    pub(crate) fn compact(&mut self, revision: u64) {
        self.compacted = self.compacted.max(revision);
        self.recent.forget(revision);
        self.volatile.retain(|_, last| *last > revision);
    }

    /// Whether `revision` is one that can be asked for at all.
    pub(crate) fn check_revision(&self, revision: u64) -> Result<(), StoreError> {
        if revision > self.revision {
            return Err(StoreError::FutureRevision {
                requested: revision,
                current: self.revision,
            });
        }
        self.check_compacted(revision)
    }

    pub(crate) fn check_compacted(&self, revision: u64) -> Result<(), StoreError> {
        match revision < self.compacted {
            true => Err(StoreError::Compacted {
                requested: revision,
                oldest: self.compacted,
            }),
            false => Ok(()),
        }
    }

    /// Whether the disk knows everything that happened under `prefix` after `revision`.
    pub(crate) fn check_disk_history(&self, prefix: &str, revision: u64) -> Result<(), StoreError> {
        let newest = range(&self.volatile, prefix, None)
            .map(|(_, last)| *last)
            .max();
        match newest {
            Some(newest) if newest > revision => Err(StoreError::Compacted {
                requested: revision,
                oldest: newest,
            }),
            _ => Ok(()),
        }
    }

    /// What has to be undone of the recent events under `prefix` to get back to `revision`, which is `>= recent.base()`.
    pub(crate) fn undo_recent(&self, prefix: &str, revision: u64, undo: &mut Undo) {
        for event in self.recent.after(revision).rev() {
            if event.entry.key.starts_with(prefix) {
                let before = event.previous.clone().map_or(Before::Absent, Before::Entry);
                undo.insert(event.entry.key.clone(), before);
            }
        }
    }

    /// Up to `limit` entries (0: all) under `prefix` after `start_after`, with the changes in `undo` taken back.
    pub(crate) fn page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        undo: &Undo,
    ) -> Slots {
        let mut slots = Slots {
            slots: Vec::new(),
            remaining: 0,
            limit: if limit == 0 { usize::MAX } else { limit },
        };
        let mut current = range(&self.index, prefix, start_after).peekable();
        for (key, before) in range(undo, prefix, start_after) {
            while let Some((_, entry)) = current.next_if(|(current, _)| *current < key) {
                slots.take(|| Before::Entry(entry.clone()));
            }
            current.next_if(|(current, _)| *current == key);
            if !matches!(before, Before::Absent) {
                slots.take(|| before.clone());
            }
        }
        for (_, entry) in current {
            slots.take(|| Before::Entry(entry.clone()));
        }
        slots
    }
}

/// A page whose entries may still have to be fetched from disk.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) slots: Vec<Before>,
    pub(crate) remaining: usize,
    limit: usize,
}

impl Slots {
    fn take(&mut self, slot: impl FnOnce() -> Before) {
        if self.slots.len() < self.limit {
            self.slots.push(slot());
        } else {
            self.remaining += 1;
        }
    }
}

/// The part of a map whose keys start with `prefix` and come after `start_after`.
fn range<'a, V>(
    map: &'a BTreeMap<Arc<str>, V>,
    prefix: &'a str,
    start_after: Option<&'a str>,
) -> impl Iterator<Item = (&'a Arc<str>, &'a V)> {
    let from = match start_after {
        Some(key) if key >= prefix => Bound::Excluded(key),
        _ => Bound::Included(prefix),
    };
    map.range::<str, _>((from, Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(prefix))
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;

    use super::*;

    pub(crate) fn entry(key: &str, revision: u64, value: &[u8]) -> Entry {
        Entry {
            key: key.into(),
            value: Bytes::copy_from_slice(value),
            create_revision: revision,
            mod_revision: revision,
        }
    }

    pub(crate) fn put(key: &str, revision: u64, value: &[u8]) -> Arc<Event> {
        Arc::new(Event {
            kind: EventKind::Put,
            entry: entry(key, revision, value),
            previous: None,
        })
    }

    fn memory() -> Memory {
        let mut memory = Memory::new(
            BTreeMap::new(),
            1,
            1,
            BTreeMap::new(),
            Recent::new(1, 100, 1 << 20),
        );
        for (revision, key) in (2..).zip(["/a/1", "/a/2", "/a/3", "/a0", "/b/1"]) {
            memory.apply(put(key, revision, b"v"), false);
        }
        memory
    }

    fn keys(slots: Slots) -> (Vec<String>, usize) {
        let name = |slot: &Before| match slot {
            Before::Entry(entry) => format!("{}@{}", entry.key, entry.mod_revision),
            other => format!("{other:?}"),
        };
        (slots.slots.iter().map(name).collect(), slots.remaining)
    }

    #[test]
    fn pages_follow_prefix_start_and_limit() {
        #[track_caller]
        fn check(
            prefix: &str,
            start_after: Option<&str>,
            limit: usize,
            expect: &str,
            remaining: usize,
        ) {
            let (found, rest) = keys(memory().page(prefix, start_after, limit, &Undo::new()));
            assert_eq!((found.join(" ").as_str(), rest), (expect, remaining));
        }
        check("/a/", None, 0, "/a/1@2 /a/2@3 /a/3@4", 0);
        check("/a/", None, 2, "/a/1@2 /a/2@3", 1);
        check("/a/", Some("/a/2"), 2, "/a/3@4", 0);
        check("/a/", Some("/a/22"), 2, "/a/3@4", 0);
        check("/a/", Some("/a/9"), 2, "", 0);
        check("/a/", Some("/"), 1, "/a/1@2", 2);
        check("/b", Some("/zz"), 0, "", 0);
        check("", None, 1, "/a/1@2", 4);
        check("/c", None, 0, "", 0);
    }

    #[test]
    fn undoing_events_gives_the_past() {
        let mut memory = memory();
        let delete = Event {
            kind: EventKind::Delete,
            entry: Entry {
                mod_revision: 7,
                ..entry("/a/2", 3, b"v")
            },
            previous: Some(entry("/a/2", 3, b"v")),
        };
        memory.apply(Arc::new(delete), false);
        memory.apply(put("/a/2", 8, b"again"), false);
        memory.apply(put("/a/9", 9, b"new"), false);
        let check = |revision: u64, expect: &str| {
            let mut undo = Undo::new();
            memory.undo_recent("/a/", revision, &mut undo);
            assert_eq!(
                keys(memory.page("/a/", None, 0, &undo)).0.join(" "),
                expect,
                "at {revision}"
            );
        };
        check(9, "/a/1@2 /a/2@8 /a/3@4 /a/9@9");
        check(8, "/a/1@2 /a/2@8 /a/3@4");
        check(7, "/a/1@2 /a/3@4");
        check(6, "/a/1@2 /a/2@3 /a/3@4");
        check(2, "/a/1@2");
        check(1, "");
    }

    #[test]
    fn compaction_and_volatile_writes_limit_what_can_be_asked() {
        let mut memory = memory();
        memory.apply(put("/leases/n1", 7, b"beat"), true);
        memory.apply(put("/a/9", 8, b"v"), false);
        assert!(memory.check_disk_history("/a/", 2).is_ok());
        assert!(matches!(
            memory.check_disk_history("/leases/", 6),
            Err(StoreError::Compacted {
                requested: 6,
                oldest: 7
            })
        ));
        assert!(memory.check_disk_history("/", 7).is_ok());
        memory.compact(7);
        assert!(memory.volatile.is_empty());
        assert!(memory.check_revision(7).is_ok());
        assert!(matches!(
            memory.check_revision(6),
            Err(StoreError::Compacted {
                requested: 6,
                oldest: 7
            })
        ));
        assert!(matches!(
            memory.check_revision(9),
            Err(StoreError::FutureRevision {
                requested: 9,
                current: 8
            })
        ));
        memory.compact(3);
        assert_eq!(memory.compacted(), 7);
    }
}
