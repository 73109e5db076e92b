//! `GET /v1/nodes` and `/v1/nodes/{name}`: the machines, what they have, how they are doing now and on average. Pure.

use minicloud_live::measurements::{
    Cpu, Disk, FileSystem, Load, Measurements, Memory, Network, PowerSupply, Stalls, Temperature,
};
use minicloud_prometheus_client::Sample;
use serde::Serialize;
use serde_json::{Value, json};

use crate::found::{Found, tidy};
use crate::impact::events::HealthEvent;
use crate::objects::{Amounts, NodeFacts};

/// Over how many minutes averages are.
pub(crate) const MINUTES: [u32; 3] = [5, 10, 15];

/// A node as it is told.
#[derive(Debug, Serialize)]
pub(crate) struct NodeAnswer {
    #[serde(flatten)]
    pub(crate) facts: NodeFacts,
    /// What the pods on it ask for together, and how many they are.
    pub(crate) requested: Amounts,
    /// What it is, from its Device.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) hardware: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) measurements: Option<Measurements>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) measurements_missing: Option<String>,
    pub(crate) averages: Vec<NodeAverage>,
    /// What was wrong with it and its drives in the last hours, newest first.
    pub(crate) health_events: Vec<HealthEvent>,
}

/// A node over some minutes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct NodeAverage {
    minutes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_used_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_waiting_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_used_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_available_bytes: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_waiting_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    io_waiting_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_read_bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_written_bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_busy_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_received_bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_transmitted_bytes_per_second: Option<f64>,
}

/// The samples of one node.
struct Of<'a> {
    found: &'a Found,
    node: &'a str,
}

impl<'a> Of<'a> {
    fn all(&self, measure: &str) -> impl Iterator<Item = &'a Sample> {
        let node = self.node;
        let samples = self.found.named(measure).iter();
        samples.filter(move |sample| sample.label("node") == node)
    }

    fn one(&self, measure: &str) -> Option<f64> {
        self.all(measure).next().map(|s| tidy(s.value()))
    }

    /// The value with the same label as `other`.
    fn like(&self, measure: &str, labels: &[&str], other: &Sample) -> Option<f64> {
        let same = |s: &&Sample| {
            labels
                .iter()
                .all(|label| s.label(label) == other.label(label))
        };
        self.all(measure).find(same).map(|s| tidy(s.value()))
    }
}

/// The node's averages, from what was found over each of [`MINUTES`].
pub(crate) fn averages(found: &[Found], node: &str) -> Vec<NodeAverage> {
    let average = |(minutes, found): (u32, &Found)| {
        let of = Of { found, node };
        let available = of.one("memory_available_bytes");
        let average = NodeAverage {
            minutes,
            cpu_used_ratio: of.one("cpu_used_ratio"),
            cpu_waiting_ratio: of.one("cpu_waiting_ratio"),
            memory_used_ratio: of
                .one("memory_total_bytes")
                .zip(available)
                .and_then(|(total, available)| used(total, available)),
            memory_available_bytes: available,
            memory_waiting_ratio: of.one("memory_waiting_ratio"),
            io_waiting_ratio: of.one("io_waiting_ratio"),
            load: of.one("load"),
            disk_read_bytes_per_second: of.one("disk_read_bytes_per_second"),
            disk_written_bytes_per_second: of.one("disk_written_bytes_per_second"),
            disk_busy_ratio: of.one("disk_busy_ratio"),
            network_received_bytes_per_second: of.one("network_received_bytes_per_second"),
            network_transmitted_bytes_per_second: of.one("network_transmitted_bytes_per_second"),
        };
        let empty = NodeAverage {
            minutes,
            ..NodeAverage::default()
        };
        (average != empty).then_some(average)
    };
    MINUTES.into_iter().zip(found).filter_map(average).collect()
}

fn used(total: f64, available: f64) -> Option<f64> {
    (total > 0.0).then(|| tidy((1.0 - available / total).clamp(0.0, 1.0)))
}

/// How the node is doing; nothing when nothing is known of it.
pub(crate) fn measurements(found: &Found, node: &str) -> Option<Measurements> {
    let of = Of { found, node };
    let cores = of.one("cpu_cores")?;
    let used_ratio = of.one("cpu_used_ratio");
    let (total, available) = (
        of.one("memory_total_bytes"),
        of.one("memory_available_bytes"),
    );
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of cores"
    )]
    let whole_cores = cores as usize;
    Some(Measurements {
        cpu: Cpu {
            cores: whole_cores,
            used_cores: used_ratio.map(|ratio| tidy(ratio * cores)),
            used_ratio,
            io_wait_ratio: of.one("cpu_io_wait_ratio"),
            stolen_ratio: of.one("cpu_stolen_ratio"),
            throttles_per_second: of.one("cpu_throttles_per_second"),
            waiting_ratio: of.one("cpu_waiting_ratio"),
        },
        memory: Memory {
            total_bytes: total,
            available_bytes: available,
            used_ratio: total.zip(available).and_then(|(t, a)| used(t, a)),
            swap_used_bytes: of.one("swap_used_bytes"),
            stalls: Stalls {
                waiting_ratio: of.one("memory_waiting_ratio"),
                stalled_ratio: of.one("memory_stalled_ratio"),
            },
        },
        load: load(&of),
        io: Stalls {
            waiting_ratio: of.one("io_waiting_ratio"),
            stalled_ratio: of.one("io_stalled_ratio"),
        },
        file_systems: file_systems(&of),
        disks: disks(&of),
        networks: networks(&of),
        temperatures: temperatures(&of),
        power_supplies: power_supplies(&of),
    })
}

fn load(of: &Of<'_>) -> Option<Load> {
    Some(Load {
        load_1m: of.one("load_1m")?,
        load_5m: of.one("load_5m")?,
        load_15m: of.one("load_15m")?,
    })
}

fn file_systems(of: &Of<'_>) -> Vec<FileSystem> {
    const LABELS: [&str; 3] = ["device", "mountpoint", "fstype"];
    let mut found: Vec<FileSystem> = Vec::new();
    for sample in of.all("file_system_size_bytes") {
        let size = sample.value();
        let available = of.like("file_system_available_bytes", &LABELS, sample);
        let Some((available, used_ratio)) = available.and_then(|a| Some((a, used(size, a)?)))
        else {
            continue;
        };
        let one = FileSystem {
            mountpoint: sample.label("mountpoint").to_owned(),
            device: sample.label("device").to_owned(),
            fstype: sample.label("fstype").to_owned(),
            size_bytes: size,
            available_bytes: available,
            used_ratio,
            read_only: of.like("file_system_read_only", &LABELS, sample) == Some(1.0),
        };
        match found.iter_mut().find(|known| known.device == one.device) {
            Some(known) if one.mountpoint.len() < known.mountpoint.len() => *known = one,
            Some(_) => {}
            None => found.push(one),
        }
    }
    found.sort_by(|a, b| a.mountpoint.cmp(&b.mountpoint));
    found
}

fn disks(of: &Of<'_>) -> Vec<Disk> {
    let disk = |sample: &Sample| {
        let value = |measure: &str| of.like(measure, &["device"], sample);
        Disk {
            device: sample.label("device").to_owned(),
            read_bytes_per_second: value("disk_read_bytes_per_second").unwrap_or_default(),
            written_bytes_per_second: value("disk_written_bytes_per_second").unwrap_or_default(),
            busy_ratio: tidy(sample.value().clamp(0.0, 1.0)),
            read_latency_seconds: value("disk_read_latency_seconds"),
            write_latency_seconds: value("disk_write_latency_seconds"),
        }
    };
    of.all("disk_busy_ratio").map(disk).collect()
}

fn networks(of: &Of<'_>) -> Vec<Network> {
    let network = |sample: &Sample| {
        let value = |measure: &str| of.like(measure, &["device"], sample);
        Network {
            interface: sample.label("device").to_owned(),
            up: value("network_up").map(|up| up == 1.0),
            received_bytes_per_second: tidy(sample.value()),
            transmitted_bytes_per_second: value("network_transmitted_bytes_per_second")
                .unwrap_or_default(),
            lost_packets_per_second: value("network_lost_packets_per_second").unwrap_or_default(),
        }
    };
    of.all("network_received_bytes_per_second")
        .map(network)
        .collect()
}

fn temperatures(of: &Of<'_>) -> Vec<Temperature> {
    let named = |measure: &'static str, first: &'static str, second: &'static str| {
        of.all(measure).map(move |sample| Temperature {
            sensor: format!("{}/{}", sample.label(first), sample.label(second)),
            celsius: sample.value(),
        })
    };
    named("temperature_zone", "type", "zone")
        .chain(named("temperature_chip", "chip", "sensor"))
        .collect()
}

fn power_supplies(of: &Of<'_>) -> Vec<PowerSupply> {
    let mut found: Vec<PowerSupply> = Vec::new();
    for (measure, is_charge) in [("charge_percent", true), ("power_online", false)] {
        for sample in of.all(measure) {
            let name = sample.label("power_supply");
            let at = found.iter().position(|known| known.name == name);
            let at = at.unwrap_or_else(|| {
                found.push(PowerSupply {
                    name: name.to_owned(),
                    ..PowerSupply::default()
                });
                found.len() - 1
            });
            if is_charge {
                found[at].charge_ratio = Some(tidy((sample.value() / 100.0).clamp(0.0, 1.0)));
            } else {
                found[at].online = Some(sample.value() == 1.0);
            }
        }
    }
    found
}

/// What an orchestrator wants of a Device without asking for all of it.
pub(crate) fn hardware(device: &Value) -> Value {
    let at = |pointer: &str| device.pointer(pointer).cloned().unwrap_or_default();
    let gpus = device.pointer("/gpus").and_then(Value::as_array);
    let mut told = json!({
        "architecture": at("/cpu/architecture"),
        "cpu_model": at("/cpu/model"),
        "cpu_threads": at("/cpu/threads"),
        "memory_bytes": at("/memoryBytes"),
        "gpus": gpus.map_or(0, Vec::len),
        "operating_system": at("/os/prettyName"),
        "kernel": at("/kernel/release"),
        "region": at("/region"),
    });
    if let Some(told) = told.as_object_mut() {
        told.retain(|_, value| !value.is_null());
    }
    told
}
