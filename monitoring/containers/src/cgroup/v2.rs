//! cgroup v2: one hierarchy, and pressure for each cgroup.

use minicloud_exporter::tree::Folder;

use super::reading::{Cfs, Disk, Memory, Reading, Spec};
use super::{Pulse, Reader, Want, keyed, number, pressure, processes};
use crate::members::Role;

pub(super) fn pulse(root: &Folder, path: &str, reader: &mut Reader) -> Option<Pulse> {
    let stat = format!("{}/cpu.stat", path.trim_start_matches('/'));
    let usage = |text: &str| {
        let mut lines = text.lines();
        number(lines.find_map(|line| line.strip_prefix("usage_usec "))?)
    };
    Some(Pulse {
        cpu: reader.parse(root, &stat, usage)?,
        memory: reader.number_in(Some(root), path, "memory.current")?,
        io_wait: reader.io_wait(Some(root), path),
    })
}

pub(super) fn renew(folder: &Folder, role: Role, reading: &mut Reading, reader: &mut Reader) {
    limits(folder, role, reader, &mut reading.spec);
    memory_stat(folder, reader, &mut reading.memory);
}

/// What a cgroup's files say. `None` when it is gone.
pub(super) fn read(folder: &Folder, want: Want, reader: &mut Reader) -> Option<Reading> {
    let Want { role, spec, .. } = want;
    let mut reading = Reading::default();
    match spec {
        Some(spec) => reading.spec = spec,
        None if role == Role::Sandbox => {}
        None => limits(folder, role, reader, &mut reading.spec),
    }
    cpu(folder, role, reader, &mut reading);
    memory(folder, role, reader, &mut reading);
    if matches!(role, Role::Sandbox | Role::Container) {
        reading.processes = reader.parse_long(folder, "cgroup.procs", processes);
    }
    if role == Role::Sandbox {
        return there(reading);
    }
    if role == Role::Container {
        reading.threads = reader.number(folder, "pids.current");
    }
    reader.parse_long(folder, "io.stat", |text| disks(text, &mut reading.disks));
    pressure(folder, reader, &mut reading);
    there(reading)
}

/// What it may use.
fn limits(folder: &Folder, role: Role, reader: &mut Reader, spec: &mut Spec) {
    spec.cpu_shares = reader.number(folder, "cpu.weight").map(shares);
    let max = reader.parse(folder, "cpu.max", |text| {
        let (quota, period) = text.trim().split_once(' ')?;
        let quota = match quota {
            "max" => None,
            quota => Some(number(quota)?),
        };
        Some((quota, number(period)?))
    });
    spec.cpu_period = max.map(|(_, period)| period);
    spec.cpu_quota = max.and_then(|(quota, _)| quota);
    spec.memory_limit = reader.limit(folder, "memory.max");
    spec.swap_limit = reader.limit(folder, "memory.swap.max");
    spec.reservation = reader.limit(folder, "memory.min");
    if role == Role::Container {
        spec.threads_max = reader.limit(folder, "pids.max");
    }
}

/// A folder that is open and whose files are all refused was removed.
fn there(reading: Reading) -> Option<Reading> {
    (reading != Reading::default()).then_some(reading)
}

fn cpu(folder: &Folder, role: Role, reader: &mut Reader, reading: &mut Reading) {
    let mut cfs = Cfs::default();
    reader.parse(folder, "cpu.stat", |text| {
        keyed(text, |key, value| match key {
            "usage_usec" => reading.cpu_usage = Some(value / 1e6),
            "user_usec" if role != Role::Sandbox => reading.cpu_user = Some(value / 1e6),
            "system_usec" if role != Role::Sandbox => reading.cpu_system = Some(value / 1e6),
            "nr_periods" => cfs.periods = value,
            "nr_throttled" => cfs.throttled_periods = value,
            "throttled_usec" => cfs.throttled_seconds = value / 1e6,
            _ => {}
        })
    });
    if role == Role::Sandbox {
        return;
    }
    reading.cfs = reading.spec.cpu_quota.map(|_| cfs);
}

/// A weight of 1 to 10,000 as shares of 2 to 262,144, by cAdvisor's formula.
fn shares(weight: f64) -> f64 {
    2.0 + ((weight - 1.0) * 262_142.0 / 9_999.0).floor()
}

fn memory(folder: &Folder, role: Role, reader: &mut Reader, reading: &mut Reading) {
    let memory = &mut reading.memory;
    memory.usage = reader.number(folder, "memory.current");
    memory_stat(folder, reader, memory);
    if role == Role::Sandbox {
        return;
    }
    memory.swap = reader.number(folder, "memory.swap.current");
    memory.max_usage = reader.number(folder, "memory.peak");
    reader.parse(folder, "memory.events", |text| {
        keyed(text, |key, value| match key {
            "max" => memory.failcnt = Some(value),
            "oom_kill" => reading.oom_kills = Some(value),
            _ => {}
        })
    });
}

fn memory_stat(folder: &Folder, reader: &mut Reader, memory: &mut Memory) {
    reader.parse(folder, "memory.stat", |text| {
        keyed(text, |key, value| set(memory, key, value))
    });
}

fn set(memory: &mut Memory, key: &str, value: f64) {
    // The kernel counts faults only with those of the cgroups below; cAdvisor tells them as both.
    match key {
        "pgfault" => memory.faults = [Some(value); 2],
        "pgmajfault" => memory.major_faults = [Some(value); 2],
        _ => {}
    }
    let field = match key {
        "file" => &mut memory.cache,
        "anon" => &mut memory.rss,
        "kernel" => &mut memory.kernel,
        "file_mapped" => &mut memory.mapped_file,
        "active_file" => &mut memory.active_file,
        "inactive_file" => &mut memory.inactive_file,
        _ => return,
    };
    *field = Some(value);
}

/// Lines as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`. Some kernels write a device that has done nothing without a
/// line's end after it.
fn disks(text: &str, disks: &mut Vec<Disk>) -> Option<()> {
    for line in text.lines() {
        let mut number_of = None;
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            let Some((key, value)) = word.split_once('=') else {
                let number = Disk::number(word)?;
                Disk::of(disks, number);
                number_of = Some(number);
                continue;
            };
            let disk = Disk::of(disks, number_of?);
            match key {
                "rbytes" => disk.read_bytes = number(value)?,
                "wbytes" => disk.written_bytes = number(value)?,
                "rios" => disk.reads = number(value)?,
                "wios" => disk.writes = number(value)?,
                _ => {}
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_shares() {
        for (weight, expect) in [
            (1.0, 2.0),
            (39.0, 998.0),
            (100.0, 2597.0),
            (10_000.0, 262_144.0),
        ] {
            assert_eq!(shares(weight), expect, "{weight}");
        }
    }

    #[test]
    fn disks_in_lines_of_any_kernel() {
        let done = |number| Disk {
            reads: 3.0,
            read_bytes: 1.0,
            writes: 4.0,
            written_bytes: 2.0,
            ..Disk::new(number)
        };
        let counts = "rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0";
        let check = |text: &str, expect: Option<Vec<Disk>>| {
            let mut found = Vec::new();
            assert_eq!(disks(text, &mut found).map(|()| found), expect, "{text}");
        };
        check("", Some(vec![]));
        check(&format!("8:0 {counts}\n"), Some(vec![done((8, 0))]));
        check("254:16 \n", Some(vec![Disk::new((254, 16))]));
        check(
            &format!("7:0 7:1 8:0 {counts}\n"),
            Some(vec![Disk::new((7, 0)), Disk::new((7, 1)), done((8, 0))]),
        );
        for garbage in ["x\n", "rbytes=1\n", "8:0 rbytes=x\n", "8:0 rbytes=-1\n"] {
            check(garbage, None);
        }
    }
}
