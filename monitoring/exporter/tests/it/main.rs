//! The exporter beside Debian's node_exporter, on this machine and on fixture machines; and with everything broken that can be.

mod debian;
mod exposition;
mod hung;
mod machine;
mod machines;
mod robust;
mod this_machine;

use std::path::Path;

use minicloud_exporter::{Exporter, Settings};

use crate::exposition::Exposition;

/// What ours says about a root.
fn scrape(root: &Path) -> Exposition {
    let mut text = String::new();
    Exporter::new(root, &Settings::default()).scrape(&mut text);
    Exposition::parse(&text)
}
