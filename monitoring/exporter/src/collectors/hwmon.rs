//! `hwmon`: temperatures, fans, voltages, currents, power and energy, from `/sys/class/hwmon`.
//!
//! A chip is called by where it is (`platform_nct6775_656`), which stays the same over reboots, as `hwmon3` does not; what it
//! calls itself is in `node_hwmon_chip_names`. A sensor is `temp1`, its attributes `temp1_input`, `temp1_max`. Drivers put
//! them into the chip's folder, older ones into its device's. What a driver writes that is no number is left out without
//! complaint.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::collector::{Collector, Scrape};
use crate::error::CollectError;
use crate::samples::{Kind, Metric, Samples};
use crate::tree::Folder;

const CHIP: Metric = Metric::gauge(
    "node_hwmon_chip_names",
    "Annotation metric for human-readable chip names",
);
const LABEL: Metric = Metric::gauge("node_hwmon_sensor_label", "Label for given chip and sensor");

/// The kinds of sensors that node_exporter knows.
const KINDS: [&str; 13] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
];

/// Sensors by name, and their attributes; the attribute without a name is the value of `pwm1` and its like.
type Sensors = BTreeMap<String, Sensor>;

struct Sensor {
    kind: &'static str,
    attributes: BTreeMap<String, String>,
}

pub(crate) struct Hwmon;

impl Collector for Hwmon {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let class = scrape.root.open("sys/class/hwmon")?;
        for name in class.names()? {
            let Ok(folder) = class.open(&name) else {
                continue;
            };
            let own_name = scrape
                .label(&folder, "name")
                .map(|name| clean(&name))
                .filter(|name| !name.is_empty());
            let device =
                std::fs::canonicalize(scrape.root_path.join(folder.path()).join("device")).ok();
            let chip = device
                .and_then(|path| {
                    let part = |name: Option<&std::ffi::OsStr>| {
                        name.map(|name| clean(&name.to_string_lossy()))
                    };
                    chip_name(
                        part(path.parent().and_then(|p| p.file_name())),
                        part(path.file_name()),
                    )
                })
                .or_else(|| own_name.clone())
                .unwrap_or_else(|| clean(&name));
            if let Some(own_name) = own_name {
                out.add(&CHIP, &[("chip", &chip), ("chip_name", &own_name)], 1.0);
            }
            let mut sensors = Sensors::new();
            read(scrape, &folder, &mut sensors)?;
            if let Ok(device) = folder.open("device") {
                read(scrape, &device, &mut sensors)?;
            }
            for (name, sensor) in &sensors {
                add(&chip, name, sensor, out);
            }
        }
        Ok(())
    }
}

/// By its device and what that hangs on.
fn chip_name(bus: Option<String>, device: Option<String>) -> Option<String> {
    let filled = |name: Option<String>| name.filter(|name| !name.is_empty());
    let device = filled(device)?;
    Some(match filled(bus) {
        Some(bus) => format!("{bus}_{device}"),
        None => device,
    })
}

fn read(
    scrape: &mut Scrape<'_>,
    folder: &Folder,
    sensors: &mut Sensors,
) -> Result<(), CollectError> {
    for file in folder.names()? {
        let Some((kind, number, attribute)) = split(&file) else {
            continue;
        };
        // Sensors that sleep, and chips that went while we looked, do not answer.
        if let Ok(Some(value)) = folder.attribute(&file, scrape.text) {
            let sensor = sensors
                .entry(format!("{kind}{number}"))
                .or_insert_with(|| Sensor {
                    kind,
                    attributes: BTreeMap::new(),
                });
            sensor
                .attributes
                .insert(attribute.to_owned(), value.trim_matches('\n').to_owned());
        }
    }
    Ok(())
}

/// `temp12_max_hyst` is attribute `max_hyst` of the sensor 12 of kind `temp`.
pub(super) fn split(file: &str) -> Option<(&'static str, u32, &str)> {
    let kind = file
        .find(|c: char| c.is_ascii_digit())
        .map_or(file, |digit| &file[..digit]);
    let rest = &file[kind.len()..];
    let kind = KINDS.into_iter().find(|known| *known == kind)?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, attribute) = rest.split_at(digits);
    let number = if number.is_empty() {
        0
    } else {
        number.parse().ok()?
    };
    match attribute.strip_prefix('_') {
        Some(attribute) if !attribute.is_empty() => Some((kind, number, attribute)),
        None if attribute.is_empty() => Some((kind, number, "")),
        _ => None,
    }
}

/// As a part of a metric's name, or a chip's.
pub(super) fn clean(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, ':' | '_');
    let name = name
        .trim()
        .to_lowercase()
        .replace(|c: char| !allowed(c), "_");
    name.trim_matches('_').to_owned()
}

fn add(chip: &str, name: &str, sensor: &Sensor, out: &mut Samples) {
    let labels = [("chip", chip), ("sensor", name)];
    if let Some(label) = sensor
        .attributes
        .get("label")
        .filter(|label| !label.is_empty())
    {
        out.add(
            &LABEL,
            &[("chip", chip), ("label", label), ("sensor", name)],
            1.0,
        );
    }
    let own_value = sensor.attributes.contains_key("");
    for (attribute, value) in &sensor.attributes {
        if attribute == "label" {
            continue;
        }
        if let Some(Reading {
            metric,
            help,
            worth,
            kind,
        }) = reading(sensor.kind, attribute, own_value)
            && let Ok(value) = value.trim().parse::<f64>()
        {
            out.add_named(&metric, kind, || help.into_owned(), &labels, value * worth);
        }
    }
}

/// What an attribute is as a metric.
#[derive(Debug)]
struct Reading {
    metric: String,
    help: Cow<'static, str>,
    /// What one of the kernel's units is worth.
    worth: f64,
    kind: Kind,
}

/// `own_value` says that the sensor has a value of its own beside `_input`. `None`: node_exporter has no such metric.
fn reading(kind: &str, attribute: &str, own_value: bool) -> Option<Reading> {
    let gauge = |metric: String, help: Cow<'static, str>, worth| {
        Some(Reading {
            metric,
            help,
            worth,
            kind: Kind::Gauge,
        })
    };
    match (kind, attribute) {
        ("beep_enable", "") => {
            return gauge(
                "node_hwmon_beep_enabled".into(),
                "Hardware beep enabled".into(),
                1.0,
            );
        }
        ("vrm", "") => {
            return gauge(
                "node_hwmon_voltage_regulator_version".into(),
                "Hardware voltage regulator".into(),
                1.0,
            );
        }
        ("update_interval", "") => {
            return gauge(
                "node_hwmon_update_interval_seconds".into(),
                "Hardware monitor update interval".into(),
                1e-3,
            );
        }
        ("beep_enable" | "vrm" | "update_interval", _) => return None,
        _ => {}
    }
    let base = match attribute {
        "" => format!("node_hwmon_{kind}"),
        "input" if !own_value => format!("node_hwmon_{kind}"),
        _ => format!("node_hwmon_{kind}_{}", clean(attribute)),
    };
    match (kind, attribute) {
        (_, "fault" | "alarm") => gauge(base, format!("Hardware sensor {attribute} status ({kind})").into(), 1.0),
        (_, "beep") => gauge(
            base + "_enabled",
            "Hardware monitor sensor has beeping enabled".into(),
            1.0,
        ),
        ("in" | "cpu", _) => gauge(
            base + "_volts",
            format!("Hardware monitor for voltage ({attribute})").into(),
            1e-3,
        ),
        ("temp", attribute) if attribute != "type" => {
            let attribute = if attribute.is_empty() { "input" } else { attribute };
            let help = format!("Hardware monitor for temperature ({attribute})");
            gauge(base + "_celsius", help.into(), 1e-3)
        }
        ("curr", _) => gauge(
            base + "_amps",
            format!("Hardware monitor for current ({attribute})").into(),
            1e-3,
        ),
        ("energy", _) => Some(Reading {
            metric: base + "_joule_total",
            help: format!("Hardware monitor for joules used so far ({attribute})").into(),
            worth: 1e-6,
            kind: Kind::Counter,
        }),
        ("power", "accuracy") => gauge(base, "Hardware monitor power meter accuracy, as a ratio".into(), 1e-6),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => gauge(
            base + "_seconds",
            format!("Hardware monitor power usage update interval ({attribute})").into(),
            1e-3,
        ),
        ("power", _) => gauge(
            base + "_watt",
            format!("Hardware monitor for power usage in watts ({attribute})").into(),
            1e-6,
        ),
        ("humidity", _) => gauge(
            base,
            format!(
                "Hardware monitor for humidity, as a ratio (multiply with 100.0 to get the humidity as a percentage) \
                 ({attribute})"
            )
            .into(),
            1e-6,
        ),
        ("fan", "input" | "min" | "max" | "target") => gauge(
            base + "_rpm",
            format!("Hardware monitor for fan revolutions per minute ({attribute})").into(),
            1.0,
        ),
        _ => gauge(base, format!("Hardware monitor {kind} element {attribute}").into(), 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let check = |file, expect| assert_eq!(split(file), expect, "{file}");
        check("temp12_max_hyst", Some(("temp", 12, "max_hyst")));
        check("pwm1", Some(("pwm", 1, "")));
        check(
            "pwm1_auto_point1_temp",
            Some(("pwm", 1, "auto_point1_temp")),
        );
        check("beep_enable", Some(("beep_enable", 0, "")));
        check("update_interval", Some(("update_interval", 0, "")));
        check("fan_div", None);
        check("temp1_", None);
        check("temp1x", None);
        check("temp99999999999999_input", None);
        check("freq1_input", None);
        check("uevent", None);
        check("", None);
    }

    #[test]
    fn names() {
        assert_eq!(clean("nct6775.656"), "nct6775_656");
        assert_eq!(clean("pci0000:00\n"), "pci0000:00");
        assert_eq!(clean("-ACPI Zone-"), "acpi_zone");
        assert_eq!(clean("…"), "");
    }
}
