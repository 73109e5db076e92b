//! `conntrack`: how full the table of tracked connections is, from `/proc/sys/net/netfilter`, and what it lost, from
//! `/proc/net/stat/nf_conntrack`. Absent while nothing on the machine tracks connections.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

const ENTRIES: Metric = Metric::gauge(
    "node_nf_conntrack_entries",
    "Number of currently allocated flow entries for connection tracking.",
);
const LIMIT: Metric = Metric::gauge(
    "node_nf_conntrack_entries_limit",
    "Maximum size of connection tracking table.",
);
/// `(the column, the metric)`
const COLUMNS: [(&str, Metric); 8] = [
    (
        "found",
        Metric::gauge(
            "node_nf_conntrack_stat_found",
            "Number of searched entries which were successful.",
        ),
    ),
    (
        "invalid",
        Metric::gauge(
            "node_nf_conntrack_stat_invalid",
            "Number of packets seen which can not be tracked.",
        ),
    ),
    (
        "ignore",
        Metric::gauge(
            "node_nf_conntrack_stat_ignore",
            "Number of packets seen which are already connected to a conntrack entry.",
        ),
    ),
    (
        "insert",
        Metric::gauge(
            "node_nf_conntrack_stat_insert",
            "Number of entries inserted into the list.",
        ),
    ),
    (
        "insert_failed",
        Metric::gauge(
            "node_nf_conntrack_stat_insert_failed",
            "Number of entries for which list insertion was attempted but failed.",
        ),
    ),
    (
        "drop",
        Metric::gauge(
            "node_nf_conntrack_stat_drop",
            "Number of packets dropped due to conntrack failure.",
        ),
    ),
    (
        "early_drop",
        Metric::gauge(
            "node_nf_conntrack_stat_early_drop",
            "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.",
        ),
    ),
    (
        "search_restart",
        Metric::gauge(
            "node_nf_conntrack_stat_search_restart",
            "Number of conntrack table lookups which had to be restarted due to hashtable resizes.",
        ),
    ),
];

pub(crate) struct Conntrack;

impl Collector for Conntrack {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let folder = scrape.root.open("proc/sys/net/netfilter")?;
        for (metric, name) in [
            (&ENTRIES, "nf_conntrack_count"),
            (&LIMIT, "nf_conntrack_max"),
        ] {
            if let Some(number) = scrape.number(&folder, name) {
                out.add(metric, &[], number);
            }
        }
        let sums = scrape.parse("proc/net/stat/nf_conntrack", parse)?;
        for ((_, metric), sum) in COLUMNS.iter().zip(sums) {
            out.add(metric, &[], sum);
        }
        Ok(())
    }
}

/// The sums over all cores of `COLUMNS`. The file has a line of names, and a line of hexadecimal numbers per core.
pub(super) fn parse(text: &str) -> Result<[f64; COLUMNS.len()], Malformed> {
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default();
    let mut places = [0; COLUMNS.len()];
    for (place, (column, _)) in places.iter_mut().zip(&COLUMNS) {
        *place = names
            .split_ascii_whitespace()
            .position(|name| name == *column)
            .ok_or_else(|| Malformed::new("the names of the columns", names))?;
    }
    let mut sums = [0.0; COLUMNS.len()];
    for line in lines {
        for (sum, place) in sums.iter_mut().zip(places) {
            let word = line.split_ascii_whitespace().nth(place).unwrap_or_default();
            let number = u32::from_str_radix(word, 16)
                .map_err(|_| Malformed::new("hexadecimal counts", line))?;
            *sum += f64::from(number);
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const NAMES: &str =
        "entries found invalid ignore insert insert_failed drop early_drop search_restart";

    fn check(text: &str, expect: Expect) {
        expect.assert_eq(&format!("{:?}", parse(text)));
    }

    #[test]
    fn sums() {
        check(
            &format!("{NAMES}\n25 3 a 4 1 2 5 6 7\n25 1 1b 0 0 0 0 0 1\n"),
            expect!["Ok([4.0, 37.0, 4.0, 1.0, 2.0, 5.0, 6.0, 8.0])"],
        );
        check(
            &format!("{NAMES}\n25 3\n"),
            expect![[r#"Err(Malformed { expected: "hexadecimal counts", found: "25 3" })"#]],
        );
        check(
            "x",
            expect![[r#"Err(Malformed { expected: "the names of the columns", found: "x" })"#]],
        );
    }
}
