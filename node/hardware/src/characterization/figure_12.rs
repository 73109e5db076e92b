//! The seed's JSON (ACCORDION D3.1, section 3.4, figure 12): its keys in its order with its types, spelling included, since
//! programs read it. Every key is always there, but for the GPU's available memory: what is not known is an empty text or zero.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::DeviceStatus;
use crate::gpu::{Gpu, GpuKind};

/// An element of the seed's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figure12 {
    device: Device,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Device {
    #[serde(rename = "_id")]
    id: Id,
    device_name: String,
    ip: String,
    #[serde(rename = "UUID")]
    uuid: String,
    #[serde(rename = "RAM(bytes)")]
    ram_bytes: u64,
    #[serde(rename = "Battery")]
    battery: String,
    #[serde(rename = "CPU")]
    cpu: Cpu,
    #[serde(rename = "GPU")]
    gpu: GpuSummary,
    #[serde(rename = "OS")]
    os: Os,
    #[serde(rename = "DISK")]
    disk: Vec<Disk>,
    #[serde(rename = "K3s")]
    k3s: K3s,
    #[serde(rename = "Region")]
    region: Region,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Id {
    #[serde(rename = "$oid")]
    oid: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Cpu {
    #[serde(rename = "Arch")]
    arch: String,
    bits: String,
    cores: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct GpuSummary {
    #[serde(rename = "GPU_name")]
    name: String,
    #[serde(rename = "GPU_type")]
    kind: &'static str,
    #[serde(rename = "GPU_video_memory(bytes)")]
    video_memory_bytes: u64,
    #[serde(
        rename = "GPU_total_available_memory(bytes)",
        skip_serializing_if = "Option::is_none"
    )]
    total_available_memory_bytes: Option<u64>,
    unified_memory: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Os {
    #[serde(rename = "OS_name")]
    name: String,
    #[serde(rename = "OS_version")]
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Disk {
    device: String,
    fstype: String,
    mountpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct K3s {
    node_role: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Region {
    continent: String,
    country: String,
    city: String,
}

/// The seed kept devices in MongoDB, so each has an object id of 24 hexadecimal digits. Here it is the beginning of the SHA-256
/// of the UID of the object `Device`: the same for as long as the object is.
pub fn object_id(uid: &str) -> String {
    let hash = Sha256::digest(uid);
    hash.iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What the seed has no word for is told as its nearest: it has one battery and one GPU for each device.
fn battery(status: &DeviceStatus) -> String {
    let Some(battery) = status.batteries.iter().find(|battery| battery.present) else {
        return "None".to_owned();
    };
    match (battery.capacity_percent, &battery.status) {
        (Some(percent), Some(status)) => format!("{percent}% ({status})"),
        (Some(percent), None) => format!("{percent}%"),
        (None, status) => status.clone().unwrap_or_else(|| "Unknown".to_owned()),
    }
}

/// Own memory, or as much as is known of it.
fn own_bytes(gpu: &Gpu) -> u64 {
    gpu.video_memory_bytes
        .or(gpu.video_memory_at_least_bytes)
        .unwrap_or(0)
}

/// The GPU that a user of the machine would choose.
fn best(gpus: &[Gpu]) -> Option<&Gpu> {
    gpus.iter().rev().max_by_key(|gpu| {
        let rank = match gpu.kind {
            Some(GpuKind::Dedicated) => 2,
            Some(GpuKind::Integrated) | None => 1,
            Some(GpuKind::Virtual) => 0,
        };
        (rank, own_bytes(gpu))
    })
}

fn gpu(status: &DeviceStatus) -> GpuSummary {
    let Some(gpu) = best(&status.gpus) else {
        return GpuSummary {
            name: "None".to_owned(),
            kind: "None",
            video_memory_bytes: 0,
            total_available_memory_bytes: None,
            unified_memory: "no",
        };
    };
    let unified = gpu.unified_memory == Some(true);
    // A GPU without memory of its own works on the machine's: the seed tells that.
    let video_memory_bytes = match own_bytes(gpu) {
        0 if unified => status.memory_bytes.unwrap_or(0),
        bytes => bytes,
    };
    GpuSummary {
        name: match &gpu.device_id {
            Some(id) => format!("{} ({id})", gpu.name),
            None => gpu.name.clone(),
        },
        kind: match gpu.kind {
            Some(GpuKind::Dedicated) => "Dedicated graphics processing",
            // The seed's spelling.
            Some(GpuKind::Integrated) | None => "Intergated graphics processing",
            Some(GpuKind::Virtual) => "Virtual graphics processing",
        },
        video_memory_bytes,
        total_available_memory_bytes: gpu
            .shared_memory_bytes
            .map(|shared| shared.saturating_add(video_memory_bytes)),
        unified_memory: if unified { "yes" } else { "no" },
    }
}

/// One device in the seed's shape; `uid` is that of the object `Device`.
pub fn figure_12(uid: &str, status: &DeviceStatus) -> Figure12 {
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    let region = status.region.clone().unwrap_or_default();
    let disks = status.file_systems.iter().map(|file_system| Disk {
        device: file_system.device.clone(),
        fstype: file_system.fstype.clone(),
        mountpoint: file_system.mountpoint.clone(),
    });
    Figure12 {
        device: Device {
            id: Id {
                oid: object_id(uid),
            },
            device_name: status.name.clone(),
            ip: status.addresses.first().cloned().unwrap_or_default(),
            uuid: known(&status.uuid),
            ram_bytes: status.memory_bytes.unwrap_or(0),
            battery: battery(status),
            cpu: Cpu {
                arch: known(&status.cpu.architecture),
                bits: status
                    .cpu
                    .bits
                    .map(|bits| bits.to_string())
                    .unwrap_or_default(),
                cores: status.cpu.cores.unwrap_or(0),
            },
            gpu: gpu(status),
            os: Os {
                name: known(&status.kernel.name),
                version: known(&status.kernel.release),
            },
            disk: disks.collect(),
            k3s: K3s {
                node_role: status.roles.join(","),
            },
            region: Region {
                continent: region.continent,
                country: region.country,
                city: region.city,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::battery::Battery;

    #[test]
    fn object_ids() {
        // printf 'abc' | sha256sum
        assert_eq!(object_id("abc"), "ba7816bf8f01cfea414140de");
    }

    #[test]
    fn batteries() {
        let check = |present, capacity_percent, status: Option<&str>, expect: &str| {
            let device = DeviceStatus {
                batteries: vec![Battery {
                    name: "BAT0".into(),
                    present,
                    capacity_percent,
                    status: status.map(str::to_owned),
                }],
                ..DeviceStatus::default()
            };
            assert_eq!(battery(&device), expect);
        };
        check(true, Some(84), Some("Discharging"), "84% (Discharging)");
        check(true, Some(84), None, "84%");
        check(true, None, None, "Unknown");
        check(false, None, None, "None");
    }

    #[test]
    fn the_gpu_that_one_would_choose() {
        let gpu = |name: &str, kind, bytes| Gpu {
            name: name.into(),
            kind: Some(kind),
            video_memory_bytes: Some(bytes),
            ..Gpu::default()
        };
        let gpus = [
            gpu("chip", GpuKind::Integrated, 9),
            gpu("small", GpuKind::Dedicated, 4),
            gpu("large", GpuKind::Dedicated, 8),
            gpu("twin", GpuKind::Dedicated, 8),
        ];
        assert_eq!(best(&gpus).map(|g| g.name.as_str()), Some("large"));
        assert_eq!(best(&[]), None);
    }
}
