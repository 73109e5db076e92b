//! GPUs of boards, which are on no bus that could be searched: from DRM, and a Raspberry Pi's from the device tree, since its
//! older kernels have no driver for it.

use super::{Gpu, GpuKind};
use crate::Root;

/// Cards of DRM that are looked at.
const CARDS: usize = 64;

/// Drivers of GPUs and how their GPUs are called; other drivers of boards only show pictures.
const DRIVERS: &[(&str, &str)] = &[
    ("etnaviv", "Vivante"),
    ("lima", "ARM Mali"),
    ("msm", "Qualcomm Adreno"),
    ("msm_dpu", "Qualcomm Adreno"),
    ("panfrost", "ARM Mali"),
    ("panthor", "ARM Mali"),
    ("powervr", "Imagination PowerVR"),
    ("tegra-host1x", "NVIDIA Tegra"),
    ("v3d", "Broadcom VideoCore"),
    ("vc4-drm", "Broadcom VideoCore"),
];

/// Generations of VideoCore by the chip in the device tree's list of compatible machines.
const VIDEOCORE: &[(&str, &str)] = &[
    ("brcm,bcm2835", "Broadcom VideoCore IV"),
    ("brcm,bcm2836", "Broadcom VideoCore IV"),
    ("brcm,bcm2837", "Broadcom VideoCore IV"),
    ("brcm,bcm2711", "Broadcom VideoCore VI"),
    ("brcm,bcm2712", "Broadcom VideoCore VII"),
];

fn videocore(machine: &[String]) -> Option<&'static str> {
    let found = VIDEOCORE
        .iter()
        .find(|(chip, _)| machine.iter().any(|m| m == chip));
    found.map(|(_, name)| *name)
}

/// The memory that a Raspberry Pi's firmware keeps for the GPU: from `vc_mem.mem_base` to `vc_mem.mem_size` of the kernel's
/// command line, which the firmware writes. (The setting `gpu_mem` less what the kernel may use of it.)
fn firmware_bytes(command_line: &str) -> Option<u64> {
    let number = |name: &str| {
        let words = command_line.split_whitespace();
        let mut values = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix("=0x"));
        u64::from_str_radix(values.next_back()?, 16).ok()
    };
    let bytes = number("vc_mem.mem_size")?.checked_sub(number("vc_mem.mem_base")?)?;
    (bytes > 0).then_some(bytes)
}

/// One GPU for each name: a VideoCore is two cards, one computes and one shows.
fn describe(drivers: &[String], machine: &[String], command_line: &str) -> Vec<Gpu> {
    let mut gpus: Vec<Gpu> = Vec::new();
    let videocore = videocore(machine);
    let known = drivers.iter().filter_map(|driver| {
        let (_, name) = DRIVERS.iter().find(|(known, _)| known == driver)?;
        Some((*name, Some(driver.clone())))
    });
    for (name, driver) in known.chain(videocore.map(|name| (name, None))) {
        let of_videocore = name.starts_with("Broadcom VideoCore");
        let name = videocore.filter(|_| of_videocore).unwrap_or(name);
        if gpus.iter().any(|gpu| gpu.name == name) {
            continue;
        }
        gpus.push(Gpu {
            name: name.to_owned(),
            vendor: name.split(' ').next().map(str::to_owned),
            kind: Some(GpuKind::Integrated),
            driver,
            video_memory_bytes: firmware_bytes(command_line).filter(|_| of_videocore),
            unified_memory: Some(true),
            ..Gpu::default()
        });
    }
    gpus
}

/// True for `card0`, not for its connectors (`card0-HDMI-A-1`).
fn is_card(name: &str) -> bool {
    name.strip_prefix("card")
        .is_some_and(|n| n.parse::<u32>().is_ok())
}

pub(super) fn read(root: &Root) -> Vec<Gpu> {
    let cards = root
        .names("/sys/class/drm")
        .into_iter()
        .filter(|name| is_card(name))
        .take(CARDS);
    let device = |card: &str| format!("/sys/class/drm/{card}/device");
    let on_board = cards.filter(|card| !root.exists(&format!("{}/vendor", device(card))));
    let drivers: Vec<String> = on_board
        .filter_map(|card| root.link_name(&format!("{}/driver", device(&card))))
        .collect();
    describe(
        &drivers,
        &root.values("/proc/device-tree/compatible"),
        &root.text("/proc/cmdline").unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(drivers: &[&str], machine: &[&str]) -> Vec<(String, Option<String>)> {
        let owned =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|t| (*t).to_owned()).collect() };
        let gpus = describe(&owned(drivers), &owned(machine), "");
        gpus.into_iter().map(|gpu| (gpu.name, gpu.driver)).collect()
    }

    #[test]
    fn boards() {
        let pi = ["raspberrypi,4-model-b", "brcm,bcm2711"];
        assert_eq!(names(&[], &pi), [("Broadcom VideoCore VI".into(), None)]);
        assert_eq!(
            names(&["v3d", "vc4-drm"], &pi),
            [("Broadcom VideoCore VI".into(), Some("v3d".into()))]
        );
        let rock = ["radxa,rockpi4", "rockchip,rk3399"];
        assert_eq!(
            names(&["rockchip-drm", "panfrost"], &rock),
            [("ARM Mali".into(), Some("panfrost".into()))]
        );
        assert!(names(&["simple-framebuffer"], &[]).is_empty());
    }

    #[test]
    fn memory_of_the_firmware() {
        let check =
            |line: &str, expect: Option<u64>| assert_eq!(firmware_bytes(line), expect, "{line}");
        check(
            "a=1 vc_mem.mem_base=0x3ec00000 vc_mem.mem_size=0x40000000  console=tty1",
            Some(20 << 20),
        );
        check(
            "vc_mem.mem_base=0x40000000 vc_mem.mem_size=0x3ec00000",
            None,
        );
        check("vc_mem.mem_size=0x40000000", None);
        check("vc_mem.mem_base=0xzz vc_mem.mem_size=0x40000000", None);
    }
}
