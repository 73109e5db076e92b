//! Reading a database: everything, once, at the start, with every check there is.
//!
//! Know before changing: this is where damage is found. SQLite checks the structure of the file; rows and numbers carry
//! checksums; and each row must follow the one that it says it replaces.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::decide::{Mark, Marks};
use crate::disk::failure;
use crate::meta::{self, BACKUP, CEILING, COMPACTED};
use crate::row::{COLUMNS, Row, RowError, RowKind};
use crate::{Entry, StoreError};

/// How far a restored backup jumps ahead, so that no revision given out after the backup was made comes again. What etcd
/// recommends for its own restores.
const RESTORE_JUMP: u64 = 1_000_000_000;

/// What a database holds.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) index: BTreeMap<Arc<str>, Entry>,
    /// Keys whose newest row says that newer values may be lost.
    pub(crate) marks: Marks,
    /// Keys with any such row, with the revision of the newest.
    pub(crate) volatile: BTreeMap<Arc<str>, u64>,
    /// No revision above it was ever given out; the store starts there.
    pub(crate) ceiling: u64,
    pub(crate) compacted: u64,
    /// Bytes of rows that are no longer current.
    pub(crate) garbage_bytes: u64,
    /// This is a backup that has not been used yet.
    pub(crate) is_backup: bool,
}

/// Checks the file and reads all of it.
pub(crate) fn load(connection: &Connection, path: &Path) -> Result<Loaded, StoreError> {
    read(connection).map_err(|error| match error {
        RowError::Sqlite(error) => failure(path, &error),
        RowError::Damaged(detail) => StoreError::Corrupt {
            path: path.to_path_buf(),
            detail,
        },
    })
}

fn read(connection: &Connection) -> Result<Loaded, RowError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(RowError::Damaged(verdict));
    }
    let (Some(ceiling), Some(compacted)) = (
        meta::get(connection, CEILING)?,
        meta::get(connection, COMPACTED)?,
    ) else {
        let detail = "it does not say which revisions were used";
        return Err(RowError::Damaged(detail.into()));
    };
    let mut loaded = Loaded {
        ceiling,
        compacted,
        is_backup: meta::get(connection, BACKUP)?.is_some(),
        ..Loaded::default()
    };
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM log ORDER BY revision"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        loaded.take(Row::read(row)?)?;
    }
    Ok(loaded)
}

/// Makes a restored backup a database: nothing from before may be watched or listed any more.
pub(crate) fn leave_backup(connection: &Connection, loaded: &mut Loaded) -> rusqlite::Result<()> {
    let jumped = loaded.ceiling + RESTORE_JUMP;
    (loaded.ceiling, loaded.compacted) = (jumped, jumped);
    let tx = connection.unchecked_transaction()?;
    meta::set(&tx, CEILING, jumped)?;
    meta::set(&tx, COMPACTED, jumped)?;
    meta::remove(&tx, BACKUP)?;
    tx.commit()
}

impl Loaded {
    /// Takes the rows in the order of revisions.
    fn take(&mut self, row: Row) -> Result<(), RowError> {
        let (key, revision) = (row.entry.key.clone(), row.entry.mod_revision);
        let replaced = match row.kind {
            RowKind::Delete => self.index.remove(&key),
            RowKind::Put | RowKind::PutVolatile => self.index.insert(key.clone(), row.entry),
        };
        // Below, compaction has removed rows.
        let before = replaced.as_ref().map_or(0, |entry| entry.mod_revision);
        if revision > self.ceiling || (revision > self.compacted && row.prev_revision != before) {
            let detail = format!("the row of revision {revision} does not fit the others");
            return Err(RowError::Damaged(detail));
        }
        if let Some(replaced) = replaced {
            self.garbage_bytes += row_bytes(&key, replaced.value.len());
        }
        if row.kind == RowKind::Delete {
            self.garbage_bytes += row_bytes(&key, 0);
        }
        if row.kind == RowKind::PutVolatile {
            let persisted = revision;
            self.marks.insert(key.clone(), Mark { persisted });
            self.volatile.insert(key, revision);
        } else {
            self.marks.remove(&key);
        }
        Ok(())
    }
}

/// Roughly what a row takes on disk.
pub(crate) fn row_bytes(key: &str, value_bytes: usize) -> u64 {
    (key.len() + value_bytes + 48) as u64
}
