//! The node agent (Kubernetes' kubelet): pod lifecycle on one machine. Know before changing: what the runtime reports is the truth,
//! decisions are pure ([`runtime`] and everything else with I/O only carries them out).

pub mod runtime;
