//! `netclass`: what each interface is and how it is doing, from `/sys/class/net`.
//!
//! The kernel refuses to read some attributes of an interface that is down; then the metric is not there for it.

use crate::collector::{Collector, Scrape};
use crate::error::CollectError;
use crate::samples::{Metric, Samples};
use crate::tree::Folder;

const UP: Metric = Metric::gauge(
    "node_network_up",
    "Value is 1 if operstate is 'up', 0 otherwise.",
);
const INFO: Metric = Metric::gauge(
    "node_network_info",
    "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
);
const SPEED: Metric = Metric::gauge(
    "node_network_speed_bytes",
    "Network device property: speed_bytes",
);
/// The kernel gives megabits per second, and -1 for what it does not know, which node_exporter converts as well.
const BYTES_PER_MEGABIT: f64 = 125_000.0;

/// `(the attribute, the metric)`
const NUMBERS: [(&str, Metric); 16] = [
    (
        "addr_assign_type",
        Metric::gauge(
            "node_network_address_assign_type",
            "Network device property: address_assign_type",
        ),
    ),
    (
        "carrier",
        Metric::gauge("node_network_carrier", "Network device property: carrier"),
    ),
    (
        "carrier_changes",
        Metric::counter(
            "node_network_carrier_changes_total",
            "Network device property: carrier_changes_total",
        ),
    ),
    (
        "carrier_up_count",
        Metric::counter(
            "node_network_carrier_up_changes_total",
            "Network device property: carrier_up_changes_total",
        ),
    ),
    (
        "carrier_down_count",
        Metric::counter(
            "node_network_carrier_down_changes_total",
            "Network device property: carrier_down_changes_total",
        ),
    ),
    (
        "dev_id",
        Metric::gauge(
            "node_network_device_id",
            "Network device property: device_id",
        ),
    ),
    (
        "dormant",
        Metric::gauge("node_network_dormant", "Network device property: dormant"),
    ),
    (
        "flags",
        Metric::gauge("node_network_flags", "Network device property: flags"),
    ),
    (
        "ifindex",
        Metric::gauge("node_network_iface_id", "Network device property: iface_id"),
    ),
    (
        "iflink",
        Metric::gauge(
            "node_network_iface_link",
            "Network device property: iface_link",
        ),
    ),
    (
        "link_mode",
        Metric::gauge(
            "node_network_iface_link_mode",
            "Network device property: iface_link_mode",
        ),
    ),
    (
        "mtu",
        Metric::gauge(
            "node_network_mtu_bytes",
            "Network device property: mtu_bytes",
        ),
    ),
    (
        "name_assign_type",
        Metric::gauge(
            "node_network_name_assign_type",
            "Network device property: name_assign_type",
        ),
    ),
    (
        "netdev_group",
        Metric::gauge(
            "node_network_net_dev_group",
            "Network device property: net_dev_group",
        ),
    ),
    (
        "tx_queue_len",
        Metric::gauge(
            "node_network_transmit_queue_length",
            "Network device property: transmit_queue_length",
        ),
    ),
    (
        "type",
        Metric::gauge(
            "node_network_protocol_type",
            "Network device property: protocol_type",
        ),
    ),
];

pub(crate) struct NetClass;

impl Collector for NetClass {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let class = scrape.root.open("sys/class/net")?;
        for device in class.names()? {
            // Not everything there is an interface: the bonding driver has a file.
            if let Ok(folder) = class.open(&device) {
                interface(scrape, &folder, &device, out);
            }
        }
        Ok(())
    }
}

fn interface(scrape: &mut Scrape<'_>, folder: &Folder, device: &str, out: &mut Samples) {
    let mut label = |attribute| scrape.label(folder, attribute).unwrap_or_default();
    let operstate = label("operstate");
    let labels = [
        ("address", &*label("address")),
        ("broadcast", &*label("broadcast")),
        ("device", device),
        ("duplex", &*label("duplex")),
        ("ifalias", &*label("ifalias")),
        ("operstate", &*operstate),
    ];
    out.add(&INFO, &labels, 1.0);
    let labels = [("device", device)];
    out.add(&UP, &labels, f64::from(operstate == "up"));
    for (attribute, metric) in &NUMBERS {
        if let Some(number) = scrape.number(folder, attribute) {
            out.add(metric, &labels, number);
        }
    }
    if let Some(megabits) = scrape.number(folder, "speed") {
        out.add(&SPEED, &labels, megabits * BYTES_PER_MEGABIT);
    }
}
