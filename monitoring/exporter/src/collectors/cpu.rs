//! `cpu`: where each core's time went, from `/proc/stat`; how often it was throttled for heat, and which cores are isolated,
//! from `/sys/devices/system/cpu`. The same metrics as node_exporter's without its `--collector.cpu.info`.
//!
//! The kernel's times go back now and then by some ticks (above all iowait), which Prometheus would take for a restart. So each
//! time is held at its highest, until idle time falls by more than seconds: then the core was really taken away and came back.

use std::collections::{BTreeMap, BTreeSet};

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

const SECONDS: Metric = Metric::counter(
    "node_cpu_seconds_total",
    "Seconds the CPUs spent in each mode.",
);
const GUEST: Metric = Metric::counter(
    "node_cpu_guest_seconds_total",
    "Seconds the CPUs spent in guests (VMs) for each mode.",
);
const CORE_THROTTLES: Metric = Metric::counter(
    "node_cpu_core_throttles_total",
    "Number of times this CPU core has been throttled.",
);
const PACKAGE_THROTTLES: Metric = Metric::counter(
    "node_cpu_package_throttles_total",
    "Number of times this CPU package has been throttled.",
);
const ISOLATED: Metric = Metric::gauge(
    "node_cpu_isolated",
    "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.",
);

/// The columns of `/proc/stat`.
const MODES: [(&Metric, &str); 10] = [
    (&SECONDS, "user"),
    (&SECONDS, "nice"),
    (&SECONDS, "system"),
    (&SECONDS, "idle"),
    (&SECONDS, "iowait"),
    (&SECONDS, "irq"),
    (&SECONDS, "softirq"),
    (&SECONDS, "steal"),
    (&GUEST, "user"),
    (&GUEST, "nice"),
];
const IDLE: usize = 3;
/// `USER_HZ`, which is 100 on everything that Linux runs on and that we do.
const TICKS_PER_SECOND: f64 = 100.0;
/// By how much idle time must fall for the core to count as new.
const REPLACED_SECONDS: f64 = 3.0;
/// Linux' `CONFIG_NR_CPUS` ends at 8192.
const CORES_LIMIT: u32 = 8192;

/// Seconds by column of `MODES`.
type Times = [f64; MODES.len()];

#[derive(Default)]
pub(crate) struct Cpu {
    last: BTreeMap<u32, Times>,
}

impl Collector for Cpu {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let now = scrape.parse("proc/stat", parse)?;
        self.last
            .retain(|core, _| now.iter().any(|(c, _)| c == core));
        for (core, times) in now {
            let times = steady(self.last.get(&core), times);
            self.last.insert(core, times);
            let core = core.to_string();
            for ((metric, mode), seconds) in MODES.iter().zip(times) {
                out.add(metric, &[("cpu", &core), ("mode", mode)], seconds);
            }
        }
        // Not every machine has the folder; fixtures and some containers do not.
        let Ok(folder) = scrape.root.open("sys/devices/system/cpu") else {
            return Ok(());
        };
        throttles(scrape, out)?;
        if let Some(list) = scrape.label(&folder, "isolated") {
            let path = "sys/devices/system/cpu/isolated";
            for core in parse_list(&list).map_err(|e| e.at(path))? {
                out.add(&ISOLATED, &[("cpu", &core.to_string())], 1.0);
            }
        }
        Ok(())
    }
}

/// Siblings of one core say the same; so each core and package is counted once.
fn throttles(scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
    let folder = scrape.root.open("sys/devices/system/cpu")?;
    let (mut cores, mut packages) = (BTreeSet::new(), BTreeSet::new());
    for name in folder.names()? {
        if !is_core(&name) {
            continue;
        }
        let Ok(throttle) = folder.open(&format!("{name}/thermal_throttle")) else {
            continue;
        };
        let Ok(topology) = folder.open(&format!("{name}/topology")) else {
            continue;
        };
        let (Some(package), Some(core)) = (
            scrape.label(&topology, "physical_package_id"),
            scrape.label(&topology, "core_id"),
        ) else {
            continue;
        };
        if let Some(count) = scrape.number(&throttle, "core_throttle_count")
            && cores.insert((package.clone(), core.clone()))
        {
            out.add(
                &CORE_THROTTLES,
                &[("core", &core), ("package", &package)],
                count,
            );
        }
        if let Some(count) = scrape.number(&throttle, "package_throttle_count")
            && packages.insert(package.clone())
        {
            out.add(&PACKAGE_THROTTLES, &[("package", &package)], count);
        }
    }
    Ok(())
}

/// Whether a name in `/sys/devices/system/cpu` is a core: `cpu` and a number.
pub(super) fn is_core(name: &str) -> bool {
    name.strip_prefix("cpu")
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// What is shown, given what was shown before.
fn steady(last: Option<&Times>, now: Times) -> Times {
    let Some(last) = last.filter(|last| last[IDLE] - now[IDLE] < REPLACED_SECONDS) else {
        return now;
    };
    std::array::from_fn(|mode| now[mode].max(last[mode]))
}

/// Seconds per core. Columns that an old kernel lacks are zero.
pub(super) fn parse(text: &str) -> Result<Vec<(u32, Times)>, Malformed> {
    let mut cores = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(core) = words.next().filter(|word| is_core(word)) else {
            continue;
        };
        let malformed = || Malformed::new("the times of a core", line);
        let core = core[3..].parse().map_err(|_| malformed())?;
        let mut times = [0.0; MODES.len()];
        for (time, word) in times.iter_mut().zip(words) {
            let ticks: u64 = word.parse().map_err(|_| malformed())?;
            #[expect(
                clippy::cast_precision_loss,
                reason = "samples of Prometheus are floats"
            )]
            let ticks = ticks as f64;
            *time = ticks / TICKS_PER_SECOND;
        }
        cores.push((core, times));
    }
    if cores.is_empty() {
        return Err(Malformed::new("cores", text));
    }
    Ok(cores)
}

/// The kernel's list of cores: `0-2,5`, or nothing.
pub(super) fn parse_list(text: &str) -> Result<BTreeSet<u32>, Malformed> {
    let malformed = || Malformed::new("a list of cores", text);
    let number = |text: &str| {
        text.trim()
            .parse::<u32>()
            .ok()
            .filter(|n| *n < CORES_LIMIT)
            .ok_or_else(malformed)
    };
    let mut cores = BTreeSet::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(number(first)?..=number(last)?);
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
    fn times() {
        check(
            "cpu  1 2\ncpu0 11034 21 6215 1278340 871 0 812 5 4 3 99\ncpu11 1 2 3 4\nintr 1\n",
            expect![
                "Ok([(0, [110.34, 0.21, 62.15, 12783.4, 8.71, 0.0, 8.12, 0.05, 0.04, 0.03]), \
                (11, [0.01, 0.02, 0.03, 0.04, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])])"
            ],
        );
        check(
            "cpu  1 2\n",
            expect![[r#"Err(Malformed { expected: "cores", found: "cpu  1 2\n" })"#]],
        );
        check(
            "cpu0 x\n",
            expect![[r#"Err(Malformed { expected: "the times of a core", found: "cpu0 x" })"#]],
        );
    }

    #[test]
    fn times_do_not_go_back() {
        let times = |idle, iowait| {
            let mut times = [0.0; MODES.len()];
            (times[IDLE], times[IDLE + 1]) = (idle, iowait);
            times
        };
        let check = |last, now, expect| assert_eq!(steady(Some(&last), now), expect);
        check(times(10.0, 5.0), times(11.0, 4.9), times(11.0, 5.0));
        check(times(10.0, 5.0), times(9.0, 5.1), times(10.0, 5.1));
        check(times(10.0, 5.0), times(1.0, 0.5), times(1.0, 0.5));
        assert_eq!(steady(None, times(1.0, 2.0)), times(1.0, 2.0));
    }

    #[test]
    fn lists() {
        let check = |text, expect: Option<&[u32]>| {
            let cores = parse_list(text).ok().map(Vec::from_iter);
            assert_eq!(cores.as_deref(), expect, "{text}");
        };
        check("\n", Some(&[]));
        check("0-2,5\n", Some(&[0, 1, 2, 5]));
        check("3-1", Some(&[]));
        check("0-4294967295", None);
        check("x", None);
    }
}
