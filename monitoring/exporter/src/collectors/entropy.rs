//! `entropy`: the kernel's pool of randomness, from `/proc/sys/kernel/random`.

use crate::collector::{Collector, Scrape};
use crate::error::CollectError;
use crate::samples::{Metric, Samples};

const AVAILABLE: Metric =
    Metric::gauge("node_entropy_available_bits", "Bits of available entropy.");
const POOL_SIZE: Metric = Metric::gauge("node_entropy_pool_size_bits", "Bits of entropy pool.");

pub(crate) struct Entropy;

impl Collector for Entropy {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        let folder = scrape.root.open("proc/sys/kernel/random")?;
        for (metric, name) in [(&AVAILABLE, "entropy_avail"), (&POOL_SIZE, "poolsize")] {
            if let Some(bits) = scrape.number(&folder, name) {
                out.add(metric, &[], bits);
            }
        }
        Ok(())
    }
}
