//! Many checks on one cluster: starting one costs more than most checks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::Cluster;

/// A check and its name.
pub type Step<'a> = (&'a str, fn(&Cluster));

/// Does a step of a test, and says how long it took.
pub fn timed<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    println!("--- {name}: {:.1} s", started.elapsed().as_secs_f64());
    result
}

/// Takes every step, also after one that failed: one run tells all that is wrong.
///
/// # Panics
/// When a step failed.
pub fn walk(cluster: &Cluster, steps: &[Step]) {
    let mut failed = Vec::new();
    for (name, step) in steps {
        let result = timed(name, || catch_unwind(AssertUnwindSafe(|| step(cluster))));
        if result.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "these steps failed: {failed:?}");
}
