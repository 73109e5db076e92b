//! What the writer does by time: brings heartbeats to disk, forgets history, gives space back.
//!
//! Know before changing: each step is short, since writes wait for it; and none of them writes anything when nothing has
//! changed, so that an idle store leaves the disk alone.

use std::error::Error;
use std::time::{Duration, Instant};

use super::Writer;
use crate::StoreError;
use crate::decide::Mark;
use crate::load::row_bytes;
use crate::meta::{CEILING, COMPACTED};
use crate::row::{Row, RowKind};

/// How long to leave the disk alone with what can wait, after it failed.
const RETRY: Duration = Duration::from_secs(30);

/// The removal of rows that nobody can ask for any more, step by step between the batches.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Done up to this revision. After a start, from the beginning again: that finds what a crash left.
    pub(super) done: u64,
    pub(super) to: u64,
    /// The free pages are still to be looked at.
    shrink: bool,
    /// Not before, after the disk failed.
    pub(super) not_before: Option<Instant>,
}

impl Sweep {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        (self.done < self.to || self.shrink) && self.not_before.is_none_or(|at| at <= now)
    }
}

impl Writer {
    /// Does what is due by time.
    pub(super) fn tend(&mut self, now: Instant) {
        if self.flush_at.is_some_and(|at| at <= now)
            && let Err(error) = self.flush(now, None)
        {
            tracing::warn!(
                error = &error as &dyn Error,
                "could not write heartbeats to disk; trying again later"
            );
            self.flush_at = Some(now + RETRY);
        }
        if let Some(due) = self.horizon.due(now) {
            self.core.memory_mut().compact(due.revision);
            if due.sweep {
                self.sweep.to = self.sweep.to.max(due.revision);
            }
        }
        if self.sweep.is_due(now) {
            self.sweep.not_before = None;
            if let Err(error) = self.sweep_step() {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "could not compact the database; trying again later"
                );
                self.sweep.not_before = Some(now + RETRY);
            }
        }
    }

    fn sweep_step(&mut self) -> rusqlite::Result<()> {
        if self.sweep.done < self.sweep.to {
            self.sweep.done = self.disk.sweep(self.sweep.done, self.sweep.to)?;
            self.sweep.shrink = self.sweep.done >= self.sweep.to;
        } else {
            self.sweep.shrink = self.disk.shrink()?;
        }
        Ok(())
    }

    pub(super) fn compact(&mut self, revision: u64) -> Result<(), StoreError> {
        let mut memory = self.core.memory_mut();
        if revision > memory.revision() {
            return Err(StoreError::FutureRevision {
                requested: revision,
                current: memory.revision(),
            });
        }
        memory.compact(revision);
        self.sweep.to = self.sweep.to.max(revision);
        Ok(())
    }

    /// Writes the volatile values that the disk does not have, and the ceiling if it is given.
    pub(super) fn flush(&mut self, now: Instant, ceiling: Option<u64>) -> rusqlite::Result<()> {
        let mut rows = Vec::new();
        let mut superseded = Vec::new();
        let mut garbage = 0;
        {
            let memory = self.core.memory();
            for (key, mark) in &self.marks {
                let Some(entry) = memory
                    .get(key)
                    .filter(|entry| entry.mod_revision != mark.persisted)
                else {
                    continue;
                };
                if entry.mod_revision <= self.sweep.done {
                    // The sweep has passed this revision and would not see that this row replaces another.
                    superseded.push(mark.persisted);
                }
                garbage += row_bytes(key, entry.value.len());
                rows.push(Row {
                    kind: RowKind::PutVolatile,
                    entry: entry.clone(),
                    prev_revision: mark.persisted,
                });
            }
        }
        rows.sort_by_key(|row| row.entry.mod_revision);
        let mut numbers: Vec<(&str, u64)> = ceiling
            .map(|ceiling| (CEILING, ceiling))
            .into_iter()
            .collect();
        if !superseded.is_empty() {
            numbers.push((COMPACTED, self.sweep.done));
        }
        if !rows.is_empty() || !numbers.is_empty() {
            self.disk.commit(&rows, &superseded, &numbers)?;
        }
        self.flush_at = None;
        for row in rows {
            self.marks.insert(
                row.entry.key,
                Mark {
                    persisted: row.entry.mod_revision,
                },
            );
        }
        if garbage > 0 {
            self.horizon.record(now, self.last_revision, garbage);
        }
        Ok(())
    }
}
