//! The real server on loopback TLS, driven by raw HTTPS, kube-rs and kubectl.

mod access;
mod collections;
mod custom;
mod discovery;
mod greedy;
mod harness;
mod hostile;
mod kinds;
mod kubectl;
mod load;
mod nodes;
mod objects;
mod runtime;
mod streams;
mod told;
