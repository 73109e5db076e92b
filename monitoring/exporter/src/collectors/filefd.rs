//! `filefd`: open files of the whole machine, from `/proc/sys/fs/file-nr`.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

const ALLOCATED: Metric = Metric::gauge(
    "node_filefd_allocated",
    "File descriptor statistics: allocated.",
);
const MAXIMUM: Metric = Metric::gauge(
    "node_filefd_maximum",
    "File descriptor statistics: maximum.",
);

pub(crate) struct FileFd;

impl Collector for FileFd {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let (allocated, maximum) = scrape.parse("proc/sys/fs/file-nr", parse)?;
        out.add(&ALLOCATED, &[], allocated);
        out.add(&MAXIMUM, &[], maximum);
        Ok(())
    }
}

/// Allocated and at most; between them stands a number that Linux keeps at zero.
pub(super) fn parse(text: &str) -> Result<(f64, f64), Malformed> {
    let mut words = text.split_ascii_whitespace().map(str::parse);
    match (words.next(), words.next(), words.next()) {
        (Some(Ok(allocated)), Some(Ok(_)), Some(Ok(maximum))) => Ok((allocated, maximum)),
        _ => Err(Malformed::new("three numbers", text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let check = |text, expect| assert_eq!(parse(text).ok(), expect, "{text}");
        check("1664\t0\t2466170\n", Some((1664.0, 2_466_170.0)));
        check("1664 0", None);
        check("x 0 1", None);
    }
}
