//! Allocators behind one interface: an image has one for all, or one for its start and another for the application.
//!
//! [`bump`] never takes memory back and costs nothing; [`buddy`] finds and joins in steps that are bounded by the memory's size, for
//! programs that must know how long it takes; [`talc`] fits best, for programs that live long.
#![cfg_attr(not(test), no_std)]

use core::alloc::GlobalAlloc;

#[cfg(feature = "buddy")]
pub mod buddy;
pub mod bump;
#[cfg(feature = "talc")]
pub mod talc;
#[cfg(test)]
mod tests;

/// An allocator that is given memory after it has been made.
pub trait Allocator: GlobalAlloc {
    /// Gives it the memory from `start` to before `end`.
    ///
    /// # Safety
    /// Nobody else uses the memory. Once.
    unsafe fn give(&self, start: usize, end: usize);
}
