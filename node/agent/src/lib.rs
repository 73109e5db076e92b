//! The node agent (Kubernetes' kubelet): pod lifecycle on one machine. Know before changing: what the runtime reports is the truth,
//! [`decide`] is a pure function and everything with I/O only carries its decisions out. A pod is stopped because the API says so,
//! never because something did not answer.

pub mod backoff;
pub mod config;
pub mod decide;
pub mod dns;
pub mod env;
pub mod objects;
pub mod pod;
pub mod probe;
pub mod resources;
pub mod runtime;
pub mod volumes;
