//! Facts about this machine: what it is made of and what can run on it, as the status of a `Device` (minicloud.io/v1).
//!
//! Everything is read headless from `/proc`, `/sys`, `/etc` and `/var/lib/dpkg` below a root, so that a tree that was copied or
//! written by hand can be read on any machine. The one thing to know before changing it: there are no errors here. What a machine
//! does not tell is absent from the result, and files are never trusted: each read has a bound, and garbage is the same as
//! nothing.
//!
//! [`characterization`] shows the result in the shapes that others read.
//!
//! A file per concern, all of the same make: what is told, how texts become that (pure), and last a `read` that fetches the
//! texts.

pub mod battery;
pub mod can_run;
pub mod characterization;
pub mod cpu;
pub mod disk;
pub mod file_system;
pub mod gpu;
pub mod identity;
pub mod memory;
pub mod network;
pub mod os;
mod root;
pub mod sensor;
pub mod software;
pub mod virtualization;

pub use root::Root;

use serde::{Deserialize, Serialize};

use battery::Battery;
use can_run::{CanRun, KvmVerdict};
use cpu::Cpu;
use disk::Disk;
use file_system::FileSystem;
use gpu::{Gpu, GpuDetail};
use identity::UuidSource;
use network::NetworkInterface;
use os::{Kernel, Os};
use sensor::Sensor;
use software::Software;
use virtualization::Virtualization;

/// What the machine cannot tell of itself, or what was found out elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// The node's name; the machine's host name when absent.
    pub name: Option<String>,
    /// The node's addresses, the one by which others reach it first; those of its interfaces when empty.
    pub addresses: Vec<String>,
    /// The node's roles as Kubernetes labels them (`control-plane`, …).
    pub roles: Vec<String>,
    /// Where it stands.
    pub region: Option<Region>,
    /// Names of the packages whose versions are told.
    pub software: Vec<String>,
    /// What a probe that really started a guest found; see [`can_run::Kvm`].
    pub kvm_verdict: Option<KvmVerdict>,
    /// What a vendor's library says of GPUs beyond sysfs; see [`gpu::GpuDetail`].
    pub gpu_details: Vec<GpuDetail>,
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            name: None,
            addresses: Vec::new(),
            roles: Vec::new(),
            region: None,
            software: software::DEFAULT.map(str::to_owned).to_vec(),
            kvm_verdict: None,
            gpu_details: Vec::new(),
        }
    }
}

/// Where a machine stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Region {
    /// As people write it: `Europe`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub continent: String,
    /// As people write it: `Greece`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub country: String,
    /// As people write it: `Athens`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub city: String,
}

/// All of it: the status of a `Device`. What is not known is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceStatus {
    /// The node's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Internet addresses, the one by which others reach it first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Lower case, with hyphens; the same after a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// What `uuid` was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid_source: Option<UuidSource>,
    /// Who made the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// What its maker calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// As Kubernetes labels them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Bytes of memory that the kernel has to give (`MemTotal`): less than is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Empty when it has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub batteries: Vec<Battery>,
    /// Processors.
    pub cpu: Cpu,
    /// Empty when it has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Gpu>,
    /// The distribution.
    pub os: Os,
    /// The running kernel.
    pub kernel: Kernel,
    /// Whole disks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Mounted file systems that keep something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_systems: Vec<FileSystem>,
    /// Interfaces that lead out of the machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_interfaces: Vec<NetworkInterface>,
    /// What can be measured here; the measurements are elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sensors: Vec<Sensor>,
    /// Those of the packages asked for that are installed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub software: Vec<Software>,
    /// What it can run.
    pub can_run: CanRun,
    /// What it runs on itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtualization: Option<Virtualization>,
}

impl DeviceStatus {
    /// The same without what moves by itself (free bytes, charge, speed of a link): whoever keeps this compares these, so that
    /// an idle machine causes no writes.
    #[must_use]
    pub fn without_measurements(&self) -> Self {
        let mut still = self.clone();
        for file_system in &mut still.file_systems {
            file_system.free_bytes = None;
        }
        for battery in &mut still.batteries {
            battery.capacity_percent = None;
            battery.status = None;
        }
        for interface in &mut still.network_interfaces {
            interface.speed_mbit_per_second = None;
        }
        still
    }
}

/// Looks at the machine below `root`. Blocks on files, for some ten milliseconds: dpkg's list is long.
pub fn read(root: &Root, inputs: &Inputs) -> DeviceStatus {
    let identity = identity::read(root);
    let network_interfaces = network::read(root);
    DeviceStatus {
        name: inputs
            .name
            .clone()
            .or(identity.host_name)
            .unwrap_or_default(),
        addresses: if inputs.addresses.is_empty() {
            network::global_addresses(&network_interfaces)
        } else {
            inputs.addresses.clone()
        },
        uuid: identity.uuid,
        uuid_source: identity.uuid_source,
        vendor: identity.vendor,
        model: identity.model,
        roles: inputs.roles.clone(),
        region: inputs.region.clone(),
        memory_bytes: memory::read(root),
        batteries: battery::read(root),
        cpu: cpu::read(root),
        gpus: gpu::read(root, &inputs.gpu_details),
        os: os::read(root),
        kernel: os::read_kernel(root),
        disks: disk::read(root),
        file_systems: file_system::read(root),
        network_interfaces,
        sensors: sensor::read(root),
        software: software::read(root, &inputs.software),
        can_run: can_run::read(root, inputs.kvm_verdict.as_ref()),
        virtualization: virtualization::read(root),
    }
}
