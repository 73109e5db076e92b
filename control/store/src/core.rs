//! What the handles, the watches and the writer share.
//!
//! Know before changing: the order of locks is memory, then hub. A watch holds this, not the sender of the writer's queue:
//! the writer ends when the last [`crate::Store`] is gone, whoever still watches.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Semaphore;

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
    /// Places for those who read from disk: a crowd of watches that resume must not become a crowd of threads.
    pub(crate) reading: Arc<Semaphore>,
}

/// How many may read history at a time. One does, and the next gets ready.
pub(crate) const READERS: usize = 2;

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
        let place = self.reading.clone().acquire_owned().await;
        let place = place.map_err(|_| StoreError::Closed)?;
        let read = move || {
            // Kept until the reading has ended, also when nobody waits for it any more.
            let _place = place;
            read(&core)
        };
        // It only fails to finish when the runtime is shutting down.
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or(Err(StoreError::Closed))
    }
}
