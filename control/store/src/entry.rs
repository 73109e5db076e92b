//! The values that the store hands out: entries, events, pages.
//!
//! Know before changing: everything here is shared between the index, the ring of recent events and every watcher, so
//! it must stay cheap to clone (reference counts only).

use std::sync::Arc;

use bytes::Bytes;

/// One key with its value, as it was at `mod_revision`. Cloning copies no text and no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, for example `/registry/pods/default/web-0`.
    pub key: Arc<str>,
    /// The value; the store does not look inside. In an allocation of exactly its length.
    pub value: Bytes,
    /// The revision of the write that created the key.
    pub create_revision: u64,
    /// The revision of the write that left the key as it is here.
    pub mod_revision: u64,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The key was created (`previous` is `None`) or changed.
    Put,
    /// The key was deleted.
    Delete,
}

/// One change, as watchers see it. Every change has a revision of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whether the key was written or deleted.
    pub kind: EventKind,
    /// The key after the change. For a [`EventKind::Delete`]: the last value, with the revision of the delete as
    /// `mod_revision`, which is what Kubernetes sends in a `DELETED` event.
    pub entry: Entry,
    /// The key as it was before; `None` when this change created it.
    pub previous: Option<Entry>,
}

impl Event {
    /// The revision of this change.
    pub fn revision(&self) -> u64 {
        self.entry.mod_revision
    }

    /// Whether this change created the key.
    pub fn is_create(&self) -> bool {
        self.kind == EventKind::Put && self.previous.is_none()
    }
}

/// A part of a listing, in the order of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries, ordered by key (bytewise).
    pub entries: Vec<Entry>,
    /// The revision at which all of this is true. The next page is asked for with `at_revision` set to it.
    pub revision: u64,
    /// Whether more entries follow under the prefix.
    pub more: bool,
    /// How many more entries follow under the prefix at this revision.
    pub remaining: usize,
}

/// What a delete did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The revision of the delete.
    pub revision: u64,
    /// The entry that was deleted.
    pub previous: Entry,
}
