//! What the handles, the watches and the writer share.
//!
//! Know before changing: the order of locks is memory, then hub. A watch holds this, not the sender of the writer's queue:
//! the writer ends when the last [`crate::Store`] is gone, whoever still watches.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::history::Reader;
use crate::hub::Hub;
use crate::memory::Memory;
use crate::{Options, StoreError};

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) memory: RwLock<Memory>,
    pub(crate) hub: Hub,
    /// Every event up to this revision is in the mailboxes of those it concerns.
    pub(crate) distributed: AtomicU64,
    pub(crate) reader: Reader,
}

impl Core {
    /// Memory for reading. A panic elsewhere cannot have left it half changed in a way that matters: every change is one
    /// insert or remove.
    pub(crate) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from disk without holding up the runtime's threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Core>,
        read: impl FnOnce(&Core) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let core = self.clone();
        // It only fails to finish when the runtime is shutting down.
        tokio::task::spawn_blocking(move || read(&core))
            .await
            .unwrap_or(Err(StoreError::Closed))
    }
}
