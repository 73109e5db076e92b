//! Controllers and scheduler against the real API server, each with its own identity and rights, and a kubelet that only
//! says what a kubelet would say.

mod harness;
mod kubelet;
mod nodes;
mod ownership;
mod scheduling;
mod volumes;
mod workloads;
