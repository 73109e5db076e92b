//! What hangs below objects (scale, binding, log, …) and kinds that are questions rather than objects.

pub(crate) mod binding;
pub(crate) mod events;
pub(crate) mod eviction;
pub(crate) mod finalize;
pub(crate) mod reviews;
pub(crate) mod scale;
pub(crate) mod stream;
pub(crate) mod token;
