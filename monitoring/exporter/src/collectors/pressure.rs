//! `pressure`: pressure stall information of the whole machine, from `/proc/pressure`. Absent where the kernel has none.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

const CPU_WAITING: Metric = Metric::counter(
    "node_pressure_cpu_waiting_seconds_total",
    "Total time in seconds that processes have waited for CPU time",
);
const IO_WAITING: Metric = Metric::counter(
    "node_pressure_io_waiting_seconds_total",
    "Total time in seconds that processes have waited due to IO congestion",
);
const IO_STALLED: Metric = Metric::counter(
    "node_pressure_io_stalled_seconds_total",
    "Total time in seconds no process could make progress due to IO congestion",
);
const MEMORY_WAITING: Metric = Metric::counter(
    "node_pressure_memory_waiting_seconds_total",
    "Total time in seconds that processes have waited for memory",
);
const MEMORY_STALLED: Metric = Metric::counter(
    "node_pressure_memory_stalled_seconds_total",
    "Total time in seconds no process could make progress due to memory congestion",
);

pub(crate) struct Pressure;

impl Collector for Pressure {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let cpu = scrape.parse("proc/pressure/cpu", parse)?;
        let io = scrape.parse("proc/pressure/io", parse)?;
        let memory = scrape.parse("proc/pressure/memory", parse)?;
        for (metric, seconds) in [
            (&CPU_WAITING, cpu.some),
            (&IO_WAITING, io.some),
            (&IO_STALLED, io.full),
            (&MEMORY_WAITING, memory.some),
            (&MEMORY_STALLED, memory.full),
        ] {
            if let Some(seconds) = seconds {
                out.add(metric, &[], seconds);
            }
        }
        Ok(())
    }
}

/// Seconds in which some, or all, who were not idle waited.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    pub(super) some: Option<f64>,
    pub(super) full: Option<f64>,
}

pub(super) fn parse(text: &str) -> Result<Stalls, Malformed> {
    let mut stalls = Stalls::default();
    for line in text.lines() {
        let total = line
            .rsplit_once(" total=")
            .and_then(|(_, total)| total.trim().parse::<f64>().ok());
        let seconds = total.map(|microseconds| microseconds / 1e6);
        match line.split_once(' ') {
            Some(("some", _)) if seconds.is_some() => stalls.some = seconds,
            Some(("full", _)) if seconds.is_some() => stalls.full = seconds,
            _ => return Err(Malformed::new("some or full with a total", line)),
        }
    }
    if stalls.some.is_none() {
        return Err(Malformed::new("a line of some", text));
    }
    Ok(stalls)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expect: Expect) {
        expect.assert_eq(&format!("{:?}", parse(text)));
    }

    #[test]
    fn stalls() {
        check(
            "some avg10=1.53 avg60=1.80 avg300=1.04 total=14036781\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
            expect!["Ok(Stalls { some: Some(14.036781), full: Some(3e-6) })"],
        );
        check(
            "some total=1",
            expect!["Ok(Stalls { some: Some(1e-6), full: None })"],
        );
        check(
            "",
            expect![[r#"Err(Malformed { expected: "a line of some", found: "" })"#]],
        );
        check(
            "none total=1",
            expect![[
                r#"Err(Malformed { expected: "some or full with a total", found: "none total=1" })"#
            ]],
        );
    }
}
