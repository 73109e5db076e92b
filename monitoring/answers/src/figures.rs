//! `GET /monitoring`: the seed's three questions in the seed's shapes (D3.1, section 3.4, Figures 9 to 11), to the letter: keys,
//! their order, numbers as texts, a space before percentages. Pure, but for asking Prometheus.
//!
//! Who writes something new is better served by `/v1/nodes` and its siblings.

use std::collections::BTreeMap;

use minicloud_prometheus_client::{Prometheus, QueryError, Sample};
use serde::{Serialize, Serializer};

use crate::found::Found;
use crate::queries::{
    CPU_USED_RATIO, DISK_BUSY, DISK_READ_LATENCY, DISK_WRITE_LATENCY, FIGURE_9, FIGURE_10,
    FIGURE_11, FILE_SYSTEM_AVAILABLE, FILE_SYSTEM_SIZE, MEMORY_AVAILABLE, MEMORY_TOTAL, POD_CPU,
    POD_MEMORY,
};

/// Over which rates and averages are taken.
const WINDOW: &str = "5m";

/// The whole answer.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    #[serde(rename = "Results")]
    results: Vec<Group>,
}

/// One entry of `Results`: a time, and rows under a heading.
#[derive(Debug)]
struct Group {
    /// Unix time in seconds.
    timestamp: f64,
    heading: &'static str,
    rows: Vec<Row>,
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("timestamp", &self.timestamp)?;
        map.serialize_entry(self.heading, &self.rows)?;
        map.end()
    }
}

/// Keys and texts in their order; `None` is null.
#[derive(Debug)]
struct Row(Vec<(&'static str, Option<String>)>);

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, text)| (key, text)))
    }
}

/// A percentage as the seed writes it: two digits, and a space where a minus would be.
fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let sign = if percent < 0.0 { "" } else { " " };
    format!("{sign}{percent:.2}")
}

/// A number with all its digits, as Prometheus writes it.
fn number(value: f64) -> String {
    value.to_string()
}

fn row<'a>(
    sample: &'a Sample,
    labels: impl IntoIterator<Item = (&'static str, &'a str)>,
    key: &'static str,
    text: String,
) -> Row {
    let labels = labels
        .into_iter()
        .map(|(key, label)| (key, Some(sample.label(label).to_owned())));
    Row(labels.chain([(key, Some(text))]).collect())
}

/// Figure 9: the machines.
pub(crate) async fn physical(prometheus: &Prometheus) -> Result<Figure, QueryError> {
    let found = Found::ask(prometheus, FIGURE_9, WINDOW, None).await?;
    Ok(figure_9(&found))
}

fn figure_9(found: &Found) -> Figure {
    const NODE: [(&str, &str); 1] = [("node", "node")];
    const DISK: [(&str, &str); 2] = [("node", "node"), ("device", "device")];
    let each = |samples: &[Sample], of: &dyn Fn(&Sample) -> Row| samples.iter().map(of).collect();
    let total = by_node(found.of(&MEMORY_TOTAL));
    let memory = found.of(&MEMORY_AVAILABLE).iter().filter_map(|available| {
        let total = total.get(available.label("node")).filter(|t| **t > 0.0)?;
        let used = percent(1.0 - available.value() / total);
        Some(row(available, NODE, "mem_usage(percentage)", used))
    });
    let disks = FileSystems::new(found);
    let of_node = |key: &'static str, text: &dyn Fn(&FileSystems) -> String| {
        let row = |(node, disks): (&&str, &FileSystems)| {
            Row(vec![
                ("node", Some((*node).to_owned())),
                (key, Some(text(disks))),
            ])
        };
        disks.iter().map(row).collect::<Vec<_>>()
    };
    let usage = disks.iter().filter_map(|(node, disks)| {
        Some(Row(vec![
            ("node", Some((*node).to_owned())),
            // Of the root, or of the fullest where the root is in memory: of neither alone, in the seed's eyes.
            ("mountpoint", None),
            ("fstype", None),
            ("filesystem_usage(percentage)", Some(percent(disks.used()?))),
        ]))
    });
    let mut busiest: BTreeMap<&str, f64> = BTreeMap::new();
    for sample in found.of(&DISK_BUSY) {
        let busy = busiest.entry(sample.label("node")).or_default();
        *busy = busy.max(sample.value());
    }
    let io = busiest.iter().map(|(node, busy)| {
        Row(vec![
            ("node", Some((*node).to_owned())),
            ("disk_io_time_spent(seconds)", Some(number(*busy))),
        ])
    });
    let groups: [(&'static str, Vec<Row>); 8] = [
        (
            "Cpu Usage Results",
            each(found.of(&CPU_USED_RATIO), &|s| {
                row(s, NODE, "cpu_usage(percentage)", percent(s.value()))
            }),
        ),
        ("Memory Usage Results", memory.collect()),
        (
            "Disk Write Latency Results",
            each(found.of(&DISK_WRITE_LATENCY), &|s| {
                row(
                    s,
                    DISK,
                    "disk_write_latency(percentage)",
                    percent(s.value()),
                )
            }),
        ),
        (
            "Disk Read Latency Results",
            each(found.of(&DISK_READ_LATENCY), &|s| {
                row(s, DISK, "disk_read_latency(percentage)", percent(s.value()))
            }),
        ),
        ("Filesystem Usage Results", usage.collect()),
        (
            "Disk Size Results",
            of_node("disk_total_size(bytes)", &|disks| number(disks.size)),
        ),
        (
            "Disk Free Space Results",
            of_node("disk_free_space(bytes)", &|disks| number(disks.available)),
        ),
        ("Disk IO Usage Results", io.collect()),
    ];
    figure(found.time, groups)
}

/// The file systems of one node together.
#[derive(Debug, Default)]
struct FileSystems {
    size: f64,
    available: f64,
    root_used: Option<f64>,
    fullest: Option<f64>,
}

impl FileSystems {
    /// By node. What is mounted in several places counts once.
    fn new(found: &Found) -> BTreeMap<&str, Self> {
        let mut nodes: BTreeMap<&str, Self> = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        let available: BTreeMap<_, f64> = found
            .of(&FILE_SYSTEM_AVAILABLE)
            .iter()
            .map(|s| {
                (
                    (s.label("node"), s.label("device"), s.label("mountpoint")),
                    s.value(),
                )
            })
            .collect();
        for sample in found.of(&FILE_SYSTEM_SIZE) {
            let (node, device) = (sample.label("node"), sample.label("device"));
            let mountpoint = sample.label("mountpoint");
            let size = sample.value();
            let Some(available) = available.get(&(node, device, mountpoint)).copied() else {
                continue;
            };
            let sums = nodes.entry(node).or_default();
            let used = (size > 0.0).then(|| 1.0 - available / size);
            if mountpoint == "/" {
                sums.root_used = used;
            }
            if seen.insert((node, device)) {
                sums.size += size;
                sums.available += available;
                sums.fullest = sums.fullest.into_iter().chain(used).reduce(f64::max);
            }
        }
        nodes
    }

    fn used(&self) -> Option<f64> {
        self.root_used.or(self.fullest)
    }
}

fn by_node(samples: &[Sample]) -> BTreeMap<&str, f64> {
    samples
        .iter()
        .map(|sample| (sample.label("node"), sample.value()))
        .collect()
}

/// Figure 10: the pods of a namespace.
pub(crate) async fn pods(prometheus: &Prometheus, namespace: &str) -> Result<Figure, QueryError> {
    let found = Found::ask(prometheus, FIGURE_10, WINDOW, Some(namespace)).await?;
    Ok(figure_10(&found))
}

fn figure_10(found: &Found) -> Figure {
    let info = found.named("pod_info").iter().map(|s| {
        let text = |label: &str| Some(s.label(label).to_owned());
        Row(vec![
            ("pod", text("pod")),
            ("pod_ip", text("pod_ip")),
            ("namespace", text("namespace")),
            ("created_by_kind", text("created_by_kind")),
            // What kube_pod_info says: each pod is one.
            ("replica", Some(number(s.value()))),
            ("node", text("node")),
            ("node_ip", text("host_ip")),
        ])
    });
    let phases = found.named("pod_phase").iter().map(|s| {
        let text = |label: &str| Some(s.label(label).to_owned());
        Row(vec![
            ("kube_pod_status_phase", text("phase")),
            ("pod", text("pod")),
            ("instance", text("instance")),
            ("namespace", text("namespace")),
        ])
    });
    let of_pods = |samples: &[Sample], key: &'static str| {
        let labels = [("node", "node"), ("pod", "pod")];
        let row = |s: &Sample| row(s, labels, key, number(s.value()));
        samples.iter().map(row).collect::<Vec<_>>()
    };
    let groups = [
        ("Pod Info Results", info.collect()),
        ("Kube Pod Status Phase Results", phases.collect()),
        (
            "Pod CPU Usage Results",
            of_pods(found.of(&POD_CPU), "pod_cpu_usage(seconds)"),
        ),
        (
            "Pod Memory Usage Results",
            of_pods(found.of(&POD_MEMORY), "pod_memory_usage(bytes)"),
        ),
    ];
    figure(found.time, groups)
}

/// Figure 11: the namespaces.
pub(crate) async fn namespaces(prometheus: &Prometheus) -> Result<Figure, QueryError> {
    let found = Found::ask(prometheus, FIGURE_11, WINDOW, None).await?;
    Ok(figure_11(&found))
}

fn figure_11(found: &Found) -> Figure {
    let of_namespaces = |measure: &str, key: &'static str| {
        let row = |s: &Sample| row(s, [("namespace", "namespace")], key, number(s.value()));
        found.named(measure).iter().map(row).collect::<Vec<_>>()
    };
    let groups = [
        (
            "Namespace CPU Results",
            of_namespaces("namespace_cpu", "cpu_usage(seconds)"),
        ),
        (
            "Namespace Memory Results",
            of_namespaces("namespace_memory", "memory_usage(bytes)"),
        ),
    ];
    figure(found.time, groups)
}

fn figure(timestamp: f64, groups: impl IntoIterator<Item = (&'static str, Vec<Row>)>) -> Figure {
    let group = |(heading, rows)| Group {
        timestamp,
        heading,
        rows,
    };
    Figure {
        results: groups.into_iter().map(group).collect(),
    }
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
