//! `sockstat`: sockets in use and their memory, from `/proc/net/sockstat` and `sockstat6`.
//!
//! The kernel counts memory in pages; node_exporter gives it so and in bytes, and so does this.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Kind, Metric, Samples};

const USED: Metric = Metric::gauge(
    "node_sockstat_sockets_used",
    "Number of IPv4 sockets in use.",
);

pub(crate) struct SockStat;

impl Collector for SockStat {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let mut counts = Vec::new();
        // A kernel without IPv6 has no such file, and node_exporter misses neither.
        for path in ["proc/net/sockstat", "proc/net/sockstat6"] {
            match scrape.parse(path, parse) {
                Err(CollectError::Absent { .. }) => {}
                other => counts.extend(other?),
            }
        }
        for Count {
            protocol,
            what,
            value,
        } in counts
        {
            if protocol == "sockets" {
                out.add(&USED, &[], value);
                continue;
            }
            add(out, &protocol, &what, value);
            if what == "mem" {
                #[expect(clippy::cast_precision_loss, reason = "a page is small")]
                let page_bytes = rustix::param::page_size() as f64;
                add(out, &protocol, "mem_bytes", value * page_bytes);
            }
        }
        Ok(())
    }
}

fn add(out: &mut Samples, protocol: &str, what: &str, value: f64) {
    let name = format!("node_sockstat_{protocol}_{what}");
    let help = || format!("Number of {protocol} sockets in state {what}.");
    out.add_named(&name, Kind::Gauge, help, &[], value);
}

#[derive(Debug)]
pub(super) struct Count {
    protocol: String,
    what: String,
    value: f64,
}

/// `TCP: inuse 4 mem 0` is two counts.
pub(super) fn parse(text: &str) -> Result<Vec<Count>, Malformed> {
    let mut counts = Vec::new();
    for line in text.lines() {
        let malformed = || Malformed::new("a protocol with names and numbers", line);
        let (protocol, rest) = line.split_once(':').ok_or_else(malformed)?;
        let mut words = rest.split_ascii_whitespace();
        while let Some(what) = words.next() {
            let value = words
                .next()
                .and_then(|word| word.parse().ok())
                .ok_or_else(malformed)?;
            counts.push(Count {
                protocol: protocol.to_owned(),
                what: what.to_owned(),
                value,
            });
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expect: Expect) {
        let shown = match parse(text) {
            Ok(counts) => counts
                .iter()
                .map(|c| format!("{} {} {}\n", c.protocol, c.what, c.value))
                .collect(),
            Err(e) => format!("{e:?}\n"),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn counts() {
        check(
            "sockets: used 10\nTCP: inuse 1 mem 2\n",
            expect![[r#"
                sockets used 10
                TCP inuse 1
                TCP mem 2
            "#]],
        );
        check(
            "TCP: inuse\n",
            expect![[r#"
                Malformed { expected: "a protocol with names and numbers", found: "TCP: inuse" }
            "#]],
        );
    }
}
