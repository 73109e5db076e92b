//! One file per collector of node_exporter, each with the same order inside: the metrics, the collector, its parsers, tests.

mod conntrack;
mod cpu;
mod cpufreq;
mod diskstats;
mod dmi;
mod entropy;
mod filefd;
mod filesystem;
mod hwmon;
mod loadavg;
mod mdadm;
mod meminfo;
mod netclass;
mod netdev;
mod netstat;
mod os;
mod powersupplyclass;
mod pressure;
mod sockstat;
mod softnet;
mod stat;
mod thermal_zone;
mod time;
mod timex;
mod uname;
mod vmstat;

use crate::Settings;
use crate::collector::Collector;

/// All of them, under node_exporter's names.
pub(crate) fn all(settings: &Settings) -> Vec<(&'static str, Box<dyn Collector + Send>)> {
    vec![
        ("conntrack", Box::new(conntrack::Conntrack)),
        ("cpu", Box::new(cpu::Cpu::default())),
        ("cpufreq", Box::new(cpufreq::CpuFreq)),
        ("diskstats", Box::new(diskstats::DiskStats)),
        ("dmi", Box::new(dmi::Dmi)),
        ("entropy", Box::new(entropy::Entropy)),
        ("filefd", Box::new(filefd::FileFd)),
        (
            "filesystem",
            Box::new(filesystem::Filesystem::new(settings)),
        ),
        ("hwmon", Box::new(hwmon::Hwmon)),
        ("loadavg", Box::new(loadavg::LoadAvg)),
        ("mdadm", Box::new(mdadm::Mdadm)),
        ("meminfo", Box::new(meminfo::MemInfo)),
        ("netclass", Box::new(netclass::NetClass)),
        ("netdev", Box::new(netdev::NetDev)),
        ("netstat", Box::new(netstat::NetStat)),
        ("os", Box::new(os::Os)),
        (
            "powersupplyclass",
            Box::new(powersupplyclass::PowerSupplyClass),
        ),
        ("pressure", Box::new(pressure::Pressure)),
        ("sockstat", Box::new(sockstat::SockStat)),
        ("softnet", Box::new(softnet::SoftNet)),
        ("stat", Box::new(stat::Stat)),
        ("thermal_zone", Box::new(thermal_zone::ThermalZone)),
        ("time", Box::new(time::Time)),
        ("timex", Box::new(timex::Timex)),
        ("uname", Box::new(uname::Uname)),
        ("vmstat", Box::new(vmstat::VmStat)),
    ]
}

pub(crate) fn interfaces(text: &str) -> Option<Vec<(String, [f64; 16])>> {
    netdev::parse(text).ok()
}

pub(crate) fn stalls(text: &str) -> Option<(f64, Option<f64>)> {
    let stalls = pressure::parse(text).ok()?;
    Some((stalls.some?, stalls.full))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that look like what the kernel writes, so that parsers get beyond the first line.
    fn kernel_like() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            4 => "[0-9]{1,22}",
            2 => "cpu[0-9]{0,3}|intr|some|full|total=|MemTotal:|Active\\(anon\\):|kB|Tcp:|TCP:|eth0:|mem|used|btime|inuse",
            1 => "-?[0-9]+\\.[0-9]*|\\\\[0-9]{0,4}|[0-9]-[0-9]{1,12}|0x|\"|'|=",
            1 => "\\PC{0,6}",
        ];
        let line = proptest::collection::vec(word, 0..22).prop_map(|words| words.join(" "));
        proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_text_makes_a_parser_panic(text in prop_oneof![kernel_like(), any::<String>()]) {
            let _ = conntrack::parse(&text);
            let _ = cpu::parse(&text);
            let _ = cpu::parse_list(&text);
            let _ = diskstats::parse(&text);
            let _ = diskstats::parse_udev(&text);
            let _ = filefd::parse(&text);
            let _ = filesystem::parse(&text);
            let _ = filesystem::excluded(&text, &text);
            let _ = hwmon::split(&text);
            let _ = hwmon::clean(&text);
            let _ = loadavg::parse(&text);
            let _ = mdadm::parse(&text);
            let _ = meminfo::parse(&text);
            let _ = netdev::parse(&text);
            let _ = netstat::parse(&text);
            let _ = os::parse(&text);
            let _ = pressure::parse(&text);
            let _ = sockstat::parse(&text);
            let _ = softnet::parse(&text);
            let _ = stat::parse(&text);
            let _ = vmstat::parse(&text);
        }
    }
}
