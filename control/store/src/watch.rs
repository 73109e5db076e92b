//! The receiving end of a watch.

use std::sync::Arc;

use crate::Event;

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
    progress: u64,
}

impl Watch {
    /// The next event, in the order of revisions. Cancel-safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Result<Arc<Event>, WatchEnd> {
        Err(WatchEnd::Closed)
    }

    /// The next event if there is one already; `None` means that [`Watch::next`] would wait.
    pub fn try_next(&mut self) -> Result<Option<Arc<Event>>, WatchEnd> {
        Err(WatchEnd::Closed)
    }

    /// The revision up to which every event under the prefix has been returned by this watch: what a bookmark may say.
    /// Never goes back.
    pub fn progress(&self) -> u64 {
        self.progress
    }
}
