//! The monitoring API on port 3000: what programs that must decide something ask of monitoring.
//!
//! The one thing to know: nothing is kept here. Each answer is made of what Prometheus ([`queries`] is the table of all that is
//! asked) and the Kubernetes API say at that moment, and says what it lacks.

mod figures;
mod found;
mod impact;
mod kubernetes;
mod nodes;
#[cfg(test)]
mod nodes_tests;
mod objects;
mod openapi;
mod part;
mod pods;
mod queries;
#[cfg(test)]
mod testing;
mod v1;

pub use part::{Sources, part};
