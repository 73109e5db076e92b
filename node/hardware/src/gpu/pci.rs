//! Display devices on PCI (class 0x03), with a driver or without.

use super::pci_ids::{self, PciNames};
use super::{Gpu, GpuKind};
use crate::Root;
use crate::root::hexadecimal;

const FOLDER: &str = "/sys/bus/pci/devices";

/// PCI functions that are looked at.
const FUNCTIONS: usize = 4096;

const AMD: u64 = 0x1002;
const AMD_PROCESSORS: u64 = 0x1022;
const INTEL: u64 = 0x8086;
const NVIDIA: u64 = 0x10de;

/// Makers of screens of virtual machines: Bochs, Cirrus, Hyper-V, QXL, VirtualBox, virtio, VMware, Xen.
const VIRTUAL: &[u64] = &[
    0x1234, 0x1013, 0x1414, 0x1b36, 0x80ee, 0x1af4, 0x15ad, 0x5853,
];

/// Makers of the screens that servers' management controllers have: ASPEED, Matrox.
const MANAGEMENT: &[u64] = &[0x1a03, 0x102b];

/// Flags of a line of `resource` (the kernel's `include/linux/ioport.h`).
const IS_MEMORY: u64 = 0x200;
const IS_PREFETCHABLE: u64 = 0x2000;

/// What sysfs says of a display device.
#[derive(Debug, Clone, Default)]
struct Display {
    address: String,
    vendor: u64,
    device: u64,
    driver: Option<String>,
    /// Makers of the other functions of the same device.
    beside: Vec<u64>,
    /// The file `resource`.
    resource: String,
    /// amdgpu's `mem_info_vram_total`.
    own_bytes: Option<u64>,
    /// amdgpu's `mem_info_gtt_total`.
    shared_bytes: Option<u64>,
}

/// Where it sits. No file says it; it follows from how the parts are wired: a GPU on the processor's chip is on the first bus,
/// or AMD's other parts of that chip are functions of the same device.
fn kind(display: &Display) -> GpuKind {
    let first_bus = display.address.contains(":00:");
    match display.vendor {
        vendor if VIRTUAL.contains(&vendor) => GpuKind::Virtual,
        vendor if MANAGEMENT.contains(&vendor) => GpuKind::Integrated,
        NVIDIA => GpuKind::Dedicated,
        AMD if first_bus || display.beside.contains(&AMD_PROCESSORS) => GpuKind::Integrated,
        INTEL if first_bus => GpuKind::Integrated,
        _ => GpuKind::Dedicated,
    }
}

/// The largest window into its memory that a device has on the bus. Cards show all of their memory, or 256 MiB of it.
fn largest_window_bytes(resource: &str) -> Option<u64> {
    // The first six lines are the device's own; bridges and the ROM follow.
    let windows = resource.lines().take(6).filter_map(|line| {
        let mut numbers = line.split_whitespace().map(hexadecimal);
        let (first, last, flags) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let memory = flags & IS_MEMORY != 0 && flags & IS_PREFETCHABLE != 0;
        memory
            .then(|| last.checked_sub(first)?.checked_add(1))
            .flatten()
    });
    windows.max()
}

fn describe(display: Display, names: &PciNames) -> Gpu {
    let kind = kind(&display);
    let own = display.own_bytes.filter(|bytes| *bytes > 0);
    let guess = if own.is_none() && kind != GpuKind::Integrated {
        largest_window_bytes(&display.resource)
    } else {
        None
    };
    let (vendor, model) = names.names(display.vendor, display.device);
    Gpu {
        name: match (&vendor, model) {
            (Some(vendor), Some(model)) => format!("{vendor} {model}"),
            (Some(vendor), None) => format!("{vendor} device {:#06x}", display.device),
            (None, _) => format!("device {:#06x}:{:#06x}", display.vendor, display.device),
        },
        vendor,
        vendor_id: Some(format!("{:#06x}", display.vendor)),
        device_id: Some(format!("{:#06x}", display.device)),
        kind: Some(kind),
        pci_address: Some(display.address),
        driver: display.driver,
        video_memory_bytes: own,
        video_memory_at_least_bytes: guess,
        shared_memory_bytes: display.shared_bytes.filter(|bytes| *bytes > 0),
        unified_memory: (kind != GpuKind::Virtual).then_some(kind == GpuKind::Integrated),
    }
}

fn display(root: &Root, address: &str, all: &[String]) -> Option<Display> {
    let number = |address: &str, file: &str| {
        hexadecimal(&root.value(&format!("{FOLDER}/{address}/{file}"))?)
    };
    if number(address, "class")? >> 16 != 0x03 {
        return None;
    }
    let device = address.rsplit_once('.')?.0;
    let beside = all.iter().filter(|other| {
        *other != address && other.rsplit_once('.').is_some_and(|(d, _)| d == device)
    });
    Some(Display {
        vendor: number(address, "vendor")?,
        device: number(address, "device")?,
        driver: root.link_name(&format!("{FOLDER}/{address}/driver")),
        beside: beside.filter_map(|other| number(other, "vendor")).collect(),
        resource: root
            .text(&format!("{FOLDER}/{address}/resource"))
            .unwrap_or_default(),
        own_bytes: root.number(&format!("{FOLDER}/{address}/mem_info_vram_total")),
        shared_bytes: root.number(&format!("{FOLDER}/{address}/mem_info_gtt_total")),
        address: address.to_owned(),
    })
}

pub(super) fn read(root: &Root) -> Vec<Gpu> {
    let all: Vec<String> = root.names(FOLDER).into_iter().take(FUNCTIONS).collect();
    let displays: Vec<Display> = all
        .iter()
        .filter_map(|address| display(root, address, &all))
        .collect();
    let wanted: Vec<(u64, u64)> = displays.iter().map(|d| (d.vendor, d.device)).collect();
    let names = pci_ids::read(root, &wanted);
    displays
        .into_iter()
        .map(|display| describe(display, &names))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let check = |address: &str, vendor: u64, beside: &[u64], expect: GpuKind| {
            let display = Display {
                address: address.to_owned(),
                vendor,
                beside: beside.to_vec(),
                ..Display::default()
            };
            assert_eq!(kind(&display), expect, "{address} {vendor:#x}");
        };
        check("0000:00:02.0", INTEL, &[], GpuKind::Integrated);
        check("0000:03:00.0", INTEL, &[], GpuKind::Dedicated);
        check("0000:01:00.0", AMD, &[AMD], GpuKind::Dedicated);
        check(
            "0000:05:00.0",
            AMD,
            &[AMD, AMD_PROCESSORS],
            GpuKind::Integrated,
        );
        check("0000:00:01.0", AMD, &[], GpuKind::Integrated);
        check("0000:00:05.0", NVIDIA, &[], GpuKind::Dedicated);
        check("0000:00:01.0", 0x1af4, &[], GpuKind::Virtual);
        check("0000:04:00.0", 0x1a03, &[], GpuKind::Integrated);
    }

    #[test]
    fn windows() {
        let resource = "0x00000000f0000000 0x00000000f0ffffff 0x0000000000040200\n\
                        0x00000000e0000000 0x00000000efffffff 0x000000000014220c\n\
                        0x000000000000e000 0x000000000000e07f 0x0000000000040101\n\
                        garbage\n\
                        0xffffffffffffffff 0x0000000000000000 0x0000000000002200\n\
                        0x0000000000000000 0xffffffffffffffff 0x0000000000002200\n";
        assert_eq!(largest_window_bytes(resource), Some(256 << 20));
        assert_eq!(largest_window_bytes(""), None);
    }
}
