//! What takes longer than a test may: `cargo xtask soak`.
//!
//! Each soak prints what it found on lines that begin with `soak:`, so that a person can quote them. Environment variables
//! that begin with `MINICLOUD_SOAK_` make it longer or shorter; each is named where it is read.

use std::time::Duration;

mod dice;
mod disk;
mod guest;
mod kill;
mod ledger;
mod load;
mod long;
mod nbd;
mod power;
mod rig;
mod workload;

/// A number that a person may set by an environment variable.
///
/// # Panics
/// When it is set to something else.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text:?} is not a number"))
    })
}

/// The middle, the 99th percentile and the largest of some times, for a line of results.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default()
    };
    format!(
        "p50 {:.1?}, p99 {:.1?}, max {:.1?}",
        at(50),
        at(99),
        at(100)
    )
}
