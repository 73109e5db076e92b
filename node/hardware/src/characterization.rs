//! The two shapes in which others read devices: the seed's JSON ([`figure_12`]) and TOSCA ([`tosca`]). Pure.

mod figure_12;
mod tosca;
mod yaml;

pub use figure_12::{Figure12, figure_12, object_id};
pub use tosca::tosca;
