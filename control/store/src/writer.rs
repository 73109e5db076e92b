//! The one thread that changes anything: it drains the queue, decides, commits, shows, hands out, and answers.
//!
//! Know before changing: the order of these steps is the store's promise. Revisions are never used twice, not even those
//! of a failed commit, and none above the ceiling on disk. When nothing is to be done, the thread sleeps and nothing is
//! written.

mod upkeep;

use std::error::Error;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::core::Core;
use crate::decide::{Marks, Op, Plan, decide};
use crate::disk::{Disk, failure};
use crate::horizon::Horizon;
use crate::load::row_bytes;
use crate::meta::CEILING;
use crate::open::Opened;
use crate::{Event, EventKind, StoreError};
use upkeep::Sweep;

/// Revisions reserved at a time: that many volatile writes need one small write to disk.
const RESERVE: u64 = 100_000;
/// At most so much goes into one commit, so that one answer does not wait for the whole queue.
const BATCH_WRITES: usize = 1_024;
const BATCH_BYTES: usize = 4 << 20;
/// A write that waits for its turn.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) key: Arc<str>,
    pub(crate) op: Op,
    pub(crate) answer: oneshot::Sender<Result<Arc<Event>, StoreError>>,
    /// Its place in the queue, free again once it is answered.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    Write(Write),
    Compact {
        revision: u64,
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Bring everything volatile to disk.
    Flush {
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    Close {
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// Whom to tell that the store is closed.
type Closing = Option<oneshot::Sender<Result<(), StoreError>>>;

/// The state of the writer's thread.
#[derive(Debug)]
pub(crate) struct Writer {
    core: Arc<Core>,
    disk: Disk,
    path: PathBuf,
    /// Held until the end.
    lock: File,
    marks: Marks,
    last_revision: u64,
    /// As on disk.
    ceiling: u64,
    horizon: Horizon,
    sweep: Sweep,
    /// When volatile values are to be written; `None` when there are none.
    flush_at: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(core: Arc<Core>, opened: Opened) -> Writer {
        let Opened {
            connection,
            path,
            loaded,
            lock,
        } = opened;
        let mut horizon = Horizon::new(core.options.history_age, core.options.history_bytes);
        if loaded.garbage_bytes > 0 {
            // How old it is, nobody knows: it gets its full time again.
            horizon.record(Instant::now(), loaded.ceiling, loaded.garbage_bytes);
        }
        Writer {
            core,
            disk: Disk::new(connection, path.clone()),
            path,
            lock,
            marks: loaded.marks,
            last_revision: loaded.ceiling,
            ceiling: loaded.ceiling,
            horizon,
            sweep: Sweep::default(),
            flush_at: None,
        }
    }

    /// Works until it is asked to close or nobody is left to ask for anything.
    pub(crate) fn run(mut self, queue: &Receiver<Command>) {
        // Also if this thread panics: nobody may wait for ever.
        let _ended = Ended(self.core.clone());
        let closing = loop {
            match self.wait(queue) {
                Ok(Some(command)) => {
                    if let Some(closing) = self.serve(command, queue) {
                        break closing;
                    }
                }
                Ok(None) => {}
                Err(()) => break None,
            }
            self.tend(Instant::now());
        };
        let core = self.core.clone();
        let result = self.close();
        core.hub.close();
        if let (Err(error), None) = (&result, &closing) {
            tracing::error!(
                error = error as &dyn Error,
                "could not close the store cleanly"
            );
        }
        if let Some(answer) = closing {
            let _ = answer.send(result);
        }
    }

    /// The next command; nothing if there is something else to do first.
    fn wait(&self, queue: &Receiver<Command>) -> Result<Option<Command>, ()> {
        let now = Instant::now();
        if self.sweep.is_due(now) {
            return match queue.try_recv() {
                Ok(command) => Ok(Some(command)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(()),
            };
        }
        let deadline = [
            self.flush_at,
            self.horizon.deadline(),
            self.sweep.not_before,
        ]
        .into_iter()
        .flatten()
        .min();
        let Some(deadline) = deadline else {
            return queue.recv().map(Some).map_err(|_| ());
        };
        match queue.recv_timeout(deadline.saturating_duration_since(now)) {
            Ok(command) => Ok(Some(command)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    /// Does what is asked for, together with all writes that wait already.
    fn serve(&mut self, first: Command, queue: &Receiver<Command>) -> Option<Closing> {
        let mut writes = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        let other = loop {
            match next {
                Some(Command::Write(write)) => {
                    bytes += write.op.value_bytes();
                    writes.push(write);
                }
                other => break other,
            }
            if writes.len() >= BATCH_WRITES || bytes >= BATCH_BYTES {
                break None;
            }
            next = queue.try_recv().ok();
        };
        if !writes.is_empty() {
            self.batch(writes);
        }
        match other {
            None | Some(Command::Write(_)) => {}
            Some(Command::Compact { revision, answer }) => {
                let _ = answer.send(self.compact(revision));
            }
            Some(Command::Flush { answer }) => {
                let result = self
                    .flush(Instant::now(), None)
                    .map_err(|error| failure(&self.path, &error));
                let _ = answer.send(result);
            }
            Some(Command::Close { answer }) => return Some(Some(answer)),
        }
        None
    }

    /// Does the writes in one commit, and answers them.
    fn batch(&mut self, writes: Vec<Write>) {
        let plan = self.plan(&writes);
        let error = match self.persist(&plan) {
            Ok(()) => return self.publish(plan, writes),
            Err(error) => error,
        };
        tracing::error!(
            error = &error as &dyn Error,
            writes = writes.len(),
            "a batch of writes failed"
        );
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
            // The log on disk may hold the space that the next batch needs.
            let _ = self.disk.checkpoint();
        }
        let (volatile, durable): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|write| write.op.is_volatile());
        self.refuse(durable, &error);
        if volatile.is_empty() {
            return;
        }
        // Heartbeats do not need the disk: they must not fail with it, or nodes would be given up for a full disk.
        let plan = self.plan(&volatile);
        match self.persist(&plan) {
            Ok(()) => self.publish(plan, volatile),
            Err(error) => self.refuse(volatile, &error),
        }
    }

    fn plan(&mut self, writes: &[Write]) -> Plan {
        let writes = writes.iter().map(|write| (&write.key, &write.op));
        let plan = decide(&self.core.memory(), &self.marks, self.last_revision, writes);
        // Used up, even if the commit fails: a commit that fails may turn out to be on disk after a crash.
        self.last_revision = plan.last_revision;
        plan
    }

    fn persist(&mut self, plan: &Plan) -> rusqlite::Result<()> {
        let ceiling = if plan.last_revision > self.ceiling {
            plan.last_revision + RESERVE
        } else {
            self.ceiling
        };
        if plan.changes.is_empty() || (plan.rows.is_empty() && ceiling == self.ceiling) {
            return Ok(());
        }
        let raised = [(CEILING, ceiling)];
        self.disk.commit(
            &plan.rows,
            &[],
            if ceiling > self.ceiling { &raised } else { &[] },
        )?;
        self.ceiling = ceiling;
        Ok(())
    }

    /// Makes a plan visible, and answers the writes that it was made for.
    fn publish(&mut self, plan: Plan, writes: Vec<Write>) {
        if !plan.changes.is_empty() {
            {
                let mut memory = self.core.memory_mut();
                for (event, volatile) in &plan.changes {
                    memory.apply(event.clone(), *volatile);
                }
            }
            self.core
                .hub
                .distribute(plan.changes.iter().map(|(event, _)| event.clone()));
            self.core
                .distributed
                .store(plan.last_revision, Ordering::Release);
        }
        for (write, answer) in writes.into_iter().zip(plan.answers) {
            // Whoever asked may be gone.
            let _ = write.answer.send(answer);
        }
        for (key, mark) in plan.marks {
            match mark {
                Some(mark) => self.marks.insert(key, mark),
                None => self.marks.remove(&key),
            };
        }
        if plan.changes.is_empty() {
            return;
        }
        let now = Instant::now();
        if plan.changes.iter().any(|(_, volatile)| *volatile) {
            self.flush_at
                .get_or_insert(now + self.core.options.volatile_age);
        }
        let garbage = plan
            .changes
            .iter()
            .map(|(event, volatile)| garbage(event, *volatile))
            .sum();
        self.horizon.record(now, plan.last_revision, garbage);
    }

    fn refuse(&self, writes: Vec<Write>, error: &rusqlite::Error) {
        for write in writes {
            let _ = write.answer.send(Err(failure(&self.path, error)));
        }
    }

    /// Leaves everything on disk, and the files closed.
    fn close(mut self) -> Result<(), StoreError> {
        let ceiling = (self.ceiling != self.last_revision).then_some(self.last_revision);
        let flushed = self
            .flush(Instant::now(), ceiling)
            .map_err(|error| failure(&self.path, &error));
        self.core.reader.close();
        let closed = self.disk.close();
        drop(self.lock);
        flushed.and(closed)
    }
}

/// Ends all that waits for the writer.
struct Ended(Arc<Core>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.hub.close();
        self.0.reader.close();
    }
}

/// How many bytes on disk an event makes useless.
fn garbage(event: &Event, volatile: bool) -> u64 {
    if volatile {
        return 0;
    }
    let previous = event
        .previous
        .as_ref()
        .map_or(0, |previous| row_bytes(&previous.key, previous.value.len()));
    let delete = if event.kind == EventKind::Delete {
        row_bytes(&event.entry.key, 0)
    } else {
        0
    };
    previous + delete
}
