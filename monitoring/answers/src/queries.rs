//! Everything that is asked of Prometheus, as a table: what it is called here, and the PromQL for it.
//!
//! `$window` is the time over which is averaged. `$pods` is a matcher: of one namespace, or of all. Sources are the names of
//! node_exporter (by node), cAdvisor (by pod; a pod's own cgroup has no container, so containers are added up) and
//! kube-state-metrics. Node metrics have to have a label `node`, which our own Prometheus gives them.
//!
//! Queries are asked together, joined by `or` and told apart by the label `measure`: one request, one time.

use std::fmt::Write;

use minicloud_prometheus_client::quoted;

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Query {
    /// What the value is, with its unit.
    pub(crate) measure: &'static str,
    /// The expression.
    pub(crate) promql: &'static str,
}

const fn q(measure: &'static str, promql: &'static str) -> Query {
    Query { measure, promql }
}

/// File systems that are on something: not those in memory, of which pods have one for each secret.
macro_rules! on_disk {
    ($metric:literal) => {
        concat!($metric, "{fstype!~\"tmpfs|ramfs\"}")
    };
}

/// The matcher of drives. What is stacked on them (LVM, encryption, RAID), in memory or in a file is no drive, and its work is
/// counted there already.
macro_rules! drives {
    () => {
        r#"device!~".*[0-9]p[0-9]+|mmcblk.*boot.*|dm-.*|md[0-9].*|zram.*|loop.*""#
    };
}
pub(crate) use drives;

/// The matcher of interfaces that lead out of the machine: what goes through the pods' bridge goes through one of these as well, or
/// stays within. The same list as in the alert rules (`monitoring/alerts/rules/network.yml`).
macro_rules! uplinks {
    () => {
        r#"device!~"lo|veth.*|cni.*|docker.*|br-.*|virbr.*|vnet.*|tap.*|minicloud.*""#
    };
}
pub(crate) use uplinks;

/// A counter of disks as a rate, once for each whole disk.
macro_rules! disk {
    ($counter:literal) => {
        concat!(
            "sum by (node, device) (rate(",
            $counter,
            "{device!~\".*[0-9]p[0-9]+|mmcblk.*boot.*\"}[$window]))"
        )
    };
}

/// A counter of the drives of a node together, as a rate.
macro_rules! all_drives {
    ($counter:literal) => {
        concat!(
            "sum by (node) (rate(",
            $counter,
            "{",
            drives!(),
            "}[$window]))"
        )
    };
}

/// A counter of the machine as a rate.
macro_rules! rate {
    ($counter:literal) => {
        concat!("sum by (node) (rate(", $counter, "[$window]))")
    };
}

/// A counter of interfaces as a rate, without the loopback one and those of pods.
macro_rules! network {
    ($counter:literal) => {
        concat!(
            "sum by (node, device) (rate(",
            $counter,
            "{device!~\"lo|veth.*\"}[$window]))"
        )
    };
}

/// A counter of the uplinks of a node together, as a rate.
macro_rules! all_uplinks {
    ($counter:literal) => {
        concat!(
            "sum by (node) (rate(",
            $counter,
            "{",
            uplinks!(),
            "}[$window]))"
        )
    };
}

/// The part of the processors' time that a mode took.
macro_rules! share {
    ($mode:literal) => {
        concat!(
            "clamp(sum by (node) (rate(node_cpu_seconds_total{mode=\"",
            $mode,
            "\"}[$window])) / sum by (node) (rate(node_cpu_seconds_total[$window])), 0, 1)"
        )
    };
}

/// Pressure of a pod: of its worst container.
macro_rules! pod_pressure {
    ($counter:literal) => {
        concat!(
            "max by (node, namespace, pod) (rate(",
            $counter,
            "{container!=\"\",$pods}[$window]))"
        )
    };
}

/// A gauge of containers, added up and then on average. The other way round, a container that ended counts in full over the whole
/// window, beside the one that took its place.
macro_rules! mean_of_sum {
    ($by:literal, $gauge:literal) => {
        concat!(
            "avg_over_time(sum by (",
            $by,
            ") (",
            $gauge,
            ")[$window:30s])"
        )
    };
}

/// A gauge of the machine, on average.
macro_rules! mean {
    ($gauge:literal) => {
        concat!("max by (node) (avg_over_time(", $gauge, "[$window]))")
    };
}

/// A counter of containers as a rate, by pod.
macro_rules! pod_rate {
    ($counter:literal) => {
        concat!(
            "sum by (node, namespace, pod) (rate(",
            $counter,
            "{container!=\"\",$pods}[$window]))"
        )
    };
}

pub(crate) const CPU_USED_RATIO: Query = q(
    "cpu_used_ratio",
    "clamp(1 - sum by (node) (rate(node_cpu_seconds_total{mode=~\"idle|iowait\"}[$window])) \
     / sum by (node) (rate(node_cpu_seconds_total[$window])), 0, 1)",
);
pub(crate) const MEMORY_TOTAL: Query = q("memory_total_bytes", mean!("node_memory_MemTotal_bytes"));
pub(crate) const MEMORY_AVAILABLE: Query = q(
    "memory_available_bytes",
    mean!("node_memory_MemAvailable_bytes"),
);
pub(crate) const DISK_READ_LATENCY: Query = q(
    "disk_read_latency_seconds",
    concat!(
        disk!("node_disk_read_time_seconds_total"),
        " / (",
        disk!("node_disk_reads_completed_total"),
        " > 0)"
    ),
);
pub(crate) const DISK_WRITE_LATENCY: Query = q(
    "disk_write_latency_seconds",
    concat!(
        disk!("node_disk_write_time_seconds_total"),
        " / (",
        disk!("node_disk_writes_completed_total"),
        " > 0)"
    ),
);
pub(crate) const DISK_BUSY: Query = q("disk_busy_ratio", disk!("node_disk_io_time_seconds_total"));
pub(crate) const FILE_SYSTEM_SIZE: Query = q(
    "file_system_size_bytes",
    on_disk!("node_filesystem_size_bytes"),
);
pub(crate) const FILE_SYSTEM_AVAILABLE: Query = q(
    "file_system_available_bytes",
    on_disk!("node_filesystem_avail_bytes"),
);

/// Figure 9 of D3.1.
pub(crate) const FIGURE_9: &[Query] = &[
    CPU_USED_RATIO,
    MEMORY_TOTAL,
    MEMORY_AVAILABLE,
    DISK_READ_LATENCY,
    DISK_WRITE_LATENCY,
    DISK_BUSY,
    FILE_SYSTEM_SIZE,
    FILE_SYSTEM_AVAILABLE,
];

pub(crate) const POD_CPU: Query = q(
    "cpu_used_cores",
    pod_rate!("container_cpu_usage_seconds_total"),
);
pub(crate) const POD_MEMORY: Query = q(
    "memory_working_set_bytes",
    mean_of_sum!(
        "node, namespace, pod",
        "container_memory_working_set_bytes{container!=\"\",$pods}"
    ),
);

/// Figure 10 of D3.1.
pub(crate) const FIGURE_10: &[Query] = &[
    q("pod_info", "kube_pod_info{$pods}"),
    q("pod_phase", "kube_pod_status_phase{$pods} == 1"),
    POD_CPU,
    POD_MEMORY,
];

/// Figure 11 of D3.1.
pub(crate) const FIGURE_11: &[Query] = &[
    q(
        "namespace_cpu",
        "sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=\"\"}[$window]))",
    ),
    q(
        "namespace_memory",
        "sum by (namespace) (container_memory_working_set_bytes{container!=\"\"})",
    ),
];

/// A machine now; `$window` is as short as scrapes allow.
pub(crate) const NODE_NOW: &[Query] = &[
    q(
        "cpu_cores",
        "count by (node) (node_cpu_seconds_total{mode=\"idle\"})",
    ),
    CPU_USED_RATIO,
    q("cpu_io_wait_ratio", share!("iowait")),
    q("cpu_stolen_ratio", share!("steal")),
    q(
        "cpu_throttles_per_second",
        rate!("node_cpu_core_throttles_total"),
    ),
    q(
        "cpu_waiting_ratio",
        rate!("node_pressure_cpu_waiting_seconds_total"),
    ),
    q(
        "memory_total_bytes",
        "max by (node) (node_memory_MemTotal_bytes)",
    ),
    q(
        "memory_available_bytes",
        "max by (node) (node_memory_MemAvailable_bytes)",
    ),
    q(
        "swap_used_bytes",
        "max by (node) (node_memory_SwapTotal_bytes - node_memory_SwapFree_bytes)",
    ),
    q(
        "memory_waiting_ratio",
        rate!("node_pressure_memory_waiting_seconds_total"),
    ),
    q(
        "memory_stalled_ratio",
        rate!("node_pressure_memory_stalled_seconds_total"),
    ),
    q(
        "io_waiting_ratio",
        rate!("node_pressure_io_waiting_seconds_total"),
    ),
    q(
        "io_stalled_ratio",
        rate!("node_pressure_io_stalled_seconds_total"),
    ),
    q("load_1m", "max by (node) (node_load1)"),
    q("load_5m", "max by (node) (node_load5)"),
    q("load_15m", "max by (node) (node_load15)"),
    FILE_SYSTEM_SIZE,
    FILE_SYSTEM_AVAILABLE,
    q(
        "file_system_read_only",
        on_disk!("node_filesystem_readonly"),
    ),
    q(
        "disk_read_bytes_per_second",
        disk!("node_disk_read_bytes_total"),
    ),
    q(
        "disk_written_bytes_per_second",
        disk!("node_disk_written_bytes_total"),
    ),
    DISK_BUSY,
    DISK_READ_LATENCY,
    DISK_WRITE_LATENCY,
    q(
        "network_received_bytes_per_second",
        network!("node_network_receive_bytes_total"),
    ),
    q(
        "network_transmitted_bytes_per_second",
        network!("node_network_transmit_bytes_total"),
    ),
    q(
        "network_lost_packets_per_second",
        concat!(
            network!("node_network_receive_errs_total"),
            " + ",
            network!("node_network_receive_drop_total"),
            " + ",
            network!("node_network_transmit_errs_total"),
            " + ",
            network!("node_network_transmit_drop_total")
        ),
    ),
    q(
        "network_up",
        "max by (node, device) (node_network_up{device!~\"lo|veth.*\"})",
    ),
    q(
        "temperature_zone",
        "max by (node, type, zone) (node_thermal_zone_temp)",
    ),
    q(
        "temperature_chip",
        "max by (node, chip, sensor) (node_hwmon_temp_celsius)",
    ),
    q(
        "charge_percent",
        "max by (node, power_supply) (node_power_supply_capacity)",
    ),
    q(
        "power_online",
        "max by (node, power_supply) (node_power_supply_online)",
    ),
];

/// A machine on average.
pub(crate) const NODE_AVERAGE: &[Query] = &[
    CPU_USED_RATIO,
    q(
        "cpu_waiting_ratio",
        rate!("node_pressure_cpu_waiting_seconds_total"),
    ),
    MEMORY_TOTAL,
    MEMORY_AVAILABLE,
    q(
        "memory_waiting_ratio",
        rate!("node_pressure_memory_waiting_seconds_total"),
    ),
    q(
        "io_waiting_ratio",
        rate!("node_pressure_io_waiting_seconds_total"),
    ),
    q("load", mean!("node_load1")),
    q(
        "disk_read_bytes_per_second",
        all_drives!("node_disk_read_bytes_total"),
    ),
    q(
        "disk_written_bytes_per_second",
        all_drives!("node_disk_written_bytes_total"),
    ),
    q(
        "disk_busy_ratio",
        concat!(
            "max by (node) (",
            disk!("node_disk_io_time_seconds_total"),
            ")"
        ),
    ),
    q(
        "network_received_bytes_per_second",
        all_uplinks!("node_network_receive_bytes_total"),
    ),
    q(
        "network_transmitted_bytes_per_second",
        all_uplinks!("node_network_transmit_bytes_total"),
    ),
];

/// A pod now.
pub(crate) const POD_NOW: &[Query] = &[
    POD_CPU,
    q(
        "memory_working_set_bytes",
        "sum by (node, namespace, pod) (container_memory_working_set_bytes{container!=\"\",$pods})",
    ),
    q(
        "memory_rss_bytes",
        "sum by (node, namespace, pod) (container_memory_rss{container!=\"\",$pods})",
    ),
    q("cpu_throttled_ratio", POD_THROTTLED),
    q(
        "cpu_waiting_ratio",
        pod_pressure!("container_pressure_cpu_waiting_seconds_total"),
    ),
    q(
        "memory_waiting_ratio",
        pod_pressure!("container_pressure_memory_waiting_seconds_total"),
    ),
    q(
        "io_waiting_ratio",
        pod_pressure!("container_pressure_io_waiting_seconds_total"),
    ),
    q(
        "disk_read_bytes_per_second",
        pod_rate!("container_fs_reads_bytes_total"),
    ),
    q(
        "disk_written_bytes_per_second",
        pod_rate!("container_fs_writes_bytes_total"),
    ),
    q(
        "network_received_bytes_per_second",
        "sum by (node, namespace, pod) (rate(container_network_receive_bytes_total{$pods}[$window]))",
    ),
    q(
        "network_transmitted_bytes_per_second",
        "sum by (node, namespace, pod) (rate(container_network_transmit_bytes_total{$pods}[$window]))",
    ),
];

/// The part of the periods of a limit in which a container had to wait for the next one; of the pod's worst container.
pub(crate) const POD_THROTTLED: &str = "max by (node, namespace, pod) (\
    rate(container_cpu_cfs_throttled_periods_total{container!=\"\",$pods}[$window]) \
    / (rate(container_cpu_cfs_periods_total{container!=\"\",$pods}[$window]) > 0))";

/// A pod on average.
pub(crate) const POD_AVERAGE: &[Query] = &[POD_CPU, POD_MEMORY];

/// A namespace now and on average.
pub(crate) const NAMESPACE: &[Query] = &[
    q(
        "cpu_used_cores",
        "sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=\"\"}[$window]))",
    ),
    q(
        "memory_working_set_bytes",
        mean_of_sum!(
            "namespace",
            "container_memory_working_set_bytes{container!=\"\"}"
        ),
    ),
];

/// The expression that answers all of `queries`. `namespace` narrows `$pods`; `window` is a PromQL duration.
pub(crate) fn together(queries: &[Query], window: &str, namespace: Option<&str>) -> String {
    join(queries.iter().map(|query| {
        let promql = fill(query.promql, window, namespace);
        (query.measure, promql)
    }))
}

/// One expression of several, each by its measure.
pub(crate) fn join<'a>(named: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut out = String::new();
    for (measure, promql) in named {
        if !out.is_empty() {
            out.push_str(" or ");
        }
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "label_replace({promql}, \"measure\", \"{measure}\", \"\", \"\")"
        );
    }
    out
}

/// An expression with its placeholders filled.
pub(crate) fn fill(promql: &str, window: &str, namespace: Option<&str>) -> String {
    let pods = match namespace {
        Some(namespace) => format!("namespace={}", quoted(namespace)),
        None => "namespace!=\"\"".to_owned(),
    };
    promql.replace("$window", window).replace("$pods", &pods)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_told_apart() {
        let queries = [POD_CPU, q("b", "b{$pods}")];
        assert_eq!(
            together(&queries, "5m", Some("a\"b")),
            "label_replace(sum by (node, namespace, pod) (rate(container_cpu_usage_seconds_total\
             {container!=\"\",namespace=\"a\\\"b\"}[5m])), \"measure\", \"cpu_used_cores\", \"\", \"\") \
             or label_replace(b{namespace=\"a\\\"b\"}, \"measure\", \"b\", \"\", \"\")"
        );
        assert_eq!(fill("b{$pods}", "5m", None), "b{namespace!=\"\"}");
    }
}
