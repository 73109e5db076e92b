//! Blocks of powers of two that are halved and joined, by `buddy_system_allocator`.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};

use buddy_system_allocator::Heap;
use spin::Mutex;

use crate::Allocator;

/// Blocks of up to 2 GiB.
const ORDERS: usize = 32;

/// The allocator.
pub struct Buddy(Mutex<Heap<ORDERS>>);

impl Buddy {
    /// Without memory.
    pub const fn new() -> Self {
        Self(Mutex::new(Heap::empty()))
    }
}

impl Default for Buddy {
    fn default() -> Self {
        Self::new()
    }
}

impl Allocator for Buddy {
    unsafe fn give(&self, start: usize, end: usize) {
        // SAFETY: the caller's.
        unsafe { self.0.lock().add_to_heap(start, end) }
    }
}

// SAFETY: the heap gives out parts that do not overlap.
unsafe impl GlobalAlloc for Buddy {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0
            .lock()
            .alloc(layout)
            .map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if let Some(memory) = NonNull::new(memory) {
            self.0.lock().dealloc(memory, layout);
        }
    }
}
