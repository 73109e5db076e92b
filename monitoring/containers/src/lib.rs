//! Metrics of this machine's pods and containers under cAdvisor's names, as the kubelet of Kubernetes 1.36 serves them at
//! `/metrics/cadvisor`.
//!
//! A scrape reads the kernel's files of each cgroup ([`cgroup`]) below the folder that the node agent makes its pods in, and
//! says whose it is. Whose ([`members`]) is asked of who runs the pods ([`cri`]) only when a cgroup turns up that is not known:
//! at rest a scrape takes nothing of the container engine, and one that hangs takes nothing away.
//!
//! The one thing to know before changing it: names and labels are an interface that the dashboards and rules of others rely on.
//! A pod's cgroup has the labels `namespace` and `pod` and an empty `container`; a container's has all of them; a sandbox's has
//! an `image` and no `container`; the levels above have only an `id`. All labels are always there, also empty ones.
//!
//! Other than cAdvisor: the interfaces of the machine are not counted as those of pods that use its network, a sandbox is told
//! in few metrics (it holds a process that sleeps), and what cAdvisor always tells as zero is not told at all.

mod before;
mod cgroup;
mod cri;
mod exporter;
mod families;
mod machine;
mod members;
mod part;
mod strangers;

pub use cri::lister;
pub use exporter::{Exporter, Settings, Snapshot};
pub use members::{Listed, Lister, Member, Pod};
pub use part::part;
