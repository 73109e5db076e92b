//! The whole agent against an API server that lives in memory: over a runtime that does too (in milliseconds, and it can be cut off,
//! lose power or forget), and over a real containerd ([`engine`]; needs root and what `node/containers` needs).

mod api;
mod bench;
mod engine;
mod lifecycle;
mod offline;
mod server;
mod sim;
#[path = "../../../containers/tests/it/site.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of node/containers, which use all of it"
)]
mod site;
