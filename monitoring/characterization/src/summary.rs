//! A Device in a line: what `kubectl get devices` shows. Pure.

use minicloud_hardware::DeviceStatus;
use minicloud_hardware::can_run::Kvm;
use serde_json::{Value, json};

/// `status.summary`: texts for people; programs read the rest.
pub(crate) fn of(device: &DeviceStatus) -> Value {
    json!({
        "cpu": cpu(device),
        "memory": device.memory_bytes.map_or_else(unknown, bytes),
        "gpu": gpu(device),
        "os": os(device),
        "runs": runs(device),
    })
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// `4 x Cortex-A72`
fn cpu(device: &DeviceStatus) -> String {
    let cpu = &device.cpu;
    let count = cpu.threads.or(cpu.cores);
    let what = cpu.model.clone().or_else(|| cpu.architecture.clone());
    match (count, what) {
        (Some(count), Some(what)) => format!("{count} x {what}"),
        (Some(count), None) => count.to_string(),
        (None, Some(what)) => what,
        (None, None) => unknown(),
    }
}

fn gpu(device: &DeviceStatus) -> String {
    match device.gpus.as_slice() {
        [] => "none".to_owned(),
        [one] => one.name.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.name, rest.len()),
    }
}

fn os(device: &DeviceStatus) -> String {
    let os = &device.os;
    let name = os.pretty_name.clone().or_else(|| os.name.clone());
    name.unwrap_or_else(unknown)
}

fn runs(device: &DeviceStatus) -> String {
    let can = &device.can_run;
    let mut runs = Vec::new();
    if !can.container_runtimes.is_empty() {
        runs.push("containers");
    }
    if !can.machine_emulators.is_empty() {
        runs.push("machines");
    }
    if can.kvm == Kvm::Works {
        runs.push("KVM");
    }
    if runs.is_empty() {
        return "nothing".to_owned();
    }
    runs.join(", ")
}

/// As people read sizes of memory: `3.8 GiB`.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = "bytes";
    let mut tenths = u128::from(bytes) * 10;
    for next in UNITS {
        if tenths < 10 * 1024 {
            break;
        }
        tenths = tenths.div_ceil(1024);
        unit = next;
    }
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (size, shown) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (4_095_737_856, "3.9 GiB"),
            (8_396_820_480, "7.9 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(size), shown);
        }
    }

    #[test]
    fn a_machine_of_which_nothing_is_known() {
        let shown = of(&DeviceStatus::default()).to_string();
        expect_test::expect![[
            r#"{"cpu":"unknown","gpu":"none","memory":"unknown","os":"unknown","runs":"nothing"}"#
        ]]
        .assert_eq(&shown);
    }
}
