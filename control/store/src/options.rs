//! The settings of a store. The defaults suit a server that aims at 60 MB in all.
//!
//! Know before changing: every bound here is what keeps a misbehaving client from growing the process or the disk.

use std::time::Duration;

/// The largest value that the store takes: 1.5 MiB, as etcd's default request limit.
pub const MAX_VALUE_BYTES: usize = 1_572_864;

/// The longest key that the store takes.
pub const MAX_KEY_BYTES: usize = 2_048;

/// How a store behaves; start from [`Options::default`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// How much may wait for the disk before writers are held back. A waiting write counts its value, at least 4 KiB.
    pub queue_bytes: usize,
    /// Events that one watcher may have waiting; one more, and the watch ends with [`crate::WatchEnd::Lagged`].
    pub watch_buffer_events: usize,
    /// Bytes of values that one watcher may have waiting.
    pub watch_buffer_bytes: usize,
    /// Recent events kept in memory, from which watches resume without touching the disk.
    pub recent_events: usize,
    /// Bytes of values that the recent events may hold.
    pub recent_bytes: usize,
    /// How long history is kept. Older revisions answer [`crate::StoreError::Compacted`].
    pub history_age: Duration,
    /// How many bytes of history (values no longer current) are kept on disk, whatever their age.
    pub history_bytes: u64,
    /// How long a volatile write may stay in memory only.
    pub volatile_age: Duration,
    /// How much of the disk SQLite's write-ahead log takes from the start. Writes are slower until it has grown to its
    /// usual size, some 4 MiB, by itself.
    pub log_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            queue_bytes: 16 << 20,
            watch_buffer_events: 2_048,
            watch_buffer_bytes: 8 << 20,
            recent_events: 4_096,
            recent_bytes: 8 << 20,
            history_age: Duration::from_secs(300),
            history_bytes: 64 << 20,
            volatile_age: Duration::from_secs(600),
            log_bytes: 5 << 20,
        }
    }
}
