//! The HTTP edge: connections, the pipeline every request passes, bodies and answers.

pub mod body;
pub mod limits;
pub mod respond;
pub mod server;
pub mod service;
