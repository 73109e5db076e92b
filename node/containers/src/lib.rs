//! Pods on containerd: the agent's [`PodRuntime`](minicloud_agent::runtime::PodRuntime) over CRI.
//!
//! Know before changing: containerd and its containers outlive this process on purpose. Whatever is needed to go on with
//! them after a restart is kept with the engine (labels, annotations) or in the kernel (cgroups), never only in memory;
//! what memory holds is a cache that can be thrown away at any time.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | what can be set |
//! | [`containerd`] | starting, adopting, supervising and resetting the engine |
//! | [`images`] | references, archives, import, the pause image, garbage collection |
//! | [`translate`] | the agent's specifications to CRI's messages and back, pure |
//! | [`cgroups`] | the pod's cgroup, on v1 and v2 |
//! | [`Runtime`] | the trait, carried out |

pub mod cgroups;
pub mod config;
pub mod containerd;
pub mod images;
mod logs;
mod proc;
mod runtime;
mod shims;
pub mod translate;

pub use config::{Config, Engine};
pub use runtime::{Runtime, StartError};
