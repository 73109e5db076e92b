//! The monitoring API on port 3000: what programs that must decide something ask of monitoring.

mod part;

pub use part::part;
