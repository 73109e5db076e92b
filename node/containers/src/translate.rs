//! The agent's specifications in CRI's messages, and CRI's reports in the agent's terms. Pure.
//!
//! Know before changing: labels and annotations go in and come back verbatim, for the agent finds its pods by them. What this
//! crate itself must know again later travels as annotations under [`INTERNAL`], which are taken out on the way back.

mod container;
mod observed;
mod resources;
mod sandbox;
mod security;

use std::collections::{BTreeMap, HashMap};

pub use container::container;
pub use observed::{container as observed_container, pod_stats, pods, sandbox as observed_sandbox};
pub use resources::linux as linux_resources;
pub use sandbox::{cgroup_path, sandbox};

/// Prefix of the annotations that are this crate's own.
pub const INTERNAL: &str = "containers.minicloud.io/";
/// On containers: the image as the pod names it.
pub const IMAGE: &str = "containers.minicloud.io/image";
/// On containers: the signal that stops it, when the pod overrides the image's.
pub const STOP_SIGNAL: &str = "containers.minicloud.io/stop-signal";
/// On sandboxes: the pod's cgroup.
pub const CGROUP: &str = "containers.minicloud.io/cgroup";
/// On sandboxes: the folder of the pod's logs.
pub const LOG_DIRECTORY: &str = "containers.minicloud.io/log-directory";

fn to_wire(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn from_wire(map: HashMap<String, String>) -> BTreeMap<String, String> {
    map.into_iter()
        .filter(|(key, _)| !key.starts_with(INTERNAL))
        .collect()
}
