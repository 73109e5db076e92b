//! The machine: its files, facts about it, and what its root cgroup does not say.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minicloud_exporter::samples::{Metric, push_escaped, push_number};
use minicloud_exporter::tree::{Folder, Text};
use rustix::io::Errno;

use crate::cgroup::{Hierarchies, Interface, Reader, Reading, Stalls};
use crate::members::Identity;

const CORES: Metric = Metric::gauge("machine_cpu_cores", "Number of logical CPU cores.");
const MEMORY: Metric = Metric::gauge(
    "machine_memory_bytes",
    "Amount of memory installed on the machine.",
);
const SWAP: Metric = Metric::gauge(
    "machine_swap_bytes",
    "Amount of swap memory available on the machine.",
);
const ERROR: Metric = Metric::gauge(
    "machine_scrape_error",
    "1 if there was an error while getting machine metrics, 0 otherwise.",
);

/// How long the facts hold: memory and processors can be plugged in.
const RENEW: Duration = Duration::from_secs(300);
/// Device numbers whose names are remembered.
const MAX_DEVICES: usize = 256;
/// Interfaces with these beginnings are no pod's and no network's of the machine; cAdvisor's list.
const IGNORED_INTERFACES: [&str; 4] = ["lo", "veth", "docker", "nerdctl"];

/// The machine's files, and what is known of it.
#[derive(Debug)]
pub(crate) struct Machine {
    root: Folder,
    hierarchies: Option<Hierarchies>,
    mounted: Vec<Mounted>,
    devices: HashMap<(u32, u32), Arc<str>>,
    facts: Facts,
    renewed: Instant,
}

impl Machine {
    /// The machine below `root`.
    ///
    /// # Errors
    /// When `root` cannot be opened.
    pub(crate) fn open(root: &Path, engine_root: &Path, text: &mut Text) -> Result<Self, Errno> {
        let folder = Folder::root(root)?;
        Ok(Self {
            hierarchies: Hierarchies::open(&folder, text),
            mounted: Mounted::holding(&[root, engine_root], &folder, text),
            devices: HashMap::new(),
            facts: Facts::read(&folder, text),
            renewed: Instant::now(),
            root: folder,
        })
    }

    /// Where cgroups are; `None` without any that have controllers.
    pub(crate) fn hierarchies(&self) -> Option<&Hierarchies> {
        self.hierarchies.as_ref()
    }

    /// Looks at the facts again when it is time.
    pub(crate) fn renew(&mut self, text: &mut Text) {
        if self.renewed.elapsed() >= RENEW {
            self.facts = Facts::read(&self.root, text);
            self.renewed = Instant::now();
        }
    }

    /// Appends the samples of the machine as a whole.
    pub(crate) fn write(&self, out: &mut String) {
        self.facts.write(out);
    }

    /// Who the root cgroup is: it began when the machine did.
    pub(crate) fn root(&self, identity: &Identity) -> Arc<Identity> {
        Arc::new(Identity {
            role: identity.role,
            labels: identity.labels.clone(),
            created_seconds: self.facts.boot_seconds,
        })
    }

    /// What is the machine's and not in the files of its root cgroup.
    pub(crate) fn complete(&self, reading: &mut Reading, reader: &mut Reader) {
        let all = self.facts.memory_bytes;
        if reading.memory.usage.is_none() {
            let free = reader.parse_long(&self.root, "proc/meminfo", free_bytes);
            reading.memory.usage = all.zip(free).map(|(all, free)| all - free);
        }
        reading.spec.memory_limit = all;
        reading.spec.swap_limit = self.facts.swap_bytes;
        reading.filesystems = self.mounted.iter().filter_map(Mounted::space).collect();
        let mut pressure = |name| {
            let stalls = reader.parse(&self.root, name, minicloud_exporter::stalls);
            stalls.map(|(some, full)| Stalls { some, full })
        };
        for (stalls, name) in [
            (&mut reading.cpu_pressure, "proc/pressure/cpu"),
            (&mut reading.memory_pressure, "proc/pressure/memory"),
            (&mut reading.io_pressure, "proc/pressure/io"),
        ] {
            *stalls = stalls.or_else(|| pressure(name));
        }
    }

    /// The interfaces of the machine.
    pub(crate) fn interfaces(&self, reader: &mut Reader) -> Vec<Interface> {
        self.interfaces_in("proc/self/net/dev", reader)
    }

    /// The interfaces of a sandbox, which its one process has. What a pod does with the machine's own network is not told apart
    /// from what others do with it, so it is not told.
    pub(crate) fn network(&self, sandbox: &Reading, reader: &mut Reader) -> Vec<Interface> {
        match sandbox.processes.as_ref().and_then(|pids| pids.first()) {
            Some(pid) if sandbox.own_network => {
                self.interfaces_in(&format!("proc/{pid}/net/dev"), reader)
            }
            _ => Vec::new(),
        }
    }

    /// Whether a process has a network of its own.
    pub(crate) fn own_network(&self, process: u32) -> bool {
        let namespace = |of: &str| self.root.inode(&format!("proc/{of}/ns/net"));
        let its = namespace(&process.to_string());
        its.is_some() && its != namespace("self")
    }

    fn interfaces_in(&self, path: &str, reader: &mut Reader) -> Vec<Interface> {
        let found = reader.parse_long(&self.root, path, minicloud_exporter::interfaces);
        let counted = |name: &str| {
            let name = name.to_ascii_lowercase();
            !IGNORED_INTERFACES
                .iter()
                .any(|begin| name.starts_with(begin))
        };
        let found = found.into_iter().flatten();
        found
            .filter(|(name, _)| counted(name))
            .map(|(name, c)| (name, [c[0], c[1], c[2], c[3], c[8], c[9], c[10], c[11]]))
            .collect()
    }

    /// The names of disks that are known.
    pub(crate) fn devices(&self) -> &HashMap<(u32, u32), Arc<str>> {
        &self.devices
    }

    /// Finds out what these disks are called, unless it is known.
    pub(crate) fn name_disks(
        &mut self,
        numbers: impl Iterator<Item = (u32, u32)>,
        reader: &mut Reader,
    ) {
        for number in numbers {
            if self.devices.contains_key(&number) {
                continue;
            }
            if self.devices.len() >= MAX_DEVICES {
                self.devices.clear();
            }
            let path = format!("sys/dev/block/{}:{}/uevent", number.0, number.1);
            let name = reader.parse(&self.root, &path, |text| {
                let name = text.lines().find_map(|line| line.strip_prefix("DEVNAME="));
                Some(name.map(|name| format!("/dev/{name}")))
            });
            let name = name.flatten().unwrap_or_default();
            self.devices.insert(number, name.into());
        }
    }
}

/// What changes only with a reboot, or with a plug.
#[derive(Debug, Default)]
struct Facts {
    /// Labels of its samples, as they stand between the braces.
    labels: String,
    cores: Option<f64>,
    memory_bytes: Option<f64>,
    swap_bytes: Option<f64>,
    /// Seconds since 1970.
    boot_seconds: Option<f64>,
}

impl Facts {
    fn read(root: &Folder, text: &mut Text) -> Self {
        let mut labels = String::new();
        for (label, file) in [
            ("boot_id", "proc/sys/kernel/random/boot_id"),
            ("machine_id", "etc/machine-id"),
            ("system_uuid", "sys/class/dmi/id/product_uuid"),
        ] {
            let value = root.attribute(file, text).ok().flatten();
            if !labels.is_empty() {
                labels.push(',');
            }
            labels.push_str(label);
            labels.push_str("=\"");
            push_escaped(&mut labels, value.unwrap_or_default().trim());
            labels.push('"');
        }
        let online = root.attribute("sys/devices/system/cpu/online", text);
        let cores = online.ok().flatten().and_then(count);
        let memory = root.read("proc/meminfo", text).unwrap_or_default();
        let memory_bytes = kibibytes(memory, "MemTotal:");
        let swap_bytes = kibibytes(memory, "SwapTotal:");
        let stat = root.read("proc/stat", text).unwrap_or_default();
        let boot_seconds = stat
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        Self {
            labels,
            cores,
            memory_bytes,
            swap_bytes,
            boot_seconds,
        }
    }

    fn write(&self, out: &mut String) {
        let values = [
            (&CORES, self.cores),
            (&MEMORY, self.memory_bytes),
            (&SWAP, self.swap_bytes),
        ];
        for (metric, value) in values {
            if let Some(value) = value {
                out.push_str(&metric.head());
                out.push_str(metric.name);
                out.push('{');
                out.push_str(&self.labels);
                out.push_str("} ");
                push_number(out, value);
                out.push('\n');
            }
        }
        let failed = self.cores.is_none() || self.memory_bytes.is_none();
        out.push_str(&ERROR.head());
        out.push_str(ERROR.name);
        out.push_str(if failed { " 1\n" } else { " 0\n" });
    }
}

/// Memory that nobody uses; what a root cgroup of v2 does not say itself.
fn free_bytes(meminfo: &str) -> Option<f64> {
    kibibytes(meminfo, "MemFree:")
}

fn kibibytes(meminfo: &str, key: &str) -> Option<f64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
    let number: f64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(number * 1024.0)
}

/// How many numbers a list as `0-3,8` has.
fn count(list: &str) -> Option<f64> {
    let mut sum = 0.0;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        sum += f64::from(last.checked_sub(first)?) + 1.0;
    }
    Some(sum)
}

/// A file system: its device as it is mounted, and a folder of it.
#[derive(Debug, Clone)]
struct Mounted {
    device: Arc<str>,
    folder: std::path::PathBuf,
}

impl Mounted {
    /// The file systems that hold these folders, each once. Found in `/proc/self/mountinfo` by the number of the device.
    fn holding(folders: &[&Path], root: &Folder, text: &mut Text) -> Vec<Self> {
        let mountinfo = root.read("proc/self/mountinfo", text).unwrap_or_default();
        let mut numbers = Vec::new();
        let mut found = Vec::new();
        for folder in folders {
            let Ok(stat) = rustix::fs::stat(*folder) else {
                continue;
            };
            let number = (
                rustix::fs::major(stat.st_dev),
                rustix::fs::minor(stat.st_dev),
            );
            if numbers.contains(&number) {
                continue;
            }
            if let Some(device) = source(mountinfo, number) {
                numbers.push(number);
                let (device, folder) = (device.into(), (*folder).to_owned());
                found.push(Self { device, folder });
            }
        }
        found
    }

    /// Device, used and size. Asks the file system, which must be a local one.
    #[expect(
        clippy::cast_precision_loss,
        reason = "samples of Prometheus are floats"
    )]
    fn space(&self) -> Option<(Arc<str>, f64, f64)> {
        let space = rustix::fs::statvfs(&self.folder).ok()?;
        let block = space.f_frsize as f64;
        let used = space.f_blocks.saturating_sub(space.f_bfree) as f64 * block;
        Some((self.device.clone(), used, space.f_blocks as f64 * block))
    }
}

/// What is mounted where the device number is this one.
fn source(mountinfo: &str, (major, minor): (u32, u32)) -> Option<&str> {
    let number = format!("{major}:{minor}");
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (before.split(' ').nth(2)? == number).then_some(())?;
        after.split(' ').nth(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted() {
        let check = |list, expect| assert_eq!(count(list), expect, "{list}");
        check("0\n", Some(1.0));
        check("0-3,8,10-11", Some(7.0));
        check("", None);
        check("3-1", None);
        check("x", None);
    }

    #[test]
    fn a_mount_is_found_by_its_number() {
        let text =
            "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 0:25 / /run rw shared:5 - tmpfs tmpfs rw\n";
        assert_eq!(source(text, (8, 1)), Some("/dev/sda1"));
        assert_eq!(source(text, (0, 25)), Some("tmpfs"));
        assert_eq!(source(text, (8, 2)), None);
        assert_eq!(source("nonsense", (8, 1)), None);
    }
}
