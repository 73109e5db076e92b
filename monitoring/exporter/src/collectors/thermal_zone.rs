//! `thermal_zone`: temperatures that the kernel acts upon, and what it acts with, from `/sys/class/thermal`.
//!
//! Other than node_exporter, a zone whose sensor does not answer takes nothing but itself away.

use crate::collector::{Collector, Scrape};
use crate::error::CollectError;
use crate::samples::{Metric, Samples};

const TEMPERATURE: Metric = Metric::gauge("node_thermal_zone_temp", "Zone temperature in Celsius");
const STATE: Metric = Metric::gauge(
    "node_cooling_device_cur_state",
    "Current throttle state of the cooling device",
);
const HIGHEST_STATE: Metric = Metric::gauge(
    "node_cooling_device_max_state",
    "Maximum throttle state of the cooling device",
);

pub(crate) struct ThermalZone;

impl Collector for ThermalZone {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        // Like node_exporter: a machine without zones has measured all of them.
        let Ok(class) = scrape.root.open("sys/class/thermal") else {
            return Ok(());
        };
        for name in class.names()? {
            let Ok(folder) = class.open(&name) else {
                continue;
            };
            let kind = scrape.label(&folder, "type").unwrap_or_default();
            if let Some(zone) = name.strip_prefix("thermal_zone") {
                if let Some(thousandths) = scrape.number(&folder, "temp") {
                    out.add(
                        &TEMPERATURE,
                        &[("type", &kind), ("zone", zone)],
                        thousandths / 1000.0,
                    );
                }
            } else if let Some(device) = name.strip_prefix("cooling_device") {
                for (metric, attribute) in [(&STATE, "cur_state"), (&HIGHEST_STATE, "max_state")] {
                    if let Some(state) = scrape.number(&folder, attribute) {
                        out.add(metric, &[("name", device), ("type", &kind)], state);
                    }
                }
            }
        }
        Ok(())
    }
}
