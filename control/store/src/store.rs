//! The store's public face.

use std::path::Path;

use bytes::Bytes;

use crate::{Deleted, Entry, Options, Page, StoreError, Watch};

/// A handle on the store; clones share it. Call [`Store::close`] before the process ends.
#[derive(Debug, Clone)]
pub struct Store {}

#[allow(unused_variables)]
impl Store {
    /// Opens the store in `dir`, creating both when missing, and checks the file. Blocks while it reads everything.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Store, StoreError> {
        Err(StoreError::Closed)
    }

    /// Creates a key. Durable when it returns. Errors: `AlreadyExists`, `TooLarge`, `InvalidKey`, `DiskFull`, `Database`, `Closed`.
    pub async fn create(&self, key: &str, value: Bytes) -> Result<Entry, StoreError> {
        Err(StoreError::Closed)
    }

    /// Changes a key that is at `expected_mod_revision`. Durable when it returns. Errors: `NotFound`, `Conflict`, and as `create`.
    pub async fn update(
        &self,
        key: &str,
        value: Bytes,
        expected_mod_revision: u64,
    ) -> Result<Entry, StoreError> {
        Err(StoreError::Closed)
    }

    /// As [`Store::update`], for heartbeats: visible at once, on disk within [`Options::volatile_age`] and at close; a
    /// crash may take the key back to an older value (never its revision numbers).
    pub async fn update_volatile(
        &self,
        key: &str,
        value: Bytes,
        expected_mod_revision: u64,
    ) -> Result<Entry, StoreError> {
        Err(StoreError::Closed)
    }

    /// Deletes a key, if `expected_mod_revision` is given only at that revision. Durable when it returns. Errors: `NotFound`, `Conflict`.
    pub async fn delete(
        &self,
        key: &str,
        expected_mod_revision: Option<u64>,
    ) -> Result<Deleted, StoreError> {
        Err(StoreError::Closed)
    }

    /// The entry of a key, from memory.
    pub fn get(&self, key: &str) -> Option<Entry> {
        None
    }

    /// Up to `limit` entries (0: all) whose keys start with `prefix`, after the key `start_after`, as of now or as of
    /// `at_revision`. Errors: `Compacted`, `FutureRevision`, `Database`, `Corrupt`.
    pub async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at_revision: Option<u64>,
    ) -> Result<Page, StoreError> {
        Err(StoreError::Closed)
    }

    /// How many keys start with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        0
    }

    /// Watches the keys that start with `prefix`: every change after `after_revision`, then what comes. A revision in
    /// the future is waited for. Errors: `Compacted`, `Closed`.
    pub async fn watch(&self, prefix: &str, after_revision: u64) -> Result<Watch, StoreError> {
        Err(StoreError::Closed)
    }

    /// The revision of the store: of the newest change that reads can see.
    pub fn revision(&self) -> u64 {
        0
    }

    /// The oldest revision that `list` and `watch` still answer for.
    pub fn compacted_revision(&self) -> u64 {
        0
    }

    /// Forgets the history before `revision` (it happens by itself, see [`Options`]). Errors: `FutureRevision`.
    pub async fn compact(&self, revision: u64) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    /// Writes a consistent copy to `path`, which must not exist; to restore it, see [`crate::RESTORE_FILE`].
    pub async fn backup(&self, path: &Path) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    /// Writes what is volatile to disk and closes the files; every handle and watch answers `Closed` from then on.
    pub async fn close(&self) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }
}
