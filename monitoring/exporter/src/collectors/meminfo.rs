//! `meminfo`: every line of `/proc/meminfo`, in bytes where the kernel says kB. The names are the kernel's.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Kind, Samples};

pub(crate) struct MemInfo;

impl Collector for MemInfo {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        for (field, value) in scrape.parse("proc/meminfo", parse)? {
            let name = format!("node_memory_{field}");
            let help = || format!("Memory information field {field}.");
            out.add_named(&name, Kind::Gauge, help, &[], value);
        }
        Ok(())
    }
}

/// Fields as they are in metric names, and their values: `Active(anon): 2 kB` is `Active_anon_bytes`, 2048.
pub(super) fn parse(text: &str) -> Result<Vec<(String, f64)>, Malformed> {
    let mut fields = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let malformed = || Malformed::new("a field, a number and perhaps kB", line);
        let (name, rest) = line.split_once(':').ok_or_else(malformed)?;
        let mut words = rest.split_ascii_whitespace();
        let value = words
            .next()
            .and_then(|word| word.parse::<f64>().ok())
            .ok_or_else(malformed)?;
        let name = match name.strip_suffix(')').and_then(|name| name.split_once('(')) {
            Some((name, part)) => format!("{name}_{part}"),
            None => name.to_owned(),
        };
        match words.next() {
            None => fields.push((name, value)),
            Some("kB") => fields.push((name + "_bytes", value * 1024.0)),
            Some(_) => return Err(malformed()),
        }
    }
    if fields.is_empty() {
        return Err(Malformed::new("fields", text));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expect: Expect) {
        expect.assert_eq(&format!("{:?}", parse(text)));
    }

    #[test]
    fn fields() {
        check(
            "MemTotal:  3884360 kB\nActive(anon):  2 kB\nHugePages_Total:   4\n",
            expect![[
                r#"Ok([("MemTotal_bytes", 3977584640.0), ("Active_anon_bytes", 2048.0), ("HugePages_Total", 4.0)])"#
            ]],
        );
        check(
            "MemTotal:  3884360 MB\n",
            expect![[
                r#"Err(Malformed { expected: "a field, a number and perhaps kB", found: "MemTotal:  3884360 MB" })"#
            ]],
        );
        check(
            "",
            expect![[r#"Err(Malformed { expected: "fields", found: "" })"#]],
        );
    }
}
