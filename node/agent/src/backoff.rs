//! Exponential back-off as the kubelet does it. Know before changing: it is measured from an *event* (the container's end), so a
//! container that ran long is restarted at once, and one that has been well for [`RESET`] starts from the beginning again.

use std::time::Duration;

use jiff::Timestamp;

/// First delay.
pub const INITIAL: Duration = Duration::from_secs(10);
/// Longest delay.
pub const MAX: Duration = Duration::from_secs(300);
/// Quiet time after which everything is forgotten.
pub const RESET: Duration = Duration::from_secs(600);

/// Back-off of one thing. The default has never failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    delay: Duration,
    last: Option<Timestamp>,
}

impl Backoff {
    /// When the thing that ended at `event` may be tried again, if that is after `now`.
    pub fn until(&self, event: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let last = self.last?;
        if elapsed(last, event) > RESET {
            return None;
        }
        let until = event + self.delay;
        (until > now).then_some(until)
    }

    /// Notes a try at `now` after an end at `event`; the next delay is twice as long, or the first one.
    pub fn step(&mut self, event: Timestamp, now: Timestamp) {
        self.delay = match self.last {
            Some(last) if elapsed(last, event) <= RESET => (self.delay * 2).clamp(INITIAL, MAX),
            _ => INITIAL,
        };
        self.last = Some(now);
    }

    /// The delay that applies after the next failure.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Notes a failure at `now`: for things that are tried when the delay after the failure is over.
    pub fn fail(&mut self, now: Timestamp) {
        self.step(now, now);
    }

    /// As [`Backoff::fail`], beginning with a second: for what is cheap to try and mostly mends itself soon.
    pub fn fail_soon(&mut self, now: Timestamp) {
        let fresh = self.last.is_none_or(|last| elapsed(last, now) > RESET);
        self.delay = if fresh {
            Duration::from_secs(1)
        } else {
            (self.delay * 2).min(MAX)
        };
        self.last = Some(now);
    }

    /// When a thing noted by [`Backoff::fail`] may be tried again, if that is after `now`.
    pub fn retry_at(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.last? + self.delay;
        (until > now).then_some(until)
    }
}

/// Time from `a` to `b`, zero when the clock went back.
pub fn elapsed(a: Timestamp, b: Timestamp) -> Duration {
    Duration::try_from(b.duration_since(a)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("in range")
    }

    #[test]
    fn grows_to_the_limit_and_forgets() {
        let mut backoff = Backoff::default();
        assert_eq!(
            backoff.until(at(0), at(0)),
            None,
            "the first restart is immediate"
        );
        let (mut now, mut delays) = (0, vec![]);
        for _ in 0..8 {
            backoff.step(at(now), at(now));
            delays.push(backoff.delay().as_secs());
            let until = backoff.until(at(now + 1), at(now + 1)).expect("waits");
            now = until.as_second() - 1_000_000;
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(
            backoff.until(at(now + 601), at(now + 601)),
            None,
            "well for ten minutes"
        );
        backoff.step(at(now + 1300), at(now + 1300));
        assert_eq!(backoff.delay(), INITIAL);
    }

    #[test]
    fn survives_a_clock_that_goes_back() {
        let mut backoff = Backoff::default();
        backoff.step(at(1000), at(1000));
        assert_eq!(backoff.until(at(0), at(0)), Some(at(10)));
        backoff.step(at(0), at(0));
        assert_eq!(backoff.delay(), Duration::from_secs(20));
    }

    #[test]
    fn counts_from_the_failure() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.retry_at(at(0)), None);
        backoff.fail(at(0));
        assert_eq!(backoff.retry_at(at(9)), Some(at(10)));
        assert_eq!(backoff.retry_at(at(10)), None);
        backoff.fail(at(10));
        assert_eq!(backoff.retry_at(at(10)), Some(at(30)));
    }
}
