//! The listener over TLS on loopback, in front of the real API server.

mod access;
mod edge;
mod extensions;
mod harness;
