//! `minicloud dns`: cluster DNS as a process of its own, which the server starts and leaves running when it ends.

use std::path::Path;

use anyhow::Context;
use minicloud_network::dns::{DnsConfig, Server};

use super::block_on;

/// Answers until SIGTERM.
pub fn run(file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let config: DnsConfig = serde_json::from_slice(&text)
        .with_context(|| format!("{} cannot be used", file.display()))?;
    crate::server::start_log("warn")?;
    let server = Server::bind(&config)?;
    // Before the first thread is started.
    server.drop_rights()?;
    block_on(server.serve())
}
