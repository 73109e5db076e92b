//! Whether a containerd that does not answer hangs, or is only slow. Pure.
//!
//! Know before changing: a restart costs a slow machine more than waiting does. So one that works meanwhile (uses the processor,
//! reads or writes the disk) gets much longer; and misses are counted, not only timed, since a machine or a server that was itself stopped
//! for a while has asked only once.

use std::time::{Duration, Instant};

use crate::proc;

/// Questions without an answer before anything is concluded.
const MISSES: u32 = 5;
/// How long one that answered before may be silent and idle.
const IDLE: Duration = Duration::from_secs(30);
/// The same before its first answer: what it waits for may be a disk after a power cut.
const STARTING: Duration = Duration::from_secs(60);
/// How long one may be silent that works. A process that has locked itself up may still collect its garbage.
const WORKING: Duration = Duration::from_secs(180);

/// What a process has used and done: any difference is a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pulse {
    cpu_ticks: u64,
    major_faults: u64,
    disk_bytes: u64,
}

impl Pulse {
    /// From the texts of `/proc/PID/stat` and `/proc/PID/io` (proc(5)).
    pub(super) fn parse(stat: &str, io: &str) -> Self {
        let fields = proc::stat_fields(stat);
        let field = |n: usize| fields.get(n).and_then(|f| f.parse().ok()).unwrap_or(0);
        let bytes = |name: &str| {
            let line = io.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
        };
        Pulse {
            major_faults: field(9),
            cpu_ticks: field(11) + field(12),
            disk_bytes: u64::wrapping_add(bytes("read_bytes:"), bytes("write_bytes:")),
        }
    }
}

/// How long it has not answered.
#[derive(Debug)]
pub(super) struct Silence {
    last_answer: Instant,
    ever_answered: bool,
    misses: u32,
    pulse: Pulse,
    last_work: Instant,
}

impl Silence {
    /// Of a process that was just found or started.
    pub(super) fn new(now: Instant, pulse: Pulse) -> Self {
        Silence {
            last_answer: now,
            ever_answered: false,
            misses: 0,
            pulse,
            last_work: now,
        }
    }

    /// Whether it answered when it was last asked.
    pub(super) fn sure(&self) -> bool {
        self.ever_answered && self.misses == 0
    }

    /// Takes an answer.
    pub(super) fn answered(&mut self, now: Instant, pulse: Pulse) {
        *self = Silence {
            ever_answered: true,
            ..Silence::new(now, pulse)
        };
    }

    /// Takes a missing answer; says for how long it has been silent when that is too long.
    pub(super) fn missed(&mut self, now: Instant, pulse: Pulse) -> Option<Duration> {
        self.misses += 1;
        if pulse != self.pulse {
            self.pulse = pulse;
            self.last_work = now;
        }
        let silent = now.saturating_duration_since(self.last_answer);
        let idle = now.saturating_duration_since(self.last_work);
        let patience = if self.ever_answered { IDLE } else { STARTING };
        let over = self.misses >= MISSES && (idle >= patience || silent >= WORKING);
        over.then_some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks every `every` seconds; `works(second)` is its use of the processor. Says when it is given up.
    fn given_up(answered: bool, every: u64, works: impl Fn(u64) -> u64) -> Option<u64> {
        let start = Instant::now();
        let pulse = |second| Pulse {
            cpu_ticks: works(second),
            ..Pulse::default()
        };
        let mut silence = Silence::new(start, pulse(0));
        if answered {
            silence.answered(start, pulse(0));
        }
        (1..200).map(|n| n * every).find(|second| {
            let now = start + Duration::from_secs(*second);
            silence.missed(now, pulse(*second)).is_some()
        })
    }

    #[test]
    fn what_hangs_is_told_from_what_is_slow() {
        assert_eq!(given_up(true, 6, |_| 7), Some(30), "it stands still");
        assert_eq!(given_up(false, 6, |_| 7), Some(60), "it has never answered");
        assert_eq!(given_up(true, 6, |s| s), Some(180), "it works for ever");
        assert_eq!(
            given_up(true, 6, |s| s.min(50)),
            Some(84),
            "it worked for 50 s"
        );
        assert_eq!(
            given_up(true, 1000, |_| 7),
            Some(5000),
            "we were stopped ourselves"
        );
    }

    #[test]
    fn an_answer_ends_the_silence() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut silence = Silence::new(start, Pulse::default());
        silence.answered(start, Pulse::default());
        for second in [6, 12, 18, 24] {
            assert_eq!(silence.missed(at(second), Pulse::default()), None);
        }
        assert!(!silence.sure());
        silence.answered(at(29), Pulse::default());
        assert!(silence.sure());
        assert_eq!(silence.missed(at(40), Pulse::default()), None);
    }

    #[test]
    fn a_pulse_is_read_from_proc() {
        let stat = "17 (con tai) nerd) S 1 17 17 0 -1 4194560 1 2 33 4 50 6 7 8 20 0 11 0";
        let io = "rchar: 9\nread_bytes: 100\nwrite_bytes: 23\ncancelled_write_bytes: 0\n";
        let expect = Pulse {
            cpu_ticks: 56,
            major_faults: 33,
            disk_bytes: 123,
        };
        assert_eq!(Pulse::parse(stat, io), expect);
        assert_eq!(Pulse::parse("", ""), Pulse::default());
    }
}
