//! Reading the past from disk, beside the writer: listings at an old revision, watches from one, backups.
//!
//! Know before changing: `meta.compacted` is read in the same transaction as the rows, so rows are never missing unseen.
//! The disk does not know volatile writes; callers ask `Memory::check_disk_history` first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::Connection;

use crate::disk::failure;
use crate::memory::{Before, Memory, Slots, Undo};
use crate::meta::{self, BACKUP, COMPACTED};
use crate::open::{connect_reader, private_file, sync_dir, with_suffix};
use crate::row::{COLUMNS, Row, RowError, RowKind};
use crate::{Entry, Event, EventKind, Page, StoreError};

/// How much one reading of history returns, so that a slow watcher does not hold much.
const READ_EVENTS: usize = 500;
const READ_BYTES: usize = 1 << 20;
/// How often a listing of the past tries again when the writer runs away from it.
const ATTEMPTS: usize = 5;

/// A part of history.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) events: Vec<Arc<Event>>,
    /// Every durable event up to here is in this part or was before it.
    pub(crate) until: u64,
}

/// The connection that reads history, opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Idle,
    Open(Connection),
    Closed,
}

impl Reader {
    pub(crate) fn new(path: PathBuf) -> Reader {
        Reader {
            path,
            state: Mutex::new(State::Idle),
        }
    }

    /// Refuses every later reading, and closes the file.
    pub(crate) fn close(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed;
    }

    /// Runs `body` on one consistent state of the database.
    fn read<T>(
        &self,
        body: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Idle) {
            *state = State::Open(
                connect_reader(&self.path).map_err(|error| failure(&self.path, &error))?,
            );
        }
        let State::Open(connection) = &mut *state else {
            return Err(StoreError::Closed);
        };
        let result = connection
            .transaction()
            .map_err(ReadError::from)
            .and_then(|tx| body(&tx));
        result.map_err(|error| match error {
            ReadError::Store(error) => error,
            ReadError::Row(RowError::Damaged(detail)) => StoreError::Corrupt {
                path: self.path.clone(),
                detail,
            },
            ReadError::Row(RowError::Sqlite(error)) => {
                // A fresh connection for the next reading: this one may be part of the trouble.
                *state = State::Idle;
                failure(&self.path, &error)
            }
        })
    }

    /// The events under `prefix` after `after`, oldest first, as many as fit into one part.
    pub(crate) fn events(
        &self,
        memory: &RwLock<Memory>,
        prefix: &str,
        after: u64,
    ) -> Result<Part, StoreError> {
        // Whatever memory shows is on disk. What it does not show yet waits: volatile writes may be between.
        let shown = revision(memory);
        self.read(|connection| {
            check_compacted(connection, after)?;
            let mut part = Part {
                events: Vec::new(),
                until: after,
            };
            let mut bytes = 0;
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM log WHERE revision > ?1 AND revision <= ?2 ORDER BY revision"
            ))?;
            let mut rows = statement.query([after as i64, shown as i64])?;
            while let Some(row) = rows.next()? {
                part.until = row.get::<_, i64>(0)? as u64;
                if !key_of(row)?.starts_with(prefix) {
                    continue;
                }
                let event = event(connection, Row::read(row)?)?;
                bytes += event.entry.value.len();
                part.events.push(Arc::new(event));
                if part.events.len() >= READ_EVENTS || bytes >= READ_BYTES {
                    return Ok(part);
                }
            }
            part.until = part.until.max(shown);
            Ok(part)
        })
    }

    /// A listing as of `revision`, which is older than the recent events.
    pub(crate) fn page(
        &self,
        memory: &RwLock<Memory>,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: u64,
    ) -> Result<Page, StoreError> {
        for _ in 0..ATTEMPTS {
            let shown = revision(memory);
            let page = self.read(|connection| {
                check_compacted(connection, at)?;
                let on_disk = replaced_between(connection, prefix, at, shown)?;
                let Some(slots) = undo(memory, prefix, start_after, limit, at, on_disk, shown)?
                else {
                    return Ok(None);
                };
                let entries = slots
                    .slots
                    .into_iter()
                    .map(|slot| fetch(connection, slot))
                    .collect::<Result<_, _>>()?;
                Ok(Some(Page {
                    entries,
                    revision: at,
                    more: slots.remaining > 0,
                    remaining: slots.remaining,
                }))
            })?;
            if let Some(page) = page {
                return Ok(page);
            }
        }
        // Thousands of writes during each attempt: the caller has to start over.
        Err(StoreError::Compacted {
            requested: at,
            oldest: revision(memory),
        })
    }

    /// Copies the database to `to`, marked as a backup.
    pub(crate) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let io = |action, source| StoreError::Io {
            action,
            path: to.to_path_buf(),
            source,
        };
        if to.exists() {
            return Err(io(
                "write the backup to",
                std::io::ErrorKind::AlreadyExists.into(),
            ));
        }
        let part = with_suffix(to, ".part");
        let written = || -> rusqlite::Result<()> {
            // A connection of its own: it may take long, and watches must not wait for it.
            let connection = connect_reader(&self.path)?;
            connection.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
            let copy = Connection::open(&part)?;
            meta::set(&copy, BACKUP, 1)?;
            copy.close().map_err(|(_, error)| error)
        };
        let result = fs::remove_file(&part)
            .or_else(|error| {
                if error.kind() == std::io::ErrorKind::NotFound {
                    Ok(())
                } else {
                    Err(error)
                }
            })
            .and_then(|()| private_file(&part))
            .map_err(|source| io("create", source))
            .and_then(|file| {
                written().map_err(|error| failure(&part, &error))?;
                let dir = to
                    .parent()
                    .filter(|dir| !dir.as_os_str().is_empty())
                    .unwrap_or(Path::new("."));
                file.sync_all()
                    .and_then(|()| fs::rename(&part, to))
                    .and_then(|()| sync_dir(dir))
                    .map_err(|source| io("write the backup to", source))
            });
        if result.is_err() {
            let _ = fs::remove_file(&part);
        }
        result
    }
}

/// Combines what the disk and the recent events know was different at `at`; `None` if there is a gap between the two.
fn undo(
    memory: &RwLock<Memory>,
    prefix: &str,
    start_after: Option<&str>,
    limit: usize,
    at: u64,
    on_disk: BTreeMap<Arc<str>, u64>,
    disk_until: u64,
) -> Result<Option<Slots>, StoreError> {
    let memory = memory.read().unwrap_or_else(PoisonError::into_inner);
    memory.check_disk_history(prefix, at)?;
    if memory.recent().base() > disk_until {
        return Ok(None);
    }
    let mut undo = Undo::new();
    memory.undo_recent(prefix, disk_until, &mut undo);
    for (key, revision) in on_disk {
        undo.insert(
            key,
            if revision == 0 {
                Before::Absent
            } else {
                Before::Row(revision)
            },
        );
    }
    Ok(Some(memory.page(prefix, start_after, limit, &undo)))
}

/// For every key under `prefix` that changed after `at` and until `until`: the revision of the row that was current at
/// `at` (0: none).
fn replaced_between(
    connection: &Connection,
    prefix: &str,
    at: u64,
    until: u64,
) -> Result<BTreeMap<Arc<str>, u64>, ReadError> {
    let mut replaced = BTreeMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT revision, key, prev_revision FROM log WHERE revision > ?1 AND revision <= ?2 ORDER BY revision",
    )?;
    let mut rows = statement.query([at as i64, until as i64])?;
    while let Some(row) = rows.next()? {
        let key = key_of(row)?;
        if key.starts_with(prefix) && !replaced.contains_key(key) {
            // Of a key deleted and made again, the first change after `at` counts.
            replaced.insert(Arc::from(key), row.get::<_, i64>(2)? as u64);
        }
    }
    Ok(replaced)
}

fn fetch(connection: &Connection, slot: Before) -> Result<Entry, ReadError> {
    match slot {
        Before::Entry(entry) => Ok(entry),
        Before::Row(revision) => Ok(row_at(connection, revision)?.entry),
        Before::Absent => Err(RowError::Damaged("a key that was absent is listed".into()).into()),
    }
}

/// The event that a row stands for.
fn event(connection: &Connection, row: Row) -> Result<Event, ReadError> {
    let before = match row.prev_revision {
        0 => None,
        revision => Some(row_at(connection, revision)?),
    };
    let previous = before
        .filter(|before| before.kind != RowKind::Delete)
        .map(|before| before.entry);
    Ok(match row.kind {
        RowKind::Put | RowKind::PutVolatile => Event {
            kind: EventKind::Put,
            entry: row.entry,
            previous,
        },
        RowKind::Delete => {
            let value = previous
                .as_ref()
                .map(|previous| previous.value.clone())
                .unwrap_or_default();
            Event {
                kind: EventKind::Delete,
                entry: Entry { value, ..row.entry },
                previous,
            }
        }
    })
}

fn row_at(connection: &Connection, revision: u64) -> Result<Row, ReadError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM log WHERE revision = ?1"))?;
    let mut rows = statement.query([revision as i64])?;
    match rows.next()? {
        Some(row) => Ok(Row::read(row)?),
        None => Err(RowError::Damaged(format!("the row of revision {revision} is missing")).into()),
    }
}

fn key_of<'a>(row: &'a rusqlite::Row<'_>) -> Result<&'a str, ReadError> {
    let key = row.get_ref(1)?.as_str();
    key.map_err(|_| RowError::Damaged("a key is not text".into()).into())
}

fn check_compacted(connection: &Connection, requested: u64) -> Result<(), ReadError> {
    match meta::get(connection, COMPACTED)? {
        Some(oldest) if oldest > requested => {
            Err(StoreError::Compacted { requested, oldest }.into())
        }
        _ => Ok(()),
    }
}

fn revision(memory: &RwLock<Memory>) -> u64 {
    memory
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .revision()
}

/// Why a reading failed.
enum ReadError {
    Row(RowError),
    Store(StoreError),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> ReadError {
        ReadError::Row(RowError::Sqlite(error))
    }
}

impl From<RowError> for ReadError {
    fn from(error: RowError) -> ReadError {
        ReadError::Row(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        ReadError::Store(error)
    }
}
