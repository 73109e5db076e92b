//! Whole disks, from `/sys/block`.

use serde::{Deserialize, Serialize};

use crate::Root;

/// Disks that are told.
const MOST: usize = 256;

/// The unit of sysfs' `size`, whatever the disk's own sectors are.
const SECTOR_BYTES: u64 = 512;

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Disk {
    /// `sda`, `mmcblk0`
    pub name: String,
    /// All of it.
    pub size_bytes: u64,
    /// What its maker calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// True for platters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotational: Option<bool>,
    /// True when the medium may be taken out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removable: Option<bool>,
    /// How it is connected: `nvme`, `sata`, `sas`, `usb`, `mmc`, `virtio`, `xen`, `hyperv`, `scsi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
}

/// How a disk is connected, by where sysfs keeps it. The innermost part that says something decides: a disk on a USB adapter
/// is a SCSI disk on a USB device on a PCI bus.
fn transport(path: &str) -> Option<&'static str> {
    path.rsplit('/').skip(1).find_map(|part| {
        let numbered = |stem: &str| {
            let number = part.strip_prefix(stem);
            number.is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
        };
        let known = [
            ("nvme", "nvme"),
            ("nvme-subsys", "nvme"),
            ("mmc", "mmc"),
            ("ata", "sata"),
            ("usb", "usb"),
            ("end_device-", "sas"),
            ("virtio", "virtio"),
            ("vbd-", "xen"),
        ];
        match known.iter().find(|(stem, _)| numbered(stem)) {
            Some((_, transport)) => Some(*transport),
            None if part.starts_with("VMBUS:") => Some("hyperv"),
            None => None,
        }
    })
}

/// True for what is a disk by itself: not a part of another, not a disc in a drive.
fn whole(name: &str) -> bool {
    let part_of_a_card =
        name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    !part_of_a_card && !name.starts_with("sr") && !name.starts_with("fd")
}

pub(crate) fn read(root: &Root) -> Vec<Disk> {
    let names = root
        .names("/sys/block")
        .into_iter()
        .filter(|name| whole(name));
    let disks = names.filter_map(|name| {
        let folder = format!("/sys/block/{name}");
        // Loops, memory disks, RAID and volumes have no device of their own.
        if !root.exists(&format!("{folder}/device"))
            || root.flag(&format!("{folder}/hidden")) == Some(true)
        {
            return None;
        }
        // An empty slot has no size.
        let sectors = root.number(&format!("{folder}/size")).filter(|n| *n > 0)?;
        let path = root.resolved(&folder).unwrap_or_default();
        let scsi = root.exists(&format!("{folder}/device/scsi_level"));
        Some(Disk {
            size_bytes: sectors.saturating_mul(SECTOR_BYTES),
            model: root
                .value(&format!("{folder}/device/model"))
                .or_else(|| root.value(&format!("{folder}/device/name"))),
            rotational: root.flag(&format!("{folder}/queue/rotational")),
            removable: root.flag(&format!("{folder}/removable")),
            transport: transport(&path)
                .or(scsi.then_some("scsi"))
                .map(str::to_owned),
            name,
        })
    });
    disks.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports() {
        let check =
            |path: &str, expect: Option<&str>| assert_eq!(transport(path), expect, "{path}");
        check(
            "sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda",
            Some("sata"),
        );
        check(
            "sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb",
            Some("usb"),
        );
        check(
            "sys/devices/pci0000:00/0000:00:1d.0/0000:3c:00.0/nvme/nvme0/nvme0n1",
            Some("nvme"),
        );
        check(
            "sys/devices/platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0",
            Some("mmc"),
        );
        check(
            "sys/devices/pci0000:00/0000:00:05.0/virtio2/block/vda",
            Some("virtio"),
        );
        check(
            "sys/devices/pci0000:00/0000:00:07.0/virtio4/host2/target2:0:0/2:0:0:0/block/sda",
            Some("virtio"),
        );
        check("sys/devices/vbd-51712/block/xvda", Some("xen"));
        check("sys/devices/virtual/block/loop0", None);
        check("", None);
    }

    #[test]
    fn parts_are_no_disks() {
        assert!(whole("mmcblk0") && whole("sda"));
        assert!(!whole("mmcblk0boot1") && !whole("sr0"));
    }
}
