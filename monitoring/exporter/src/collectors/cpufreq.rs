//! `cpufreq`: clock rates of each core, measured and as the governor scales them, from `/sys/devices/system/cpu/cpu*/cpufreq`.

use crate::collector::{Collector, Scrape};
use crate::collectors::cpu::is_core;
use crate::error::CollectError;
use crate::samples::{Metric, Samples};

/// `(the attribute, in kHz, the metric, in Hz)`
const RATES: [(&str, Metric); 6] = [
    (
        "cpuinfo_cur_freq",
        Metric::gauge(
            "node_cpu_frequency_hertz",
            "Current cpu thread frequency in hertz.",
        ),
    ),
    (
        "cpuinfo_min_freq",
        Metric::gauge(
            "node_cpu_frequency_min_hertz",
            "Minimum cpu thread frequency in hertz.",
        ),
    ),
    (
        "cpuinfo_max_freq",
        Metric::gauge(
            "node_cpu_frequency_max_hertz",
            "Maximum cpu thread frequency in hertz.",
        ),
    ),
    (
        "scaling_cur_freq",
        Metric::gauge(
            "node_cpu_scaling_frequency_hertz",
            "Current scaled CPU thread frequency in hertz.",
        ),
    ),
    (
        "scaling_min_freq",
        Metric::gauge(
            "node_cpu_scaling_frequency_min_hertz",
            "Minimum scaled CPU thread frequency in hertz.",
        ),
    ),
    (
        "scaling_max_freq",
        Metric::gauge(
            "node_cpu_scaling_frequency_max_hertz",
            "Maximum scaled CPU thread frequency in hertz.",
        ),
    ),
];

pub(crate) struct CpuFreq;

impl Collector for CpuFreq {
    fn collect(&mut self, scrape: &mut Scrape<'_>, out: &mut Samples) -> Result<(), CollectError> {
        // Machines that do not scale, above all virtual ones, have no such folders: no failure.
        let Ok(cores) = scrape.root.open("sys/devices/system/cpu") else {
            return Ok(());
        };
        for name in cores.names()?.iter().filter(|name| is_core(name)) {
            let Ok(folder) = cores.open(&format!("{name}/cpufreq")) else {
                continue;
            };
            for (attribute, metric) in &RATES {
                if let Some(kilohertz) = scrape.number(&folder, attribute) {
                    out.add(metric, &[("cpu", &name["cpu".len()..])], kilohertz * 1000.0);
                }
            }
        }
        Ok(())
    }
}
