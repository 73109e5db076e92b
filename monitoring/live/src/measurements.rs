//! What is measured of a machine, and how it is computed from node_exporter's samples. Pure.
//!
//! Units are in the names. What a machine does not have, and what is not known yet, is left out; nothing is guessed.

use std::collections::HashMap;

use minicloud_exporter::Reading;
use serde::{Deserialize, Serialize};

/// At most so many of each kind of thing are told of, so that a line has a bound.
const MAX_THINGS: usize = 32;

/// One machine at one time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurements {
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// The kernel's load averages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Waiting for disks.
    #[serde(skip_serializing_if = "Stalls::is_unknown")]
    pub io: Stalls,
    /// File systems on disks and on the network, by mount point.
    pub file_systems: Vec<FileSystem>,
    /// Disks, without their partitions, by name.
    pub disks: Vec<Disk>,
    /// Network interfaces, without the loopback one and those of pods, by name.
    pub networks: Vec<Network>,
    /// Temperatures, by sensor.
    pub temperatures: Vec<Temperature>,
    /// Batteries and power supplies, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub power_supplies: Vec<PowerSupply>,
}

/// Processors together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// How many there are.
    pub cores: usize,
    /// How many of them worked, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_cores: Option<f64>,
    /// The same as a part of all, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_ratio: Option<f64>,
    /// The part of the time in which a processor was idle because a disk was slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_wait_ratio: Option<f64>,
    /// The part of the time that the hypervisor gave to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stolen_ratio: Option<f64>,
    /// How often a core was slowed down because it was hot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttles_per_second: Option<f64>,
    /// The part of the time in which somebody waited for a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_ratio: Option<f64>,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// What the kernel has to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<f64>,
    /// What programs can get without swapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<f64>,
    /// What is not available, as a part of all, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_ratio: Option<f64>,
    /// Swap that is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_used_bytes: Option<f64>,
    /// Waiting for memory.
    #[serde(flatten)]
    pub stalls: Stalls,
}

/// Pressure stall information: parts of the time, 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stalls {
    /// Somebody waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_ratio: Option<f64>,
    /// Everybody who had work waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled_ratio: Option<f64>,
}

impl Stalls {
    fn is_unknown(&self) -> bool {
        self.waiting_ratio.is_none() && self.stalled_ratio.is_none()
    }
}

/// Who ran, or waited to, on average.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Over a minute.
    pub load_1m: f64,
    /// Over five.
    pub load_5m: f64,
    /// Over fifteen.
    pub load_15m: f64,
}

/// One file system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Where it is mounted; where it is in several places, the shortest.
    pub mountpoint: String,
    /// What it is on.
    pub device: String,
    /// Its kind.
    pub fstype: String,
    /// All of it.
    pub size_bytes: f64,
    /// What programs that are not root's can still take.
    pub available_bytes: f64,
    /// What is not available, as a part of all, 0 to 1.
    pub used_ratio: f64,
    /// Nothing can be written.
    pub read_only: bool,
}

/// One disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// Its name in `/dev`.
    pub device: String,
    /// Read from it.
    pub read_bytes_per_second: f64,
    /// Written to it.
    pub written_bytes_per_second: f64,
    /// The part of the time in which it had something to do, 0 to 1.
    pub busy_ratio: f64,
    /// What a read took, on average; nothing when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_latency_seconds: Option<f64>,
    /// What a write took, on average; nothing when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_latency_seconds: Option<f64>,
}

/// One network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Its name.
    pub interface: String,
    /// It has a carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Received.
    pub received_bytes_per_second: f64,
    /// Sent.
    pub transmitted_bytes_per_second: f64,
    /// Packets that were lost or damaged, both ways.
    pub lost_packets_per_second: f64,
}

/// One sensor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// The zone's kind and number, or the chip and its sensor.
    pub sensor: String,
    /// How warm.
    pub celsius: f64,
}

/// One battery or power supply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PowerSupply {
    /// Its name.
    pub name: String,
    /// How full, 0 to 1; of batteries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_ratio: Option<f64>,
    /// It gives power; of mains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
}

/// The collectors whose readings are used here.
pub(crate) const COLLECTORS: [&str; 11] = [
    "cpu",
    "diskstats",
    "filesystem",
    "hwmon",
    "loadavg",
    "meminfo",
    "netclass",
    "netdev",
    "powersupplyclass",
    "pressure",
    "thermal_zone",
];

/// A metric's name and labels.
type Key<'a> = (&'a str, &'a [(String, String)]);

/// Readings of one time, to be looked up.
struct Table<'a> {
    values: HashMap<Key<'a>, f64>,
    readings: &'a [Reading],
}

impl<'a> Table<'a> {
    fn new(readings: &'a [Reading]) -> Self {
        let key = |r: &'a Reading| (r.name.as_str(), r.labels.as_slice());
        Self {
            values: readings.iter().map(|r| (key(r), r.value)).collect(),
            readings,
        }
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.with(name, &[])
    }

    fn with(&self, name: &str, labels: &[(String, String)]) -> Option<f64> {
        self.values.get(&(name, labels)).copied()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &'a Reading> {
        self.readings.iter().filter(move |r| r.name == name)
    }
}

/// Two times and what lies between.
struct Span<'a> {
    before: Table<'a>,
    now: Table<'a>,
    seconds: f64,
}

impl Span<'_> {
    /// How fast a counter grew; nothing when it is new or began anew.
    fn rate(&self, name: &str, labels: &[(String, String)]) -> Option<f64> {
        let grown = self.now.with(name, labels)? - self.before.with(name, labels)?;
        (grown >= 0.0 && self.seconds > 0.0).then_some(grown / self.seconds)
    }

    fn ratio(&self, name: &str) -> Option<f64> {
        self.rate(name, &[]).map(as_ratio)
    }
}

/// The measurements at the time of `now`; rates are over the `seconds` since `before`.
pub fn measure(before: &[Reading], now: &[Reading], seconds: f64) -> Measurements {
    let span = Span {
        before: Table::new(before),
        now: Table::new(now),
        seconds,
    };
    Measurements {
        cpu: cpu(&span),
        memory: memory(&span),
        load: load(&span.now),
        io: Stalls {
            waiting_ratio: span.ratio("node_pressure_io_waiting_seconds_total"),
            stalled_ratio: span.ratio("node_pressure_io_stalled_seconds_total"),
        },
        file_systems: file_systems(&span.now),
        disks: disks(&span),
        networks: networks(&span),
        temperatures: temperatures(&span.now),
        power_supplies: power_supplies(&span.now),
    }
}

fn cpu(span: &Span<'_>) -> Cpu {
    const SECONDS: &str = "node_cpu_seconds_total";
    let (mut all, mut idle, mut io_wait, mut stolen) = (0.0, 0.0, 0.0, 0.0);
    let mut cores = 0;
    for reading in span.now.named(SECONDS) {
        let mode = label(reading, "mode");
        cores += usize::from(mode == "idle");
        let Some(rate) = span.rate(SECONDS, &reading.labels) else {
            continue;
        };
        all += rate;
        match mode {
            "idle" => idle += rate,
            "iowait" => io_wait += rate,
            "steal" => stolen += rate,
            _ => {}
        }
    }
    // Idle machines without a tick are counted late: what counts is the part of what was counted.
    let part = |time: f64| (all > 0.0).then(|| as_ratio(time / all));
    let used = part(all - idle - io_wait);
    let throttles: Vec<f64> = span
        .now
        .named("node_cpu_core_throttles_total")
        .filter_map(|r| span.rate(&r.name, &r.labels))
        .collect();
    Cpu {
        cores,
        used_ratio: used,
        used_cores: used.map(|ratio| round(ratio * count(cores), 3)),
        io_wait_ratio: part(io_wait),
        stolen_ratio: part(stolen),
        throttles_per_second: (!throttles.is_empty()).then(|| round(throttles.iter().sum(), 2)),
        waiting_ratio: span.ratio("node_pressure_cpu_waiting_seconds_total"),
    }
}

fn memory(span: &Span<'_>) -> Memory {
    let bytes = |field: &str| span.now.value(&format!("node_memory_{field}_bytes"));
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    let swap = bytes("SwapTotal").zip(bytes("SwapFree"));
    Memory {
        total_bytes: total,
        available_bytes: available,
        used_ratio: total
            .zip(available)
            .map(|(total, available)| used_ratio(total, available)),
        swap_used_bytes: swap.map(|(total, free)| (total - free).max(0.0)),
        stalls: Stalls {
            waiting_ratio: span.ratio("node_pressure_memory_waiting_seconds_total"),
            stalled_ratio: span.ratio("node_pressure_memory_stalled_seconds_total"),
        },
    }
}

fn load(now: &Table<'_>) -> Option<Load> {
    Some(Load {
        load_1m: now.value("node_load1")?,
        load_5m: now.value("node_load5")?,
        load_15m: now.value("node_load15")?,
    })
}

fn file_systems(now: &Table<'_>) -> Vec<FileSystem> {
    let mut found: Vec<FileSystem> = Vec::new();
    for reading in now.named("node_filesystem_size_bytes") {
        let of = |what: &str| now.with(&format!("node_filesystem_{what}"), &reading.labels);
        let fstype = label(reading, "fstype");
        // In memory: no disk, and pods have one for each secret.
        if fstype == "tmpfs" || fstype == "ramfs" || reading.value <= 0.0 {
            continue;
        }
        let Some(available) = of("avail_bytes") else {
            continue;
        };
        let one = FileSystem {
            mountpoint: label(reading, "mountpoint").to_owned(),
            device: label(reading, "device").to_owned(),
            fstype: fstype.to_owned(),
            size_bytes: reading.value,
            available_bytes: available,
            used_ratio: used_ratio(reading.value, available),
            read_only: of("readonly") == Some(1.0),
        };
        // Bind mounts, and what is mounted in several places.
        match found.iter_mut().find(|known| known.device == one.device) {
            Some(known) if one.mountpoint.len() < known.mountpoint.len() => *known = one,
            Some(_) => {}
            None => found.push(one),
        }
    }
    found.sort_by(|a, b| a.mountpoint.cmp(&b.mountpoint));
    found.truncate(MAX_THINGS);
    found
}

fn disks(span: &Span<'_>) -> Vec<Disk> {
    let mut found = Vec::new();
    for reading in span.now.named("node_disk_io_time_seconds_total") {
        let device = label(reading, "device");
        let rate = |what: &str| span.rate(&format!("node_disk_{what}_total"), &reading.labels);
        let latency = |time: &str, operations: &str| {
            let operations = rate(operations).filter(|rate| *rate > 0.0)?;
            Some(round(rate(time)? / operations, 6))
        };
        let Some(busy) = rate("io_time_seconds").filter(|_| !is_partition(device)) else {
            continue;
        };
        found.push(Disk {
            device: device.to_owned(),
            read_bytes_per_second: rate("read_bytes").unwrap_or_default().round(),
            written_bytes_per_second: rate("written_bytes").unwrap_or_default().round(),
            busy_ratio: as_ratio(busy),
            read_latency_seconds: latency("read_time_seconds", "reads_completed"),
            write_latency_seconds: latency("write_time_seconds", "writes_completed"),
        });
    }
    found.sort_by(|a, b| a.device.cmp(&b.device));
    found.truncate(MAX_THINGS);
    found
}

/// `mmcblk0p2`, `nvme0n1p1` and the like; node_exporter leaves out those of the other kinds of disk itself.
fn is_partition(device: &str) -> bool {
    let Some((disk, number)) = device.rsplit_once('p') else {
        return device.contains("boot") && device.starts_with("mmcblk");
    };
    !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && disk.ends_with(|c: char| c.is_ascii_digit())
}

fn networks(span: &Span<'_>) -> Vec<Network> {
    let mut found = Vec::new();
    for reading in span.now.named("node_network_receive_bytes_total") {
        let interface = label(reading, "device");
        let rate = |what: &str| span.rate(&format!("node_network_{what}_total"), &reading.labels);
        let (Some(received), Some(transmitted)) = (rate("receive_bytes"), rate("transmit_bytes"))
        else {
            continue;
        };
        if interface == "lo" || interface.starts_with("veth") {
            continue;
        }
        let lost = [
            "receive_errs",
            "receive_drop",
            "transmit_errs",
            "transmit_drop",
        ];
        let up = span.now.with("node_network_up", &reading.labels);
        found.push(Network {
            interface: interface.to_owned(),
            up: up.map(|up| up == 1.0),
            received_bytes_per_second: received.round(),
            transmitted_bytes_per_second: transmitted.round(),
            lost_packets_per_second: round(lost.into_iter().filter_map(rate).sum(), 2),
        });
    }
    found.sort_by(|a, b| a.interface.cmp(&b.interface));
    found.truncate(MAX_THINGS);
    found
}

fn temperatures(now: &Table<'_>) -> Vec<Temperature> {
    let zones = now
        .named("node_thermal_zone_temp")
        .map(|r| (r, "type", "zone"));
    let chips = now
        .named("node_hwmon_temp_celsius")
        .map(|r| (r, "chip", "sensor"));
    let mut found: Vec<Temperature> = zones
        .chain(chips)
        .map(|(reading, first, second)| Temperature {
            sensor: format!("{}/{}", label(reading, first), label(reading, second)),
            celsius: round(reading.value, 1),
        })
        .collect();
    found.sort_by(|a, b| a.sensor.cmp(&b.sensor));
    found.truncate(MAX_THINGS);
    found
}

fn power_supplies(now: &Table<'_>) -> Vec<PowerSupply> {
    let mut found: Vec<PowerSupply> = now
        .named("node_power_supply_info")
        .map(|reading| {
            let name = label(reading, "power_supply");
            let key = [("power_supply".to_owned(), name.to_owned())];
            PowerSupply {
                name: name.to_owned(),
                charge_ratio: now
                    .with("node_power_supply_capacity", &key)
                    .map(|percent| as_ratio(percent / 100.0)),
                online: now
                    .with("node_power_supply_online", &key)
                    .map(|online| online == 1.0),
            }
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.truncate(MAX_THINGS);
    found
}

fn label<'a>(reading: &'a Reading, name: &str) -> &'a str {
    let found = reading.labels.iter().find(|(label, _)| label == name);
    found.map_or("", |(_, value)| value)
}

fn used_ratio(total: f64, available: f64) -> f64 {
    if total <= 0.0 {
        return 0.0;
    }
    as_ratio(1.0 - available / total)
}

/// Within 0 and 1, which the kernel's counters overstep now and then, and with as many digits as say something.
fn as_ratio(value: f64) -> f64 {
    round(value.clamp(0.0, 1.0), 4)
}

fn round(value: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (value * unit).round() / unit
}

#[expect(clippy::cast_precision_loss, reason = "cores are few")]
fn count(cores: usize) -> f64 {
    cores as f64
}

#[cfg(test)]
#[path = "measurements_tests.rs"]
mod tests;
