//! The node agent (Kubernetes' kubelet): pod lifecycle on one machine. Know before changing: what the runtime reports is the truth,
//! [`decide`] is a pure function and everything with I/O only carries its decisions out. A pod is stopped because the API says so,
//! never because something did not answer.

pub mod agent;
pub mod backoff;
pub mod checkpoint;
pub mod config;
pub mod decide;
pub mod dns;
pub mod env;
pub mod events;
pub mod images;
pub mod logs;
pub mod machine;
pub mod node;
pub mod objects;
pub mod pod;
mod pods;
pub mod probe;
pub mod resources;
pub mod runtime;
pub mod security;
mod server;
pub mod services;
mod shared;
pub mod translate;
pub mod volumes;
mod worker;

pub use agent::{Agent, AgentError};
pub use config::{Config, ServerTls};
