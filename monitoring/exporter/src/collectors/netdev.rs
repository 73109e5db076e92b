//! `netdev`: bytes, packets and errors of each interface but `lo` (Debian's default), from `/proc/net/dev`.
//!
//! node_exporter asks by netlink, where the kernel has one counter more, for packets that nobody wanted; here it comes from
//! `/sys/class/net`.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

/// The columns of `/proc/net/dev`.
const COLUMNS: [Metric; 16] = [
    Metric::counter(
        "node_network_receive_bytes_total",
        "Network device statistic receive_bytes.",
    ),
    Metric::counter(
        "node_network_receive_packets_total",
        "Network device statistic receive_packets.",
    ),
    Metric::counter(
        "node_network_receive_errs_total",
        "Network device statistic receive_errs.",
    ),
    Metric::counter(
        "node_network_receive_drop_total",
        "Network device statistic receive_drop.",
    ),
    Metric::counter(
        "node_network_receive_fifo_total",
        "Network device statistic receive_fifo.",
    ),
    Metric::counter(
        "node_network_receive_frame_total",
        "Network device statistic receive_frame.",
    ),
    Metric::counter(
        "node_network_receive_compressed_total",
        "Network device statistic receive_compressed.",
    ),
    Metric::counter(
        "node_network_receive_multicast_total",
        "Network device statistic receive_multicast.",
    ),
    Metric::counter(
        "node_network_transmit_bytes_total",
        "Network device statistic transmit_bytes.",
    ),
    Metric::counter(
        "node_network_transmit_packets_total",
        "Network device statistic transmit_packets.",
    ),
    Metric::counter(
        "node_network_transmit_errs_total",
        "Network device statistic transmit_errs.",
    ),
    Metric::counter(
        "node_network_transmit_drop_total",
        "Network device statistic transmit_drop.",
    ),
    Metric::counter(
        "node_network_transmit_fifo_total",
        "Network device statistic transmit_fifo.",
    ),
    Metric::counter(
        "node_network_transmit_colls_total",
        "Network device statistic transmit_colls.",
    ),
    Metric::counter(
        "node_network_transmit_carrier_total",
        "Network device statistic transmit_carrier.",
    ),
    Metric::counter(
        "node_network_transmit_compressed_total",
        "Network device statistic transmit_compressed.",
    ),
];
const NO_HANDLER: Metric = Metric::counter(
    "node_network_receive_nohandler_total",
    "Network device statistic receive_nohandler.",
);

pub(crate) struct NetDev;

impl Collector for NetDev {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let devices = scrape.parse("proc/net/dev", parse)?;
        let class = scrape.root.open("sys/class/net").ok();
        for (device, counts) in devices {
            let labels = [("device", device.as_str())];
            for (metric, count) in COLUMNS.iter().zip(counts) {
                out.add(metric, &labels, count);
            }
            let folder = class.as_ref().and_then(|class| class.open(&device).ok());
            if let Some(count) =
                folder.and_then(|folder| scrape.number(&folder, "statistics/rx_nohandler"))
            {
                out.add(&NO_HANDLER, &labels, count);
            }
        }
        Ok(())
    }
}

/// Interfaces and their counts by `COLUMNS`, below two lines of headings.
pub(super) fn parse(text: &str) -> Result<Vec<(String, [f64; COLUMNS.len()])>, Malformed> {
    let mut lines = text.lines();
    if !lines.next().is_some_and(|line| line.starts_with("Inter-|")) || lines.next().is_none() {
        return Err(Malformed::new("headings", text));
    }
    let mut devices = Vec::new();
    for line in lines {
        let malformed = || Malformed::new("an interface and 16 counts", line);
        // The last one: names of interfaces may have colons.
        let (device, rest) = line.rsplit_once(':').ok_or_else(malformed)?;
        let mut words = rest.split_ascii_whitespace();
        let mut counts = [0.0; COLUMNS.len()];
        for count in &mut counts {
            *count = words
                .next()
                .and_then(|word| word.parse().ok())
                .ok_or_else(malformed)?;
        }
        // An interface cannot have a slash, and a path must not be built from one.
        let device = device.trim();
        if device != "lo" && !device.is_empty() && !device.contains('/') {
            devices.push((device.to_owned(), counts));
        }
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const HEADINGS: &str = "Inter-|   Receive\n face |bytes\n";

    fn check(text: &str, expect: Expect) {
        expect.assert_eq(&format!("{:?}", parse(&format!("{HEADINGS}{text}"))));
    }

    #[test]
    fn interfaces() {
        check(
            "    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\neth0:1:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
            expect![[
                r#"Ok([("eth0:1", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0])])"#
            ]],
        );
        check(
            "eth0: 1 2\n",
            expect![[
                r#"Err(Malformed { expected: "an interface and 16 counts", found: "eth0: 1 2" })"#
            ]],
        );
        check("", expect!["Ok([])"]);
    }

    #[test]
    fn another_file() {
        assert!(parse("").is_err());
        assert!(parse("root:x:0:0:root:/root:/bin/bash\n").is_err());
    }
}
