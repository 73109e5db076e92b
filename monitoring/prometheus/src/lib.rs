//! Prometheus for this cluster: Debian's, supervised, with a configuration that follows nodes and annotated pods and Services; or the
//! URL of any server that speaks its HTTP API. On port 3000 it is `/prometheus`, for whoever may read the site's metrics.
//!
//! [`config`] and [`targets`] are pure and say what Prometheus reads; [`managed`] keeps the process; [`proxy`] is the part.

pub mod config;
pub mod engine;
pub mod managed;
pub mod own_rules;
pub mod proxy;
pub mod storage;
pub mod targets;
