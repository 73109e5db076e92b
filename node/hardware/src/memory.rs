//! Memory, from `/proc/meminfo` (proc(5)).

use crate::Root;

/// Bytes of memory: the line `MemTotal`, which counts in units of 1024 bytes although it says kB.
pub fn parse(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

pub(crate) fn read(root: &Root) -> Option<u64> {
    parse(&root.text("/proc/meminfo")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory() {
        let check = |text: &str, expect: Option<u64>| assert_eq!(parse(text), expect, "{text}");
        check(
            "MemTotal:        3999744 kB\nMemFree: 1 kB\n",
            Some(4_095_737_856),
        );
        check("MemFree: 1 kB\n", None);
        check("MemTotal: lots\n", None);
        check("MemTotal: 18446744073709551615 kB", None);
    }
}
