//! `stat`: interrupts, context switches, forks, boot time and processes, from `/proc/stat`.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

/// `(the line of /proc/stat, the metric)`
const LINES: [(&str, Metric); 6] = [
    (
        "intr",
        Metric::counter("node_intr_total", "Total number of interrupts serviced."),
    ),
    (
        "ctxt",
        Metric::counter(
            "node_context_switches_total",
            "Total number of context switches.",
        ),
    ),
    (
        "btime",
        Metric::gauge("node_boot_time_seconds", "Node boot time, in unixtime."),
    ),
    (
        "processes",
        Metric::counter("node_forks_total", "Total number of forks."),
    ),
    (
        "procs_running",
        Metric::gauge(
            "node_procs_running",
            "Number of processes in runnable state.",
        ),
    ),
    (
        "procs_blocked",
        Metric::gauge(
            "node_procs_blocked",
            "Number of processes blocked waiting for I/O to complete.",
        ),
    ),
];

pub(crate) struct Stat;

impl Collector for Stat {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let values = scrape.parse("proc/stat", parse)?;
        for ((_, metric), value) in LINES.iter().zip(values) {
            out.add(metric, &[], value);
        }
        Ok(())
    }
}

/// The values of `LINES`. Of interrupts, the kernel's line has the sum first and then each.
pub(super) fn parse(text: &str) -> Result<[f64; LINES.len()], Malformed> {
    let mut values = [0.0; LINES.len()];
    let mut found = false;
    for line in text.lines() {
        let Some((key, rest)) = line.split_once(' ') else {
            continue;
        };
        if let Some(i) = LINES.iter().position(|(line, _)| *line == key) {
            let value = rest
                .split_ascii_whitespace()
                .next()
                .and_then(|word| word.parse().ok());
            values[i] = value.ok_or_else(|| Malformed::new("a number", line))?;
            found = true;
        }
    }
    if !found {
        return Err(Malformed::new("counters", text));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expect: Expect) {
        expect.assert_eq(&format!("{:?}", parse(text)));
    }

    #[test]
    fn counters() {
        check(
            "cpu  1 2\nintr 6421098 0 0 812\nctxt 5\nbtime 1718000123\nprocesses 7\nprocs_running 2\nprocs_blocked 1\n",
            expect!["Ok([6421098.0, 5.0, 1718000123.0, 7.0, 2.0, 1.0])"],
        );
        check(
            "ctxt x\n",
            expect![[r#"Err(Malformed { expected: "a number", found: "ctxt x" })"#]],
        );
        check(
            "\0\0",
            expect![[r#"Err(Malformed { expected: "counters", found: "\0\0" })"#]],
        );
    }
}
