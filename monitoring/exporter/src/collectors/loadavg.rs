//! `loadavg`: the three load averages of `/proc/loadavg`.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

const LOADS: [Metric; 3] = [
    Metric::gauge("node_load1", "1m load average."),
    Metric::gauge("node_load5", "5m load average."),
    Metric::gauge("node_load15", "15m load average."),
];

pub(crate) struct LoadAvg;

impl Collector for LoadAvg {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let loads = scrape.parse("proc/loadavg", parse)?;
        for (metric, load) in LOADS.iter().zip(loads) {
            out.add(metric, &[], load);
        }
        Ok(())
    }
}

/// Runnable processes, averaged over 1, 5 and 15 minutes.
pub(super) fn parse(text: &str) -> Result<[f64; 3], Malformed> {
    let malformed = || Malformed::new("three load averages", text);
    let mut words = text.split_ascii_whitespace();
    let mut loads = [0.0; 3];
    for load in &mut loads {
        let word = words.next().ok_or_else(malformed)?;
        *load = word.parse().map_err(|_| malformed())?;
    }
    Ok(loads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages() {
        let check = |text, expect: Option<[f64; 3]>| assert_eq!(parse(text).ok(), expect, "{text}");
        check("0.42 0.31 0.18 2/213 48211\n", Some([0.42, 0.31, 0.18]));
        check("0.42 0.31", None);
        check("a b c", None);
        check("", None);
    }
}
