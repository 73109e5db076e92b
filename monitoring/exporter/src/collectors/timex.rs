//! `timex`: how well the kernel's clock is disciplined, by adjtimex(2). It is always that of the running kernel.

use crate::collector::{Collector, Scrape};
use crate::error::CollectError;
use crate::samples::{Metric, Samples};

/// What adjtimex(2) returns when nothing has set the clock for so long that its error may be anything.
const TIME_ERROR: libc::c_int = 5;
/// Offsets are in nanoseconds and not in microseconds.
const STA_NANO: libc::c_int = 0x2000;
/// Frequencies are in millionths, with 16 bits below the point.
const PPM16: f64 = 1e6 * 65536.0;
const MICRO: f64 = 1e6;

/// The metrics and their values.
type Value = fn(&Reading) -> f64;
const METRICS: [(Metric, Value); 17] = [
    (
        Metric::gauge(
            "node_timex_offset_seconds",
            "Time offset in between local system and reference clock.",
        ),
        |r| r.timex.offset as f64 / r.fine(),
    ),
    (
        Metric::gauge(
            "node_timex_frequency_adjustment_ratio",
            "Local clock frequency adjustment.",
        ),
        |r| 1.0 + r.timex.freq as f64 / PPM16,
    ),
    (
        Metric::gauge("node_timex_maxerror_seconds", "Maximum error in seconds."),
        |r| r.timex.maxerror as f64 / MICRO,
    ),
    (
        Metric::gauge(
            "node_timex_estimated_error_seconds",
            "Estimated error in seconds.",
        ),
        |r| r.timex.esterror as f64 / MICRO,
    ),
    (
        Metric::gauge("node_timex_status", "Value of the status array bits."),
        |r| f64::from(r.timex.status),
    ),
    (
        Metric::gauge(
            "node_timex_loop_time_constant",
            "Phase-locked loop time constant.",
        ),
        |r| r.timex.constant as f64,
    ),
    (
        Metric::gauge("node_timex_tick_seconds", "Seconds between clock ticks."),
        |r| r.timex.tick as f64 / MICRO,
    ),
    (
        Metric::gauge(
            "node_timex_pps_frequency_hertz",
            "Pulse per second frequency.",
        ),
        |r| r.timex.ppsfreq as f64 / PPM16,
    ),
    (
        Metric::gauge("node_timex_pps_jitter_seconds", "Pulse per second jitter."),
        |r| r.timex.jitter as f64 / r.fine(),
    ),
    (
        Metric::gauge(
            "node_timex_pps_shift_seconds",
            "Pulse per second interval duration.",
        ),
        |r| f64::from(r.timex.shift),
    ),
    (
        Metric::gauge(
            "node_timex_pps_stability_hertz",
            "Pulse per second stability, average of recent frequency changes.",
        ),
        |r| r.timex.stabil as f64 / PPM16,
    ),
    (
        Metric::counter(
            "node_timex_pps_jitter_total",
            "Pulse per second count of jitter limit exceeded events.",
        ),
        |r| r.timex.jitcnt as f64,
    ),
    (
        Metric::counter(
            "node_timex_pps_calibration_total",
            "Pulse per second count of calibration intervals.",
        ),
        |r| r.timex.calcnt as f64,
    ),
    (
        Metric::counter(
            "node_timex_pps_error_total",
            "Pulse per second count of calibration errors.",
        ),
        |r| r.timex.errcnt as f64,
    ),
    (
        Metric::counter(
            "node_timex_pps_stability_exceeded_total",
            "Pulse per second count of stability limit exceeded events.",
        ),
        |r| r.timex.stbcnt as f64,
    ),
    (
        Metric::gauge(
            "node_timex_tai_offset_seconds",
            "International Atomic Time (TAI) offset.",
        ),
        |r| f64::from(r.timex.tai),
    ),
    (
        Metric::gauge(
            "node_timex_sync_status",
            "Is clock synchronized to a reliable server (1 = yes, 0 = no).",
        ),
        |r| f64::from(r.state != TIME_ERROR),
    ),
];

struct Reading {
    timex: libc::timex,
    state: libc::c_int,
}

impl Reading {
    /// In what offset and jitter are.
    fn fine(&self) -> f64 {
        if self.timex.status & STA_NANO != 0 {
            1e9
        } else {
            MICRO
        }
    }
}

pub(crate) struct Timex;

impl Collector for Timex {
    fn collect(&mut self, _: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let reading = read()?;
        for (metric, value) in &METRICS {
            out.add(metric, &[], value(&reading));
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "nothing wraps adjtimex(2)")]
fn read() -> Result<Reading, CollectError> {
    // SAFETY: the kernel's structure has numbers only, of which zero is a value. With `modes` 0 the call changes nothing.
    let (timex, state) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        let state = libc::adjtimex(&raw mut timex);
        (timex, state)
    };
    if state < 0 {
        return Err(CollectError::System {
            what: "ask the kernel about its clock",
            source: std::io::Error::last_os_error(),
        });
    }
    Ok(Reading { timex, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let mut reading = read().unwrap();
        let check = |reading: &Reading, name: &str, expect: f64| {
            let (_, value) = METRICS.iter().find(|(m, _)| m.name == name).unwrap();
            assert_eq!(value(reading), expect, "{name}");
        };
        reading.timex.offset = 5_000;
        reading.timex.status = 0;
        reading.timex.freq = 65_536;
        reading.state = TIME_ERROR;
        check(&reading, "node_timex_offset_seconds", 0.005);
        check(&reading, "node_timex_frequency_adjustment_ratio", 1.000_001);
        check(&reading, "node_timex_sync_status", 0.0);
        reading.timex.status = STA_NANO;
        reading.state = 0;
        check(&reading, "node_timex_offset_seconds", 0.000_005);
        check(&reading, "node_timex_sync_status", 1.0);
    }
}
