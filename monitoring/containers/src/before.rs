//! What the scrape before found, so that a pod in which nothing happens costs a few files and not some sixty.
//!
//! A pod whose [`Pulse`] stands still has done nothing since: it and what is in it are told as they were read before. Every so
//! many scrapes is read what changes without it: what it may use, and how the kernel sorts its memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use minicloud_exporter::tree::Folder;

use crate::cgroup::{Hierarchies, Pulse, Reader, Reading, Want};
use crate::machine::Machine;
use crate::members::{Place, PlaceKind, Role};

/// Scrapes between two that read what changes by itself: five minutes at Prometheus' usual pace.
const RENEW: u32 = 20;

/// What is remembered, by the path of the cgroup.
#[derive(Debug, Default)]
pub(crate) struct Before {
    readings: HashMap<String, Arc<Reading>>,
    pods: HashMap<String, Pod>,
    scrape: u32,
}

#[derive(Debug)]
struct Pod {
    pulse: Option<Pulse>,
    state: State,
    /// The scrape that read what changes by itself.
    renewed: u32,
    /// The links of its folder, one for each folder in it, and these folders.
    links: u64,
    members: Arc<[String]>,
}

/// How the pod is that places belong to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct State {
    /// Nothing happened since the scrape before.
    quiet: bool,
    /// It is time to read what changes by itself.
    due: bool,
}

impl Before {
    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.scrape = self.scrape.wrapping_add(1);
    }

    /// Forgets what is gone.
    pub(crate) fn forget(&mut self, places: &[Place]) {
        if self.readings.len() + self.pods.len() > places.len() {
            let here: HashSet<&str> = places.iter().map(|place| place.path.as_str()).collect();
            self.readings.retain(|path, _| here.contains(path.as_str()));
            self.pods.retain(|path, _| here.contains(path.as_str()));
        }
    }

    /// Takes a pod's pulse, and says which cgroups are in it: those of before, when there are as many and nobody ran since.
    pub(crate) fn members(
        &mut self,
        above: &Folder,
        name: &str,
        path: &str,
        hierarchies: &Hierarchies,
        reader: &mut Reader,
    ) -> Arc<[String]> {
        let links = above.links(name).unwrap_or_default();
        let pulse = hierarchies.pulse(path, reader);
        let list = || -> Arc<[String]> {
            let names = above.open(name).and_then(|pod| pod.folders());
            names.unwrap_or_default().into()
        };
        let scrape = self.scrape;
        let Some(pod) = self.pods.get_mut(path) else {
            // The first time is counted as longer ago for each further pod, so that not all are due at once.
            let age = u32::try_from(self.pods.len()).unwrap_or_default() % RENEW;
            let pod = Pod {
                pulse,
                state: State::default(),
                renewed: scrape.wrapping_sub(age),
                links,
                members: list(),
            };
            return self
                .pods
                .entry(path.to_owned())
                .or_insert(pod)
                .members
                .clone();
        };
        let due = scrape.wrapping_sub(pod.renewed) >= RENEW;
        let ran = pulse.map(|pulse| pulse.cpu) != pod.pulse.map(|pulse| pulse.cpu);
        // Each folder is two links with those of the folder itself; a file system that does not count says one.
        if due || ran || links != pod.links || links < 2 {
            pod.members = list();
        }
        if due {
            pod.renewed = scrape;
        }
        let quiet = pulse.is_some() && pulse == pod.pulse && links == pod.links;
        pod.state = State { quiet, due };
        (pod.pulse, pod.links) = (pulse, links);
        pod.members.clone()
    }

    /// How a pod is, as [`Before::members`] found it.
    pub(crate) fn state(&self, path: &str) -> State {
        self.pods.get(path).map(|pod| pod.state).unwrap_or_default()
    }

    /// What a cgroup's files say; `None` when it is gone.
    pub(crate) fn read(
        &mut self,
        place: &Place,
        role: Role,
        state: State,
        disks: bool,
        machine: &Machine,
        reader: &mut Reader,
    ) -> Option<Arc<Reading>> {
        let before = self.readings.get(&place.path);
        if let Some(before) = before
            && state.quiet
        {
            if !state.due || role == Role::Sandbox {
                return Some(before.clone());
            }
            let mut reading = Reading::clone(before);
            let hierarchies = machine.hierarchies()?;
            hierarchies.renew(&place.path, role, &mut reading, reader);
            let reading = Arc::new(reading);
            self.readings.insert(place.path.clone(), reading.clone());
            return Some(reading);
        }
        let levels = place.kind == PlaceKind::Level;
        let spec = before.filter(|_| !state.due && !levels).map(|b| b.spec);
        let want = Want { role, spec, disks };
        let mut reading = machine.hierarchies()?.read(&place.path, want, reader)?;
        let process = reading.processes.as_ref().and_then(|pids| pids.first());
        if role == Role::Sandbox
            && let Some(process) = process
        {
            let same = before.filter(|before| before.processes == reading.processes);
            reading.own_network = match same {
                Some(before) => before.own_network,
                None => machine.own_network(*process),
            };
        }
        let reading = Arc::new(reading);
        if !levels {
            self.readings.insert(place.path.clone(), reading.clone());
        }
        Some(reading)
    }
}
