//! What was read of one cgroup. Times are in seconds, sizes in bytes. `None` is what this machine, kernel or cgroup does not say.

use std::sync::Arc;

/// Of one cgroup.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reading {
    pub cpu_usage: Option<f64>,
    pub cpu_user: Option<f64>,
    pub cpu_system: Option<f64>,
    /// Only where there is a quota.
    pub cfs: Option<Cfs>,
    pub memory: Memory,
    /// Processes that were killed for want of memory.
    pub oom_kills: Option<f64>,
    pub disks: Vec<Disk>,
    /// In this cgroup itself. The first of them is the oldest.
    pub processes: Option<Vec<u32>>,
    /// Of a sandbox: its network is not the machine's.
    pub own_network: bool,
    /// Also of the cgroups below.
    pub threads: Option<f64>,
    pub spec: Spec,
    pub cpu_pressure: Option<Stalls>,
    pub memory_pressure: Option<Stalls>,
    pub io_pressure: Option<Stalls>,
    /// File systems: device, used, size.
    pub filesystems: Vec<(Arc<str>, f64, f64)>,
}

/// The name of an interface with what was received (bytes, packets, errors, dropped) and sent (the same).
pub(crate) type Interface = (String, [f64; 8]);

/// The bandwidth controller's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cfs {
    pub periods: f64,
    pub throttled_periods: f64,
    pub throttled_seconds: f64,
}

/// Memory, with the cgroups below.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Memory {
    pub usage: Option<f64>,
    pub max_usage: Option<f64>,
    pub failcnt: Option<f64>,
    pub kernel: Option<f64>,
    pub cache: Option<f64>,
    pub rss: Option<f64>,
    pub swap: Option<f64>,
    pub mapped_file: Option<f64>,
    pub active_file: Option<f64>,
    pub inactive_file: Option<f64>,
    /// Of this cgroup itself, and with those below.
    pub faults: [Option<f64>; 2],
    /// The same for faults that had to wait for a disk.
    pub major_faults: [Option<f64>; 2],
}

impl Memory {
    /// What is used and could not be given back at once: what the kubelet evicts by.
    pub(crate) fn working_set(&self) -> Option<f64> {
        let inactive = self.inactive_file.unwrap_or_default();
        self.usage.map(|usage| (usage - inactive).max(0.0))
    }
}

/// What a cgroup may use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spec {
    pub cpu_period: Option<f64>,
    /// `None` without one.
    pub cpu_quota: Option<f64>,
    pub cpu_shares: Option<f64>,
    /// Zero without one, as the next two.
    pub memory_limit: Option<f64>,
    pub swap_limit: Option<f64>,
    pub reservation: Option<f64>,
    /// Zero without one.
    pub threads_max: Option<f64>,
}

/// What passed between a cgroup and a disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Disk {
    /// Major and minor number.
    pub number: (u32, u32),
    pub reads: f64,
    pub read_bytes: f64,
    pub writes: f64,
    pub written_bytes: f64,
}

impl Disk {
    pub(crate) fn new(number: (u32, u32)) -> Self {
        Self {
            number,
            reads: 0.0,
            read_bytes: 0.0,
            writes: 0.0,
            written_bytes: 0.0,
        }
    }

    /// The disk of this number in a list, which gets it if it is not there.
    pub(crate) fn of(disks: &mut Vec<Disk>, number: (u32, u32)) -> &mut Disk {
        let at = match disks.iter().position(|disk| disk.number == number) {
            Some(at) => at,
            None => {
                disks.push(Disk::new(number));
                disks.len() - 1
            }
        };
        &mut disks[at]
    }

    /// `8:0`.
    pub(crate) fn number(text: &str) -> Option<(u32, u32)> {
        let (major, minor) = text.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}

/// For how long some, and all, of a cgroup's tasks waited.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Stalls {
    pub some: f64,
    pub full: Option<f64>,
}
