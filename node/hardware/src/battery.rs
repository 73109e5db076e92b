//! Batteries, from `/sys/class/power_supply` (the kernel's `Documentation/ABI/testing/sysfs-class-power`).

use serde::{Deserialize, Serialize};

use crate::Root;

/// A battery that feeds the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Battery {
    /// As sysfs calls it: `BAT0`.
    pub name: String,
    /// False for a bay without its battery.
    pub present: bool,
    /// How full it is, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_percent: Option<u8>,
    /// `Charging`, `Discharging`, `Not charging`, `Full` or `Unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

pub(crate) fn read(root: &Root) -> Vec<Battery> {
    let supplies = root.names("/sys/class/power_supply").into_iter();
    let batteries = supplies.filter_map(|name| {
        let value = |file: &str| root.value(&format!("/sys/class/power_supply/{name}/{file}"));
        // The batteries of mice and pens have the scope `Device`.
        let feeds =
            value("type")? == "Battery" && value("scope").is_none_or(|scope| scope != "Device");
        feeds.then(|| Battery {
            name: name.clone(),
            present: value("present").is_none_or(|present| present != "0"),
            capacity_percent: value("capacity")
                .and_then(|c| c.parse().ok())
                .filter(|c| *c <= 100),
            status: value("status"),
        })
    });
    batteries.collect()
}
