//! Containers' logs in CRI's format: the line, and the reader that tails and follows.

pub mod line;
pub mod read;
