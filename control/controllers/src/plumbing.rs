//! What every controller stands on: shared watches, queues, events, patches.

pub(crate) mod claim;
pub(crate) mod discovery;
pub(crate) mod events;
pub(crate) mod informer;
pub(crate) mod objects;
pub(crate) mod patch;
pub(crate) mod queue;
pub(crate) mod shared;
pub(crate) mod trim;
