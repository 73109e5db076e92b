//! Revisioned key-value store with watch: etcd's model on SQLite, inside the process.
//!
//! - Every change gets a revision of its own. Revisions never repeat and never go back: not after a crash, a failed
//!   commit or a restored backup. They may leave gaps.
//! - Writes compare and swap on the revision of the key. An acknowledged write is on the disk (one writer, group commit,
//!   `synchronous=FULL`); a refused or failed one has changed nothing.
//! - Reads come from memory. Listings and watches of the past come from memory, too, as far as recent events reach, then
//!   from disk, until compaction by age or size; beyond it they are answered with [`StoreError::Compacted`].
//! - [`Store::update_volatile`] is for heartbeats: in memory at once, on disk rarely. An idle store writes nothing.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let dir = tempfile::tempdir().unwrap();
//! use minicloud_store::{Options, Store};
//!
//! let store = Store::open(dir.path(), Options::default())?;
//! let mut watch = store.watch("/registry/pods/", store.revision()).await?;
//! let pod = store.create("/registry/pods/default/web", "{}".into()).await?;
//! store.update("/registry/pods/default/web", "{\"a\":1}".into(), pod.mod_revision).await?;
//! assert!(watch.next().await.unwrap().is_create());
//! assert_eq!(watch.next().await.unwrap().previous.as_ref(), Some(&pod));
//! store.close().await?;
//! # Ok::<(), minicloud_store::StoreError>(())
//! # }).unwrap();
//! ```
//!
//! The one thing to know before changing anything: memory and disk move together. A batch is decided against memory
//! (`decide`), committed to disk (`disk`), and only then applied to memory, handed to watchers (`hub`) and acknowledged
//! (`writer`), in this order.

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
