//! `vmstat`: the fields of `/proc/vmstat` that node_exporter takes by default: paging, swapping, page faults, kills for want
//! of memory.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Kind, Samples};

pub(crate) struct VmStat;

impl Collector for VmStat {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        for (field, value) in scrape.parse("proc/vmstat", parse)? {
            let name = format!("node_vmstat_{field}");
            let help = || format!("/proc/vmstat information field {field}.");
            out.add_named(&name, Kind::Untyped, help, &[], value);
        }
        Ok(())
    }
}

/// `^(oom_kill|pgpg|pswp|pg.*fault).*`
fn taken(field: &str) -> bool {
    let starts = |start: &str| field.starts_with(start);
    let fault = || {
        field
            .strip_prefix("pg")
            .is_some_and(|rest| rest.contains("fault"))
    };
    starts("oom_kill") || starts("pgpg") || starts("pswp") || fault()
}

/// Fields and their values: pages, events.
pub(super) fn parse(text: &str) -> Result<Vec<(String, f64)>, Malformed> {
    let mut fields = Vec::new();
    for line in text.lines() {
        let malformed = || Malformed::new("a field and a number", line);
        let (name, value) = line.split_once(' ').ok_or_else(malformed)?;
        if taken(name) {
            let value = value.trim().parse().map_err(|_| malformed())?;
            fields.push((name.to_owned(), value));
        }
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
            "nr_free_pages 4\npgpgin 12\npgmajfault 3\npgsteal 1\nnuma_pte_fault 9\noom_kill 1\n",
            expect![[r#"Ok([("pgpgin", 12.0), ("pgmajfault", 3.0), ("oom_kill", 1.0)])"#]],
        );
        check(
            "pgpgin x\n",
            expect![[r#"Err(Malformed { expected: "a field and a number", found: "pgpgin x" })"#]],
        );
    }
}
