//! Each allocator under the same random work: what is given out is aligned, inside, nobody else's, and keeps what was written.

use std::alloc::{Layout, alloc, dealloc};

use crate::Allocator;

const MEMORY: usize = 1 << 20;

/// xorshift: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

struct Part {
    start: *mut u8,
    layout: Layout,
    mark: u8,
}

impl Part {
    fn is_as_written(&self) -> bool {
        // SAFETY: given out with this layout, written when it was.
        let bytes = unsafe { std::slice::from_raw_parts(self.start, self.layout.size()) };
        bytes.iter().all(|byte| *byte == self.mark)
    }
}

/// Random allocations and releases; returns how many allocations there was room for.
fn work(allocator: &impl Allocator, releases: bool) -> usize {
    let whole = Layout::from_size_align(MEMORY, 4096).unwrap();
    // SAFETY: not empty; freed below.
    let memory = unsafe { alloc(whole) };
    let range = memory as usize..memory as usize + MEMORY;
    // SAFETY: ours alone; once.
    unsafe { allocator.give(range.start, range.end) };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut parts: Vec<Part> = Vec::new();
    let mut given = 0;
    for step in 0..20_000_usize {
        if releases && (random.below(2) == 0 || parts.len() > 200) && !parts.is_empty() {
            let part = parts.swap_remove(random.below(parts.len()));
            assert!(part.is_as_written(), "step {step}");
            // SAFETY: given out with this layout.
            unsafe { allocator.dealloc(part.start, part.layout) };
            continue;
        }
        let layout = Layout::from_size_align(1 + random.below(2000), 1 << random.below(8)).unwrap();
        // SAFETY: the layout is not empty.
        let start = unsafe { allocator.alloc(layout) };
        if start.is_null() {
            continue;
        }
        given += 1;
        let (from, to) = (start as usize, start as usize + layout.size());
        assert_eq!(from % layout.align(), 0, "step {step}");
        assert!(range.contains(&from) && to <= range.end, "step {step}");
        let apart = |other: &Part| {
            let other_from = other.start as usize;
            to <= other_from || from >= other_from + other.layout.size()
        };
        assert!(
            parts.iter().all(apart),
            "step {step}: two have the same memory"
        );
        let mark = step as u8;
        // SAFETY: given out just now.
        unsafe { start.write_bytes(mark, layout.size()) };
        parts.push(Part {
            start,
            layout,
            mark,
        });
    }
    assert!(parts.iter().all(Part::is_as_written));
    let fits = |size| {
        let layout = Layout::from_size_align(size, 8).unwrap();
        // SAFETY: the layout is not empty.
        let part = unsafe { allocator.alloc(layout) };
        if !part.is_null() {
            // SAFETY: given out with this layout.
            unsafe { allocator.dealloc(part, layout) };
        }
        !part.is_null()
    };
    assert!(!fits(2 * MEMORY), "more than there is");
    if releases {
        for part in parts {
            // SAFETY: given out with this layout.
            unsafe { allocator.dealloc(part.start, part.layout) };
        }
        assert!(fits(MEMORY / 4), "what was released is whole again");
    }
    // SAFETY: allocated above; nothing of it is used any more.
    unsafe { dealloc(memory, whole) };
    given
}

#[test]
fn bump() {
    let given = work(&crate::bump::Bump::new(), false);
    assert!(
        (900..1200).contains(&given),
        "{given} parts of a thousand bytes in a mebibyte"
    );
}

#[cfg(feature = "buddy")]
#[test]
fn buddy() {
    assert!(work(&crate::buddy::Buddy::new(), true) > 9_000);
}

#[cfg(feature = "talc")]
#[test]
fn talc() {
    assert!(work(&crate::talc::Talc::new(), true) > 9_000);
}
