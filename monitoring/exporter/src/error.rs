//! Why a collector could not measure.

use rustix::io::Errno;
use thiserror::Error;

/// Why a collector gave nothing, or not all. Report it; the next scrape tries again by itself.
#[derive(Debug, Error)]
pub enum CollectError {
    /// The machine has no such thing (no sensors, no DMI): expected on many machines.
    #[error("this machine has no /{path}")]
    Absent {
        /// Relative to the root.
        path: String,
    },
    /// The kernel refused.
    #[error("cannot read /{path}")]
    Read {
        /// Relative to the root.
        path: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than anything that a kernel writes there; it was not read to its end.
    #[error("/{path} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Relative to the root.
        path: String,
        /// How much would have been read.
        limit_bytes: usize,
    },
    /// The file says something that is not understood.
    #[error("/{path} says {found:?}, expected {expected}")]
    Malformed {
        /// Relative to the root.
        path: String,
        /// What should have been there.
        expected: &'static str,
        /// The beginning of what was there.
        found: String,
    },
    /// A system call that is not about a file failed.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

impl CollectError {
    pub(crate) fn read(path: impl Into<String>, errno: Errno) -> Self {
        let path = path.into();
        if errno == Errno::NOENT {
            return Self::Absent { path };
        }
        Self::Read {
            path,
            source: errno.into(),
        }
    }
}

/// What a parser did not understand; the executor adds the path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    expected: &'static str,
    found: String,
}

impl Malformed {
    pub(crate) fn new(expected: &'static str, found: &str) -> Self {
        Self {
            expected,
            found: found.chars().take(80).collect(),
        }
    }

    pub(crate) fn at(self, path: &str) -> CollectError {
        CollectError::Malformed {
            path: path.to_owned(),
            expected: self.expected,
            found: self.found,
        }
    }
}
