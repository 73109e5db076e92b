//! Debian's Prometheus, supervised: what happens to it, and what it makes of a store that a power cut left behind. As root.

mod harness;
mod recovery;
mod supervision;
