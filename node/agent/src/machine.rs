//! What this machine is: memory, processors, system, and how pressed it is. Reads `/proc` and `/sys`; what cannot be read is empty.

use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1::NodeSystemInfo;

/// Sizes of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Machine {
    /// Logical processors.
    pub cpus: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of the file system that holds the data directory.
    pub disk_bytes: u64,
}

/// What is free right now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Free {
    /// Bytes of memory that can be had.
    pub memory_bytes: u64,
    /// Part of the data directory's file system, 0 to 1.
    pub disk: f64,
    /// Part of its inodes, 0 to 1.
    pub inodes: f64,
    /// Part of the process ids, 0 to 1.
    pub pids: f64,
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

impl Machine {
    /// Looks.
    pub fn look(data_dir: &Path) -> Self {
        let disk = rustix::fs::statvfs(data_dir)
            .map(|s| s.f_blocks * s.f_frsize)
            .unwrap_or(0);
        Self {
            cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
            memory_bytes: meminfo(&read("/proc/meminfo"), "MemTotal"),
            disk_bytes: disk,
        }
    }
}

impl Free {
    /// Looks.
    pub fn look(data_dir: &Path) -> Self {
        let part = |free: u64, all: u64| {
            if all == 0 {
                1.0
            } else {
                free as f64 / all as f64
            }
        };
        let (disk, inodes) = rustix::fs::statvfs(data_dir)
            .map(|s| (part(s.f_bavail, s.f_blocks), part(s.f_favail, s.f_files)))
            .unwrap_or((1.0, 1.0));
        let loadavg = read("/proc/loadavg");
        let tasks = loadavg
            .split(' ')
            .nth(3)
            .and_then(|t| t.split_once('/')?.1.parse::<u64>().ok())
            .unwrap_or(0);
        let most = read("/proc/sys/kernel/pid_max").parse::<u64>().unwrap_or(0);
        Self {
            memory_bytes: meminfo(&read("/proc/meminfo"), "MemAvailable"),
            disk,
            inodes,
            pids: if most == 0 {
                1.0
            } else {
                part(most.saturating_sub(tasks), most)
            },
        }
    }
}

/// `status.nodeInfo`.
pub fn system_info(runtime: &str, version: &str) -> NodeSystemInfo {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release
        .lines()
        .find_map(|l| l.strip_prefix("PRETTY_NAME="))
        .unwrap_or("Linux")
        .trim_matches('"')
        .to_owned();
    let machine_id = read("/etc/machine-id");
    let uuid = read("/sys/class/dmi/id/product_uuid");
    NodeSystemInfo {
        architecture: architecture().into(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: runtime.into(),
        kernel_version: read("/proc/sys/kernel/osrelease"),
        kube_proxy_version: String::new(),
        kubelet_version: version.into(),
        operating_system: "linux".into(),
        os_image: pretty,
        system_uuid: if uuid.is_empty() {
            machine_id.clone()
        } else {
            uuid
        },
        machine_id,
        swap: None,
    }
}

/// As Go names it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        assert_eq!(
            meminfo(
                "MemTotal:       16 kB\nMemAvailable: 4 kB\n",
                "MemAvailable"
            ),
            4096
        );
        assert_eq!(meminfo("", "MemTotal"), 0);
        let machine = Machine::look(Path::new("/"));
        assert!(machine.cpus > 0 && machine.memory_bytes > 0 && machine.disk_bytes > 0);
        let free = Free::look(Path::new("/"));
        assert!(free.memory_bytes > 0 && free.disk > 0.0 && free.pids > 0.0);
        assert!(!system_info("r://1", "v1").kernel_version.is_empty());
    }
}
