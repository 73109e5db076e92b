//! Revisioned key-value store with watch: etcd's model on SQLite, inside the process.
//!
//! Every change gets a revision of its own; writes compare and swap on the revision of the key; watches resume from a
//! revision; history is kept for some minutes. An acknowledged write is on the disk (one writer, group commit,
//! `synchronous=FULL`), except for [`Store::update_volatile`], which is for heartbeats.
//!
//! The one thing to know before changing anything: memory and disk move together. A batch is decided against memory,
//! committed to disk, and only then applied to memory, shown to watchers and acknowledged, in this order.

mod core;
mod decide;
mod disk;
mod entry;
mod error;
mod history;
mod horizon;
mod hub;
mod load;
mod memory;
mod meta;
mod open;
mod options;
mod recent;
mod row;
mod store;
mod watch;
mod writer;

pub use entry::{Deleted, Entry, Event, EventKind, Page};
pub use error::StoreError;
pub use options::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Options};
pub use store::Store;
pub use watch::{Watch, WatchEnd};

/// The database file inside the store's folder.
pub const DATABASE_FILE: &str = "store.db";
/// A backup put here, inside the store's folder, replaces the database at the next start.
pub const RESTORE_FILE: &str = "restore.db";
