//! `dmi`: what the firmware says about the machine, from `/sys/class/dmi/id`. Absent on most ARM boards.

use crate::collector::{Collector, Scrape};
use crate::error::CollectError;
use crate::samples::{Metric, Samples};

const INFO: Metric = Metric::gauge(
    "node_dmi_info",
    "A metric with a constant '1' value labeled by bios_date, bios_release, bios_vendor, bios_version, board_asset_tag, \
     board_name, board_serial, board_vendor, board_version, chassis_asset_tag, chassis_serial, chassis_vendor, \
     chassis_version, product_family, product_name, product_serial, product_sku, product_uuid, product_version, \
     system_vendor if provided by DMI.",
);

/// `(the attribute, the label)`; an attribute that is not there or not ours to read has no label.
const LABELS: [(&str, &str); 20] = [
    ("bios_date", "bios_date"),
    ("bios_release", "bios_release"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_family", "product_family"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_sku", "product_sku"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("sys_vendor", "system_vendor"),
];

pub(crate) struct Dmi;

impl Collector for Dmi {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let folder = scrape.root.open("sys/class/dmi/id")?;
        let found: Vec<(&str, String)> = LABELS
            .iter()
            .filter_map(|(attribute, label)| Some((*label, scrape.label(&folder, attribute)?)))
            .collect();
        let labels: Vec<(&str, &str)> = found
            .iter()
            .map(|(label, text)| (*label, text.as_str()))
            .collect();
        out.add(&INFO, &labels, 1.0);
        Ok(())
    }
}
