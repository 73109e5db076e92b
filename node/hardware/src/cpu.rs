//! Processors, from `/proc/cpuinfo` (what they are) and `/sys/devices/system/cpu` (how many, and how fast).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Root;
use crate::root::{clean, hexadecimal};

/// Features that are told; the newest processors have some 150.
const FEATURES: usize = 512;

/// Logical processors that are looked at.
const THREADS: usize = 4096;

/// The machine's processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cpu {
    /// As uname(2) names the machine: `x86_64`, `aarch64`, `armv7l`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The size of an address by that architecture, 32 or 64: a 64-bit processor under a 32-bit kernel has 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// Cores that are switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<u64>,
    /// Logical processors that are switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
    /// Packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sockets: Option<u64>,
    /// `Intel(R) Core(TM) i5-7200U CPU @ 2.50GHz`, `Cortex-A72`; two kinds of cores are joined by ` + `.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `GenuineIntel`, `AuthenticAMD`, `ARM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The highest frequency of any core; that at which it runs where the machine cannot change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_mhz: Option<u64>,
    /// As the kernel abbreviates them (`sse4_2`, `asimd`), of the first logical processor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

/// What sysfs says of one logical processor.
#[derive(Debug, Clone, Default)]
struct Thread {
    /// The list of threads of its core: the same text for all of them.
    siblings: Option<String>,
    /// The number of its package.
    package: Option<String>,
    /// Its highest frequency.
    max_khz: Option<u64>,
}

/// Cores by the part's number.
type Parts = &'static [(u64, &'static str)];

/// Who licensed or made an ARM core, by the implementer's number (Arm's MIDR_EL1), and its name by the part's number.
const IMPLEMENTERS: &[(u64, &str, Parts)] = &[
    (
        0x41,
        "ARM",
        &[
            (0xb76, "ARM1176"),
            (0xc05, "Cortex-A5"),
            (0xc07, "Cortex-A7"),
            (0xc08, "Cortex-A8"),
            (0xc09, "Cortex-A9"),
            (0xc0e, "Cortex-A17"),
            (0xc0f, "Cortex-A15"),
            (0xd03, "Cortex-A53"),
            (0xd04, "Cortex-A35"),
            (0xd05, "Cortex-A55"),
            (0xd07, "Cortex-A57"),
            (0xd08, "Cortex-A72"),
            (0xd09, "Cortex-A73"),
            (0xd0a, "Cortex-A75"),
            (0xd0b, "Cortex-A76"),
            (0xd0c, "Neoverse-N1"),
            (0xd0d, "Cortex-A77"),
            (0xd40, "Neoverse-V1"),
            (0xd41, "Cortex-A78"),
            (0xd42, "Cortex-A78AE"),
            (0xd44, "Cortex-X1"),
            (0xd49, "Neoverse-N2"),
            (0xd4f, "Neoverse-V2"),
        ],
    ),
    (0x42, "Broadcom", &[]),
    (0x43, "Cavium", &[]),
    (0x46, "Fujitsu", &[]),
    (0x48, "HiSilicon", &[(0xd01, "TSV110")]),
    (0x4e, "NVIDIA", &[(0x003, "Denver 2"), (0x004, "Carmel")]),
    (0x50, "APM", &[]),
    (0x51, "Qualcomm", &[]),
    (0x61, "Apple", &[]),
    (0xc0, "Ampere", &[]),
];

/// The value of a line of `/proc/cpuinfo`.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = line.split_once(':')?;
    (key.trim() == name)
        .then(|| value.trim())
        .filter(|v| !v.is_empty())
}

/// The values of all lines with this name, in their order.
fn fields<'a>(cpuinfo: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    cpuinfo.lines().filter_map(move |line| field(line, name))
}

/// The different ones, in their order.
fn joined(values: impl Iterator<Item = String>) -> Option<String> {
    let mut different: Vec<String> = Vec::new();
    for value in values {
        if !different.contains(&value) && different.len() < 4 {
            different.push(value);
        }
    }
    clean(&different.join(" + "))
}

/// Maker and model of ARM cores.
fn arm(cpuinfo: &str) -> (Option<String>, Option<String>) {
    let implementers = fields(cpuinfo, "CPU implementer").filter_map(hexadecimal);
    let parts = fields(cpuinfo, "CPU part").filter_map(hexadecimal);
    let cores: BTreeSet<(u64, u64)> = implementers.zip(parts).collect();
    let known = |number: u64| IMPLEMENTERS.iter().find(|(n, ..)| *n == number);
    let vendors = cores.iter().map(|(implementer, _)| {
        known(*implementer).map_or_else(
            || format!("{implementer:#04x}"),
            |(_, name, _)| (*name).to_owned(),
        )
    });
    let models = cores.iter().map(|(implementer, part)| {
        let parts = known(*implementer).map_or(&[][..], |(.., parts)| parts);
        let named = parts.iter().find(|(number, _)| number == part);
        named.map_or_else(
            || format!("part {part:#05x}"),
            |(_, name)| (*name).to_owned(),
        )
    });
    (joined(vendors), joined(models))
}

/// What uname(2) would say, where it cannot be asked.
fn architecture(cpuinfo: &str) -> Option<&'static str> {
    if let Some(flags) = fields(cpuinfo, "flags").next() {
        let long_mode = flags.split_whitespace().any(|flag| flag == "lm");
        return Some(if long_mode { "x86_64" } else { "i686" });
    }
    if let Some(features) = fields(cpuinfo, "Features").next() {
        // A 32-bit kernel tells what Thumb is good for, a 64-bit kernel has no word for it.
        if !features
            .split_whitespace()
            .any(|feature| feature == "thumb")
        {
            return Some("aarch64");
        }
        let model = fields(cpuinfo, "model name").next().unwrap_or_default();
        return Some(if model.contains("(v6l)") {
            "armv6l"
        } else {
            "armv7l"
        });
    }
    let isa = fields(cpuinfo, "isa").next()?;
    isa.starts_with("rv64").then_some("riscv64")
}

/// 32 or 64 by what uname(2) says; nothing for what nobody has met.
fn bits(architecture: &str) -> Option<u32> {
    match architecture {
        "x86_64" | "aarch64" | "ppc64" | "ppc64le" | "riscv64" | "s390x" | "mips64"
        | "loongarch64" => Some(64),
        "i386" | "i486" | "i586" | "i686" | "riscv32" | "mips" | "ppc" => Some(32),
        arm if arm.starts_with("arm") => Some(32),
        _ => None,
    }
}

/// How many logical processors a list like `0-3,8` has.
fn listed(list: &str) -> Option<u64> {
    let mut count = 0_u64;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// How many different ones there are; nothing when none is known.
fn different<T: Ord>(values: impl Iterator<Item = T>) -> Option<u64> {
    let values: BTreeSet<T> = values.collect();
    (!values.is_empty()).then_some(values.len() as u64)
}

/// The highest `cpu MHz`, rounded.
fn current_mhz(cpuinfo: &str) -> Option<u64> {
    let all = fields(cpuinfo, "cpu MHz").filter_map(|mhz| mhz.parse::<f64>().ok());
    // Garbage becomes a number that is no frequency.
    let all = all.map(|mhz| mhz.round() as u64);
    all.filter(|mhz| (1..1_000_000).contains(mhz)).max()
}

/// Puts together what the kernel says: `machine` is uname(2)'s, `online` the list of logical processors that are switched on.
fn describe(
    cpuinfo: &str,
    machine: Option<String>,
    online: Option<&str>,
    threads: &[Thread],
) -> Cpu {
    let architecture = machine.or_else(|| architecture(cpuinfo).map(str::to_owned));
    let (arm_vendor, arm_model) = arm(cpuinfo);
    let counted = different(fields(cpuinfo, "processor").filter_map(|n| n.parse::<u64>().ok()));
    let packages = || fields(cpuinfo, "physical id");
    let pairs = packages().zip(fields(cpuinfo, "core id"));
    let features = fields(cpuinfo, "flags")
        .chain(fields(cpuinfo, "Features"))
        .next();
    let threads_online = online.and_then(listed).or(counted);
    Cpu {
        bits: architecture.as_deref().and_then(bits),
        architecture,
        cores: different(threads.iter().filter_map(|t| t.siblings.as_deref()))
            .or_else(|| different(pairs))
            .or(threads_online),
        threads: threads_online,
        // Some boards say -1.
        sockets: different(
            threads
                .iter()
                .filter_map(|t| t.package.as_deref())
                .filter(|p| *p != "-1"),
        )
        .or_else(|| different(packages())),
        model: arm_model.or_else(|| joined(fields(cpuinfo, "model name").map(str::to_owned))),
        vendor: arm_vendor.or_else(|| clean(fields(cpuinfo, "vendor_id").next()?)),
        max_mhz: threads
            .iter()
            .filter_map(|t| t.max_khz)
            .max()
            .map(|khz| khz / 1000)
            .or_else(|| current_mhz(cpuinfo)),
        features: features
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(clean)
            .take(FEATURES)
            .collect(),
    }
}

/// The machine as uname(2) says it: asked here, or what the kernel wrote down (since 6.1).
fn machine(root: &Root) -> Option<String> {
    if root.is_this_machine() {
        return clean(&rustix::system::uname().machine().to_string_lossy());
    }
    root.value("/proc/sys/kernel/arch")
}

pub(crate) fn read(root: &Root) -> Cpu {
    const FOLDER: &str = "/sys/devices/system/cpu";
    let names = root.names(FOLDER).into_iter();
    let numbered = names.filter(|name| {
        name.strip_prefix("cpu")
            .is_some_and(|n| n.parse::<u32>().is_ok())
    });
    // A logical processor that is switched off has no topology.
    let threads: Vec<Thread> = numbered
        .take(THREADS)
        .map(|name| Thread {
            siblings: root.value(&format!("{FOLDER}/{name}/topology/thread_siblings_list")),
            package: root.value(&format!("{FOLDER}/{name}/topology/physical_package_id")),
            max_khz: root.number(&format!("{FOLDER}/{name}/cpufreq/cpuinfo_max_freq")),
        })
        .collect();
    describe(
        &root.text("/proc/cpuinfo").unwrap_or_default(),
        machine(root),
        root.value(&format!("{FOLDER}/online")).as_deref(),
        &threads,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |list: &str, expect: Option<u64>| assert_eq!(listed(list), expect, "{list}");
        check("0", Some(1));
        check("0-3,8,10-11", Some(7));
        check("3-0", None);
        check("", None);
        check("0-18446744073709551615", None);
    }

    #[test]
    fn architectures() {
        let check = |cpuinfo: &str, expect: Option<&str>| {
            assert_eq!(architecture(cpuinfo), expect, "{cpuinfo}")
        };
        check("flags : fpu lm sse", Some("x86_64"));
        check("flags : fpu sse", Some("i686"));
        check("Features\t: fp asimd", Some("aarch64"));
        check(
            "model name : ARMv6-compatible processor rev 7 (v6l)\nFeatures : half thumb",
            Some("armv6l"),
        );
        check("isa\t: rv64imafdc", Some("riscv64"));
        check("", None);
    }

    #[test]
    fn without_sysfs_the_processors_are_counted() {
        let cpuinfo = "processor: 0\nphysical id: 0\ncore id: 0\n\nprocessor: 1\nphysical id: 0\ncore id: 0\n\n\
                       processor: 2\nphysical id: 1\ncore id: 0\n";
        let cpu = describe(cpuinfo, None, None, &[]);
        assert_eq!(
            (cpu.threads, cpu.cores, cpu.sockets),
            (Some(3), Some(2), Some(2))
        );
        assert_eq!(describe("", None, None, &[]), Cpu::default());
    }

    #[test]
    fn two_kinds_of_cores() {
        let core =
            |part: &str| format!("processor: 0\nCPU implementer: 0x41\nCPU part: {part}\n\n");
        let cpu = describe(
            &[core("0xd03"), core("0xd08"), core("0xd03")].concat(),
            None,
            None,
            &[],
        );
        assert_eq!(cpu.model.as_deref(), Some("Cortex-A53 + Cortex-A72"));
        assert_eq!(cpu.vendor.as_deref(), Some("ARM"));
        let unknown = describe("CPU implementer : 0x99\nCPU part : 0x1\n", None, None, &[]);
        assert_eq!(unknown.model.as_deref(), Some("part 0x001"));
        assert_eq!(unknown.vendor.as_deref(), Some("0x99"));
    }
}
