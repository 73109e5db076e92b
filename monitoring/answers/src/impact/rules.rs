//! What counts as trouble of a machine, and by what a pod shows that it feels it: two tables.
//!
//! Each row is one PromQL expression with what it is compared to; a query asks for what is beyond it, so that a machine that is
//! well costs nothing. The texts are for people who do not know the machine.

use crate::queries::{POD_THROTTLED, Query, drives, uplinks};

/// What of a machine is short, and so who feels it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resource {
    Cpu,
    Memory,
    /// Disks as such: slow, or gone.
    Disk,
    /// One file system: whose volumes are on it.
    FileSystem,
    Network,
    /// The machine as a whole: everybody on it.
    Machine,
    /// A pod's own limit: nobody but that pod.
    Limit,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    AtLeast,
    AtMost,
}

impl Beyond {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
        }
    }

    /// Whether `value` is beyond `threshold`.
    pub(crate) fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::AtLeast => value >= threshold,
            Self::AtMost => value <= threshold,
        }
    }
}

/// One kind of trouble.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) kind: &'static str,
    pub(crate) promql: &'static str,
    pub(crate) beyond: Beyond,
    /// From here on it is told.
    pub(crate) warning: f64,
    /// From here on it is urgent; infinite where it never is.
    pub(crate) critical: f64,
    /// Of value and thresholds.
    pub(crate) unit: &'static str,
    pub(crate) resource: Resource,
    /// The labels that say which disk, file system, interface or sensor it is.
    pub(crate) subject: &'static [&'static str],
    pub(crate) summary: &'static str,
    pub(crate) hint: &'static str,
}

use Beyond::{AtLeast, AtMost};

const NEVER: f64 = f64::INFINITY;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        kind: "silent_node",
        promql: "1 - max by (node) (up{job=\"node\"})",
        beyond: AtLeast,
        warning: 1.0,
        critical: 1.0,
        unit: "",
        resource: Resource::Machine,
        subject: &[],
        summary: "the node does not tell how it is doing",
        hint: "look whether the machine has power and network, and whether minicloud runs on it",
    },
    Rule {
        kind: "cpu_pressure",
        promql: "sum by (node) (rate(node_pressure_cpu_waiting_seconds_total[$window]))",
        beyond: AtLeast,
        warning: 0.5,
        critical: 0.9,
        unit: "ratio",
        resource: Resource::Cpu,
        subject: &[],
        summary: "programs wait for a processor",
        hint: "move workloads to another node, or give those that matter less a limit",
    },
    Rule {
        kind: "cpu_stolen",
        promql: "sum by (node) (rate(node_cpu_seconds_total{mode=\"steal\"}[$window])) / sum by (node) (rate(node_cpu_seconds_total[$window]))",
        beyond: AtLeast,
        warning: 0.2,
        critical: 0.5,
        unit: "ratio",
        resource: Resource::Cpu,
        subject: &[],
        summary: "the hypervisor gives the machine's processors to others",
        hint: "ask whoever runs the hypervisor, or move workloads away",
    },
    Rule {
        kind: "thermal_throttling",
        promql: "sum by (node) (rate(node_cpu_core_throttles_total[$window]))",
        beyond: AtLeast,
        warning: 0.1,
        critical: 10.0,
        unit: "throttles per second",
        resource: Resource::Cpu,
        subject: &[],
        summary: "processors are slowed down because they are hot",
        hint: "look at fans, dust and the place where the machine stands",
    },
    Rule {
        kind: "overheating",
        promql: "max by (node, sensor) (label_join(node_thermal_zone_temp, \"sensor\", \"/\", \"type\", \"zone\") or label_join(node_hwmon_temp_celsius, \"sensor\", \"/\", \"chip\", \"sensor\"))",
        beyond: AtLeast,
        warning: 80.0,
        critical: 90.0,
        unit: "degrees Celsius",
        resource: Resource::Machine,
        subject: &["sensor"],
        summary: "the machine is hot",
        hint: "look at fans, dust and the place where the machine stands; it may turn itself off",
    },
    Rule {
        kind: "memory_shortage",
        promql: "max by (node) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)",
        beyond: AtMost,
        warning: 0.1,
        critical: 0.05,
        unit: "ratio",
        resource: Resource::Memory,
        subject: &[],
        summary: "hardly any memory is left",
        hint: "move workloads to another node, or give them limits; the kernel will end programs otherwise",
    },
    Rule {
        kind: "memory_pressure",
        promql: "sum by (node) (rate(node_pressure_memory_waiting_seconds_total[$window]))",
        beyond: AtLeast,
        warning: 0.1,
        critical: 0.4,
        unit: "ratio",
        resource: Resource::Memory,
        subject: &[],
        summary: "programs wait for memory",
        hint: "move workloads to another node, or give them limits",
    },
    Rule {
        kind: "disk_pressure",
        promql: "sum by (node) (rate(node_pressure_io_waiting_seconds_total[$window]))",
        beyond: AtLeast,
        warning: 0.4,
        critical: 0.8,
        unit: "ratio",
        resource: Resource::Disk,
        subject: &[],
        summary: "programs wait for disks",
        hint: "see which workload reads or writes most, and whether the disk is a slow or a worn one",
    },
    Rule {
        kind: "slow_disk",
        promql: concat!(
            "sum by (node, device) (rate(node_disk_write_time_seconds_total{",
            drives!(),
            "}[$window])) / (sum by (node, device) (rate(node_disk_writes_completed_total[$window])) > 0)"
        ),
        beyond: AtLeast,
        warning: 0.5,
        critical: 2.0,
        unit: "seconds per write",
        resource: Resource::Disk,
        subject: &["device"],
        summary: "writes to the disk take long",
        hint: "SD cards and disks slow down before they fail: make a backup and replace it",
    },
    Rule {
        kind: "disk_gone",
        promql: concat!(
            "(group by (node, device) (last_over_time(node_disk_io_time_seconds_total{",
            drives!(),
            "}[$back])) unless group by (node, device) (node_disk_io_time_seconds_total)) and on (node) (up{job=\"node\"} == 1)"
        ),
        beyond: AtLeast,
        warning: 1.0,
        critical: NEVER,
        unit: "",
        resource: Resource::Disk,
        subject: &["device"],
        summary: "a disk that was there an hour ago is gone",
        hint: "unless somebody took it away, look at cable and power, and at `dmesg`",
    },
    Rule {
        kind: "failed_array_member",
        promql: "sum by (node, device) (node_md_disks{state=\"failed\"})",
        beyond: AtLeast,
        warning: 1.0,
        critical: 1.0,
        unit: "disks",
        resource: Resource::Disk,
        subject: &["device"],
        summary: "a disk of an array failed",
        hint: "replace the disk before another one fails",
    },
    Rule {
        kind: "hanging_file_system",
        promql: "max by (node, mountpoint) (node_filesystem_device_error)",
        beyond: AtLeast,
        warning: 1.0,
        critical: 1.0,
        unit: "",
        resource: Resource::FileSystem,
        subject: &["mountpoint"],
        summary: "a file system does not answer",
        hint: "look at the disk, or at the server that it is mounted from",
    },
    Rule {
        kind: "full_file_system",
        promql: "min by (node, mountpoint) (node_filesystem_avail_bytes / (node_filesystem_size_bytes > 0) and node_filesystem_readonly == 0)",
        beyond: AtMost,
        warning: 0.1,
        critical: 0.03,
        unit: "ratio",
        resource: Resource::FileSystem,
        subject: &["mountpoint"],
        summary: "hardly any space is left",
        hint: "remove what is not needed, or give the workload a larger volume",
    },
    Rule {
        kind: "no_inodes",
        promql: "min by (node, mountpoint) (node_filesystem_files_free / (node_filesystem_files > 0) and node_filesystem_readonly == 0)",
        beyond: AtMost,
        warning: 0.05,
        critical: 0.01,
        unit: "ratio",
        resource: Resource::FileSystem,
        subject: &["mountpoint"],
        summary: "hardly any more files can be made",
        hint: "remove files that are not needed: there are too many small ones",
    },
    Rule {
        kind: "read_only_file_system",
        promql: "max by (node, mountpoint) (node_filesystem_readonly) and min by (node, mountpoint) (min_over_time(node_filesystem_readonly[1d])) == 0",
        beyond: AtLeast,
        warning: 1.0,
        critical: 1.0,
        unit: "",
        resource: Resource::FileSystem,
        subject: &["mountpoint"],
        summary: "a file system that could be written cannot be any longer",
        hint: "the kernel does this when a disk fails: look at `dmesg`, and make a backup",
    },
    Rule {
        kind: "flapping_network",
        promql: concat!(
            "max by (node, device) (changes(node_network_up{",
            uplinks!(),
            "}[15m]))"
        ),
        beyond: AtLeast,
        warning: 4.0,
        critical: 20.0,
        unit: "changes in 15 minutes",
        resource: Resource::Network,
        subject: &["device"],
        summary: "the link comes and goes",
        hint: "look at cable, switch and power saving; on wireless links at the signal",
    },
    Rule {
        kind: "lost_packets",
        promql: concat!(
            "sum by (node, device) (rate(node_network_receive_errs_total{",
            uplinks!(),
            "}[$window]) + rate(node_network_transmit_errs_total{",
            uplinks!(),
            "}[$window]))"
        ),
        beyond: AtLeast,
        warning: 1.0,
        critical: 100.0,
        unit: "packets per second",
        resource: Resource::Network,
        subject: &["device"],
        summary: "packets arrive damaged or cannot be sent",
        hint: "look at cable, switch and the interface's speed",
    },
    Rule {
        kind: "wrong_clock",
        promql: "max by (node) (abs(node_time_seconds - timestamp(node_time_seconds)))",
        beyond: AtLeast,
        warning: 2.0,
        critical: 30.0,
        unit: "seconds",
        resource: Resource::Machine,
        subject: &[],
        summary: "the clock is wrong: certificates, leases and times in logs go by it",
        hint: "set up time synchronisation on the machine",
    },
    Rule {
        kind: "cpu_limit",
        promql: POD_THROTTLED,
        beyond: AtLeast,
        warning: 0.25,
        critical: 0.75,
        unit: "ratio",
        resource: Resource::Limit,
        subject: &[],
        summary: "the pod is held back by its own limit of processor time",
        hint: "raise the limit, or let more replicas share the work; the node is not to blame",
    },
    Rule {
        kind: "out_of_memory",
        promql: "sum by (node, namespace, pod) (increase(container_oom_events_total{container!=\"\",$pods}[15m])) > 0 \
                 or max by (node, namespace, pod) ((max by (namespace, pod) (increase(kube_pod_container_status_restarts_total{$pods}[15m])) > 0) \
                 * on (namespace, pod) max by (namespace, pod) (kube_pod_container_status_last_terminated_reason{reason=\"OOMKilled\",$pods}) \
                 * on (namespace, pod) group_left (node) max by (namespace, pod, node) (kube_pod_info{$pods}))",
        beyond: AtLeast,
        warning: 0.5,
        critical: 0.5,
        unit: "kills in 15 minutes",
        resource: Resource::Limit,
        subject: &[],
        summary: "the kernel ended a program of the pod because its memory was used up",
        hint: "raise the pod's memory limit, or find what takes the memory",
    },
    Rule {
        kind: "memory_limit",
        promql: "sum by (node, namespace, pod) (increase(container_memory_failcnt{container!=\"\",$pods}[5m]))",
        beyond: AtLeast,
        warning: 10.0,
        critical: NEVER,
        unit: "times in 5 minutes",
        resource: Resource::Limit,
        subject: &[],
        summary: "the pod keeps running into its own limit of memory",
        hint: "raise the limit, unless it only holds cached files",
    },
];

/// A sign by which a pod shows that it feels a shortage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sign {
    pub(crate) measure: &'static str,
    pub(crate) promql: &'static str,
    pub(crate) at_least: f64,
    pub(crate) unit: &'static str,
    pub(crate) resource: Resource,
    /// It says that the pod suffers; otherwise only that it uses what is short.
    pub(crate) suffers: bool,
    pub(crate) why: &'static str,
}

/// A rate of containers, of a pod's worst container.
macro_rules! worst {
    ($counter:literal) => {
        concat!(
            "max by (node, namespace, pod) (rate(",
            $counter,
            "{container!=\"\",$pods}[$window]))"
        )
    };
}

pub(crate) const SIGNS: &[Sign] = &[
    Sign {
        measure: "cpu_waiting_ratio",
        promql: worst!("container_pressure_cpu_waiting_seconds_total"),
        at_least: 0.1,
        unit: "ratio",
        resource: Resource::Cpu,
        suffers: true,
        why: "its programs wait for a processor",
    },
    Sign {
        measure: "cpu_used_cores",
        promql: "sum by (node, namespace, pod) (rate(container_cpu_usage_seconds_total{container!=\"\",$pods}[$window]))",
        at_least: 0.05,
        unit: "cores",
        resource: Resource::Cpu,
        suffers: false,
        why: "it works on these processors",
    },
    Sign {
        measure: "memory_waiting_ratio",
        promql: worst!("container_pressure_memory_waiting_seconds_total"),
        at_least: 0.05,
        unit: "ratio",
        resource: Resource::Memory,
        suffers: true,
        why: "its programs wait for memory",
    },
    Sign {
        measure: "major_faults_per_second",
        promql: "sum by (node, namespace, pod) (rate(container_memory_failures_total{failure_type=\"pgmajfault\",scope=\"hierarchy\",container!=\"\",$pods}[$window]))",
        at_least: 10.0,
        unit: "faults per second",
        resource: Resource::Memory,
        suffers: true,
        why: "its memory has to be read back from disk",
    },
    Sign {
        measure: "memory_working_set_bytes",
        promql: "sum by (node, namespace, pod) (container_memory_working_set_bytes{container!=\"\",$pods})",
        at_least: 67_108_864.0,
        unit: "bytes",
        resource: Resource::Memory,
        suffers: false,
        why: "it holds much of this memory",
    },
    Sign {
        measure: "io_waiting_ratio",
        promql: worst!("container_pressure_io_waiting_seconds_total"),
        at_least: 0.1,
        unit: "ratio",
        resource: Resource::Disk,
        suffers: true,
        why: "its programs wait for disks",
    },
    Sign {
        measure: "disk_bytes_per_second",
        promql: "sum by (node, namespace, pod) (rate(container_fs_reads_bytes_total{container!=\"\",$pods}[$window])) \
                 + sum by (node, namespace, pod) (rate(container_fs_writes_bytes_total{container!=\"\",$pods}[$window]))",
        at_least: 65_536.0,
        unit: "bytes per second",
        resource: Resource::Disk,
        suffers: false,
        why: "it reads and writes on this machine's disks",
    },
    Sign {
        measure: "network_bytes_per_second",
        promql: "sum by (node, namespace, pod) (rate(container_network_receive_bytes_total{$pods}[$window])) \
                 + sum by (node, namespace, pod) (rate(container_network_transmit_bytes_total{$pods}[$window]))",
        at_least: 1024.0,
        unit: "bytes per second",
        resource: Resource::Network,
        suffers: false,
        why: "it talks through this machine's network",
    },
];

/// The expression of a rule with what it is compared to.
pub(crate) fn violation(rule: &Rule) -> String {
    format!("({}) {} {}", rule.promql, rule.beyond.sign(), rule.warning)
}

/// The expression of a sign with what it is compared to.
pub(crate) fn shown(sign: &Sign) -> String {
    format!("({}) >= {}", sign.promql, sign.at_least)
}

/// Where file systems are mounted.
pub(crate) const MOUNTS: Query = Query {
    measure: "mounts",
    promql: "group by (node, mountpoint) (node_filesystem_size_bytes)",
};
