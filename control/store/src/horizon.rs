//! How far back history goes: decides what to compact by age and by size.
//!
//! Know before changing: pure; the clock is a parameter. It groups revisions into some sixteen steps per age and size,
//! so that its own size is bounded however many writes there are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Into how many steps the age and the size are divided.
const STEPS: u32 = 16;

/// Everything up to `revision` happened until `at`; all garbage made until then sums up to `garbage`.
#[derive(Debug)]
struct Step {
    opened: Instant,
    opened_garbage: u64,
    at: Instant,
    revision: u64,
    garbage: u64,
}

/// A record of when revisions were made and how much garbage (rows no longer current) they left on disk.
#[derive(Debug)]
pub(crate) struct Horizon {
    age: Duration,
    bytes: u64,
    steps: VecDeque<Step>,
    garbage: u64,
    swept: u64,
}

/// What to compact.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// History before this revision goes.
    pub(crate) revision: u64,
    /// Whether there is garbage on disk to sweep.
    pub(crate) sweep: bool,
}

impl Horizon {
    pub(crate) fn new(age: Duration, bytes: u64) -> Horizon {
        Horizon {
            age,
            bytes,
            steps: VecDeque::new(),
            garbage: 0,
            swept: 0,
        }
    }

    /// Notes that the store went to `revision`, leaving `garbage` more bytes of rows that are no longer current.
    pub(crate) fn record(&mut self, now: Instant, revision: u64, garbage: u64) {
        let before = self.garbage;
        self.garbage += garbage;
        let total = self.garbage;
        let small = self.bytes / u64::from(STEPS);
        let age = self.age / STEPS;
        match self.steps.back_mut() {
            Some(step) if now - step.opened < age && total - step.opened_garbage <= small => {
                (step.at, step.revision, step.garbage) = (now, revision, total);
            }
            _ => self.steps.push_back(Step {
                opened: now,
                opened_garbage: before,
                at: now,
                revision,
                garbage: total,
            }),
        }
    }

    /// What is to be compacted at `now`, if anything. It counts as done then.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due> {
        let mut due = None;
        while let Some(step) = self.steps.front() {
            let old = now.saturating_duration_since(step.at) >= self.age;
            if !old && self.garbage - self.swept <= self.bytes {
                break;
            }
            let sweep =
                step.garbage > self.swept || due.as_ref().is_some_and(|due: &Due| due.sweep);
            due = Some(Due {
                revision: step.revision,
                sweep,
            });
            self.swept = step.garbage;
            self.steps.pop_front();
        }
        due
    }

    /// When to ask again, if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.steps.front().map(|step| step.at + self.age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut horizon = Horizon::new(Duration::from_secs(160), 1 << 20);
        assert_eq!((horizon.due(start), horizon.deadline()), (None, None));
        horizon.record(at(0), 2, 0);
        horizon.record(at(9), 3, 100);
        horizon.record(at(10), 4, 0);
        assert_eq!(horizon.deadline(), Some(at(169)));
        assert_eq!(horizon.due(at(168)), None);
        assert_eq!(
            horizon.due(at(169)),
            Some(Due {
                revision: 3,
                sweep: true
            })
        );
        assert_eq!(
            horizon.due(at(170)),
            Some(Due {
                revision: 4,
                sweep: false
            })
        );
        assert_eq!((horizon.due(at(999)), horizon.deadline()), (None, None));
    }

    #[test]
    fn size() {
        let start = Instant::now();
        let mut horizon = Horizon::new(Duration::from_secs(160), 1600);
        for revision in 0..2_000 {
            horizon.record(start, revision, 10);
            if let Some(due) = horizon.due(start) {
                // What is kept stays near the limit: at most one step below it.
                let kept = (revision - due.revision) * 10;
                assert!((1400..=1600).contains(&kept), "{revision}: keeps {kept}");
            }
            assert!(horizon.steps.len() < 20);
        }
        assert!(horizon.garbage - horizon.swept <= 1600);
    }
}
