//! Node metrics of this machine, as Prometheus text, under the names, labels, types, units and HELP of node_exporter 1.5.
//!
//! The one thing to know before changing it: names and labels are an interface that dashboards and alert rules of others
//! rely on. `tests/it` runs Debian's node_exporter beside this crate, on this machine and on the fixture
//! machines of `tests/machines`, and fails when a name, a label set, a type, a HELP or a value differs.
//!
//! Every file of `collectors` is one of node_exporter's collectors: a pure parser of the kernel's text and a thin part that
//! reads files and adds samples. A collector that fails takes nothing else with it: its samples are left out and
//! `node_scrape_collector_success` says 0; [`Exporter::failures`] says why.
//!
//! A scrape blocks (it reads files, and waits for mounts that hang up to a bound): call it on a thread that may.

mod collector;
mod collectors;
mod error;
mod part;
pub mod samples;
pub mod tree;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::collector::{Collector, Scrape};
use crate::samples::{Metric, Samples};
use crate::tree::{Folder, Text};

pub use crate::error::CollectError;
pub use crate::part::part;
pub use crate::samples::Reading;

/// What the kernel counts of each interface but `lo`, from the text of a `net/dev`: sixteen columns, received first. `None` for
/// another text.
pub fn interfaces(net_dev: &str) -> Option<Vec<(String, [f64; 16])>> {
    collectors::interfaces(net_dev)
}

/// Seconds in which some and in which all waited, from the text of a pressure file. `None` for another text.
pub fn stalls(pressure: &str) -> Option<(f64, Option<f64>)> {
    collectors::stalls(pressure)
}

/// What can be chosen. The exclusions of mounts, disks and interfaces are node_exporter's (Debian's) defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long one mount may take to say how full it is, before it counts as hung (`node_filesystem_device_error` 1). A mount
    /// that is known to hang is not waited for again until it answers. A scrape waits for at most three such mounts.
    pub mount_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mount_timeout: Duration::from_secs(1),
        }
    }
}

/// All collectors over one root, with the buffers that they reuse from scrape to scrape.
pub struct Exporter {
    root: PathBuf,
    slots: Vec<Slot>,
    about: Samples,
    text: Text,
}

/// A collector, what it measured last, and why it could not.
struct Slot {
    name: &'static str,
    collector: Box<dyn Collector + Send>,
    samples: Samples,
    failure: Option<CollectError>,
}

impl Slot {
    /// Measures; what failed is in `failure`.
    fn collect(
        &mut self,
        root: &Result<Folder, rustix::io::Errno>,
        root_path: &Path,
        now: SystemTime,
        text: &mut Text,
    ) {
        self.samples.start();
        self.failure = match root {
            Err(e) => Some(CollectError::read("", *e)),
            Ok(root) => {
                let mut scrape = Scrape {
                    root,
                    root_path,
                    now,
                    text,
                    complaint: None,
                };
                match self.collector.collect(&mut scrape, &mut self.samples) {
                    Ok(()) => scrape.complaint,
                    Err(e) => {
                        self.samples.start();
                        Some(e)
                    }
                }
            }
        };
    }
}

const DURATION: Metric = Metric::gauge(
    "node_scrape_collector_duration_seconds",
    "node_exporter: Duration of a collector scrape.",
);
const SUCCESS: Metric = Metric::gauge(
    "node_scrape_collector_success",
    "node_exporter: Whether a collector succeeded.",
);
/// Not `node_exporter_build_info`: who asks which program and version measured must get the truth.
const BUILD: Metric = Metric::gauge(
    "minicloud_exporter_build_info",
    "A metric with a constant '1' value labeled by the version of Minicloud that measured.",
);

impl Exporter {
    /// An exporter of the machine whose `/proc`, `/sys`, `/etc` and `/run` are below `root`: `/`, or a fixture.
    ///
    /// The clock and `uname` are always those of the running kernel. Nothing is read before the first scrape.
    #[must_use]
    pub fn new(root: &Path, settings: &Settings) -> Self {
        Self::with(root, settings, |_| true, Samples::default)
    }

    fn with(
        root: &Path,
        settings: &Settings,
        wanted: impl Fn(&str) -> bool,
        samples: fn() -> Samples,
    ) -> Self {
        let slots = collectors::all(settings)
            .into_iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, collector)| Slot {
                name,
                collector,
                samples: samples(),
                failure: None,
            })
            .collect();
        Self {
            root: root.to_owned(),
            slots,
            about: Samples::default(),
            text: Text::default(),
        }
    }

    /// Measures, and appends the exposition (Prometheus text format 0.0.4) to `out`.
    ///
    /// Never fails as a whole. Takes about as long as reading the files does, plus at most three times
    /// [`Settings::mount_timeout`] when mounts have begun to hang.
    pub fn scrape(&mut self, out: &mut String) {
        self.scrape_at(SystemTime::now(), out);
    }

    fn scrape_at(&mut self, now: SystemTime, out: &mut String) {
        let root = Folder::root(&self.root);
        self.about.start();
        for slot in &mut self.slots {
            let started = Instant::now();
            slot.collect(&root, &self.root, now, &mut self.text);
            slot.samples.write(out);
            let labels = [("collector", slot.name)];
            self.about
                .add(&DURATION, &labels, started.elapsed().as_secs_f64());
            self.about
                .add(&SUCCESS, &labels, f64::from(slot.failure.is_none()));
        }
        self.about
            .add(&BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        self.about.write(out);
    }

    /// What failed in the last scrape: the collector and why. [`CollectError::Absent`] is no defect: the machine has no such
    /// thing.
    ///
    /// Log what is new here since the last scrape; the same sensor fails the same way for months.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &CollectError)> {
        self.slots
            .iter()
            .filter_map(|slot| Some((slot.name, slot.failure.as_ref()?)))
    }
}

/// Some of the collectors over one root, whose samples are wanted as values.
pub struct Meter(Exporter);

impl Meter {
    /// A meter of the machine below `root` with these collectors, by node_exporter's names for them. A name that is none is an
    /// error of who calls, and gives nothing.
    #[must_use]
    pub fn new(root: &Path, settings: &Settings, collectors: &[&str]) -> Self {
        let wanted = |name: &str| collectors.contains(&name);
        Self(Exporter::with(root, settings, wanted, Samples::as_readings))
    }

    /// Measures. A collector that fails has no readings; the others have. Blocks as [`Exporter::scrape`] does.
    pub fn read(&mut self) -> Vec<Reading> {
        let Exporter {
            root, slots, text, ..
        } = &mut self.0;
        let (folder, now) = (Folder::root(root), SystemTime::now());
        let mut readings = Vec::new();
        for slot in slots {
            slot.collect(&folder, root, now, text);
            readings.append(&mut slot.samples.take_readings());
        }
        readings
    }
}
