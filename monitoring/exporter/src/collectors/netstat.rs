//! `netstat`: the counters of IP, ICMP, TCP and UDP that node_exporter takes by default, from `/proc/net/netstat`, `snmp` and
//! `snmp6`.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Kind, Samples};

/// node_exporter's default, by protocol.
const TAKEN: [(&str, &[&str]); 11] = [
    ("Icmp", &["InErrors", "InMsgs", "OutMsgs"]),
    ("Icmp6", &["InErrors", "InMsgs", "OutMsgs"]),
    ("Ip", &["Forwarding"]),
    ("Ip6", &["InOctets", "OutOctets"]),
    ("IpExt", &["InOctets", "OutOctets"]),
    (
        "Tcp",
        &[
            "ActiveOpens",
            "CurrEstab",
            "InErrs",
            "InSegs",
            "OutRsts",
            "OutSegs",
            "PassiveOpens",
            "RetransSegs",
        ],
    ),
    (
        "TcpExt",
        &[
            "ListenDrops",
            "ListenOverflows",
            "SyncookiesFailed",
            "SyncookiesRecv",
            "SyncookiesSent",
            "TCPSynRetrans",
            "TCPTimeouts",
        ],
    ),
    (
        "Udp",
        &[
            "InDatagrams",
            "InErrors",
            "NoPorts",
            "OutDatagrams",
            "RcvbufErrors",
            "SndbufErrors",
        ],
    ),
    (
        "Udp6",
        &[
            "InDatagrams",
            "InErrors",
            "NoPorts",
            "OutDatagrams",
            "RcvbufErrors",
            "SndbufErrors",
        ],
    ),
    ("UdpLite", &["InErrors"]),
    ("UdpLite6", &["InErrors"]),
];

pub(crate) struct NetStat;

impl Collector for NetStat {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let mut counters = scrape.parse("proc/net/netstat", parse)?;
        counters.extend(scrape.parse("proc/net/snmp", parse)?);
        // A kernel without IPv6 has no such file.
        match scrape.parse("proc/net/snmp6", parse_6) {
            Ok(more) => counters.extend(more),
            Err(CollectError::Absent { .. }) => {}
            Err(e) => return Err(e),
        }
        for Counter {
            protocol,
            name,
            value,
        } in counters
        {
            let metric = format!("node_netstat_{protocol}_{name}");
            let help = || format!("Statistic {protocol}{name}.");
            out.add_named(&metric, Kind::Untyped, help, &[], value);
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Counter {
    protocol: &'static str,
    name: &'static str,
    value: f64,
}

fn taken(protocol: &str, name: &str) -> Option<(&'static str, &'static str)> {
    let (protocol, names) = TAKEN.iter().find(|(taken, _)| *taken == protocol)?;
    let name = names.iter().find(|taken| **taken == name)?;
    Some((protocol, name))
}

/// Pairs of lines: `Tcp: InSegs OutSegs`, `Tcp: 3 4`.
pub(super) fn parse(text: &str) -> Result<Vec<Counter>, Malformed> {
    let mut counters = Vec::new();
    let mut lines = text.lines();
    while let Some(names) = lines.next() {
        let values = lines.next().unwrap_or_default();
        let malformed = || Malformed::new("a line of names and one of numbers", names);
        let (protocol, names) = names.split_once(':').ok_or_else(malformed)?;
        let (again, values) = values.split_once(':').ok_or_else(malformed)?;
        if again != protocol {
            return Err(malformed());
        }
        let mut values = values.split_ascii_whitespace();
        for name in names.split_ascii_whitespace() {
            let value = values.next().ok_or_else(malformed)?;
            if let Some((protocol, name)) = taken(protocol, name) {
                let value = value.parse().map_err(|_| malformed())?;
                counters.push(Counter {
                    protocol,
                    name,
                    value,
                });
            }
        }
    }
    Ok(counters)
}

/// A counter per line: `Udp6InErrors  3`.
pub(super) fn parse_6(text: &str) -> Result<Vec<Counter>, Malformed> {
    let mut counters = Vec::new();
    for line in text.lines() {
        let malformed = || Malformed::new("a name and a number", line);
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else {
            return Err(malformed());
        };
        if let Some((protocol, name)) = name.split_once('6').and_then(|(protocol, rest)| {
            let protocol = name.get(..=protocol.len())?;
            taken(protocol, rest)
        }) {
            let value = value.parse().map_err(|_| malformed())?;
            counters.push(Counter {
                protocol,
                name,
                value,
            });
        }
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(counters: Result<Vec<Counter>, Malformed>, expect: Expect) {
        let shown = match counters {
            Ok(counters) => counters
                .iter()
                .map(|c| format!("{} {} {}\n", c.protocol, c.name, c.value))
                .collect(),
            Err(e) => format!("{e:?}\n"),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn pairs_of_lines() {
        check(
            parse("Tcp: RtoMin InSegs\nTcp: 200 7\n"),
            expect![[r#"
                Tcp InSegs 7
            "#]],
        );
        check(
            parse("Tcp: InSegs OutSegs\nTcp: 200\n"),
            expect![[r#"
                Malformed { expected: "a line of names and one of numbers", found: "Tcp: InSegs OutSegs" }
            "#]],
        );
        check(
            parse("Tcp: InSegs\nUdp: 200\n"),
            expect![[r#"
                Malformed { expected: "a line of names and one of numbers", found: "Tcp: InSegs" }
            "#]],
        );
    }

    #[test]
    fn a_counter_per_line() {
        check(
            parse_6("Ip6InReceives  1\nUdp6InErrors    3\nUdpLite6InErrors 4\nIcmp6OutMsgs 5\n"),
            expect![[r#"
                Udp6 InErrors 3
                UdpLite6 InErrors 4
                Icmp6 OutMsgs 5
            "#]],
        );
        check(
            parse_6("x\n"),
            expect![[r#"
                Malformed { expected: "a name and a number", found: "x" }
            "#]],
        );
    }
}
