//! From the hypervisor's entry to the application's first line.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(test, allow(dead_code))]

// Tests run on this machine, which has been started.
mod memory;
pub mod start;
#[cfg(all(target_arch = "x86_64", not(test)))]
mod x86_64;

pub use start::{Region, Start};
