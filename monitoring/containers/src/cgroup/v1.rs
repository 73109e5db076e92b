//! cgroup v1: a hierarchy for each controller. In hybrid mode a v2 hierarchy without controllers is beside them; runc puts
//! containers there too, and pressure needs no controller, so it is read there.

use minicloud_containers::cgroups::Layout;
use minicloud_exporter::tree::{Folder, Text};

use super::reading::{Cfs, Disk, Memory, Reading, Spec};
use super::{Pulse, Reader, Want, keyed, number, pressure, processes, within};
use crate::members::Role;

/// Above it a limit is none: the kernel rounds its largest number down to a page.
const NO_LIMIT_BYTES: f64 = (1_u64 << 62) as f64;

/// The hierarchies that are read.
#[derive(Debug)]
pub(crate) struct Controllers {
    cpu: Option<Folder>,
    cpuacct: Option<Folder>,
    memory: Option<Folder>,
    blkio: Option<Folder>,
    pids: Option<Folder>,
    /// That of v2, in hybrid mode.
    unified: Option<Folder>,
    /// A disk has the scheduler that counts in files of its own.
    bfq: bool,
}

impl Controllers {
    pub(super) fn open(root: &Folder, layout: &Layout, text: &mut Text) -> Self {
        let open = |controller| {
            let point = layout.v1_root(controller)?.to_str()?;
            root.open(point.trim_start_matches('/')).ok()
        };
        // Those without a controller: that of v2, and named ones as systemd's, which lack this file.
        let unified = layout.roots().find_map(|point| {
            let folder = root.open(point.to_str()?.trim_start_matches('/')).ok()?;
            folder.attribute("cgroup.controllers", text).ok()??;
            Some(folder)
        });
        Self {
            cpu: open("cpu"),
            cpuacct: open("cpuacct"),
            memory: open("memory"),
            blkio: open("blkio"),
            pids: open("pids"),
            unified,
            bfq: bfq(root, text),
        }
    }

    /// The one to look for cgroups in. That of `pids` has the fewest files, which makes it the quickest to list.
    pub(super) fn tree(&self) -> Option<&Folder> {
        let Self {
            cpu, memory, pids, ..
        } = self;
        pids.as_ref().or(memory.as_ref()).or(cpu.as_ref())
    }

    pub(super) fn pulse(&self, path: &str, reader: &mut Reader) -> Option<Pulse> {
        Some(Pulse {
            cpu: reader.number_in(self.cpuacct.as_ref(), path, "cpuacct.usage")?,
            memory: reader.number_in(self.memory.as_ref(), path, "memory.usage_in_bytes")?,
            io_wait: reader.io_wait(self.unified.as_ref(), path),
        })
    }

    pub(super) fn renew(&self, path: &str, role: Role, reading: &mut Reading, reader: &mut Reader) {
        reading.spec = self.limits(path, role, reader);
        if let Some(folder) = self.memory.as_ref().and_then(|root| within(root, path)) {
            memory_stat(&folder, reader, &mut reading.memory);
        }
    }

    /// What a cgroup may use.
    fn limits(&self, path: &str, role: Role, reader: &mut Reader) -> Spec {
        let folder = |root: &Option<Folder>| root.as_ref().and_then(|root| within(root, path));
        let mut spec = Spec::default();
        if let Some(folder) = folder(&self.memory) {
            memory_limits(&folder, reader, &mut spec);
        }
        if let Some(folder) = folder(&self.cpu) {
            cpu_limits(&folder, reader, &mut spec);
        }
        if role == Role::Container {
            let path = format!("{}/pids.max", path.trim_start_matches('/'));
            spec.threads_max = self
                .pids
                .as_ref()
                .and_then(|root| reader.limit(root, &path));
        }
        spec
    }

    pub(super) fn read(&self, path: &str, want: Want, reader: &mut Reader) -> Option<Reading> {
        let Want { role, spec, disks } = want;
        let folder = |root: &Option<Folder>| root.as_ref().and_then(|root| within(root, path));
        let mut reading = Reading::default();
        let mut there = false;
        if let Some(folder) = folder(&self.cpuacct) {
            cpu_usage(&folder, role, reader, &mut reading);
            there = true;
        }
        if let Some(folder) = folder(&self.memory) {
            memory(&folder, role, reader, &mut reading);
            there = true;
        }
        if matches!(role, Role::Sandbox | Role::Container)
            && let Some(folder) = folder(&self.pids)
        {
            reading.processes = reader.parse_long(&folder, "cgroup.procs", processes);
            if role == Role::Container {
                reading.threads = reader.number(&folder, "pids.current");
            }
            there = true;
        }
        if role == Role::Sandbox {
            return there.then_some(reading);
        }
        reading.spec = spec.unwrap_or_else(|| self.limits(path, role, reader));
        if reading.spec.cpu_quota.is_some()
            && let Some(folder) = folder(&self.cpu)
        {
            reading.cfs = throttling(&folder, reader);
        }
        if disks && let Some(folder) = folder(&self.blkio) {
            count_disks(&folder, "throttle", reader, &mut reading.disks);
            if reading.disks.is_empty() && self.bfq {
                count_disks(&folder, "bfq", reader, &mut reading.disks);
            }
            there = true;
        }
        if let Some(folder) = folder(&self.unified) {
            pressure(&folder, reader, &mut reading);
        }
        there.then_some(reading)
    }
}

fn cpu_usage(folder: &Folder, role: Role, reader: &mut Reader, reading: &mut Reading) {
    let usage = reader.number(folder, "cpuacct.usage");
    reading.cpu_usage = usage.map(|nanoseconds| nanoseconds / 1e9);
    if role == Role::Sandbox {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "it is 100")]
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    reader.parse(folder, "cpuacct.stat", |text| {
        keyed(text, |key, value| match key {
            "user" => reading.cpu_user = Some(value / ticks),
            "system" => reading.cpu_system = Some(value / ticks),
            _ => {}
        })
    });
}

fn cpu_limits(folder: &Folder, reader: &mut Reader, spec: &mut Spec) {
    spec.cpu_shares = reader.number(folder, "cpu.shares");
    spec.cpu_period = reader.number(folder, "cpu.cfs_period_us");
    // Minus one is none.
    let quota = reader.number(folder, "cpu.cfs_quota_us");
    spec.cpu_quota = quota.filter(|quota| *quota > 0.0);
}

fn throttling(folder: &Folder, reader: &mut Reader) -> Option<Cfs> {
    let mut cfs = Cfs::default();
    let read = reader.parse(folder, "cpu.stat", |text| {
        keyed(text, |key, value| match key {
            "nr_periods" => cfs.periods = value,
            "nr_throttled" => cfs.throttled_periods = value,
            "throttled_time" => cfs.throttled_seconds = value / 1e9,
            _ => {}
        })
    });
    read.map(|()| cfs)
}

fn memory(folder: &Folder, role: Role, reader: &mut Reader, reading: &mut Reading) {
    let memory = &mut reading.memory;
    memory.usage = reader.number(folder, "memory.usage_in_bytes");
    memory_stat(folder, reader, memory);
    if role == Role::Sandbox {
        return;
    }
    memory.failcnt = reader.number(folder, "memory.failcnt");
    if role == Role::Pod {
        return;
    }
    memory.max_usage = reader.number(folder, "memory.max_usage_in_bytes");
    memory.kernel = reader.number(folder, "memory.kmem.usage_in_bytes");
    // Of this cgroup alone, so it says nothing of a pod.
    reader.parse(folder, "memory.oom_control", |text| {
        keyed(text, |key, value| {
            if key == "oom_kill" {
                reading.oom_kills = Some(value);
            }
        })
    });
}

fn memory_stat(folder: &Folder, reader: &mut Reader, memory: &mut Memory) {
    reader.parse(folder, "memory.stat", |text| {
        keyed(text, |key, value| set(memory, key, value))
    });
}

fn memory_limits(folder: &Folder, reader: &mut Reader, spec: &mut Spec) {
    let mut limit = |name| {
        let limit = reader.number(folder, name)?;
        Some(if limit < NO_LIMIT_BYTES { limit } else { 0.0 })
    };
    spec.memory_limit = limit("memory.limit_in_bytes");
    spec.swap_limit = limit("memory.memsw.limit_in_bytes");
    spec.reservation = limit("memory.soft_limit_in_bytes");
}

fn set(memory: &mut Memory, key: &str, value: f64) {
    let field = match key {
        "total_cache" => &mut memory.cache,
        "total_rss" => &mut memory.rss,
        "total_swap" => &mut memory.swap,
        "total_mapped_file" => &mut memory.mapped_file,
        "total_active_file" => &mut memory.active_file,
        "total_inactive_file" => &mut memory.inactive_file,
        "pgfault" => &mut memory.faults[0],
        "total_pgfault" => &mut memory.faults[1],
        "pgmajfault" => &mut memory.major_faults[0],
        "total_pgmajfault" => &mut memory.major_faults[1],
        _ => return,
    };
    *field = Some(value);
}

/// Whether a disk has the scheduler `bfq`.
fn bfq(root: &Folder, text: &mut Text) -> bool {
    let disks = root
        .open("sys/block")
        .and_then(|disks| disks.names())
        .unwrap_or_default();
    disks.iter().any(|disk| {
        let scheduler = format!("sys/block/{disk}/queue/scheduler");
        let chosen = root.attribute(&scheduler, text);
        matches!(chosen, Ok(Some(chosen)) if chosen.contains("[bfq]"))
    })
}

/// Lines as `8:0 Read 4096`, and one with the total. Who counts is the policy that limits disks, which newer kernels start only
/// when there is a limit, or the scheduler.
fn count_disks(folder: &Folder, policy: &str, reader: &mut Reader, disks: &mut Vec<Disk>) {
    let mut file = |what, put: fn(&mut Disk, &str, f64)| {
        let name = format!("blkio.{policy}.{what}_recursive");
        reader.parse_long(folder, &name, |text| {
            for line in text.lines() {
                let mut words = line.split(' ');
                let (device, operation) = (words.next()?, words.next()?);
                if let Some(value) = words.next() {
                    let disk = Disk::of(disks, Disk::number(device)?);
                    put(disk, operation, number(value)?);
                }
            }
            Some(())
        })
    };
    file(
        "io_service_bytes",
        |disk, operation, value| match operation {
            "Read" => disk.read_bytes = value,
            "Write" => disk.written_bytes = value,
            _ => {}
        },
    );
    file("io_serviced", |disk, operation, value| match operation {
        "Read" => disk.reads = value,
        "Write" => disk.writes = value,
        _ => {}
    });
}
