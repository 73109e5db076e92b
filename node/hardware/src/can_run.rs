//! What can run here: containers by the programs that are installed, machines by `/dev/kvm` and QEMU, and the cgroup version.

use serde::{Deserialize, Serialize};

use crate::Root;

/// Where programs are installed.
const FOLDERS: &[&str] = &[
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/bin",
    "/sbin",
];

/// Programs that run containers.
const CONTAINER_RUNTIMES: &[&str] = &[
    "containerd",
    "crio",
    "crun",
    "dockerd",
    "k3s",
    "kata-runtime",
    "podman",
    "runc",
    "runsc",
    "youki",
];

/// Programs that run machines.
const MACHINE_EMULATORS: &[&str] = &[
    "cloud-hypervisor",
    "firecracker",
    "qemu-system-aarch64",
    "qemu-system-arm",
    "qemu-system-riscv64",
    "qemu-system-x86_64",
];

/// What the machine can run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CanRun {
    /// Programs that run containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_runtimes: Vec<Program>,
    /// Programs that run machines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machine_emulators: Vec<Program>,
    /// Whether the processor runs machines.
    pub kvm: Kvm,
    /// Why KVM is as `kvm` says, when a probe said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kvm_detail: Option<String>,
    /// How resources of groups of processes are bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_version: Option<CgroupVersion>,
}

/// An installed program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// `runc`
    pub name: String,
    /// `/usr/sbin/runc`
    pub path: String,
}

/// Whether KVM can be had.
///
/// That `/dev/kvm` is there says little: inside a virtual machine it may be an emulation under which an ordinary kernel does not
/// boot. Only a guest that really started is proof. Who starts one passes a [`KvmVerdict`] as [`crate::Inputs::kvm_verdict`];
/// nothing here does, since that takes a QEMU and a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kvm {
    /// There is no `/dev/kvm`.
    #[default]
    Absent,
    /// `/dev/kvm` is there; nobody tried it.
    Untested,
    /// A guest started on it.
    Works,
    /// `/dev/kvm` is there, but no guest starts.
    Fails,
}

/// What a probe found that really started a guest on `/dev/kvm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvmVerdict {
    /// True when the guest started.
    pub works: bool,
    /// What was tried, or why it failed, for a person.
    pub detail: String,
}

/// How control groups are mounted (cgroups(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CgroupVersion {
    /// Only the old hierarchies.
    V1,
    /// The old hierarchies with the controllers, the new one beside them.
    Hybrid,
    /// Only the new hierarchy.
    V2,
}

/// The cgroup version by what is mounted.
pub fn cgroup_version(mounts: &str) -> Option<CgroupVersion> {
    let types: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(2))
        .collect();
    match (types.contains(&"cgroup"), types.contains(&"cgroup2")) {
        (true, true) => Some(CgroupVersion::Hybrid),
        (true, false) => Some(CgroupVersion::V1),
        (false, true) => Some(CgroupVersion::V2),
        (false, false) => None,
    }
}

/// What is known of KVM. A verdict does not outlive its device.
fn kvm(present: bool, verdict: Option<&KvmVerdict>) -> (Kvm, Option<String>) {
    match verdict {
        _ if !present => (Kvm::Absent, None),
        None => (Kvm::Untested, None),
        Some(verdict) => {
            let kvm = if verdict.works {
                Kvm::Works
            } else {
                Kvm::Fails
            };
            (kvm, crate::root::clean(&verdict.detail))
        }
    }
}

fn programs(root: &Root, names: &[&str]) -> Vec<Program> {
    let found = names.iter().filter_map(|name| {
        let mut paths = FOLDERS.iter().map(|folder| format!("{folder}/{name}"));
        let path = paths.find(|path| root.exists(path))?;
        Some(Program {
            name: (*name).to_owned(),
            path,
        })
    });
    found.collect()
}

pub(crate) fn read(root: &Root, verdict: Option<&KvmVerdict>) -> CanRun {
    let (kvm, kvm_detail) = kvm(root.exists("/dev/kvm"), verdict);
    CanRun {
        container_runtimes: programs(root, CONTAINER_RUNTIMES),
        machine_emulators: programs(root, MACHINE_EMULATORS),
        kvm,
        kvm_detail,
        cgroup_version: cgroup_version(&root.text("/proc/mounts").unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups() {
        let check = |types: &[&str], expect| {
            let mounts: String = types
                .iter()
                .map(|kind| format!("x /x {kind} rw 0 0\n"))
                .collect();
            assert_eq!(cgroup_version(&mounts), expect);
        };
        check(&["proc", "cgroup2"], Some(CgroupVersion::V2));
        check(&["cgroup", "cgroup2"], Some(CgroupVersion::Hybrid));
        check(&["cgroup"], Some(CgroupVersion::V1));
        check(&["ext4"], None);
    }

    #[test]
    fn only_a_probe_proves() {
        let verdict = |works| KvmVerdict {
            works,
            detail: "a guest".into(),
        };
        assert_eq!(kvm(true, None), (Kvm::Untested, None));
        assert_eq!(
            kvm(true, Some(&verdict(true))),
            (Kvm::Works, Some("a guest".into()))
        );
        assert_eq!(kvm(true, Some(&verdict(false))).0, Kvm::Fails);
        assert_eq!(kvm(false, Some(&verdict(true))), (Kvm::Absent, None));
    }
}
