//! `time`: the clock, the time zone of `/etc/localtime`, and the clock sources of `/sys/devices/system/clocksource`.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::collector::{Collector, Scrape};
use crate::error::CollectError;
use crate::samples::{Metric, Samples};

const NOW: Metric = Metric::gauge(
    "node_time_seconds",
    "System time in seconds since epoch (1970).",
);
const ZONE: Metric = Metric::gauge(
    "node_time_zone_offset_seconds",
    "System time zone offset in seconds.",
);
const SOURCES: Metric = Metric::gauge(
    "node_time_clocksource_available_info",
    "Available clocksources read from '/sys/devices/system/clocksource'.",
);
const SOURCE: Metric = Metric::gauge(
    "node_time_clocksource_current_info",
    "Current clocksource read from '/sys/devices/system/clocksource'.",
);

pub(crate) struct Time;

impl Collector for Time {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let since = scrape
            .now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        out.add(&NOW, &[], since.as_secs_f64());
        let (name, offset) = match scrape.root.read_bytes("etc/localtime", scrape.text) {
            Ok(bytes) => zone_at(bytes, scrape.now),
            Err(_) => None,
        }
        .unwrap_or_else(|| ("UTC".to_owned(), 0.0));
        out.add(&ZONE, &[("time_zone", &name)], offset);
        clock_sources(scrape, out);
        Ok(())
    }
}

/// The abbreviation and the offset, in seconds east of Greenwich, of the zone that a TZif file (RFC 9636) describes.
fn zone_at(tzif: &[u8], now: SystemTime) -> Option<(String, f64)> {
    let zone = TimeZone::tzif("Local", tzif).ok()?;
    let info = zone.to_offset_info(Timestamp::try_from(now).ok()?);
    Some((
        info.abbreviation().to_owned(),
        f64::from(info.offset().seconds()),
    ))
}

/// A machine without the folder has no clock sources to choose from: no failure.
fn clock_sources(scrape: &mut Scrape<'_>, out: &mut Samples) {
    let Ok(folder) = scrape.root.open("sys/devices/system/clocksource") else {
        return;
    };
    for name in folder.names().unwrap_or_default() {
        let Some(device) = name.strip_prefix("clocksource") else {
            continue;
        };
        let Ok(folder) = folder.open(&name) else {
            continue;
        };
        for source in scrape
            .label(&folder, "available_clocksource")
            .unwrap_or_default()
            .split_ascii_whitespace()
        {
            out.add(
                &SOURCES,
                &[("clocksource", source), ("device", device)],
                1.0,
            );
        }
        if let Some(source) = scrape.label(&folder, "current_clocksource") {
            out.add(
                &SOURCE,
                &[("clocksource", &source), ("device", device)],
                1.0,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_no_zone() {
        assert_eq!(
            zone_at(b"TZif2 and then nothing", SystemTime::UNIX_EPOCH),
            None
        );
        assert_eq!(zone_at(b"", SystemTime::UNIX_EPOCH), None);
    }

    #[test]
    fn a_zone_in_summer_and_winter() {
        let mut text = crate::tree::Text::default();
        let root = crate::tree::Folder::root("/".as_ref()).unwrap();
        let Ok(tzif) = root.read_bytes("usr/share/zoneinfo/Europe/Berlin", &mut text) else {
            return; // Not every machine has the zones.
        };
        let at = |seconds| zone_at(tzif, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(1_720_000_000), Some(("CEST".to_owned(), 7200.0)));
        assert_eq!(at(1_705_000_000), Some(("CET".to_owned(), 3600.0)));
    }
}
