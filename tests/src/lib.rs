//! A real cluster for tests: the program itself, in a network namespace of its own without a way out.
//!
//! [`Cluster::start`] makes the namespace and the folders and starts `minicloud server` in it; dropping the cluster runs
//! `minicloud reset` and removes both, also when the test failed. Real clients (kubectl, Python) run inside the namespace.

pub mod api;
pub mod background;
pub mod cluster;
pub mod images;
pub mod netns;
pub mod processes;
pub mod programs;
pub mod reader;
pub mod walk;

pub use background::Background;
pub use cluster::Cluster;
pub use reader::Reader;
pub use walk::walk;

use std::time::{Duration, Instant};

/// Polls `condition` until it is `Ok`.
///
/// # Panics
/// When it does not become so in time, with what it last said.
pub fn eventually<T>(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> anyhow::Result<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match condition() {
            Ok(value) => return value,
            Err(last) if Instant::now() > deadline => {
                panic!("{what}: not in {patience:?}; last: {last:#}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
