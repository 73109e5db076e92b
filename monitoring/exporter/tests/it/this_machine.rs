//! This machine, as ours and as Debian's node_exporter measure it at the same time.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::debian::NodeExporter;
use crate::exposition::differences;
use crate::scrape;

/// What node_exporter measures by default and this crate does not, by the beginning of the name, and why.
const LEFT_OUT: [&str; 20] = [
    // About node_exporter itself: its runtime, its process, its HTTP server, its build.
    "go_",
    "process_",
    "promhttp_",
    "node_exporter_build_info",
    // Files that other programs leave: on a cluster they have an annotation to be scraped.
    "node_textfile_",
    // Neighbours per interface and queues of UDP: for finding faults in networks, not for deciding about workloads.
    "node_arp_",
    "node_udp_queues",
    // How long runnable threads waited, per core: pressure says it better.
    "node_schedstat_",
    // Security modules: settings, not measurements.
    "node_selinux_",
    // Particular hardware and storage, with which the hosts of these tests could not show that ours is right.
    "node_edac_",
    "node_bcache_",
    "node_bonding_",
    "node_btrfs_",
    "node_infiniband_",
    "node_nfs",
    "node_nvme_",
    "node_rapl_",
    "node_xfs_",
    "node_zfs_",
    // Units of systemd; Debian switches it on.
    "node_systemd_",
];

/// What moves while it is looked at, and by how much between two looks on a busy machine; the first that fits counts. What is not
/// here must lie between their first and second look: a counter, hence, is right to the last event.
const MOVING: [(&str, f64); 20] = [
    ("node_memory_MemTotal_", 0.0),
    ("node_memory_SwapTotal_", 0.0),
    ("node_memory_VmallocTotal_", 0.0),
    ("node_memory_CommitLimit_", 0.0),
    ("node_memory_Huge", 0.0),
    ("node_memory_", 5e8),
    ("node_load", 1.0),
    ("node_procs_", 100.0),
    ("node_filesystem_avail_bytes", 1e9),
    ("node_filesystem_free_bytes", 1e9),
    ("node_filesystem_files_free", 1e5),
    ("node_filefd_allocated", 2000.0),
    ("node_disk_io_now", 500.0),
    ("node_sockstat_", 1e7),
    ("node_netstat_Tcp_CurrEstab", 100.0),
    ("node_nf_conntrack_entries", 1e4),
    ("node_entropy_available_bits", 256.0),
    ("node_hwmon_", 1e3),
    ("node_thermal_zone_temp", 20.0),
    ("node_timex_", 1.0),
];

#[test]
fn this_machine_is_measured_as_by_node_exporter() {
    let root = Path::new("/");
    let theirs = NodeExporter::start(&[]);
    let collectors = scrape(root).success();
    let taken = |name: &str| {
        let beginning = |b: &&str| name.starts_with(*b);
        !LEFT_OUT.iter().any(beginning)
            && !name.starts_with("node_scrape_")
            && name != "minicloud_exporter_build_info"
    };
    let tolerance = |name: &str| {
        MOVING
            .iter()
            .find(|(b, _)| name.starts_with(b))
            .map_or(0.0, |(_, tolerance)| *tolerance)
    };

    // Other tests add and remove interfaces and mounts: what differs for longer than that is a difference.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (before, ours, after) = (theirs.scrape(), scrape(root), theirs.scrape());
        let mut found = differences(&before, &ours, &after, taken, tolerance);
        let theirs = before.success();
        for (collector, success) in &collectors {
            if theirs.get(collector) != Some(success) {
                found.push(format!(
                    "success of {collector}: ours {success}, theirs {:?}",
                    theirs.get(collector)
                ));
            }
        }
        if found.is_empty() {
            assert!(
                ours.families.len() > 150,
                "only {} metrics",
                ours.families.len()
            );
            return;
        }
        assert!(Instant::now() < deadline, "{}", found.join("\n"));
        std::thread::sleep(Duration::from_millis(200));
    }
}
