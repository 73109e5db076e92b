//! Sensors, from `/sys/class/hwmon` and `/sys/class/thermal`: what can be measured, not what is.

use serde::{Deserialize, Serialize};

use crate::Root;

/// Sensors that are told; servers have some hundreds.
const MOST: usize = 512;

/// Something that can be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sensor {
    /// The chip or zone, and the channel: `coretemp Core 0`.
    pub name: String,
    /// What is measured.
    pub kind: SensorKind,
    /// In which unit its measurements are told, whatever sysfs counts in.
    pub unit: SensorUnit,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum SensorKind {
    Temperature,
    Fan,
    Voltage,
    Current,
    Power,
    Energy,
    Humidity,
}

/// Units of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum SensorUnit {
    Celsius,
    RevolutionsPerMinute,
    Volts,
    Amperes,
    Watts,
    Joules,
    Percent,
}

/// The channel, kind and unit of a file in a folder of hwmon: `temp1_input` is `temp1`, a temperature. By the kernel's
/// `Documentation/hwmon/sysfs-interface.rst`; other files are none.
fn channel(file: &str) -> Option<(&str, SensorKind, SensorUnit)> {
    // Some meters of power have no momentary value.
    let (channel, suffix) = file.split_once('_')?;
    let stem = channel.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == channel.len() || !(suffix == "input" || (stem, suffix) == ("power", "average"))
    {
        return None;
    }
    let (kind, unit) = match stem {
        "temp" => (SensorKind::Temperature, SensorUnit::Celsius),
        "fan" => (SensorKind::Fan, SensorUnit::RevolutionsPerMinute),
        "in" => (SensorKind::Voltage, SensorUnit::Volts),
        "curr" => (SensorKind::Current, SensorUnit::Amperes),
        "power" => (SensorKind::Power, SensorUnit::Watts),
        "energy" => (SensorKind::Energy, SensorUnit::Joules),
        "humidity" => (SensorKind::Humidity, SensorUnit::Percent),
        _ => return None,
    };
    Some((channel, kind, unit))
}

fn hwmon(root: &Root, folder: &str) -> Vec<Sensor> {
    let folder = format!("/sys/class/hwmon/{folder}");
    let chip = root
        .value(&format!("{folder}/name"))
        .unwrap_or_else(|| "unknown".into());
    let mut seen = Vec::new();
    let mut sensors = Vec::new();
    for file in root.names(&folder) {
        let Some((channel, kind, unit)) = channel(&file) else {
            continue;
        };
        if seen.iter().any(|s| s == channel) {
            continue;
        }
        seen.push(channel.to_owned());
        let label = root.value(&format!("{folder}/{channel}_label"));
        let name = format!("{chip} {}", label.as_deref().unwrap_or(channel));
        sensors.push(Sensor { name, kind, unit });
    }
    sensors
}

fn thermal(root: &Root, zone: &str) -> Option<Sensor> {
    zone.strip_prefix("thermal_zone")?.parse::<u32>().ok()?;
    let kind = root.value(&format!("/sys/class/thermal/{zone}/type"))?;
    Some(Sensor {
        name: format!("{zone} {kind}"),
        kind: SensorKind::Temperature,
        unit: SensorUnit::Celsius,
    })
}

pub(crate) fn read(root: &Root) -> Vec<Sensor> {
    let chips = root.names("/sys/class/hwmon").into_iter();
    let zones = root.names("/sys/class/thermal").into_iter();
    chips
        .flat_map(|chip| hwmon(root, &chip))
        .chain(zones.filter_map(|zone| thermal(root, &zone)))
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels() {
        let check = |file: &str, expect: Option<(&str, SensorKind)>| {
            assert_eq!(
                channel(file).map(|(name, kind, _)| (name, kind)),
                expect,
                "{file}"
            );
        };
        check("temp12_input", Some(("temp12", SensorKind::Temperature)));
        check("in0_input", Some(("in0", SensorKind::Voltage)));
        check("power1_average", Some(("power1", SensorKind::Power)));
        check("temp1_max", None);
        check("temp_input", None);
        check("pwm1", None);
        check("name", None);
    }
}
