//! The exporter on machines made of files: one with cgroup v1 and a v2 hierarchy beside it, one with v2, and broken ones.

mod broken;
mod fixture;
mod golden;
mod quiet;
