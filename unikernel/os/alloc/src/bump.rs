//! Memory that is never given back: for the start, and for programs that allocate once.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::Allocator;

/// Gives out memory from the lower end to the upper.
#[derive(Debug, Default)]
pub struct Bump {
    next: AtomicUsize,
    end: AtomicUsize,
}

impl Bump {
    /// Without memory.
    pub const fn new() -> Self {
        Self {
            next: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
        }
    }

    /// Where the next allocation begins, and what is next after it.
    fn place(&self, next: usize, layout: Layout) -> Option<(usize, usize)> {
        let start = next.checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size())?;
        (end <= self.end.load(Ordering::Relaxed)).then_some((start, end))
    }
}

impl Allocator for Bump {
    unsafe fn give(&self, start: usize, end: usize) {
        self.next.store(start, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
    }
}

// SAFETY: parts do not overlap: `next` only grows.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut next = self.next.load(Ordering::Relaxed);
        loop {
            let Some((start, end)) = self.place(next, layout) else {
                return core::ptr::null_mut();
            };
            match self
                .next
                .compare_exchange_weak(next, end, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return start as *mut u8,
                Err(now) => next = now,
            }
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
