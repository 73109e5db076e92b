//! The smallest hole that fits, by `talc`.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};

use spin::Mutex;
use talc::{ErrOnOom, Span};

use crate::Allocator;

/// The allocator.
pub struct Talc(Mutex<talc::Talc<ErrOnOom>>);

impl Talc {
    /// Without memory.
    pub const fn new() -> Self {
        Self(Mutex::new(talc::Talc::new(ErrOnOom)))
    }
}

impl Default for Talc {
    fn default() -> Self {
        Self::new()
    }
}

impl Allocator for Talc {
    unsafe fn give(&self, start: usize, end: usize) {
        let span = Span::new(start as *mut u8, end as *mut u8);
        // Memory too small for its own bookkeeping is none.
        // SAFETY: the caller's.
        let _ = unsafe { self.0.lock().claim(span) };
    }
}

// SAFETY: talc gives out parts that do not overlap.
unsafe impl GlobalAlloc for Talc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout is not empty: the caller's.
        unsafe { self.0.lock().malloc(layout) }.map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if let Some(memory) = NonNull::new(memory) {
            // SAFETY: the caller's.
            unsafe { self.0.lock().free(memory, layout) }
        }
    }
}
