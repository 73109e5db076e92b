//! Opening: the folder, the lock, a fresh database, a restored backup, the checks, and reading everything once.
//!
//! Know before changing: a database that is empty or missing where there was one must never pass for a new one. So a new
//! database is made under another name and renamed when it is whole.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::disk::{self, failure};
use crate::load::{Loaded, leave_backup, load};
use crate::meta::{self, BACKUP, CEILING, COMPACTED};
use crate::{DATABASE_FILE, RESTORE_FILE, StoreError};

/// The format that this program writes, in the database's `user_version`.
const FORMAT: i64 = 1;
/// "MCst" in the database's `application_id`, so that `file` and we know our own.
const APPLICATION: i64 = 0x4d43_7374;
/// SQLite's page cache for the writer, in KiB. Reads come from our own memory.
const WRITER_CACHE_KIB: i64 = 2_048;
/// The same for reading history.
const READER_CACHE_KIB: i64 = 256;
/// After so many pages the log of SQLite goes into the database and is used again from its beginning. Overwriting it is
/// faster than appending to it (no new blocks to allocate), so a longer one is slower, not faster.
const CHECKPOINT_PAGES: i64 = 1_000;
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

/// Opens or creates the store in `dir`.
pub(crate) fn open(dir: &Path, log_bytes: u64) -> Result<Opened, StoreError> {
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
    if let Err(error) = extend_log(&with_suffix(&path, "-wal"), log_bytes) {
        // It then grows write by write, as far as there is space.
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "could not extend the write-ahead log"
        );
    }
    Ok(Opened {
        connection,
        path,
        loaded,
        lock,
    })
}

/// Lets the log of SQLite have its blocks before the first write: making a write durable takes several times as long
/// where the file grows, since the file system has to make the new blocks durable, too. SQLite takes what follows the
/// last whole commit for the remains of an earlier round, as it leaves them itself.
fn extend_log(path: &Path, bytes: u64) -> io::Result<()> {
    let mut log = OpenOptions::new().append(true).open(path)?;
    let missing = bytes.saturating_sub(log.metadata()?.len());
    if missing > 0 {
        io::copy(&mut io::repeat(0).take(missing), &mut log)?;
        log.sync_all()?;
    }
    Ok(())
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
        connection.execute_batch(&format!("{} {}", meta::SCHEMA, disk::SCHEMA))?;
        meta::set(&connection, CEILING, 1)?;
        meta::set(&connection, COMPACTED, 1)?;
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
        .and_then(|()| meta::set(&connection, BACKUP, 1))
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
    fs::set_permissions(&backup, Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&backup, path))
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
            let set = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
            let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", set)?;
            if mode != "wal" {
                tracing::warn!(database = %path.display(), mode, "no write-ahead log here: writes are slow");
            }
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "journal_size_limit", WAL_KEEP_BYTES)?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
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
