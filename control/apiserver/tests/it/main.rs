//! The real server on loopback TLS, driven by raw HTTPS, kube-rs and kubectl.

mod api;
mod harness;
mod hostile;
mod kubectl;
mod load;
mod runtime;
mod streams;
