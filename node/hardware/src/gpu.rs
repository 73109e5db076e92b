//! GPUs, found without a screen: PCI display devices, GPUs of boards from DRM and the device tree, and what drivers and
//! libraries add.
//!
//! A vendor's library is the last source: NVIDIA's NVML is loaded at run time (`dlopen` of `libnvidia-ml.so.1`), which takes
//! `unsafe` and so a crate of its own. That crate makes one [`GpuDetail`] per GPU, passed as [`crate::Inputs::gpu_details`];
//! nothing here changes.

mod board;
mod nvidia;
mod pci;
mod pci_ids;

use serde::{Deserialize, Serialize};

use crate::Root;

/// GPUs that are told.
const MOST: usize = 64;

/// Something that computes pictures, or at least shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gpu {
    /// Maker and model, as far as they are known.
    pub name: String,
    /// The maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The PCI vendor: `0x1002`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<String>,
    /// The PCI device: `0x67df`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Where it sits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<GpuKind>,
    /// `0000:01:00.0`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci_address: Option<String>,
    /// The kernel's driver; absent when it has none, so that it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Its own memory, or the part of the machine's that is set aside for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_memory_bytes: Option<u64>,
    /// Where the driver does not tell its memory: it has at least as much as it shows on the bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_memory_at_least_bytes: Option<u64>,
    /// The part of the machine's memory that it may use besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_memory_bytes: Option<u64>,
    /// True when it works on the machine's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unified_memory: Option<bool>,
}

/// Where a GPU sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GpuKind {
    /// On the processor's chip or the board.
    Integrated,
    /// On a card of its own.
    Dedicated,
    /// Nowhere: a virtual machine's screen.
    Virtual,
}

/// What a vendor's library says of a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuDetail {
    /// Which GPU: `0000:01:00.0`.
    pub pci_address: String,
    /// Maker and model.
    pub name: Option<String>,
    /// All of its own memory.
    pub video_memory_bytes: Option<u64>,
}

impl GpuDetail {
    /// Puts what it says in the place of guesses.
    fn complete(&self, gpu: &mut Gpu) {
        if let Some(name) = &self.name {
            gpu.name.clone_from(name);
        }
        if self.video_memory_bytes.is_some() {
            gpu.video_memory_bytes = self.video_memory_bytes;
            gpu.video_memory_at_least_bytes = None;
        }
    }
}

pub(crate) fn read(root: &Root, details: &[GpuDetail]) -> Vec<Gpu> {
    let mut gpus = pci::read(root);
    gpus.extend(board::read(root));
    gpus.truncate(MOST);
    let known = nvidia::read(root);
    for gpu in &mut gpus {
        for detail in known.iter().chain(details) {
            if gpu.pci_address.as_ref() == Some(&detail.pci_address) {
                detail.complete(gpu);
            }
        }
    }
    gpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_knows_better_than_a_guess() {
        let mut gpu = Gpu {
            name: "NVIDIA device 0x1b80".into(),
            video_memory_at_least_bytes: Some(256 << 20),
            ..Gpu::default()
        };
        let driver = GpuDetail {
            name: Some("NVIDIA GeForce GTX 1080".into()),
            ..GpuDetail::default()
        };
        driver.complete(&mut gpu);
        assert_eq!(gpu.video_memory_at_least_bytes, Some(256 << 20));
        let library = GpuDetail {
            video_memory_bytes: Some(8 << 30),
            ..GpuDetail::default()
        };
        library.complete(&mut gpu);
        assert_eq!(gpu.name, "NVIDIA GeForce GTX 1080");
        assert_eq!(
            (gpu.video_memory_bytes, gpu.video_memory_at_least_bytes),
            (Some(8 << 30), None)
        );
    }
}
