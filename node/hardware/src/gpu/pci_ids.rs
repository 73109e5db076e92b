//! Names of PCI devices, from the file `pci.ids` where it is installed. It is optional; the makers that matter are known
//! without it.

use std::collections::BTreeMap;

use crate::Root;
use crate::root::clean;

/// Where distributions keep it.
const FILES: &[&str] = &["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

/// Bytes of the file that are read: four times what it has.
const FILE_BYTES: u64 = 6 << 20;

/// Makers as people call them; the file has their companies' full names.
const VENDORS: &[(u64, &str)] = &[
    (0x1002, "AMD"),
    (0x1013, "Cirrus"),
    (0x102b, "Matrox"),
    (0x10de, "NVIDIA"),
    (0x1234, "Bochs"),
    (0x1414, "Hyper-V"),
    (0x15ad, "VMware"),
    (0x1a03, "ASPEED"),
    (0x1af4, "virtio"),
    (0x1b36, "QEMU"),
    (0x80ee, "VirtualBox"),
    (0x8086, "Intel"),
];

/// The names that were looked up.
#[derive(Debug, Default)]
pub(super) struct PciNames {
    vendors: BTreeMap<u64, String>,
    devices: BTreeMap<(u64, u64), String>,
}

impl PciNames {
    /// Maker and model.
    pub(super) fn names(&self, vendor: u64, device: u64) -> (Option<String>, Option<String>) {
        let known = VENDORS.iter().find(|(id, _)| *id == vendor);
        let vendor_name = known
            .map(|(_, name)| (*name).to_owned())
            .or_else(|| self.vendors.get(&vendor).cloned());
        (vendor_name, self.devices.get(&(vendor, device)).cloned())
    }
}

/// `67df  Ellesmere [Radeon RX 470/480]`
fn entry(line: &str) -> Option<(u64, String)> {
    let (id, name) = line.split_once("  ")?;
    Some((u64::from_str_radix(id, 16).ok()?, clean(name)?))
}

/// The names of these `(vendor, device)` in the lines of the file, which has devices below their makers, indented by a tab.
fn parse(lines: impl Iterator<Item = String>, wanted: &[(u64, u64)]) -> PciNames {
    let mut names = PciNames::default();
    let mut vendor = None;
    for line in lines {
        // Classes come after the devices.
        if line.starts_with("C ") {
            break;
        }
        if let Some(device) = line.strip_prefix('\t') {
            let found = vendor.and_then(|vendor| Some((vendor, entry(device)?)));
            if let Some((vendor, (device, name))) =
                found.filter(|(v, (d, _))| wanted.contains(&(*v, *d)))
            {
                names.devices.insert((vendor, device), name);
            }
        } else if let Some((id, name)) = entry(&line) {
            vendor = wanted.iter().any(|(v, _)| *v == id).then_some(id);
            if vendor.is_some() {
                names.vendors.insert(id, name);
            }
        }
    }
    names
}

pub(super) fn read(root: &Root, wanted: &[(u64, u64)]) -> PciNames {
    let file = FILES.iter().find(|path| root.exists(path));
    match file {
        Some(path) if !wanted.is_empty() => parse(root.lines(path, FILE_BYTES), wanted),
        _ => PciNames::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_is_wanted() {
        let text = "# c\n\n1002  Advanced Micro Devices, Inc. [AMD/ATI]\n\t67df  Ellesmere\n\t\t1da2 e366  A card\n\
                    \t67ef  Baffin\n\
                    1912  Renesas\n\t0014  uPD720201\nC 03  Display controller\n\t00  VGA\n";
        let names = parse(
            text.lines().map(str::to_owned),
            &[(0x1002, 0x67df), (0x1912, 0x15)],
        );
        assert_eq!(
            names.names(0x1002, 0x67df),
            (Some("AMD".into()), Some("Ellesmere".into()))
        );
        assert_eq!(names.names(0x1912, 0x15), (Some("Renesas".into()), None));
        assert_eq!(names.names(0x1002, 0x67ef).1, None);
        assert_eq!(names.names(0xdead, 0xbeef), (None, None));
    }
}
