//! Opening: the folder, the lock, a fresh database, a restored backup, the checks, and reading everything once.
//!
//! Know before changing: a database that is empty or missing where there was one must never pass for a new one. So a new
//! database is made under another name and renamed when it is whole.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use crate::decide::{Mark, Marks};
use crate::disk::{BACKUP, CEILING, COMPACTED, SCHEMA, failure};
use crate::row::{COLUMNS, Row, RowError, RowKind};
use crate::{DATABASE_FILE, Entry, RESTORE_FILE, StoreError};

/// The format that this program writes, in the database's `user_version`.
const FORMAT: i64 = 1;
/// "MCst" in the database's `application_id`, so that `file` and we know our own.
const APPLICATION: i64 = 0x4d43_7374;
/// How far a restored backup jumps ahead, so that no revision given out after the backup was made comes again. What etcd
/// recommends for its own restores.
const RESTORE_JUMP: u64 = 1_000_000_000;
/// SQLite's page cache for the writer, in KiB. Reads come from our own memory.
const WRITER_CACHE_KIB: i64 = 2_048;
/// The same for reading history.
const READER_CACHE_KIB: i64 = 256;
/// The log of SQLite is cut back to this once it is empty again after it had to grow larger.
const WAL_KEEP_BYTES: i64 = 8 << 20;

/// An open database and what is in it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    pub(crate) loaded: Loaded,
    /// Held while the store is open.
    pub(crate) lock: File,
}

/// What a database holds.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) index: BTreeMap<Arc<str>, Entry>,
    /// Keys whose newest row says that newer values may be lost.
    pub(crate) marks: Marks,
    /// Keys with any such row.
    pub(crate) volatile: BTreeMap<Arc<str>, u64>,
    /// No revision above it was ever given out; the store starts there.
    pub(crate) ceiling: u64,
    pub(crate) compacted: u64,
    /// Bytes of rows that are no longer current.
    pub(crate) garbage_bytes: u64,
    /// This is a backup that has not been used yet.
    pub(crate) is_backup: bool,
}

/// Opens or creates the store in `dir`.
pub(crate) fn open(dir: &Path) -> Result<Opened, StoreError> {
    let io = |action, path: &Path| {
        let path = path.to_path_buf();
        move |source| StoreError::Io {
            action,
            path,
            source,
        }
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io("create", dir))?;
    let lock_path = dir.join("store.lock");
    let lock = private_file(&lock_path).map_err(io("create", &lock_path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse {
                path: dir.to_path_buf(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(io("lock", &lock_path)(source)),
    }
    let path = dir.join(DATABASE_FILE);
    restore(dir, &path)?;
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() == 0 => {
            return Err(StoreError::Corrupt {
                path,
                detail: "it is empty".into(),
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if with_suffix(&path, "-wal").exists() {
                let detail = "it is missing, though its -wal file is there".into();
                return Err(StoreError::Corrupt { path, detail });
            }
            create(dir, &path)?;
        }
        Err(source) => return Err(io("read", &path)(source)),
    }
    let connection = connect(&path)?;
    let mut loaded = load(&connection, &path)?;
    if loaded.is_backup {
        leave_backup(&connection, &mut loaded).map_err(|error| failure(&path, &error))?;
    }
    for revision in loaded.volatile.values_mut() {
        *revision = loaded.ceiling;
    }
    Ok(Opened {
        connection,
        path,
        loaded,
        lock,
    })
}

/// Makes a new, empty database, whole or not at all.
fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let new = with_suffix(path, ".new");
    let io = |source| StoreError::Io {
        action: "create",
        path: new.clone(),
        source,
    };
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    private_file(&new).map_err(io)?;
    let filled = || -> rusqlite::Result<()> {
        let connection = Connection::open_with_flags(&new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
        connection.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT"))?;
        connection.close().map_err(|(_, error)| error)
    };
    filled().map_err(|error| failure(&new, &error))?;
    File::open(&new)
        .and_then(|file| file.sync_all())
        .map_err(io)?;
    fs::rename(&new, path)
        .and_then(|()| sync_dir(dir))
        .map_err(io)?;
    // The folder itself may be new, too.
    match dir.canonicalize().ok().as_deref().and_then(Path::parent) {
        Some(parent) => sync_dir(parent).map_err(io),
        None => Ok(()),
    }
}

/// Puts a backup in place that somebody left as [`RESTORE_FILE`]; the files it replaces are kept.
fn restore(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let backup = dir.join(RESTORE_FILE);
    if !backup.exists() {
        return Ok(());
    }
    // Its own checks, before anything is moved.
    let connection = connect(&backup)?;
    load(&connection, &backup)?;
    // Not left in WAL mode: its one file has to be everything.
    connection
        .pragma_update(None, "journal_mode", "DELETE")
        .and_then(|()| {
            connection.execute_batch(&format!(
                "INSERT OR REPLACE INTO meta VALUES ('{BACKUP}', 1)"
            ))
        })
        .and_then(|()| connection.close().map_err(|(_, error)| error))
        .map_err(|error| failure(&backup, &error))?;

    let io = |source| StoreError::Io {
        action: "restore",
        path: backup.clone(),
        source,
    };
    let replaced = (1..)
        .map(|number| dir.join(format!("replaced-{number}")))
        .find(|folder| !folder.exists())
        .unwrap_or_else(|| dir.join("replaced"));
    for suffix in ["-shm", "-wal", ""] {
        let old = with_suffix(path, suffix);
        if old.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&replaced)
                .map_err(io)?;
            let name = old.file_name().unwrap_or_default();
            fs::rename(&old, replaced.join(name)).map_err(io)?;
        }
    }
    fs::rename(&backup, path)
        .and_then(|()| sync_dir(dir))
        .map_err(io)?;
    tracing::warn!(database = %path.display(), replaced = %replaced.display(), "restored the store from a backup");
    Ok(())
}

/// Opens an existing database for writing, with all settings.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let settings = || -> rusqlite::Result<(Connection, i64)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        let application: i64 =
            connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let format = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if application != APPLICATION {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB),
                Some("it is not a database of this program".into()),
            ));
        }
        if format == FORMAT {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "journal_size_limit", WAL_KEEP_BYTES)?;
        }
        Ok((connection, format))
    };
    match settings() {
        Ok((connection, FORMAT)) => Ok(connection),
        Ok((_, found)) => Err(StoreError::UnknownFormat {
            path: path.to_path_buf(),
            found,
            known: FORMAT,
        }),
        Err(error) => Err(failure(path, &error)),
    }
}

/// Opens a connection that reads beside the writer.
pub(crate) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

/// Checks the file and reads all of it.
fn load(connection: &Connection, path: &Path) -> Result<Loaded, StoreError> {
    let corrupt = |detail: String| StoreError::Corrupt {
        path: path.to_path_buf(),
        detail,
    };
    let sqlite = |error| failure(path, &error);
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(sqlite)?;
    if verdict != "ok" {
        return Err(corrupt(verdict));
    }
    let mut loaded = Loaded::default();
    let mut last = 0;
    let mut read = || -> Result<(), RowError> {
        let mut statement =
            connection.prepare(&format!("SELECT {COLUMNS} FROM log ORDER BY revision"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let row = Row::read(row)?;
            last = row.entry.mod_revision;
            loaded.take(row);
        }
        Ok(())
    };
    read().map_err(|error| match error {
        RowError::Sqlite(error) => sqlite(error),
        RowError::Damaged(detail) => corrupt(detail),
    })?;
    let meta = |name| meta(connection, name).map_err(sqlite);
    let (Some(ceiling), Some(compacted)) = (meta(CEILING)?, meta(COMPACTED)?) else {
        return Err(corrupt("it does not say which revisions were used".into()));
    };
    if last > ceiling || compacted > ceiling {
        return Err(corrupt(format!(
            "revision {} is above the ceiling {ceiling}",
            last.max(compacted)
        )));
    }
    loaded.is_backup = meta(BACKUP)?.is_some();
    (loaded.ceiling, loaded.compacted) = (ceiling, compacted);
    Ok(loaded)
}

/// Makes a restored backup a database: nothing from before may be watched or listed any more.
fn leave_backup(connection: &Connection, loaded: &mut Loaded) -> rusqlite::Result<()> {
    let jumped = loaded.ceiling + RESTORE_JUMP;
    (loaded.ceiling, loaded.compacted) = (jumped, jumped);
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         UPDATE meta SET value = {jumped} WHERE name IN ('{CEILING}', '{COMPACTED}');
         DELETE FROM meta WHERE name = '{BACKUP}';
         COMMIT"
    ))
}

impl Loaded {
    /// Takes the rows in the order of revisions.
    fn take(&mut self, row: Row) {
        let key = row.entry.key.clone();
        let replaced = match row.kind {
            RowKind::Delete => {
                self.garbage_bytes += row_bytes(&row.entry.key, 0);
                self.index.remove(&key)
            }
            RowKind::Put | RowKind::PutVolatile => {
                self.index.insert(key.clone(), row.entry.clone())
            }
        };
        if let Some(replaced) = replaced {
            self.garbage_bytes += row_bytes(&replaced.key, replaced.value.len());
        }
        match row.kind {
            RowKind::PutVolatile => {
                self.marks.insert(
                    key.clone(),
                    Mark {
                        persisted: row.entry.mod_revision,
                    },
                );
                self.volatile.insert(key, 0);
            }
            _ => {
                self.marks.remove(&key);
            }
        }
    }
}

/// Roughly what a row takes on disk.
pub(crate) fn row_bytes(key: &str, value_bytes: usize) -> u64 {
    (key.len() + value_bytes + 48) as u64
}

/// A number from `meta`.
pub(crate) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    let value = connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get::<_, i64>(0))
        .map(|value| value as u64);
    match value {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        other => other.map(Some),
    }
}

/// Opens or creates a file that only its owner may read: Secrets are in there.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Makes a rename in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// `path` with `suffix` appended to its file name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
