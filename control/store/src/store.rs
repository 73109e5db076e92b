//! The store's public face: checks the input, queues writes, answers reads from memory.
//!
//! Know before changing: writes wait here, before the queue, when too much waits for the disk already; so the queue itself
//! needs no bound of its own.

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};

use crate::core::{Core, READERS};
use crate::decide::Op;
use crate::history::Reader;
use crate::hub::Hub;
use crate::memory::{Before, Memory, Slots, Undo};
use crate::options::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::recent::Recent;
use crate::writer::{Command, Write, Writer};
use crate::{Deleted, Entry, Event, Options, Page, StoreError, Watch};

/// The queue is measured in units of this many bytes, so that its length fits a semaphore.
const QUEUE_UNIT_BYTES: usize = 1_024;
/// What the smallest write counts in the queue.
const QUEUE_UNITS_EACH: usize = 4;

/// A handle on the store; clones share it. Call [`Store::close`] before the process ends: without it nothing durable is
/// lost, but volatile writes are.
#[derive(Clone)]
pub struct Store {
    core: Arc<Core>,
    queue: Sender<Command>,
    room: Arc<Semaphore>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `dir`, creating both when missing, and checks the file. Blocks while it reads everything: call
    /// it before serving, or from `spawn_blocking`.
    ///
    /// Errors: `InUse`, `Corrupt`, `UnknownFormat`, `Io`, `DiskFull`, `Database`; all are reasons not to start.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Store, StoreError> {
        let mut opened = crate::open::open(dir.as_ref(), options.log_bytes)?;
        let loaded = &mut opened.loaded;
        let recent = Recent::new(loaded.ceiling, options.recent_events, options.recent_bytes);
        let volatile = std::mem::take(&mut loaded.volatile);
        let index = std::mem::take(&mut loaded.index);
        tracing::info!(database = %opened.path.display(), keys = index.len(), revision = loaded.ceiling, "opened the store");
        let memory = Memory::new(index, loaded.ceiling, loaded.compacted, volatile, recent);
        let units = (options.queue_bytes.max(2 * MAX_VALUE_BYTES) / QUEUE_UNIT_BYTES)
            .min(Semaphore::MAX_PERMITS);
        let core = Arc::new(Core {
            distributed: AtomicU64::new(loaded.ceiling),
            memory: RwLock::new(memory),
            hub: Hub::default(),
            reader: Reader::new(opened.path.clone()),
            reading: Arc::new(Semaphore::new(READERS)),
            options,
        });
        let path = opened.path.clone();
        let writer = Writer::new(core.clone(), opened);
        let (queue, commands) = mpsc::channel();
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(&commands))
            .map_err(|source| StoreError::Io {
                action: "start the thread that writes",
                path,
                source,
            })?;
        Ok(Store {
            core,
            queue,
            room: Arc::new(Semaphore::new(units)),
        })
    }

    /// Creates a key. Durable when it returns.
    ///
    /// A dropped call may still be carried out. Errors: `AlreadyExists`, `TooLarge`, `InvalidKey`, `DiskFull`,
    /// `Database`, `Closed`.
    pub async fn create(&self, key: &str, value: Bytes) -> Result<Entry, StoreError> {
        let value = checked(key, &value)?;
        self.write(key, Op::Create { value })
            .await
            .map(|event| event.entry.clone())
    }

    /// Changes a key that is at `expected_mod_revision`. Durable when it returns.
    ///
    /// Errors: `NotFound`, `Conflict`, and as [`Store::create`].
    pub async fn update(
        &self,
        key: &str,
        value: Bytes,
        expected_mod_revision: u64,
    ) -> Result<Entry, StoreError> {
        let value = checked(key, &value)?;
        let op = Op::Update {
            value,
            expected: expected_mod_revision,
            volatile: false,
        };
        self.write(key, op).await.map(|event| event.entry.clone())
    }

    /// As [`Store::update`], for heartbeats: visible at once with a new revision, on disk within
    /// [`Options::volatile_age`] and at close. It goes on working while the disk is full.
    ///
    /// A crash may take the key back to an older value, with that value's older `mod_revision`; the store's revision
    /// never goes back. So after a restart, clean or not, watches and listings of the past that touch such a key from
    /// before the restart are answered with `Compacted`; without a restart, those from before the recent events.
    /// The first volatile write to a key after its last durable one is durable, too: it marks the key on disk.
    pub async fn update_volatile(
        &self,
        key: &str,
        value: Bytes,
        expected_mod_revision: u64,
    ) -> Result<Entry, StoreError> {
        let value = checked(key, &value)?;
        let op = Op::Update {
            value,
            expected: expected_mod_revision,
            volatile: true,
        };
        self.write(key, op).await.map(|event| event.entry.clone())
    }

    /// Deletes a key, if `expected_mod_revision` is given only at that revision. Durable when it returns.
    ///
    /// Errors: `NotFound`, `Conflict`, and as [`Store::create`].
    pub async fn delete(
        &self,
        key: &str,
        expected_mod_revision: Option<u64>,
    ) -> Result<Deleted, StoreError> {
        checked(key, &Bytes::new())?;
        let event = self
            .write(
                key,
                Op::Delete {
                    expected: expected_mod_revision,
                },
            )
            .await?;
        let previous = event
            .previous
            .clone()
            .unwrap_or_else(|| event.entry.clone());
        Ok(Deleted {
            revision: event.revision(),
            previous,
        })
    }

    /// The entry of a key, from memory.
    pub fn get(&self, key: &str) -> Option<Entry> {
        self.core.memory().get(key).cloned()
    }

    /// Up to `limit` entries (0: all) whose keys start with `prefix`, after the key `start_after`, as of now or as of
    /// `at_revision`. It only waits, and only touches the disk, for revisions older than the recent events.
    ///
    /// Errors: `Compacted`, `FutureRevision`, `Database`, `Corrupt`, `Closed`.
    pub async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at_revision: Option<u64>,
    ) -> Result<Page, StoreError> {
        let (at, slots) = {
            let memory = self.core.memory();
            let at = at_revision.unwrap_or(memory.revision());
            let mut undo = Undo::new();
            if at != memory.revision() {
                memory.check_revision(at)?;
            }
            if memory.recent().base() <= at {
                memory.undo_recent(prefix, at, &mut undo);
                (at, Some(memory.page(prefix, start_after, limit, &undo)))
            } else if at == memory.revision() {
                (at, Some(memory.page(prefix, start_after, limit, &undo)))
            } else {
                memory.check_disk_history(prefix, at)?;
                (at, None)
            }
        };
        if let Some(slots) = slots {
            return Ok(page(slots, at));
        }
        let (prefix, start_after) = (prefix.to_owned(), start_after.map(str::to_owned));
        self.core
            .blocking(move |core| {
                core.reader
                    .page(&core.memory, &prefix, start_after.as_deref(), limit, at)
            })
            .await
    }

    /// How many keys start with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        self.core.memory().count(prefix)
    }

    /// Watches the keys that start with `prefix`: every change after `after_revision`, then what comes. With a revision
    /// in the future, changes up to it are left out.
    ///
    /// Errors: `Compacted`, `Database`, `Corrupt`, `Closed`.
    pub async fn watch(&self, prefix: &str, after_revision: u64) -> Result<Watch, StoreError> {
        Watch::start(self.core.clone(), prefix, after_revision).await
    }

    /// The revision of the store: of the newest change that reads can see. 1 in a new store.
    pub fn revision(&self) -> u64 {
        self.core.memory().revision()
    }

    /// The oldest revision that [`Store::list`] and [`Store::watch`] still answer for (keys with volatile writes: see
    /// [`Store::update_volatile`]).
    pub fn compacted_revision(&self) -> u64 {
        self.core.memory().compacted()
    }

    /// Forgets the history before `revision`. It happens by itself, too, see [`Options`].
    ///
    /// Errors: `FutureRevision`, `Closed`.
    pub async fn compact(&self, revision: u64) -> Result<(), StoreError> {
        self.ask(|answer| Command::Compact { revision, answer })
            .await
    }

    /// Writes a consistent copy to `path`, which must not exist.
    ///
    /// To restore it, put it into the store's folder as [`crate::RESTORE_FILE`] and open the store: revisions then jump
    /// ahead by a thousand million, so that none that was given out after the backup comes again, and everybody who
    /// watched has to list again. Errors: `Io`, `DiskFull`, `Database`, `Closed`.
    pub async fn backup(&self, path: &Path) -> Result<(), StoreError> {
        self.ask(|answer| Command::Flush { answer }).await?;
        let path = path.to_owned();
        self.core
            .blocking(move |core| core.reader.backup(&path))
            .await
    }

    /// Whether the store works: false once it is closed, or after its writer came to an unexpected end. For `/readyz`.
    pub fn is_open(&self) -> bool {
        self.core.hub.is_open()
    }

    /// Writes what is volatile to disk and closes the files, so that the store can be opened again. Writes, watches and
    /// readings of history answer `Closed` from then on; the last state stays readable.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(|answer| Command::Close { answer }).await
    }

    async fn write(&self, key: &str, op: Op) -> Result<Arc<Event>, StoreError> {
        let units = (op.value_bytes() / QUEUE_UNIT_BYTES).max(QUEUE_UNITS_EACH);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let permit = self
            .room
            .clone()
            .acquire_many_owned(units)
            .await
            .map_err(|_| StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let write = Write {
            key: key.into(),
            op,
            answer,
            _permit: permit,
        };
        self.queue
            .send(Command::Write(write))
            .map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), StoreError>>) -> Command,
    ) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .send(command(answer))
            .map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// Checks key and value; returns the value in an allocation of its own: the caller's may be a small part of a large one,
/// and it is kept for long.
fn checked(key: &str, value: &Bytes) -> Result<Bytes, StoreError> {
    let reason = match key.len() {
        0 => Some("it is empty"),
        length if length > MAX_KEY_BYTES => Some("it is longer than 2048 bytes"),
        _ => key.contains('\0').then_some("it contains a NUL character"),
    };
    if let Some(reason) = reason {
        return Err(StoreError::InvalidKey { reason });
    }
    if value.len() > MAX_VALUE_BYTES {
        let (key, size_bytes) = (key.to_owned(), value.len());
        return Err(StoreError::TooLarge {
            key,
            size_bytes,
            limit_bytes: MAX_VALUE_BYTES,
        });
    }
    Ok(Bytes::copy_from_slice(value))
}

fn page(slots: Slots, revision: u64) -> Page {
    let entry = |slot| match slot {
        Before::Entry(entry) => Some(entry),
        // Only what was read from disk has these.
        Before::Absent | Before::Row(_) => None,
    };
    let entries = slots.slots.into_iter().filter_map(entry).collect();
    Page {
        entries,
        revision,
        more: slots.remaining > 0,
        remaining: slots.remaining,
    }
}
