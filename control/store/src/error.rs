//! What can go wrong, and what the caller should do about it.
//!
//! Know before changing: the API server maps the first group to Kubernetes `Status` answers by matching on variants.

use std::path::PathBuf;

/// An error of the store. Display names what, where and what next; it does not repeat the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// `create` found the key. Read it, or answer `AlreadyExists`.
    #[error("key {key} already exists, last changed at revision {mod_revision}")]
    AlreadyExists {
        /// The key.
        key: String,
        /// The revision of the entry that is there.
        mod_revision: u64,
    },
    /// `update` or `delete` found no such key. Answer `NotFound`.
    #[error("key {key} does not exist")]
    NotFound {
        /// The key.
        key: String,
    },
    /// The key has changed since the caller read it. Read again and retry, or answer `Conflict`.
    #[error("key {key} is at revision {actual}, not at the expected {expected}")]
    Conflict {
        /// The key.
        key: String,
        /// The revision that the caller expected.
        expected: u64,
        /// The revision at which the key is.
        actual: u64,
    },
    /// The history asked for is gone. List again and watch from there (HTTP 410 in Kubernetes).
    #[error("revision {requested} is no longer kept; history goes back to revision {oldest}")]
    Compacted {
        /// The revision that was asked for.
        requested: u64,
        /// The oldest revision for which this question can be answered now.
        oldest: u64,
    },
    /// The revision asked for does not exist yet. Ask again later, or answer "too large resource version".
    #[error("revision {requested} is in the future; the store is at revision {current}")]
    FutureRevision {
        /// The revision that was asked for.
        requested: u64,
        /// The revision of the store.
        current: u64,
    },
    /// The value is larger than the store takes. Answer 413.
    #[error("the value of {key} has {size_bytes} bytes; at most {limit_bytes} are allowed")]
    TooLarge {
        /// The key.
        key: String,
        /// The size of the value.
        size_bytes: usize,
        /// The largest value allowed.
        limit_bytes: usize,
    },
    /// The key is empty, too long or contains a NUL.
    #[error("invalid key: {reason}")]
    InvalidKey {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The disk is full: nothing of this write was done. Later writes succeed once there is space.
    #[error("no space left to write {}: free some and try again; nothing was changed", path.display())]
    DiskFull {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// SQLite failed for another reason, mostly a failing disk. The write is not visible; it may be retried.
    #[error("the database {} failed; see the kernel's log for disk errors, then try again", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The operating system refused something outside SQLite (folder, lock, rename).
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The database file is damaged. Do not retry: restore a backup.
    #[error(
        "the database {} is damaged ({detail}). To restore a backup, copy it to {} and start again: the damaged files are \
         kept beside it",
        path.display(), path.with_file_name(crate::RESTORE_FILE).display()
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file was written by a newer version of this program.
    #[error("the database {} has format {found}, this program knows {known}: use the version that wrote it", path.display())]
    UnknownFormat {
        /// The database file.
        path: PathBuf,
        /// The format in the file.
        found: i64,
        /// The format that this program writes.
        known: i64,
    },
    /// Another process has the store open.
    #[error("the store in {} is in use by another process: stop it first", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The store is closed or closing.
    #[error("the store is closed")]
    Closed,
}
