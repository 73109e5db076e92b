//! What is told of each machine is beside its files, as JSON. `UPDATE_EXPECT=1` writes it anew; look at the difference.

use expect_test::expect_file;
use minicloud_hardware::can_run::{Kvm, KvmVerdict};
use minicloud_hardware::{DeviceStatus, Inputs, Region, Root, read};

use crate::tree::plant;

/// Reads a machine; what is told must also survive the way through the API server.
fn machine(name: &str, inputs: &Inputs) -> DeviceStatus {
    let dir = plant(name);
    let status = read(&Root::new(dir.path()), inputs);
    let json = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<DeviceStatus>(&json).unwrap(), status);
    let mut json = serde_json::to_string_pretty(&status).unwrap();
    json.push('\n');
    expect_file![format!(
        "{}/tests/machines/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    )]
    .assert_eq(&json);
    status
}

#[test]
fn raspberry_pi_4_with_a_32_bit_kernel() {
    machine("raspberry-pi-4-armv7l", &Inputs::default());
}

#[test]
fn raspberry_pi_4_with_a_64_bit_kernel() {
    machine("raspberry-pi-4-aarch64", &Inputs::default());
}

#[test]
fn pc_with_a_dedicated_gpu() {
    let inputs = Inputs {
        name: Some("desk".into()),
        addresses: vec!["192.168.1.2".into()],
        roles: vec!["control-plane".into(), "master".into()],
        region: Some(Region {
            continent: "Europe".into(),
            country: "Greece".into(),
            city: "Athens".into(),
        }),
        ..Inputs::default()
    };
    machine("pc-amd-gpu", &inputs);
}

#[test]
fn pc_with_an_nvidia_gpu() {
    machine("pc-nvidia-gpu", &Inputs::default());
}

#[test]
fn laptop() {
    machine("laptop-intel", &Inputs::default());
}

#[test]
fn virtual_machine() {
    let status = machine("kvm-guest", &Inputs::default());
    assert_eq!(status.can_run.kvm, Kvm::Absent);
}

#[test]
fn virtual_machine_without_firmware() {
    let status = machine("micro-vm", &Inputs::default());
    assert_eq!(status.can_run.kvm, Kvm::Untested);
    let dir = plant("micro-vm");
    let probed = Inputs {
        kvm_verdict: Some(KvmVerdict {
            works: false,
            detail: "the guest's kernel did not answer within 5 s".into(),
        }),
        ..Inputs::default()
    };
    assert_eq!(
        read(&Root::new(dir.path()), &probed).can_run.kvm,
        Kvm::Fails
    );
}

#[test]
fn nothing_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let status = read(&Root::new(dir.path()), &Inputs::default());
    assert_eq!(status, DeviceStatus::default());
    let nowhere = read(&Root::new(dir.path().join("nowhere")), &Inputs::default());
    assert_eq!(nowhere, DeviceStatus::default());
}

#[test]
fn this_machine() {
    let status = read(&Root::new("/"), &Inputs::default());
    println!("{}", serde_json::to_string_pretty(&status).unwrap());
    assert!(!status.name.is_empty() && status.memory_bytes > Some(0));
    assert!(status.cpu.threads > Some(0) && status.cpu.cores <= status.cpu.threads);
    assert_eq!(
        status.cpu.architecture.as_deref(),
        Some(std::env::consts::ARCH)
    );
    assert_eq!(status.cpu.bits, Some(usize::BITS));
    assert_eq!(status.kernel.name.as_deref(), Some("Linux"));
    let root = status
        .file_systems
        .iter()
        .find(|f| f.mountpoint == "/")
        .unwrap();
    assert!(root.size_bytes > root.free_bytes && root.free_bytes.is_some());
    // What moves by itself is not kept.
    let later = read(&Root::new("/"), &Inputs::default());
    assert_eq!(later.without_measurements(), status.without_measurements());
    assert!(
        later
            .without_measurements()
            .file_systems
            .iter()
            .all(|f| f.free_bytes.is_none())
    );
}
