//! The writer's side of the database: every statement that changes it.
//!
//! Know before changing: one table, `log`, one row per change, appended in the order of revisions and without a second
//! index. The newest row of a key is its state. Rows point back to the row they replace, so that compaction and listings
//! of the past need no index over keys. Rows may be missing only where `meta.compacted` says so, in the same transaction.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::StoreError;
use crate::meta::{self, COMPACTED};
use crate::row::Row;

/// The table. `auto_vacuum` has to come before the first table.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE log (
        revision INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        kind INTEGER NOT NULL,
        create_revision INTEGER NOT NULL,
        prev_revision INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        value BLOB NOT NULL
    ) STRICT;
";

/// Rows looked at by one step of a sweep: some milliseconds, for which writes wait.
const SWEEP_ROWS: i64 = 1_000;
/// Pages given back to the file system by one step.
const VACUUM_PAGES: i64 = 1_000;
/// Free pages (4 KiB each) that the file may keep for reuse, beside as many as are in use.
const SPARE_PAGES: i64 = 1_024;

/// The connection that writes.
#[derive(Debug)]
pub(crate) struct Disk {
    connection: Connection,
    path: PathBuf,
}

impl Disk {
    pub(crate) fn new(connection: Connection, path: PathBuf) -> Disk {
        Disk { connection, path }
    }

    /// Appends `rows`, deletes the rows in `superseded`, and sets `numbers` in
    /// `meta`, all or nothing, and durable on return.
    pub(crate) fn commit(
        &mut self,
        rows: &[Row],
        superseded: &[u64],
        numbers: &[(&str, u64)],
    ) -> rusqlite::Result<()> {
        self.transaction(|tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO log (revision, key, kind, create_revision, prev_revision, checksum, value)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for row in rows {
                insert.execute(params![
                    row.entry.mod_revision as i64,
                    &*row.entry.key,
                    row.kind as i64,
                    row.entry.create_revision as i64,
                    row.prev_revision as i64,
                    row.checksum(),
                    row.stored_value(),
                ])?;
            }
            for revision in superseded {
                tx.prepare_cached("DELETE FROM log WHERE revision = ?1")?.execute([*revision as i64])?;
            }
            for (name, value) in numbers {
                meta::set(tx, name, *value)?;
            }
            Ok(true)
        })
    }

    /// One step of a sweep that has done `from` and is to reach `to`: deletes rows that were replaced, and deletes,
    /// between the two. Returns how far it got. Writes nothing where there is nothing to delete.
    pub(crate) fn sweep(&mut self, from: u64, to: u64) -> rusqlite::Result<u64> {
        let (from, to) = (from as i64, to as i64);
        let end: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT max(revision) FROM (SELECT revision FROM log WHERE revision > ?1 AND revision <= ?2
                 ORDER BY revision LIMIT ?3)",
            )?
            .query_row([from, to, SWEEP_ROWS], |row| row.get(0))?;
        let Some(end) = end else { return Ok(to as u64) };
        self.transaction(|tx| {
            let replaced = tx
                .prepare_cached(
                    "DELETE FROM log WHERE revision IN (SELECT prev_revision FROM log
                     WHERE revision > ?1 AND revision <= ?2 AND prev_revision > 0)",
                )?
                .execute([from, end])?;
            let deletes = tx
                .prepare_cached(
                    "DELETE FROM log WHERE revision > ?1 AND revision <= ?2 AND kind = 1",
                )?
                .execute([from, end])?;
            let changed = replaced + deletes > 0;
            if changed {
                meta::set(tx, COMPACTED, end as u64)?;
            }
            Ok(changed)
        })?;
        Ok(end as u64)
    }

    /// Gives free pages back to the file system if there are too many; tells whether there may be more to give.
    pub(crate) fn shrink(&mut self) -> rusqlite::Result<bool> {
        let number = |name: &str| {
            self.connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        };
        let (free, pages) = (number("freelist_count")?, number("page_count")?);
        let too_many = free - (pages - free).max(SPARE_PAGES);
        if too_many <= 0 {
            return Ok(false);
        }
        // The pragma frees one page per step: all of them have to be taken.
        let mut statement = self.connection.prepare(&format!(
            "PRAGMA incremental_vacuum({})",
            too_many.min(VACUUM_PAGES)
        ))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(too_many > VACUUM_PAGES)
    }

    /// Moves the write-ahead log into the database file and empties it, which may free the space that writes need.
    pub(crate) fn checkpoint(&mut self) -> rusqlite::Result<()> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// Closes the file, whatever the outcome.
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        if let Err(error) = self.checkpoint() {
            // What is in the log on disk is as durable there as in the database.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not empty the write-ahead log"
            );
        }
        let closed = self.connection.close();
        closed.map_err(|(_, error)| failure(&self.path, &error))
    }

    /// Runs `body` in a transaction that is committed if it says so, and leaves none open in any case.
    fn transaction(
        &mut self,
        body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<()> {
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = match body(&tx) {
            Ok(true) => tx.commit(),
            Ok(false) => tx.rollback(),
            Err(error) => {
                drop(tx);
                Err(error)
            }
        };
        if !self.connection.is_autocommit() {
            // A rollback that failed, too: without this, every later transaction would be refused.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        done
    }
}

/// Puts an error of SQLite in the caller's terms.
pub(crate) fn failure(path: &Path, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode;
    let path = path.to_path_buf();
    // Some errors cannot be cloned, and one failed commit has to be told to every write of its batch.
    let copy = || match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            rusqlite::Error::SqliteFailure(*code, message.clone())
        }
        other => rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
            Some(other.to_string()),
        ),
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt {
            path,
            detail: error.to_string(),
        },
        Some(ErrorCode::DiskFull) => StoreError::DiskFull {
            path,
            source: copy(),
        },
        _ => StoreError::Database {
            path,
            source: copy(),
        },
    }
}
