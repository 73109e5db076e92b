//! The receiving end of a watch.
//!
//! Know before changing: a watch that starts further back than the recent events first reads history from disk, part by
//! part, and joins the live ones when it has caught up. The joining is atomic: the recent events are copied and the
//! mailbox registered under the lock that the writer needs to add an event.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use crate::core::Core;
use crate::hub::Mailbox;
use crate::{Event, StoreError};

/// Why a watch ended. It yields no more events after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchEnd {
    /// The watcher fell behind by more than its buffer, or history was compacted before it was read. Watch again from
    /// [`Watch::progress`], or list again (HTTP 410 in Kubernetes).
    #[error("the watcher fell too far behind")]
    Lagged,
    /// The store was closed.
    #[error("the store was closed")]
    Closed,
}

/// An ordered stream of the events under a prefix; dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    core: Arc<Core>,
    prefix: Arc<str>,
    ready: VecDeque<Arc<Event>>,
    source: Source,
    /// Everything up to here has been returned once `ready` is empty.
    reached: u64,
    progress: AtomicU64,
}

#[derive(Debug)]
enum Source {
    /// Reading from disk; the next part starts after `reached`.
    History,
    Live(Arc<Mailbox>),
}

impl Watch {
    pub(crate) async fn start(
        core: Arc<Core>,
        prefix: &str,
        after: u64,
    ) -> Result<Watch, StoreError> {
        let mut watch = Watch {
            core,
            prefix: prefix.into(),
            ready: VecDeque::new(),
            source: Source::History,
            reached: after,
            progress: AtomicU64::new(after),
        };
        watch.core.memory().check_compacted(after)?;
        if !watch.join()? {
            watch.core.memory().check_disk_history(prefix, after)?;
            watch.read_history().await?;
        }
        Ok(watch)
    }

    /// The next event, in the order of revisions. Cancel-safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Result<Arc<Event>, WatchEnd> {
        loop {
            if let Some(event) = self.pop() {
                return Ok(event);
            }
            match &self.source {
                Source::Live(mailbox) => {
                    let (mailbox, ready) = (mailbox.clone(), &mut self.ready);
                    poll_fn(|context| mailbox.poll_take(ready, Some(context))).await?;
                }
                Source::History => self.advance().await?,
            }
        }
    }

    /// The next event if there is one already; `None` means that [`Watch::next`] would wait.
    pub fn try_next(&mut self) -> Result<Option<Arc<Event>>, WatchEnd> {
        if self.ready.is_empty()
            && let Source::Live(mailbox) = &self.source
            && let Poll::Ready(Err(end)) = mailbox.clone().poll_take(&mut self.ready, None)
        {
            return Err(end);
        }
        Ok(self.pop())
    }

    /// As [`Watch::next`], for streams made by hand: pending only when all events so far were returned.
    ///
    /// A watch that still reads history (see [`Watch::is_live`]) is never ready here: await [`Watch::next`] until it is.
    pub fn poll_live(&mut self, context: &mut Context<'_>) -> Poll<Result<Arc<Event>, WatchEnd>> {
        if self.ready.is_empty()
            && let Source::Live(mailbox) = &self.source
            && let Poll::Ready(Err(end)) = mailbox.clone().poll_take(&mut self.ready, Some(context))
        {
            return Poll::Ready(Err(end));
        }
        self.pop()
            .map_or(Poll::Pending, |event| Poll::Ready(Ok(event)))
    }

    /// Whether the watch has caught up with history on disk.
    pub fn is_live(&self) -> bool {
        matches!(self.source, Source::Live(_))
    }

    /// The revision up to which every event under the prefix has been returned by this watch: what a bookmark may say.
    /// Never goes back.
    pub fn progress(&self) -> u64 {
        if self.ready.is_empty() {
            self.progress.fetch_max(self.reached, Ordering::Relaxed);
            if let Source::Live(mailbox) = &self.source {
                // Read first: what was handed out up to here is in the mailbox by now, if it is for us.
                let distributed = self.core.distributed.load(Ordering::Acquire);
                if mailbox.is_idle() {
                    self.progress.fetch_max(distributed, Ordering::Relaxed);
                }
            }
        }
        self.progress.load(Ordering::Relaxed)
    }

    fn pop(&mut self) -> Option<Arc<Event>> {
        let event = self.ready.pop_front()?;
        self.progress.fetch_max(event.revision(), Ordering::Relaxed);
        Some(event)
    }

    /// Reads the next part of history, or joins the live events.
    async fn advance(&mut self) -> Result<(), WatchEnd> {
        let step = match self.join() {
            Ok(true) => Ok(()),
            Ok(false) => self.read_history().await,
            Err(error) => Err(error),
        };
        step.map_err(|error| match error {
            StoreError::Closed => WatchEnd::Closed,
            StoreError::Compacted { .. } => WatchEnd::Lagged,
            error => {
                // The client lists again, and gets the error itself if it is still there.
                tracing::error!(prefix = %self.prefix, error = &error as &dyn std::error::Error, "cannot read history");
                WatchEnd::Lagged
            }
        })
    }

    /// Joins the live events, if the recent ones reach back far enough.
    fn join(&mut self) -> Result<bool, StoreError> {
        let memory = self.core.memory();
        memory.check_compacted(self.reached)?;
        if memory.recent().base() > self.reached {
            return Ok(false);
        }
        let (events, bytes) = (
            self.core.options.watch_buffer_events,
            self.core.options.watch_buffer_bytes,
        );
        let start = self.reached.max(memory.revision());
        let mailbox = self
            .core
            .hub
            .register(&self.prefix, start, events, bytes)
            .map_err(|_| StoreError::Closed)?;
        let mine = memory
            .recent()
            .after(self.reached)
            .filter(|event| event.entry.key.starts_with(&*self.prefix));
        self.ready.extend(mine.cloned());
        drop(memory);
        self.reached = start;
        self.source = Source::Live(mailbox);
        Ok(true)
    }

    async fn read_history(&mut self) -> Result<(), StoreError> {
        let (core, prefix, after) = (self.core.clone(), self.prefix.clone(), self.reached);
        let part = core
            .blocking(move |core| core.reader.events(&core.memory, &prefix, after))
            .await?;
        // A volatile write meanwhile may be between the events just read, and the disk does not have it.
        self.core.memory().check_disk_history(&self.prefix, after)?;
        self.reached = part.until;
        self.ready.extend(part.events);
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Source::Live(mailbox) = &self.source {
            self.core.hub.unregister(&self.prefix, mailbox);
        }
    }
}
