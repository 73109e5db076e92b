//! `mdadm`: arrays of disks (software RAID), from `/proc/mdstat`.
//!
//! An array takes a line with its disks, one with its size, and more that tell what is being done to it.

use crate::collector::{Collector, Scrape};
use crate::error::{CollectError, Malformed};
use crate::samples::{Metric, Samples};

const STATE: Metric = Metric::gauge("node_md_state", "Indicates the state of md-device.");
const DISKS: Metric = Metric::gauge(
    "node_md_disks",
    "Number of active/failed/spare disks of device.",
);
const REQUIRED: Metric =
    Metric::gauge("node_md_disks_required", "Total number of disks of device.");
const BLOCKS: Metric = Metric::gauge("node_md_blocks", "Total number of blocks on device.");
const SYNCED: Metric = Metric::gauge(
    "node_md_blocks_synced",
    "Number of blocks synced on device.",
);

/// What can be done to an array: the kernel's word, and node_exporter's.
const ACTIONS: [(&str, &str); 3] = [
    ("recovery", "recovering"),
    ("resync", "resync"),
    ("check", "check"),
];
const STATES: [&str; 5] = ["active", "inactive", "recovering", "resync", "check"];

pub(crate) struct Mdadm;

impl Collector for Mdadm {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        for array in scrape.parse("proc/mdstat", parse)? {
            let device = ("device", array.name.as_str());
            for state in STATES {
                let is = f64::from(array.state == state);
                out.add(&STATE, &[device, ("state", state)], is);
            }
            let counts = [
                ("active", array.active),
                ("failed", array.failed),
                ("spare", array.spare),
            ];
            for (state, count) in counts {
                out.add(&DISKS, &[device, ("state", state)], count);
            }
            out.add(&REQUIRED, &[device], array.required);
            out.add(&BLOCKS, &[device], array.blocks);
            out.add(&SYNCED, &[device], array.synced);
        }
        Ok(())
    }
}

/// One array.
#[derive(Debug, PartialEq)]
pub(super) struct Array {
    name: String,
    state: &'static str,
    required: f64,
    active: f64,
    failed: f64,
    spare: f64,
    blocks: f64,
    synced: f64,
}

pub(super) fn parse(text: &str) -> Result<Vec<Array>, Malformed> {
    let mut arrays = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, disks)) = line.split_once(" : ") else {
            continue;
        };
        if matches!(name.trim(), "Personalities" | "unused devices") {
            continue;
        }
        let size = lines.next().unwrap_or_default();
        let mut array = array(name.trim(), disks, size)?;
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            progress(&mut array, more);
        }
        arrays.push(array);
    }
    Ok(arrays)
}

/// `active raid1 sdb1[1] sda1[0](F)`, and `976 blocks super 1.2 [2/1] [_U]`.
fn array(name: &str, disks: &str, size: &str) -> Result<Array, Malformed> {
    let malformed = || Malformed::new("blocks, and disks as [2/2] [UU]", size);
    let count = |mark: &str| disks.matches(mark).count() as f64;
    let blocks = size.split_ascii_whitespace().next();
    let blocks: f64 = blocks
        .and_then(|word| word.parse().ok())
        .ok_or_else(malformed)?;
    let active = disks.split_ascii_whitespace().next() == Some("active");
    let (required, working) = match counts(size) {
        Some(counts) => counts,
        // The kernel says no more of one that could not be started.
        None if !active => (0.0, 0.0),
        // An array without redundancy has all of its disks, or is not there.
        None if disks.contains("raid0") || disks.contains("linear") => (count("["), count("[")),
        None => return Err(malformed()),
    };
    Ok(Array {
        name: name.to_owned(),
        state: if active { "active" } else { "inactive" },
        required,
        active: working,
        failed: count("(F)"),
        spare: count("(S)"),
        blocks,
        synced: blocks,
    })
}

/// The numbers of `[3/2]`.
fn counts(size: &str) -> Option<(f64, f64)> {
    size.split('[').skip(1).find_map(|part| {
        let (required, working) = part.split(']').next()?.split_once('/')?;
        Some((required.parse().ok()?, working.parse().ok()?))
    })
}

/// `[=>....]  recovery = 8.5% (16775552/195310144) finish=17.0min speed=259783K/sec`, or `resync=DELAYED`.
fn progress(array: &mut Array, line: &str) {
    let Some((_, state)) = ACTIONS.iter().find(|(word, _)| line.contains(word)) else {
        return;
    };
    array.state = state;
    let done = line
        .split_once('(')
        .and_then(|(_, rest)| rest.split('/').next());
    array.synced = done.and_then(|done| done.parse().ok()).unwrap_or(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays() {
        let text = "\
Personalities : [raid1] [raid6] [raid0]
md0 : active raid1 sdb1[1] sda1[0](F)
      976 blocks super 1.2 [2/1] [_U]
      [=>...]  recovery = 8.5% (80/976) finish=17.0min speed=259783K/sec
      bitmap: 1/1 pages [4KB], 65536KB chunk

md1 : active raid0 sdc[0] sdd[1]
      2000 blocks super 1.2 512k chunks

md2 : inactive sde[2](S)
      500 blocks super 1.2

unused devices: <none>
";
        let found = parse(text).unwrap();
        let seen = |a: &Array| (a.state, a.required, a.active, a.failed, a.spare, a.synced);
        assert_eq!(seen(&found[0]), ("recovering", 2.0, 1.0, 1.0, 0.0, 80.0));
        assert_eq!(seen(&found[1]), ("active", 2.0, 2.0, 0.0, 0.0, 2000.0));
        assert_eq!(seen(&found[2]), ("inactive", 0.0, 0.0, 0.0, 1.0, 500.0));
        assert_eq!(found.len(), 3);
        assert!(parse("md0 : active raid1 sda[0]\nx\n").is_err());
        assert!(parse("md0 : active raid1 sda[0]").is_err());
        assert_eq!(
            parse("Personalities : \nunused devices: <none>\n"),
            Ok(vec![])
        );
    }
}
