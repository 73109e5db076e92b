//! Whether this machine is a virtual one, and whose, from DMI, clock sources, `/proc/cpuinfo` and the device tree.

use serde::{Deserialize, Serialize};

use crate::Root;

/// What runs this machine, in the words of systemd-detect-virt(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Virtualization {
    /// Nothing: it is a real machine.
    None,
    /// Linux' KVM.
    Kvm,
    /// QEMU, without KVM as far as is known.
    Qemu,
    /// Xen, as a guest.
    Xen,
    /// VMware.
    Vmware,
    /// Microsoft's Hyper-V.
    Microsoft,
    /// Oracle's VirtualBox.
    Oracle,
    /// Amazon's Nitro.
    Amazon,
    /// Google's Compute Engine.
    Google,
    /// Parallels.
    Parallels,
    /// FreeBSD's bhyve.
    Bhyve,
    /// Apple's framework.
    Apple,
    /// Something that hides who it is.
    #[serde(rename = "vm-other")]
    Other,
}

/// How what DMI says begins; the first that fits is right.
const DMI: &[(&str, Virtualization)] = &[
    ("KVM", Virtualization::Kvm),
    ("OpenStack", Virtualization::Kvm),
    ("Amazon EC2", Virtualization::Amazon),
    ("Google Compute Engine", Virtualization::Google),
    ("QEMU", Virtualization::Qemu),
    ("VMware", Virtualization::Vmware),
    ("VirtualBox", Virtualization::Oracle),
    ("innotek GmbH", Virtualization::Oracle),
    ("Xen", Virtualization::Xen),
    ("Parallels", Virtualization::Parallels),
    ("BHYVE", Virtualization::Bhyve),
    ("Apple Virtualization", Virtualization::Apple),
    ("Hyper-V", Virtualization::Microsoft),
];

/// What may tell.
#[derive(Debug, Default)]
struct Signs {
    /// `product_name`, `sys_vendor`, `board_vendor`, `bios_vendor`, in this order; empty where absent.
    dmi: [String; 4],
    /// The clock sources that the kernel found.
    clock_sources: String,
    /// `/sys/hypervisor/type`
    hypervisor: Option<String>,
    /// True for Xen's first domain, which is the real machine.
    controls: bool,
    /// `compatible` of the device tree's node `hypervisor`.
    device_tree_hypervisor: Option<String>,
    /// The machine that the device tree describes.
    device_tree: Vec<String>,
    cpuinfo: Option<String>,
}

/// What the signs say; nothing when there are none at all.
fn judge(signs: &Signs) -> Option<Virtualization> {
    let [product, vendor, ..] = &signs.dmi;
    let clock = |name: &str| {
        signs
            .clock_sources
            .split_whitespace()
            .any(|source| source == name)
    };
    let tree = signs.device_tree_hypervisor.as_deref().unwrap_or_default();
    if signs.controls || (vendor == "Amazon EC2" && product.contains(".metal")) {
        return Some(Virtualization::None);
    }
    if signs.hypervisor.as_deref() == Some("xen") || tree.starts_with("xen") {
        return Some(Virtualization::Xen);
    }
    // Microsoft also makes real machines.
    if vendor == "Microsoft Corporation" && product == "Virtual Machine" {
        return Some(Virtualization::Microsoft);
    }
    let kvm = clock("kvm-clock") || tree == "linux,kvm";
    let named = DMI
        .iter()
        .find(|(name, _)| signs.dmi.iter().any(|said| said.starts_with(name)));
    match named {
        Some((_, Virtualization::Qemu)) if kvm => return Some(Virtualization::Kvm),
        Some((_, virtualization)) => return Some(*virtualization),
        None => {}
    }
    if kvm {
        return Some(Virtualization::Kvm);
    }
    if signs
        .device_tree
        .iter()
        .any(|machine| machine == "linux,dummy-virt")
    {
        return Some(Virtualization::Qemu);
    }
    let mut lines = signs.cpuinfo.as_deref()?.lines();
    let hidden = lines.any(|line| {
        line.starts_with("flags") && line.split_whitespace().any(|flag| flag == "hypervisor")
    });
    Some(if hidden {
        Virtualization::Other
    } else {
        Virtualization::None
    })
}

pub(crate) fn read(root: &Root) -> Option<Virtualization> {
    let dmi = ["product_name", "sys_vendor", "board_vendor", "bios_vendor"];
    let text = |path: &str| root.value(path).unwrap_or_default();
    judge(&Signs {
        dmi: dmi.map(|name| text(&format!("/sys/class/dmi/id/{name}"))),
        clock_sources: text("/sys/devices/system/clocksource/clocksource0/available_clocksource"),
        hypervisor: root.value("/sys/hypervisor/type"),
        controls: text("/proc/xen/capabilities").contains("control_d"),
        device_tree_hypervisor: root.value("/proc/device-tree/hypervisor/compatible"),
        device_tree: root.values("/proc/device-tree/compatible"),
        cpuinfo: root.text("/proc/cpuinfo"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs() {
        let check = |product: &str, vendor: &str, clock: &str, flags: &str, expect| {
            let signs = Signs {
                dmi: [product, vendor, "", ""].map(str::to_owned),
                clock_sources: clock.to_owned(),
                cpuinfo: Some(format!("flags\t: fpu {flags}")),
                ..Signs::default()
            };
            assert_eq!(judge(&signs), Some(expect), "{product} {vendor}");
        };
        check("20HF", "LENOVO", "tsc hpet", "vmx", Virtualization::None);
        check(
            "Standard PC (Q35 + ICH9, 2009)",
            "QEMU",
            "kvm-clock tsc",
            "hypervisor",
            Virtualization::Kvm,
        );
        check(
            "Standard PC (Q35 + ICH9, 2009)",
            "QEMU",
            "tsc",
            "hypervisor",
            Virtualization::Qemu,
        );
        check(
            "Virtual Machine",
            "Microsoft Corporation",
            "",
            "hypervisor",
            Virtualization::Microsoft,
        );
        check(
            "Surface Go",
            "Microsoft Corporation",
            "",
            "",
            Virtualization::None,
        );
        check("m5.metal", "Amazon EC2", "", "", Virtualization::None);
        check(
            "m5.large",
            "Amazon EC2",
            "kvm-clock",
            "hypervisor",
            Virtualization::Amazon,
        );
        check("", "", "tsc kvm-clock", "hypervisor", Virtualization::Kvm);
        check("", "", "tsc", "hypervisor", Virtualization::Other);
    }

    #[test]
    fn device_trees() {
        let virt = Signs {
            device_tree: vec!["linux,dummy-virt".into()],
            ..Signs::default()
        };
        assert_eq!(judge(&virt), Some(Virtualization::Qemu));
        let kvm = Signs {
            device_tree_hypervisor: Some("linux,kvm".into()),
            ..virt
        };
        assert_eq!(judge(&kvm), Some(Virtualization::Kvm));
        assert_eq!(judge(&Signs::default()), None);
    }
}
