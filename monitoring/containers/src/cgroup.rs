//! The kernel's files of each cgroup: where they are, and what they say.
//!
//! A cgroup may vanish at any moment, also between two files of it. What is not there gives no sample; what is there and is not
//! understood gives none either and is complained about ([`Reader::complaint`]).

mod reading;
mod v1;
mod v2;

use minicloud_containers::cgroups::Layout;
use minicloud_exporter::tree::{Folder, Text};

pub(crate) use reading::{Disk, Interface, Reading, Spec, Stalls};

use crate::before::Before;
use crate::members::{Place, PlaceKind, Role};

/// The most cgroups that are looked at; a node has 110 pods.
const MAX_PLACES: usize = 8192;

/// The mounted hierarchies, held open.
#[derive(Debug)]
pub(crate) enum Hierarchies {
    V1(v1::Controllers),
    V2(Folder),
}

impl Hierarchies {
    /// Those of the machine below `root`; `None` when it has none with controllers.
    pub(crate) fn open(root: &Folder, text: &mut Text) -> Option<Self> {
        let mountinfo = root.read("proc/self/mountinfo", text).ok()?;
        let layout = Layout::from_mountinfo(mountinfo);
        match &layout {
            Layout::V2(point) => {
                let point = point.to_str()?.trim_start_matches('/');
                root.open(point).ok().map(Self::V2)
            }
            Layout::V1(_) => Some(Self::V1(v1::Controllers::open(root, &layout, text))),
            Layout::None => None,
        }
    }

    /// The root, the levels below which pods are, the pods and what is in them. `parent` is the absolute cgroup path of pods.
    pub(crate) fn places(
        &self,
        parent: &str,
        before: &mut Before,
        reader: &mut Reader,
    ) -> Vec<Place> {
        let mut places = vec![Place::new("/", PlaceKind::Level)];
        let tree = match self {
            Self::V1(controllers) => controllers.tree(),
            Self::V2(root) => Some(root),
        };
        let parent = parent.trim_end_matches('/');
        let Some(folder) = tree.and_then(|tree| within(tree, parent)) else {
            return places;
        };
        if !parent.is_empty() {
            places.push(Place::new(parent, PlaceKind::Level));
        }
        let mut pod = |above: &Folder, path: &str, name: &str, places: &mut Vec<Place>| {
            if name.starts_with("pod") && places.len() < MAX_PLACES {
                let path = format!("{path}/{name}");
                let members = before.members(above, name, &path, self, reader);
                places.push(Place::new(&path, PlaceKind::Pod));
                let member = |name| Place::new(&format!("{path}/{name}"), PlaceKind::Member);
                places.extend(members.iter().map(member));
            }
        };
        for name in folder.folders().unwrap_or_default() {
            if !matches!(name.as_str(), "burstable" | "besteffort") {
                pod(&folder, parent, &name, &mut places);
                continue;
            }
            if let Ok(level) = folder.open(&name) {
                let path = format!("{parent}/{name}");
                places.push(Place::new(&path, PlaceKind::Level));
                for name in level.folders().unwrap_or_default() {
                    pod(&level, &path, &name, &mut places);
                }
            }
        }
        places.truncate(MAX_PLACES);
        places
    }

    /// What a cgroup's files say; `None` when it is gone.
    pub(crate) fn read(&self, path: &str, want: Want, reader: &mut Reader) -> Option<Reading> {
        match self {
            Self::V1(controllers) => controllers.read(path, want, reader),
            Self::V2(root) => v2::read(&within(root, path)?, want, reader),
        }
    }

    /// Reads again what changes while nothing happens in a cgroup.
    pub(crate) fn renew(&self, path: &str, role: Role, reading: &mut Reading, reader: &mut Reader) {
        match self {
            Self::V1(controllers) => controllers.renew(path, role, reading, reader),
            Self::V2(root) => {
                if let Some(folder) = within(root, path) {
                    v2::renew(&folder, role, reading, reader);
                }
            }
        }
    }

    /// Whether anything moves in a cgroup and below.
    pub(crate) fn pulse(&self, path: &str, reader: &mut Reader) -> Option<Pulse> {
        match self {
            Self::V1(controllers) => controllers.pulse(path, reader),
            Self::V2(root) => v2::pulse(root, path, reader),
        }
    }
}

/// What is wanted of a cgroup. A scrape costs by the files that it opens, so it opens none in vain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    pub role: Role,
    /// What it may use, when that was read a short while ago.
    pub spec: Option<Spec>,
    /// The kernel counts disks at all.
    pub disks: bool,
}

/// Numbers that stand still when nothing happens in a cgroup and below: nobody ran, took memory, gave it back, or waits for a disk
/// (the only thing that needs no processor). Then its other files say what they said before. Memory that is only sorted anew by
/// the kernel goes unseen, for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pulse {
    pub cpu: f64,
    memory: f64,
    io_wait: Option<f64>,
}

/// A cgroup's folder in a hierarchy.
fn within(root: &Folder, path: &str) -> Option<Folder> {
    match path.trim_start_matches('/') {
        "" => root.open(".").ok(),
        path => root.open(path).ok(),
    }
}

/// Reads files, with a buffer that stays.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    text: Text,
    /// The first thing that was there and was not understood.
    pub complaint: Option<String>,
}

impl Reader {
    /// The buffer, for a file that is read in another way.
    pub(crate) fn text(&mut self) -> &mut Text {
        &mut self.text
    }

    /// A whole number; `None` when it is not there.
    fn number(&mut self, folder: &Folder, name: &str) -> Option<f64> {
        match folder.number(name, &mut self.text) {
            Ok(found) => found,
            Err(error) => {
                self.complain(error.to_string());
                None
            }
        }
    }

    /// The same of a file in a cgroup that is not opened for it.
    fn number_in(&mut self, root: Option<&Folder>, path: &str, name: &str) -> Option<f64> {
        let path = format!("{}/{name}", path.trim_start_matches('/'));
        self.number(root?, &path)
    }

    /// For how long somebody waited for a disk, by a cgroup of v2 that is not opened for it.
    fn io_wait(&mut self, root: Option<&Folder>, path: &str) -> Option<f64> {
        let path = format!("{}/io.pressure", path.trim_start_matches('/'));
        let stalls = self.parse(root?, &path, minicloud_exporter::stalls);
        stalls.map(|(some, _)| some)
    }

    /// A whole number, or zero for none.
    fn limit(&mut self, folder: &Folder, name: &str) -> Option<f64> {
        self.parse(folder, name, limit)
    }

    /// A file through its parser; `None` when it is not there.
    pub(crate) fn parse<T>(
        &mut self,
        folder: &Folder,
        name: &str,
        parser: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        match folder.attribute(name, &mut self.text) {
            Ok(None) => None,
            Ok(Some(text)) => {
                let parsed = parser(text);
                if parsed.is_none() {
                    let text: String = text.chars().take(80).collect();
                    self.complain(format!("/{}/{name} says {text:?}", folder.path()));
                }
                parsed
            }
            Err(error) => {
                self.complain(error.to_string());
                None
            }
        }
    }

    /// A file that may be long through its parser; `None` when it is not there.
    pub(crate) fn parse_long<T>(
        &mut self,
        folder: &Folder,
        name: &str,
        parser: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = folder.read(name, &mut self.text).ok()?;
        let parsed = parser(text);
        if parsed.is_none() {
            self.complain(format!("/{}/{name} is not understood", folder.path()));
        }
        parsed
    }

    fn complain(&mut self, why: String) {
        self.complaint.get_or_insert(why);
    }
}

/// How long tasks waited, from a cgroup of v2.
fn pressure(folder: &Folder, reader: &mut Reader, reading: &mut Reading) {
    let mut read = |name| {
        let (some, full) = reader.parse(folder, name, minicloud_exporter::stalls)?;
        Some(Stalls { some, full })
    };
    reading.cpu_pressure = read("cpu.pressure");
    reading.memory_pressure = read("memory.pressure");
    reading.io_pressure = read("io.pressure");
}

/// Lines of a word and a whole number, each given to `take`. `None` when there is a line that is something else.
fn keyed(text: &str, mut take: impl FnMut(&str, f64)) -> Option<()> {
    for line in text.lines() {
        let (key, value) = line.split_once(' ')?;
        take(key, number(value)?);
    }
    Some(())
}

/// A whole number as the kernel writes counts.
#[expect(
    clippy::cast_precision_loss,
    reason = "samples of Prometheus are floats"
)]
fn number(text: &str) -> Option<f64> {
    text.parse::<u64>().ok().map(|number| number as f64)
}

/// A whole number, or zero for `max`.
fn limit(text: &str) -> Option<f64> {
    match text.trim() {
        "max" => Some(0.0),
        text => number(text),
    }
}

/// The processes in a `cgroup.procs`.
fn processes(text: &str) -> Option<Vec<u32>> {
    text.lines().map(|line| line.parse().ok()).collect()
}
