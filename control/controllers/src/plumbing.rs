//! What every controller stands on: shared watches, queues, events, patches.
