//! The ring of recent events: watches resume from it, and listings at a recent revision are computed from it.
//!
//! Know before changing: it holds *every* event with a revision above `base`, volatile ones too. Whoever asks for older
//! ones has to go to the disk, which does not know volatile writes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Event;

/// What an event costs beside its values: the event, its key and the bookkeeping of two shared values.
const OVERHEAD_BYTES: usize = 256;

/// A bounded number of events, newest last.
#[derive(Debug)]
pub(crate) struct Recent {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    base: u64,
    max_events: usize,
    max_bytes: usize,
}

impl Recent {
    pub(crate) fn new(base: u64, max_events: usize, max_bytes: usize) -> Recent {
        Recent {
            events: VecDeque::new(),
            bytes: 0,
            base,
            max_events,
            max_bytes,
        }
    }

    /// The revision above which every event is here.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn push(&mut self, event: Arc<Event>) {
        self.bytes += cost(&event);
        self.events.push_back(event);
        while self.events.len() > self.max_events || self.bytes > self.max_bytes {
            self.pop();
        }
    }

    /// Drops what is at or below `revision`, and gives the memory back.
    pub(crate) fn forget(&mut self, revision: u64) {
        while self
            .events
            .front()
            .is_some_and(|event| event.revision() <= revision)
        {
            self.pop();
        }
        self.base = self.base.max(revision);
        if self.events.capacity() > 64 && self.events.capacity() / 4 > self.events.len() {
            self.events.shrink_to(self.events.len() * 2);
        }
    }

    /// The events above `revision`, oldest first; complete only if `revision >= base()`.
    pub(crate) fn after(&self, revision: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        let from = self
            .events
            .partition_point(|event| event.revision() <= revision);
        self.events.range(from..)
    }

    fn pop(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.bytes -= cost(&event);
            self.base = event.revision();
        }
    }
}

/// What keeping an event costs. `previous` shares its value with the event before it, but may outlive that one.
fn cost(event: &Event) -> usize {
    OVERHEAD_BYTES
        + event.entry.key.len()
        + event.entry.value.len()
        + event
            .previous
            .as_ref()
            .map_or(0, |previous| previous.value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::put;

    #[test]
    fn bounds_hold_and_the_base_follows() {
        let mut recent = Recent::new(10, 3, 10_000);
        for revision in 11..=20 {
            recent.push(put("a", revision, b"x"));
        }
        assert_eq!(recent.base(), 17);
        let revisions = |recent: &Recent, after| {
            recent
                .after(after)
                .map(|e| e.revision())
                .collect::<Vec<_>>()
        };
        assert_eq!(revisions(&recent, 17), [18, 19, 20]);
        assert_eq!(revisions(&recent, 19), [20]);
        assert_eq!(revisions(&recent, 99), [] as [u64; 0]);

        // One event larger than the whole budget is not kept, and the base says so.
        recent.push(put("a", 21, &[0; 20_000]));
        assert_eq!((recent.base(), recent.bytes), (21, 0));

        recent.push(put("a", 22, b"x"));
        recent.forget(30);
        assert_eq!(
            (recent.base(), recent.bytes, recent.events.len()),
            (30, 0, 0)
        );
    }
}
