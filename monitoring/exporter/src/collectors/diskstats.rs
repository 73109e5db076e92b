//! `diskstats`: requests, bytes and latencies of each disk, from `/proc/diskstats`, and what udev knows about it, from
//! `/run/udev/data`. A machine without udev gives empty labels.

use std::collections::BTreeMap;

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

/// Disks count sectors of 512 bytes, whatever their own are.
const SECTOR_BYTES: f64 = 512.0;
const MILLISECONDS: f64 = 1e-3;

/// The columns after the name, and what one of them is worth. Old kernels have the first 11, newer ones 15 or 17.
const COLUMNS: [(Metric, f64); 17] = [
    (
        Metric::counter(
            "node_disk_reads_completed_total",
            "The total number of reads completed successfully.",
        ),
        1.0,
    ),
    (
        Metric::counter(
            "node_disk_reads_merged_total",
            "The total number of reads merged.",
        ),
        1.0,
    ),
    (
        Metric::counter(
            "node_disk_read_bytes_total",
            "The total number of bytes read successfully.",
        ),
        SECTOR_BYTES,
    ),
    (
        Metric::counter(
            "node_disk_read_time_seconds_total",
            "The total number of seconds spent by all reads.",
        ),
        MILLISECONDS,
    ),
    (
        Metric::counter(
            "node_disk_writes_completed_total",
            "The total number of writes completed successfully.",
        ),
        1.0,
    ),
    (
        Metric::counter(
            "node_disk_writes_merged_total",
            "The number of writes merged.",
        ),
        1.0,
    ),
    (
        Metric::counter(
            "node_disk_written_bytes_total",
            "The total number of bytes written successfully.",
        ),
        SECTOR_BYTES,
    ),
    (
        Metric::counter(
            "node_disk_write_time_seconds_total",
            "This is the total number of seconds spent by all writes.",
        ),
        MILLISECONDS,
    ),
    (
        Metric::gauge(
            "node_disk_io_now",
            "The number of I/Os currently in progress.",
        ),
        1.0,
    ),
    (
        Metric::counter(
            "node_disk_io_time_seconds_total",
            "Total seconds spent doing I/Os.",
        ),
        MILLISECONDS,
    ),
    (
        Metric::counter(
            "node_disk_io_time_weighted_seconds_total",
            "The weighted # of seconds spent doing I/Os.",
        ),
        MILLISECONDS,
    ),
    (
        Metric::counter(
            "node_disk_discards_completed_total",
            "The total number of discards completed successfully.",
        ),
        1.0,
    ),
    (
        Metric::counter(
            "node_disk_discards_merged_total",
            "The total number of discards merged.",
        ),
        1.0,
    ),
    (
        Metric::counter(
            "node_disk_discarded_sectors_total",
            "The total number of sectors discarded successfully.",
        ),
        1.0,
    ),
    (
        Metric::counter(
            "node_disk_discard_time_seconds_total",
            "This is the total number of seconds spent by all discards.",
        ),
        MILLISECONDS,
    ),
    (
        Metric::counter(
            "node_disk_flush_requests_total",
            "The total number of flush requests completed successfully",
        ),
        1.0,
    ),
    (
        Metric::counter(
            "node_disk_flush_requests_time_seconds_total",
            "This is the total number of seconds spent by all flush requests.",
        ),
        MILLISECONDS,
    ),
];
const COLUMNS_OF_OLD_KERNELS: usize = 11;

const INFO: Metric = Metric::gauge("node_disk_info", "Info of /sys/block/<block_device>.");
const FILESYSTEM: Metric =
    Metric::gauge("node_disk_filesystem_info", "Info about disk filesystem.");
const DEVICE_MAPPER: Metric = Metric::gauge(
    "node_disk_device_mapper_info",
    "Info about disk device mapper.",
);
/// `(udev's property, the metric)`
const ATA: [(&str, Metric); 3] = [
    (
        "ID_ATA_WRITE_CACHE",
        Metric::gauge("node_disk_ata_write_cache", "ATA disk has a write cache."),
    ),
    (
        "ID_ATA_WRITE_CACHE_ENABLED",
        Metric::gauge(
            "node_disk_ata_write_cache_enabled",
            "ATA disk has its write cache enabled.",
        ),
    ),
    (
        "ID_ATA_ROTATION_RATE_RPM",
        Metric::gauge(
            "node_disk_ata_rotation_rate_rpm",
            "ATA disk rotation rate in RPMs (0 for SSDs).",
        ),
    ),
];

pub(crate) struct DiskStats;

impl Collector for DiskStats {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let disks = scrape.parse("proc/diskstats", parse)?;
        let udev = scrape.root.open("run/udev/data").ok();
        for disk in disks {
            let labels = [("device", disk.name.as_str())];
            for ((metric, worth), count) in COLUMNS.iter().zip(&disk.counts) {
                out.add(metric, &labels, count * worth);
            }
            let properties = udev
                .as_ref()
                .and_then(|udev| {
                    udev.read(&format!("b{}:{}", disk.major, disk.minor), scrape.text)
                        .ok()
                })
                .map(parse_udev)
                .unwrap_or_default();
            facts(&disk, &properties, out);
        }
        Ok(())
    }
}

fn facts(disk: &Disk, properties: &BTreeMap<String, String>, out: &mut Samples) {
    let property = |name| properties.get(name).map_or("", String::as_str);
    let device = ("device", disk.name.as_str());
    let labels = [
        device,
        ("major", &*disk.major.to_string()),
        ("minor", &*disk.minor.to_string()),
        ("model", property("ID_MODEL")),
        ("path", property("ID_PATH")),
        ("revision", property("ID_REVISION")),
        ("serial", property("ID_SERIAL_SHORT")),
        ("wwn", property("ID_WWN")),
    ];
    out.add(&INFO, &labels, 1.0);
    if !property("DM_NAME").is_empty() {
        let labels = [
            device,
            ("lv_layer", property("DM_LV_LAYER")),
            ("lv_name", property("DM_LV_NAME")),
            ("name", property("DM_NAME")),
            ("uuid", property("DM_UUID")),
            ("vg_name", property("DM_VG_NAME")),
        ];
        out.add(&DEVICE_MAPPER, &labels, 1.0);
    }
    if !property("ID_FS_TYPE").is_empty() {
        let labels = [
            device,
            ("type", property("ID_FS_TYPE")),
            ("usage", property("ID_FS_USAGE")),
            ("uuid", property("ID_FS_UUID")),
            ("version", property("ID_FS_VERSION")),
        ];
        out.add(&FILESYSTEM, &labels, 1.0);
    }
    if !property("ID_ATA").is_empty() {
        for (name, metric) in &ATA {
            if let Ok(number) = property(name).parse() {
                out.add(metric, &[device], number);
            }
        }
    }
}

/// `^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`: what is no disk, and partitions, except those of SD cards.
fn excluded(name: &str) -> bool {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if kind.len() == name.len() {
        return false;
    }
    let lettered = ["hd", "sd", "vd", "xvd"].into_iter().any(|start| {
        let letter = kind.strip_prefix(start);
        letter.is_some_and(|l| l.len() == 1 && l.bytes().all(|b| b.is_ascii_lowercase()))
    });
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let nvme = || {
        let (controller, namespace) = kind
            .strip_prefix("nvme")?
            .strip_suffix('p')?
            .split_once('n')?;
        Some(digits(controller) && digits(namespace))
    };
    matches!(kind, "ram" | "loop" | "fd") || lettered || nvme() == Some(true)
}

/// A disk, and its counts by `COLUMNS`, as many as the kernel has.
#[derive(Debug)]
pub(super) struct Disk {
    major: u32,
    minor: u32,
    name: String,
    counts: Vec<f64>,
}

pub(super) fn parse(text: &str) -> Result<Vec<Disk>, Malformed> {
    let mut disks = Vec::new();
    for line in text.lines() {
        let malformed = || Malformed::new("a disk and its counts", line);
        let mut words = line.split_ascii_whitespace();
        let mut next = || words.next().ok_or_else(malformed);
        let major = next()?.parse().map_err(|_| malformed())?;
        let minor = next()?.parse().map_err(|_| malformed())?;
        let name = next()?.to_owned();
        if excluded(&name) {
            continue;
        }
        let counts: Result<Vec<f64>, _> = words.take(COLUMNS.len()).map(str::parse).collect();
        let counts = counts.map_err(|_| malformed())?;
        if counts.len() < COLUMNS_OF_OLD_KERNELS {
            return Err(malformed());
        }
        disks.push(Disk {
            major,
            minor,
            name,
            counts,
        });
    }
    Ok(disks)
}

/// The properties of udev's file about a device: lines like `E:ID_MODEL=X`.
pub(super) fn parse_udev(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("E:")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expect: Expect) {
        let shown = match parse(text) {
            Ok(disks) => disks
                .iter()
                .map(|d| format!("{}:{} {} {:?}\n", d.major, d.minor, d.name, d.counts))
                .collect(),
            Err(e) => format!("{e:?}\n"),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn disks() {
        check(
            " 179 0 mmcblk0 1 2 3 4 5 6 7 8 9 10 11\n   7 0 loop0 1\n",
            expect![[r#"
                179:0 mmcblk0 [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
            "#]],
        );
        check(
            "8 0 sda 1 2\n",
            expect![[r#"
                Malformed { expected: "a disk and its counts", found: "8 0 sda 1 2" }
            "#]],
        );
        check(
            "8\n",
            expect![[r#"
                Malformed { expected: "a disk and its counts", found: "8" }
            "#]],
        );
    }

    #[test]
    fn exclusions() {
        for name in [
            "ram0",
            "loop12",
            "fd0",
            "sda1",
            "hdb2",
            "vdc3",
            "xvda10",
            "nvme0n1p1",
            "nvme10n2p12",
        ] {
            assert!(excluded(name), "{name}");
        }
        for name in [
            "sda",
            "sdaa1",
            "vda",
            "nvme0n1",
            "mmcblk0",
            "mmcblk0p1",
            "dm-0",
            "md0",
            "sr0",
            "zram0",
            "nvmen1p1",
            "ram",
            "1",
            "",
        ] {
            assert!(!excluded(name), "{name}");
        }
    }

    #[test]
    fn properties() {
        let properties = parse_udev("S:disk/by-id/x\nE:ID_MODEL=A=B\nE:broken\nG:systemd\n");
        expect![[r#"{"ID_MODEL": "A=B"}"#]].assert_eq(&format!("{properties:?}"));
    }
}
