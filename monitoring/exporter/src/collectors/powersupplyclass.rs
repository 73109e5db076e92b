//! `powersupplyclass`: batteries, mains adapters and USB supplies, from `/sys/class/power_supply`.
//!
//! Other than node_exporter, an attribute that is not understood takes nothing but itself away.

use crate::collector::{Collector, Scrape};
use crate::error::CollectError;
use crate::samples::{Kind, Metric, Samples};

const INFO: Metric = Metric::gauge(
    "node_power_supply_info",
    "info of /sys/class/power_supply/<power_supply>.",
);

/// The kernel counts in millionths: of volts, amperes, watts, their hours; and charge limits, which have no unit, node_exporter
/// divides as well.
const MICRO: f64 = 1e6;
/// Temperatures are in tenths of a degree.
const TENTHS: f64 = 10.0;

/// `(the attribute, the metric after node_power_supply_, by what to divide)`
const NUMBERS: [(&str, &str, f64); 48] = [
    ("authentic", "authentic", 1.0),
    ("calibrate", "calibrate", 1.0),
    ("capacity", "capacity", 1.0),
    ("capacity_alert_max", "capacity_alert_max", 1.0),
    ("capacity_alert_min", "capacity_alert_min", 1.0),
    ("charge_control_limit", "charge_control_limit", MICRO),
    (
        "charge_control_limit_max",
        "charge_control_limit_max",
        MICRO,
    ),
    ("charge_counter", "charge_counter", MICRO),
    ("charge_empty", "charge_empty", MICRO),
    ("charge_empty_design", "charge_empty_design", MICRO),
    ("charge_full", "charge_full", MICRO),
    ("charge_full_design", "charge_full_design", MICRO),
    ("charge_now", "charge_ampere", MICRO),
    ("constant_charge_current", "constant_charge_current", MICRO),
    (
        "constant_charge_current_max",
        "constant_charge_current_max",
        MICRO,
    ),
    ("constant_charge_voltage", "constant_charge_voltage", MICRO),
    (
        "constant_charge_voltage_max",
        "constant_charge_voltage_max",
        MICRO,
    ),
    ("current_boot", "current_boot", MICRO),
    ("current_max", "current_max", MICRO),
    ("current_now", "current_ampere", MICRO),
    ("cycle_count", "cyclecount", 1.0),
    ("energy_empty", "energy_empty", MICRO),
    ("energy_empty_design", "energy_empty_design", MICRO),
    ("energy_full", "energy_full", MICRO),
    ("energy_full_design", "energy_full_design", MICRO),
    ("energy_now", "energy_watthour", MICRO),
    ("input_current_limit", "input_current_limit", MICRO),
    ("online", "online", 1.0),
    ("power_now", "power_watt", MICRO),
    ("precharge_current", "precharge_current", MICRO),
    ("present", "present", 1.0),
    ("temp", "temp_celsius", TENTHS),
    ("temp_alert_max", "temp_alert_max_celsius", TENTHS),
    ("temp_alert_min", "temp_alert_min_celsius", TENTHS),
    ("temp_ambient", "temp_ambient_celsius", TENTHS),
    ("temp_ambient_max", "temp_ambient_max_celsius", TENTHS),
    ("temp_ambient_min", "temp_ambient_min_celsius", TENTHS),
    ("temp_max", "temp_max_celsius", TENTHS),
    ("temp_min", "temp_min_celsius", TENTHS),
    ("time_to_empty_now", "time_to_empty_seconds", 1.0),
    ("time_to_full_now", "time_to_full_seconds", 1.0),
    ("voltage_boot", "voltage_boot", MICRO),
    ("voltage_max", "voltage_max", MICRO),
    ("voltage_max_design", "voltage_max_design", MICRO),
    ("voltage_min", "voltage_min", MICRO),
    ("voltage_min_design", "voltage_min_design", MICRO),
    ("voltage_now", "voltage_volt", MICRO),
    ("voltage_ocv", "voltage_ocv", MICRO),
];

/// Attributes that are labels of the same name where they are there and say something.
const LABELS: [&str; 11] = [
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

pub(crate) struct PowerSupplyClass;

impl Collector for PowerSupplyClass {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let class = scrape.root.open("sys/class/power_supply")?;
        for supply in class.names()? {
            let Ok(folder) = class.open(&supply) else {
                continue;
            };
            let texts = LABELS.map(|label| scrape.label(&folder, label).unwrap_or_default());
            let mut labels = vec![("power_supply", supply.as_str())];
            labels.extend(
                LABELS
                    .iter()
                    .zip(&texts)
                    .map(|(label, text)| (*label, text.as_str())),
            );
            labels.retain(|(_, text)| !text.is_empty());
            out.add(&INFO, &labels, 1.0);
            for (attribute, name, divisor) in NUMBERS {
                if let Some(number) = scrape.number(&folder, attribute) {
                    let help =
                        || format!("{name} value of /sys/class/power_supply/<power_supply>.");
                    let labels = [("power_supply", supply.as_str())];
                    let name = format!("node_power_supply_{name}");
                    out.add_named(&name, Kind::Gauge, help, &labels, number / divisor);
                }
            }
        }
        Ok(())
    }
}
