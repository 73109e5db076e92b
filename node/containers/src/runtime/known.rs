//! What was learned of containers and sandboxes: CRI's lists say little, and a status call for each of them each time would cost.
//!
//! Know before changing: it is a cache. An entry holds for as long as the list shows the state it was made in; a missing
//! one only costs a call.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use minicloud_agent::runtime::{LABEL_POD_UID, ObservedContainer, ObservedSandbox};

#[derive(Debug, Default)]
pub(super) struct Known {
    containers: HashMap<String, Entry<ObservedContainer>>,
    sandboxes: HashMap<String, Entry<ObservedSandbox>>,
}

#[derive(Debug)]
struct Entry<T> {
    /// CRI's number of the state it was in.
    state: i32,
    seen: T,
}

/// Something that the engine's list shows otherwise than it was known: its pod must be looked at.
pub(super) fn changed_pods(
    known: &Known,
    containers: &HashMap<String, i32>,
    sandboxes: &HashMap<String, i32>,
) -> HashSet<String> {
    let of_containers = known
        .containers
        .iter()
        .filter(|(id, entry)| containers.get(*id) != Some(&entry.state))
        .filter_map(|(_, entry)| entry.seen.labels.get(LABEL_POD_UID));
    let of_sandboxes = known
        .sandboxes
        .iter()
        .filter(|(id, entry)| sandboxes.get(*id) != Some(&entry.state))
        .filter_map(|(_, entry)| entry.seen.labels.get(LABEL_POD_UID));
    of_containers.chain(of_sandboxes).cloned().collect()
}

impl Known {
    pub(super) fn container(&self, id: &str, state: i32) -> Option<&ObservedContainer> {
        self.containers
            .get(id)
            .filter(|entry| entry.state == state)
            .map(|entry| &entry.seen)
    }

    pub(super) fn sandbox(&self, id: &str, state: i32) -> Option<&ObservedSandbox> {
        self.sandboxes
            .get(id)
            .filter(|entry| entry.state == state)
            .map(|entry| &entry.seen)
    }

    pub(super) fn put_container(&mut self, state: i32, seen: ObservedContainer) {
        self.containers
            .insert(seen.id.clone(), Entry { state, seen });
    }

    pub(super) fn put_sandbox(&mut self, state: i32, seen: ObservedSandbox) {
        self.sandboxes
            .insert(seen.id.clone(), Entry { state, seen });
    }

    /// Forgets one container or sandbox.
    pub(super) fn forget(&mut self, id: &str) {
        self.containers.remove(id);
        self.sandboxes.remove(id);
    }

    /// Forgets what is gone.
    pub(super) fn keep_only(&mut self, containers: &HashSet<String>, sandboxes: &HashSet<String>) {
        self.containers.retain(|id, _| containers.contains(id));
        self.sandboxes.retain(|id, _| sandboxes.contains(id));
    }

    pub(super) fn log_path(&self, container_id: &str) -> Option<PathBuf> {
        self.containers
            .get(container_id)
            .map(|entry| entry.seen.log_path.clone())
    }

    /// Running containers with their logs.
    pub(super) fn running_logs(&self) -> Vec<(String, PathBuf)> {
        let running = minicloud_cri::v1::ContainerState::ContainerRunning as i32;
        self.containers
            .values()
            .filter(|entry| entry.state == running && !entry.seen.log_path.as_os_str().is_empty())
            .map(|entry| (entry.seen.id.clone(), entry.seen.log_path.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn container(id: &str, uid: &str) -> ObservedContainer {
        ObservedContainer {
            id: id.into(),
            labels: BTreeMap::from([(LABEL_POD_UID.to_owned(), uid.to_owned())]),
            ..Default::default()
        }
    }

    #[test]
    fn an_entry_holds_for_its_state() {
        let mut known = Known::default();
        known.put_container(1, container("c", "u"));
        assert!(known.container("c", 1).is_some());
        assert!(known.container("c", 2).is_none());
        assert!(known.sandbox("c", 1).is_none());
        known.forget("c");
        assert!(known.container("c", 1).is_none());
    }

    #[test]
    fn pods_that_changed_unseen_are_named() {
        let mut known = Known::default();
        known.put_container(1, container("same", "u"));
        known.put_container(1, container("exited", "v"));
        known.put_container(1, container("gone", "w"));
        let sandbox = ObservedSandbox {
            id: "box".into(),
            labels: container("", "x").labels,
            ..Default::default()
        };
        known.put_sandbox(0, sandbox);
        let containers = HashMap::from([
            ("same".to_owned(), 1),
            ("exited".to_owned(), 2),
            ("new".to_owned(), 1),
        ]);
        let changed = changed_pods(&known, &containers, &HashMap::from([("box".to_owned(), 1)]));
        assert_eq!(changed, HashSet::from(["v", "w", "x"].map(String::from)));
    }
}
