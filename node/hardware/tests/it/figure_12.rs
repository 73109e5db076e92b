//! The seed's figure 12, byte for byte, from its three devices as this crate would know them.

use minicloud_hardware::characterization::{figure_12, object_id};
use minicloud_hardware::cpu::Cpu;
use minicloud_hardware::file_system::FileSystem;
use minicloud_hardware::gpu::{Gpu, GpuKind};
use minicloud_hardware::os::Kernel;
use minicloud_hardware::{DeviceStatus, Inputs, Region, Root, read};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::PrettyFormatter;

use crate::tree::plant;

/// A copy of the seed's figure.
const FIGURE: &str = include_str!("../figure-12-characterization.json");

/// What containers of the seed's agent saw of the disks.
const MOUNTPOINTS: [&str; 4] = [
    "/dev/termination-log",
    "/etc/resolv.conf",
    "/etc/hostname",
    "/etc/hosts",
];

fn device(
    name: &str,
    address: &str,
    uuid: &str,
    memory_bytes: u64,
    disks: &[&str],
) -> DeviceStatus {
    let file_systems = disks.iter().flat_map(|device| {
        MOUNTPOINTS.map(|mountpoint| FileSystem {
            device: (*device).into(),
            fstype: "ext4".into(),
            mountpoint: mountpoint.into(),
            ..FileSystem::default()
        })
    });
    DeviceStatus {
        name: name.into(),
        addresses: vec![address.into()],
        uuid: Some(uuid.into()),
        memory_bytes: Some(memory_bytes),
        file_systems: file_systems.collect(),
        region: Some(Region {
            continent: "Europe".into(),
            country: "Greece".into(),
            city: "Athens".into(),
        }),
        ..DeviceStatus::default()
    }
}

fn cpu(architecture: &str, bits: u32, cores: u64) -> Cpu {
    Cpu {
        architecture: Some(architecture.into()),
        bits: Some(bits),
        cores: Some(cores),
        ..Cpu::default()
    }
}

fn gpu(name: &str, device_id: &str, kind: GpuKind, video_memory_bytes: u64) -> Gpu {
    Gpu {
        name: name.into(),
        device_id: Some(device_id.into()),
        kind: Some(kind),
        video_memory_bytes: Some(video_memory_bytes),
        unified_memory: Some(false),
        ..Gpu::default()
    }
}

fn kernel(release: &str) -> Kernel {
    Kernel {
        name: Some("Linux".into()),
        release: Some(release.into()),
    }
}

fn raspberry(
    name: &str,
    address: &str,
    uuid: &str,
    gpu_name: &str,
    disks: &[&str],
) -> DeviceStatus {
    DeviceStatus {
        cpu: cpu("armv7l", 32, 4),
        gpus: vec![gpu(
            gpu_name,
            "0xffffffff",
            GpuKind::Integrated,
            4_095_737_856,
        )],
        kernel: kernel("4.19.118-v7l+"),
        ..device(name, address, uuid, 4_095_737_856, disks)
    }
}

fn seed() -> [DeviceStatus; 3] {
    let (root, disk) = ("/dev/root", "/dev/sdc1");
    let [one, two] = [
        (
            "raspberrypi",
            "192.168.1.205",
            "e7cd9caa-7451-11eb-85aa-dca632298c4f",
        ),
        (
            "raspberrypi1",
            "192.168.1.203",
            "e7344550-7451-11eb-9473-dca632299078",
        ),
    ];
    let large = device(
        "giannis",
        "192.168.1.2",
        "ea831f38-7451-11eb-8bc7-fcaa149d94de",
        8_396_820_480,
        &[root, root, disk],
    );
    let bonaire = "AMD BONAIRE (DRM 2.50.0, 4.15.0-135-generic, LLVM 7.0.1)";
    [
        raspberry(
            one.0,
            one.1,
            one.2,
            "llvmpipe (LLVM 7.0, 128 bits)",
            &[root],
        ),
        // Two spaces: so it is printed.
        raspberry(
            two.0,
            two.1,
            two.2,
            "llvmpipe  (LLVM 7.0, 128 bits)",
            &[root, root],
        ),
        DeviceStatus {
            cpu: cpu("x86_64", 64, 6),
            gpus: vec![Gpu {
                shared_memory_bytes: Some(2_142_240_768),
                ..gpu(bonaire, "0x665f", GpuKind::Dedicated, 2 << 30)
            }],
            kernel: kernel("4.15.0-135-generic"),
            roles: vec!["control-plane".into(), "master".into()],
            ..large
        },
    ]
}

/// Indented as the figure is.
fn json(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b" "));
    value.serialize(&mut serializer).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_figure_byte_for_byte() {
    let mut expected = FIGURE.to_owned();
    // MongoDB's ids are the only thing that cannot be had again.
    for (mongo, uid) in [
        ("60326f8f528bf960d6b36ce3", "uid-0"),
        ("60326fa4528bf960d6b36ce4", "uid-1"),
        ("60326fa4528bf960d6b36ce5", "uid-2"),
    ] {
        assert!(expected.contains(mongo));
        expected = expected.replace(mongo, &object_id(uid));
    }
    let devices = seed();
    let told = devices
        .iter()
        .enumerate()
        .map(|(n, device)| figure_12(&format!("uid-{n}"), device));
    assert_eq!(json(&told.collect::<Vec<_>>()), expected);
}

/// The paths of all keys and the types of their values, in order; of lists the first element's.
fn shape(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                shape(value, &format!("{path}/{key}"), out);
            }
        }
        Value::Array(values) => {
            for value in values.iter().take(1) {
                shape(value, &format!("{path}[]"), out);
            }
        }
        Value::String(_) => out.push(format!("{path} text")),
        Value::Number(_) => out.push(format!("{path} number")),
        other => out.push(format!("{path} {other}")),
    }
}

#[test]
fn every_machine_has_the_figures_shape() {
    let shape_of = |value: &Value| {
        let mut out = Vec::new();
        shape(value, "", &mut out);
        out.retain(|path| !path.contains("GPU_total_available_memory"));
        out
    };
    let figure: Value = serde_json::from_str(FIGURE).unwrap();
    let expected = shape_of(&figure[0]);
    for name in [
        "raspberry-pi-4-armv7l",
        "pc-amd-gpu",
        "laptop-intel",
        "micro-vm",
    ] {
        let dir = plant(name);
        let status = read(&Root::new(dir.path()), &Inputs::default());
        let told = serde_json::to_value(figure_12("uid", &status)).unwrap();
        assert_eq!(shape_of(&told), expected, "{name}");
    }
    // Nothing known: no file systems, but every other key.
    let empty = serde_json::to_value(figure_12("uid", &DeviceStatus::default())).unwrap();
    let without_disks: Vec<String> = expected
        .iter()
        .filter(|p| !p.contains("/DISK[]"))
        .cloned()
        .collect();
    assert_eq!(shape_of(&empty), without_disks);
}

#[test]
fn what_is_found_without_a_screen() {
    let of = |name: &str| {
        let dir = plant(name);
        serde_json::to_value(figure_12(
            "uid",
            &read(&Root::new(dir.path()), &Inputs::default()),
        ))
        .unwrap()
    };
    let pc = of("pc-amd-gpu");
    let gpu = &pc["device"]["GPU"];
    assert_eq!(
        gpu["GPU_name"],
        "AMD Ellesmere [Radeon RX 470/480/570/570X/580/580X/590] (0x67df)"
    );
    assert_eq!(gpu["GPU_type"], "Dedicated graphics processing");
    assert_eq!(gpu["GPU_total_available_memory(bytes)"], 16_941_678_592_u64);
    let laptop = of("laptop-intel");
    assert_eq!(laptop["device"]["Battery"], "84% (Discharging)");
    assert_eq!(
        laptop["device"]["GPU"]["GPU_video_memory(bytes)"],
        laptop["device"]["RAM(bytes)"]
    );
    assert_eq!(of("micro-vm")["device"]["GPU"]["GPU_name"], "None");
}
