//! `softnet`: packets that each core processed, dropped, or left for later, from `/proc/net/softnet_stat`.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

/// The first columns of the file.
const COLUMNS: [Metric; 3] = [
    Metric::counter(
        "node_softnet_processed_total",
        "Number of processed packets",
    ),
    Metric::counter("node_softnet_dropped_total", "Number of dropped packets"),
    Metric::counter(
        "node_softnet_times_squeezed_total",
        "Number of times processing packets ran out of quota",
    ),
];
/// The column in which newer kernels write the core's number. A core that is off has no line, so lines cannot be counted.
const CORE_COLUMN: usize = 12;

pub(crate) struct SoftNet;

impl Collector for SoftNet {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        for (core, counts) in scrape.parse("proc/net/softnet_stat", parse)? {
            let core = core.to_string();
            for (metric, count) in COLUMNS.iter().zip(counts) {
                out.add(metric, &[("cpu", &core)], count);
            }
        }
        Ok(())
    }
}

/// Core and counts.
pub(super) fn parse(text: &str) -> Result<Vec<(u32, [f64; COLUMNS.len()])>, Malformed> {
    let mut cores = Vec::new();
    for (number, line) in (0..).zip(text.lines()) {
        let malformed = || Malformed::new("hexadecimal counts", line);
        let mut counts = [0.0; COLUMNS.len()];
        let mut core = number;
        let mut columns = 0;
        for (column, word) in line.split_ascii_whitespace().enumerate() {
            let value = u32::from_str_radix(word, 16).map_err(|_| malformed())?;
            if let Some(count) = counts.get_mut(column) {
                *count = f64::from(value);
            }
            if column == CORE_COLUMN {
                core = value;
            }
            columns += 1;
        }
        if columns < COLUMNS.len() {
            return Err(malformed());
        }
        cores.push((core, counts));
    }
    Ok(cores)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expect: Expect) {
        expect.assert_eq(&format!("{:?}", parse(text)));
    }

    #[test]
    fn cores() {
        check(
            "0000000a 1 2 0 0\n0000000b 0 0 0 0 0 0 0 0 0 0 0 00000003 0 0\n",
            expect!["Ok([(0, [10.0, 1.0, 2.0]), (3, [11.0, 0.0, 0.0])])"],
        );
        check(
            "1 2\n",
            expect![[r#"Err(Malformed { expected: "hexadecimal counts", found: "1 2" })"#]],
        );
        check(
            "x\n",
            expect![[r#"Err(Malformed { expected: "hexadecimal counts", found: "x" })"#]],
        );
    }
}
