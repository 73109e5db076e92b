//! The whole agent against an API server and a runtime that live in memory: what the pure parts cannot show, in milliseconds and
//! without root. The same agent over containerd and the real API server is tested in `tests/` of the workspace.

mod api;
mod bench;
mod lifecycle;
mod offline;
mod server;
mod sim;
