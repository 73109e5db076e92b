//! The families, and how a cgroup's reading becomes samples of them. Names, types and HELP are cAdvisor's.
//!
//! The text is made a family at a time ([`Families::family`]), so that no scrape holds all of it.

use minicloud_exporter::samples::{Metric, push_escaped, push_number};

use crate::cgroup::{Disk, Reading};
use crate::exporter::{Entry, Snapshot};
use crate::members::Role;

/// A value of a cgroup, where there is one.
type Value = fn(&Reading) -> Option<f64>;

/// Where the samples of a family come from.
enum What {
    /// One value of the cgroup.
    One(Value),
    /// Several, each with further labels as they are written.
    Several(&'static [(&'static str, Value)]),
    /// One of each disk.
    Disk(fn(&Disk) -> f64),
    /// A column of each interface.
    Interface(usize),
    /// One of each file system: used, size.
    Filesystem(fn(f64, f64) -> f64),
    /// When the cgroup was made.
    Created,
    /// Now.
    Seen,
}
use What::{Created, Disk as OfDisk, Filesystem, Interface, One, Seen, Several};

struct Family {
    metric: Metric,
    what: What,
    of: Of,
}

/// Which cgroups a family tells of. Each series costs whoever collects it some kilobytes: what says the same of a pod as of its
/// containers, or nothing of a sandbox, is left out.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    All,
    /// All but sandboxes.
    Most,
    /// Nor pods.
    Few,
}

const fn counter(name: &'static str, help: &'static str, what: What) -> Family {
    let (metric, of) = (Metric::counter(name, help), Of::Most);
    Family { metric, what, of }
}

const fn gauge(name: &'static str, help: &'static str, what: What) -> Family {
    let (metric, of) = (Metric::gauge(name, help), Of::Most);
    Family { metric, what, of }
}

impl Family {
    const fn of(self, of: Of) -> Self {
        Self { of, ..self }
    }
}

const FAMILIES: &[Family] = &[
    counter(
        "container_cpu_cfs_periods_total",
        "Number of elapsed enforcement period intervals.",
        One(|r| Some(r.cfs?.periods)),
    ),
    counter(
        "container_cpu_cfs_throttled_periods_total",
        "Number of throttled period intervals.",
        One(|r| Some(r.cfs?.throttled_periods)),
    ),
    counter(
        "container_cpu_cfs_throttled_seconds_total",
        "Total time duration the container has been throttled.",
        One(|r| Some(r.cfs?.throttled_seconds)),
    ),
    counter(
        "container_cpu_system_seconds_total",
        "Cumulative system cpu time consumed in seconds.",
        One(|r| r.cpu_system),
    )
    .of(Of::Few),
    counter(
        "container_cpu_usage_seconds_total",
        "Cumulative cpu time consumed in seconds.",
        Several(&[("cpu=\"total\"", |r| r.cpu_usage)]),
    )
    .of(Of::All),
    counter(
        "container_cpu_user_seconds_total",
        "Cumulative user cpu time consumed in seconds.",
        One(|r| r.cpu_user),
    )
    .of(Of::Few),
    gauge(
        "container_fs_limit_bytes",
        "Number of bytes that can be consumed by the container on this filesystem.",
        Filesystem(|_, size| size),
    ),
    counter(
        "container_fs_reads_bytes_total",
        "Cumulative count of bytes read",
        OfDisk(|disk| disk.read_bytes),
    ),
    counter(
        "container_fs_reads_total",
        "Cumulative count of reads completed",
        OfDisk(|disk| disk.reads),
    ),
    gauge(
        "container_fs_usage_bytes",
        "Number of bytes that are consumed by the container on this filesystem.",
        Filesystem(|used, _| used),
    ),
    counter(
        "container_fs_writes_bytes_total",
        "Cumulative count of bytes written",
        OfDisk(|disk| disk.written_bytes),
    ),
    counter(
        "container_fs_writes_total",
        "Cumulative count of writes completed",
        OfDisk(|disk| disk.writes),
    ),
    gauge(
        "container_last_seen",
        "Last time a container was seen by the exporter",
        Seen,
    )
    .of(Of::Few),
    gauge(
        "container_memory_cache",
        "Number of bytes of page cache memory.",
        One(|r| r.memory.cache),
    ),
    counter(
        "container_memory_failcnt",
        "Number of memory usage hits limits",
        One(|r| r.memory.failcnt),
    ),
    counter(
        "container_memory_failures_total",
        "Cumulative count of memory allocation failures.",
        Several(&[
            ("failure_type=\"pgfault\",scope=\"container\"", |r| {
                r.memory.faults[0]
            }),
            ("failure_type=\"pgfault\",scope=\"hierarchy\"", |r| {
                r.memory.faults[1]
            }),
            ("failure_type=\"pgmajfault\",scope=\"container\"", |r| {
                r.memory.major_faults[0]
            }),
            ("failure_type=\"pgmajfault\",scope=\"hierarchy\"", |r| {
                r.memory.major_faults[1]
            }),
        ]),
    )
    .of(Of::Few),
    gauge(
        "container_memory_kernel_usage",
        "Size of kernel memory allocated in bytes.",
        One(|r| r.memory.kernel),
    )
    .of(Of::Few),
    gauge(
        "container_memory_mapped_file",
        "Size of memory mapped files in bytes.",
        One(|r| r.memory.mapped_file),
    )
    .of(Of::Few),
    gauge(
        "container_memory_max_usage_bytes",
        "Maximum memory usage recorded in bytes",
        One(|r| r.memory.max_usage),
    )
    .of(Of::Few),
    gauge(
        "container_memory_rss",
        "Size of RSS in bytes.",
        One(|r| r.memory.rss),
    )
    .of(Of::All),
    gauge(
        "container_memory_swap",
        "Container swap usage in bytes.",
        One(|r| r.memory.swap),
    ),
    gauge(
        "container_memory_total_active_file_bytes",
        "Current total active file in bytes.",
        One(|r| r.memory.active_file),
    )
    .of(Of::Few),
    gauge(
        "container_memory_total_inactive_file_bytes",
        "Current total inactive file in bytes.",
        One(|r| r.memory.inactive_file),
    )
    .of(Of::Few),
    gauge(
        "container_memory_usage_bytes",
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        One(|r| r.memory.usage),
    )
    .of(Of::All),
    gauge(
        "container_memory_working_set_bytes",
        "Current working set in bytes.",
        One(|r| r.memory.working_set()),
    )
    .of(Of::All),
    counter(
        "container_network_receive_bytes_total",
        "Cumulative count of bytes received",
        Interface(0),
    )
    .of(Of::All),
    counter(
        "container_network_receive_errors_total",
        "Cumulative count of errors encountered while receiving",
        Interface(2),
    )
    .of(Of::All),
    counter(
        "container_network_receive_packets_dropped_total",
        "Cumulative count of packets dropped while receiving",
        Interface(3),
    )
    .of(Of::All),
    counter(
        "container_network_receive_packets_total",
        "Cumulative count of packets received",
        Interface(1),
    )
    .of(Of::All),
    counter(
        "container_network_transmit_bytes_total",
        "Cumulative count of bytes transmitted",
        Interface(4),
    )
    .of(Of::All),
    counter(
        "container_network_transmit_errors_total",
        "Cumulative count of errors encountered while transmitting",
        Interface(6),
    )
    .of(Of::All),
    counter(
        "container_network_transmit_packets_dropped_total",
        "Cumulative count of packets dropped while transmitting",
        Interface(7),
    )
    .of(Of::All),
    counter(
        "container_network_transmit_packets_total",
        "Cumulative count of packets transmitted",
        Interface(5),
    )
    .of(Of::All),
    counter(
        "container_oom_events_total",
        "Count of out of memory events observed for the container",
        One(|r| r.oom_kills),
    ),
    counter(
        "container_pressure_cpu_stalled_seconds_total",
        "Total time duration no tasks in the container could make progress due to CPU congestion.",
        One(|r| r.cpu_pressure?.full),
    ),
    counter(
        "container_pressure_cpu_waiting_seconds_total",
        "Total time duration tasks in the container have waited due to CPU congestion.",
        One(|r| Some(r.cpu_pressure?.some)),
    ),
    counter(
        "container_pressure_io_stalled_seconds_total",
        "Total time duration no tasks in the container could make progress due to IO congestion.",
        One(|r| r.io_pressure?.full),
    ),
    counter(
        "container_pressure_io_waiting_seconds_total",
        "Total time duration tasks in the container have waited due to IO congestion.",
        One(|r| Some(r.io_pressure?.some)),
    ),
    counter(
        "container_pressure_memory_stalled_seconds_total",
        "Total time duration no tasks in the container could make progress due to memory congestion.",
        One(|r| r.memory_pressure?.full),
    ),
    counter(
        "container_pressure_memory_waiting_seconds_total",
        "Total time duration tasks in the container have waited due to memory congestion.",
        One(|r| Some(r.memory_pressure?.some)),
    ),
    gauge(
        "container_processes",
        "Number of processes running inside the container.",
        #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
        One(|r| r.processes.as_ref().map(|pids| pids.len() as f64)),
    )
    .of(Of::Few),
    gauge(
        "container_spec_cpu_period",
        "CPU period of the container.",
        One(|r| r.spec.cpu_period),
    ),
    gauge(
        "container_spec_cpu_quota",
        "CPU quota of the container.",
        One(|r| r.spec.cpu_quota),
    ),
    gauge(
        "container_spec_cpu_shares",
        "CPU share of the container.",
        One(|r| r.spec.cpu_shares),
    ),
    gauge(
        "container_spec_memory_limit_bytes",
        "Memory limit for the container.",
        One(|r| r.spec.memory_limit),
    ),
    gauge(
        "container_spec_memory_reservation_limit_bytes",
        "Memory reservation limit for the container.",
        One(|r| r.spec.reservation),
    )
    .of(Of::Few),
    gauge(
        "container_spec_memory_swap_limit_bytes",
        "Memory swap limit for the container.",
        One(|r| r.spec.swap_limit),
    )
    .of(Of::Few),
    gauge(
        "container_start_time_seconds",
        "Start time of the container since unix epoch in seconds.",
        Created,
    )
    .of(Of::All),
    gauge(
        "container_threads",
        "Number of threads running inside the container",
        One(|r| r.threads),
    )
    .of(Of::Few),
    gauge(
        "container_threads_max",
        "Maximum number of threads allowed inside the container, infinity if value is zero",
        One(|r| r.spec.threads_max),
    )
    .of(Of::Few),
];

const SCRAPE_ERROR: Metric = Metric::gauge(
    "container_scrape_error",
    "1 if there was an error while getting container metrics, 0 otherwise",
);

/// How many families there are.
pub(crate) const COUNT: usize = FAMILIES.len();

/// Appends the samples of the family with this number; nothing when there are none.
pub(crate) fn family(number: usize, snapshot: &Snapshot, out: &mut String) {
    let Some(Family { metric, what, of }) = FAMILIES.get(number) else {
        return;
    };
    let start = out.len();
    out.push_str(&metric.head());
    let samples = out.len();
    let name = metric.name;
    for entry in &snapshot.entries {
        match entry.identity.role {
            Role::Sandbox if *of != Of::All => continue,
            Role::Pod if *of == Of::Few => continue,
            _ => {}
        }
        let reading = &entry.reading;
        match what {
            One(value) => put(out, name, entry, &[], value(reading)),
            Several(values) => {
                for (labels, value) in *values {
                    if let Some(value) = value(reading) {
                        line(
                            out,
                            name,
                            &entry.identity.labels,
                            |out| {
                                out.push(',');
                                out.push_str(labels);
                            },
                            value,
                        );
                    }
                }
            }
            OfDisk(value) => {
                for disk in &reading.disks {
                    let device = snapshot.device(disk.number);
                    put(out, name, entry, &[("device", device)], Some(value(disk)));
                }
            }
            Interface(column) => {
                for (interface, counts) in &entry.interfaces {
                    let labels = [("interface", interface.as_str())];
                    put(out, name, entry, &labels, Some(counts[*column]));
                }
            }
            Filesystem(value) => {
                for (device, used, size) in &reading.filesystems {
                    put(
                        out,
                        name,
                        entry,
                        &[("device", device)],
                        Some(value(*used, *size)),
                    );
                }
            }
            Created => put(out, name, entry, &[], entry.identity.created_seconds),
            Seen => {
                let container = entry.identity.role == Role::Container;
                let now = snapshot.seconds.floor();
                put(out, name, entry, &[], container.then_some(now));
            }
        }
    }
    if out.len() == samples {
        out.truncate(start);
    }
}

/// Appends what is said of the scrape itself.
pub(crate) fn about(failed: bool, out: &mut String) {
    out.push_str(&SCRAPE_ERROR.head());
    out.push_str(SCRAPE_ERROR.name);
    out.push_str(if failed { " 1\n" } else { " 0\n" });
}

fn put(out: &mut String, name: &str, entry: &Entry, more: &[(&str, &str)], value: Option<f64>) {
    let Some(value) = value else {
        return;
    };
    let more = |out: &mut String| {
        for (label, value) in more {
            out.push(',');
            out.push_str(label);
            out.push_str("=\"");
            push_escaped(out, value);
            out.push('"');
        }
    };
    line(out, name, &entry.identity.labels, more, value);
}

fn line(out: &mut String, name: &str, labels: &str, more: impl FnOnce(&mut String), value: f64) {
    out.push_str(name);
    out.push('{');
    out.push_str(labels);
    more(out);
    out.push_str("} ");
    push_number(out, value);
    out.push('\n');
}
