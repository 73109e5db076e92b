//! TOSCA Simple Profile in YAML 1.3 (OASIS): a service template with a node for each machine. The profile's
//! `tosca.nodes.Compute` says the processors, memory, disk space and system of a host; what it has no words for is in types of
//! ours, in `types.yaml`.

use serde::Serialize;

use super::yaml::{MapOf, Yaml, entry, list, text};
use crate::DeviceStatus;
use crate::gpu::Gpu;

/// Our types, as text: they are the same for all machines.
const TYPES: &str = include_str!("types.yaml");

/// The lowest frequency that the profile allows.
const LOWEST_MHZ: u64 = 100;

fn bytes(size: Option<u64>) -> Option<Yaml> {
    size.map(|size| Yaml::Text(format!("{size} B")))
}

fn number(number: Option<u64>) -> Option<Yaml> {
    number.map(Yaml::Number)
}

fn truth(truth: Option<bool>) -> Option<Yaml> {
    truth.map(Yaml::Truth)
}

fn known(value: &Option<String>) -> Option<Yaml> {
    text(value.as_deref())
}

fn texts<'a>(values: impl IntoIterator<Item = &'a String>) -> Option<Yaml> {
    list(values.into_iter().map(|value| Yaml::Text(value.clone())))
}

fn maps<T>(values: &[T], map: impl Fn(&T) -> MapOf) -> Option<Yaml> {
    list(values.iter().filter_map(|value| map(value).some()))
}

/// The word that stands for it in JSON.
fn word(value: &impl Serialize) -> Option<Yaml> {
    text(serde_json::to_value(value).ok()?.as_str())
}

/// A version as TOSCA has them (`major.minor[.fix]`), if it is one: `12` is `12.0`.
fn version(id: &str) -> Option<Yaml> {
    let parts: Vec<&str> = id.split('.').collect();
    let numbers = parts.iter().all(|part| {
        !part.is_empty() && part.len() < 10 && part.bytes().all(|b| b.is_ascii_digit())
    });
    match parts.len() {
        1 if numbers && parts[0] != "0" => text(Some(&format!("{id}.0"))),
        2 | 3 if numbers => text(Some(id)),
        _ => None,
    }
}

fn gpu(gpu: &Gpu) -> MapOf {
    MapOf::default()
        .with("name", text(Some(&gpu.name)))
        .with("kind", gpu.kind.and_then(|kind| word(&kind)))
        .with("vendor_id", known(&gpu.vendor_id))
        .with("device_id", known(&gpu.device_id))
        .with("driver", known(&gpu.driver))
        .with("video_memory", bytes(gpu.video_memory_bytes))
        .with(
            "video_memory_at_least",
            bytes(gpu.video_memory_at_least_bytes),
        )
        .with("shared_memory", bytes(gpu.shared_memory_bytes))
        .with("unified_memory", truth(gpu.unified_memory))
}

fn properties(status: &DeviceStatus) -> MapOf {
    let place = |name: &String| {
        text(
            Some(name)
                .filter(|name| !name.is_empty())
                .map(String::as_str),
        )
    };
    let region = status.region.as_ref().and_then(|region| {
        let map = MapOf::default()
            .with("continent", place(&region.continent))
            .with("country", place(&region.country))
            .with("city", place(&region.city));
        map.some()
    });
    let batteries = maps(&status.batteries, |battery| {
        MapOf::default()
            .with("name", text(Some(&battery.name)))
            .with("present", truth(Some(battery.present)))
            .with(
                "capacity_percent",
                number(battery.capacity_percent.map(u64::from)),
            )
            .with("status", known(&battery.status))
    });
    let disks = maps(&status.disks, |disk| {
        MapOf::default()
            .with("name", text(Some(&disk.name)))
            .with("size", bytes(Some(disk.size_bytes)))
            .with("model", known(&disk.model))
            .with("rotational", truth(disk.rotational))
            .with("removable", truth(disk.removable))
            .with("transport", known(&disk.transport))
    });
    let file_systems = maps(&status.file_systems, |file_system| {
        MapOf::default()
            .with("device", text(Some(&file_system.device)))
            .with("fstype", text(Some(&file_system.fstype)))
            .with("mountpoint", text(Some(&file_system.mountpoint)))
            .with("size", bytes(file_system.size_bytes))
            .with("free", bytes(file_system.free_bytes))
    });
    let interfaces = maps(&status.network_interfaces, |interface| {
        MapOf::default()
            .with("name", text(Some(&interface.name)))
            .with("mac", known(&interface.mac))
            .with("mtu_bytes", number(interface.mtu_bytes))
            .with(
                "speed_mbit_per_second",
                number(interface.speed_mbit_per_second),
            )
            .with("driver", known(&interface.driver))
            .with("addresses", texts(&interface.addresses))
    });
    let sensors = maps(&status.sensors, |sensor| {
        MapOf::default()
            .with("name", text(Some(&sensor.name)))
            .with("kind", word(&sensor.kind))
            .with("unit", word(&sensor.unit))
    });
    let software = maps(&status.software, |software| {
        MapOf::default()
            .with("name", text(Some(&software.name)))
            .with("package_version", text(Some(&software.version)))
    });
    MapOf::default()
        .with("uuid", known(&status.uuid))
        .with("vendor", known(&status.vendor))
        .with("model", known(&status.model))
        .with("roles", texts(&status.roles))
        .with("region", region)
        .with("kernel_release", known(&status.kernel.release))
        .with(
            "virtualization",
            status.virtualization.and_then(|v| word(&v)),
        )
        .with("batteries", batteries)
        .with("disks", disks)
        .with("file_systems", file_systems)
        .with("network_interfaces", interfaces)
        .with("sensors", sensors)
        .with("software", software)
}

fn capabilities(status: &DeviceStatus) -> MapOf {
    let cpu = &status.cpu;
    let mhz = cpu.max_mhz.filter(|mhz| *mhz >= LOWEST_MHZ);
    let disk_bytes = status
        .disks
        .iter()
        .map(|disk| disk.size_bytes)
        .reduce(u64::saturating_add);
    let host = MapOf::default()
        .with(
            "num_cpus",
            number(cpu.threads.filter(|threads| *threads > 0)),
        )
        .with(
            "cpu_frequency",
            mhz.map(|mhz| Yaml::Text(format!("{mhz} MHz"))),
        )
        .with("mem_size", bytes(status.memory_bytes))
        .with("disk_size", bytes(disk_bytes));
    let kernel = status.kernel.name.as_ref().map(|name| name.to_lowercase());
    let os = MapOf::default()
        .with("architecture", known(&cpu.architecture))
        .with("type", known(&kernel))
        .with("distribution", known(&status.os.id))
        .with("version", status.os.version.as_deref().and_then(version));
    let processor = MapOf::default()
        .with("cores", number(cpu.cores))
        .with("threads", number(cpu.threads))
        .with("sockets", number(cpu.sockets))
        .with("bits", number(cpu.bits.map(u64::from)))
        .with("model", known(&cpu.model))
        .with("vendor", known(&cpu.vendor))
        .with("features", texts(&cpu.features));
    let graphics = MapOf::default()
        .with("count", number(Some(status.gpus.len() as u64)))
        .with("gpus", maps(&status.gpus, gpu));
    let can_run = &status.can_run;
    let runtimes = MapOf::default()
        .with("kvm", word(&can_run.kvm))
        .with("kvm_detail", known(&can_run.kvm_detail))
        .with(
            "cgroup_version",
            can_run.cgroup_version.and_then(|v| word(&v)),
        )
        .with(
            "container_runtimes",
            texts(
                can_run
                    .container_runtimes
                    .iter()
                    .map(|program| &program.name),
            ),
        )
        .with(
            "machine_emulators",
            texts(
                can_run
                    .machine_emulators
                    .iter()
                    .map(|program| &program.name),
            ),
        );
    let all = [
        ("host", host),
        ("os", os),
        ("processor", processor),
        ("graphics", graphics),
        ("runtimes", runtimes),
    ];
    all.into_iter()
        .fold(MapOf::default(), |capabilities, (name, properties)| {
            let assigned = properties.some().and_then(|properties| {
                MapOf::default().with("properties", Some(properties)).some()
            });
            capabilities.with(name, assigned)
        })
}

fn node(status: &DeviceStatus) -> MapOf {
    let address = text(status.addresses.first().map(String::as_str));
    MapOf::default()
        .with("type", text(Some("minicloud.nodes.Device")))
        .with(
            "attributes",
            MapOf::default().with("private_address", address).some(),
        )
        .with("properties", properties(status).some())
        .with("capabilities", capabilities(status).some())
}

/// A service template of these devices, as YAML. Its node templates have the devices' names, which must be different, as names of
/// objects of one kind are.
pub fn tosca<'a>(devices: impl IntoIterator<Item = &'a DeviceStatus>) -> String {
    let nodes = devices.into_iter().fold(MapOf::default(), |nodes, status| {
        nodes.with(&status.name, node(status).some())
    });
    let nodes = nodes.some().unwrap_or(Yaml::Map(Vec::new()));
    format!(
        "{TYPES}topology_template:\n{}",
        entry("node_templates", &nodes, 2)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let check = |id: &str, expect: Option<&str>| assert_eq!(version(id), text(expect), "{id}");
        check("12", Some("12.0"));
        check("22.04", Some("22.04"));
        check("3.19.1", Some("3.19.1"));
        check("rolling", None);
        check("1.2.3.4", None);
        check("12.", None);
        check("", None);
    }
}
