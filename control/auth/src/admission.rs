//! Admission rules that belong to authorization: who may grant rights ([`escalation`]), and what a node agent may write
//! ([`node`]). Pure: the API server calls them with the objects in hand.

pub mod escalation;
pub mod node;
#[cfg(test)]
mod tests;
