//! The figures of D3.1, reproduced to the letter from samples with their values, and from a real Prometheus.

use serde_json::Value;

use super::*;
use crate::testing::{Engine, Made, found};

/// JSON without the white space between its tokens, in its order, with every timestamp 0.
fn canonical(json: &str) -> String {
    let (mut out, mut in_text) = (String::new(), false);
    for c in json.chars() {
        in_text ^= c == '"';
        if in_text || !c.is_whitespace() {
            out.push(c);
        }
    }
    let mut parts = out.split("\"timestamp\":");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let end = part.find(',').unwrap_or(part.len());
        let time: f64 = part[..end].parse().expect("a time");
        assert!(time > 1e9, "{time}");
        all + "\"timestamp\":0" + &part[end..]
    })
}

fn check(figure: &Figure, expected: &str) {
    let text = serde_json::to_string(figure).unwrap();
    assert_eq!(canonical(&text), canonical(expected));
}

/// The rows under a heading.
fn rows(figure: &str, heading: &str) -> Vec<Value> {
    let figure: Value = serde_json::from_str(figure).unwrap();
    let groups = figure["Results"].as_array().unwrap();
    let group = groups.iter().find_map(|group| group.get(heading));
    group.unwrap().as_array().unwrap().clone()
}

/// Samples with the rows' texts as labels, named by `labels`, and `value` of the text under `key` as value.
fn samples(
    rows: &[Value],
    labels: &[(&str, &str)],
    key: &str,
    value: impl Fn(f64) -> f64,
) -> Vec<Made> {
    rows.iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap().trim().to_owned();
            let labels = labels.iter().map(|(l, key)| ((*l).to_owned(), text(key)));
            (labels.collect(), value(text(key).parse().unwrap()))
        })
        .collect()
}

#[test]
fn figure_9_of_the_seed() {
    const FIGURE: &str = include_str!("../tests/figures/figure-09-physical-metrics.json");
    let node = [("node", "node")];
    let disk = [("node", "node"), ("device", "device")];
    let made = |heading: &str, labels: &[(&str, &str)], key: &str, value: &dyn Fn(f64) -> f64| {
        samples(&rows(FIGURE, heading), labels, key, value)
    };
    let used = made(
        "Memory Usage Results",
        &node,
        "mem_usage(percentage)",
        &|p| 1e6 * (1.0 - p / 100.0),
    );
    let total = used
        .iter()
        .map(|(labels, _)| (labels.clone(), 1e6))
        .collect();
    // A root that is as full as the figure says, and a second disk that makes up the figure's sums.
    let (mut sizes, mut free) = (Vec::new(), Vec::new());
    let sums = made("Disk Size Results", &node, "disk_total_size(bytes)", &|b| b);
    let sums_free = made(
        "Disk Free Space Results",
        &node,
        "disk_free_space(bytes)",
        &|b| b,
    );
    let full = made(
        "Filesystem Usage Results",
        &node,
        "filesystem_usage(percentage)",
        &|p| p,
    );
    for (((labels, size), (_, available)), (_, full)) in sums.iter().zip(&sums_free).zip(&full) {
        let on = |device: &str, mountpoint: &str| {
            let mut labels = labels.clone();
            labels.push(("device".into(), device.into()));
            labels.push(("mountpoint".into(), mountpoint.into()));
            labels
        };
        let root = 1e9 * (1.0 - full / 100.0);
        for (device, mountpoint, size, available) in [
            ("/dev/sda1", "/", 1e9, root.round()),
            // Mounted twice, counted once.
            ("/dev/sda1", "/var/lib/x", 1e9, root.round()),
            ("/dev/sdb", "/data", size - 1e9, available - root.round()),
        ] {
            sizes.push((on(device, mountpoint), size));
            free.push((on(device, mountpoint), available));
        }
    }
    let found = found(&[
        (
            "cpu_used_ratio",
            made("Cpu Usage Results", &node, "cpu_usage(percentage)", &|p| {
                p / 100.0
            }),
        ),
        ("memory_available_bytes", used),
        ("memory_total_bytes", total),
        (
            "disk_write_latency_seconds",
            made(
                "Disk Write Latency Results",
                &disk,
                "disk_write_latency(percentage)",
                &|p| p / 100.0,
            ),
        ),
        (
            "disk_read_latency_seconds",
            made(
                "Disk Read Latency Results",
                &disk,
                "disk_read_latency(percentage)",
                &|p| p / 100.0,
            ),
        ),
        ("file_system_size_bytes", sizes),
        ("file_system_available_bytes", free),
        (
            "disk_busy_ratio",
            made(
                "Disk IO Usage Results",
                &node,
                "disk_io_time_spent(seconds)",
                &|s| s,
            ),
        ),
    ]);
    check(&figure_9(&found), FIGURE);
}

#[test]
fn figure_10_of_the_seed() {
    const FIGURE: &str = include_str!("../tests/figures/figure-10-virtual-metrics.json");
    let pod = [("node", "node"), ("pod", "pod")];
    let info = [
        ("pod", "pod"),
        ("pod_ip", "pod_ip"),
        ("namespace", "namespace"),
        ("created_by_kind", "created_by_kind"),
        ("node", "node"),
        ("host_ip", "node_ip"),
    ];
    let phase = [
        ("phase", "kube_pod_status_phase"),
        ("pod", "pod"),
        ("instance", "instance"),
        ("namespace", "namespace"),
    ];
    let phases: Vec<Made> = rows(FIGURE, "Kube Pod Status Phase Results")
        .iter()
        .map(|row| {
            let label =
                |(l, key): &(&str, &str)| ((*l).to_owned(), row[*key].as_str().unwrap().to_owned());
            (phase.iter().map(label).collect(), 1.0)
        })
        .collect();
    let found = found(&[
        (
            "pod_info",
            samples(&rows(FIGURE, "Pod Info Results"), &info, "replica", |r| r),
        ),
        ("pod_phase", phases),
        (
            "cpu_used_cores",
            samples(
                &rows(FIGURE, "Pod CPU Usage Results"),
                &pod,
                "pod_cpu_usage(seconds)",
                |s| s,
            ),
        ),
        (
            "memory_working_set_bytes",
            samples(
                &rows(FIGURE, "Pod Memory Usage Results"),
                &pod,
                "pod_memory_usage(bytes)",
                |b| b,
            ),
        ),
    ]);
    check(&figure_10(&found), FIGURE);
}

#[test]
fn figure_11_of_the_seed() {
    const FIGURE: &str = include_str!("../tests/figures/figure-11-namespaces.json");
    let namespace = [("namespace", "namespace")];
    let found = found(&[
        (
            "namespace_cpu",
            samples(
                &rows(FIGURE, "Namespace CPU Results"),
                &namespace,
                "cpu_usage(seconds)",
                |s| s,
            ),
        ),
        (
            "namespace_memory",
            samples(
                &rows(FIGURE, "Namespace Memory Results"),
                &namespace,
                "memory_usage(bytes)",
                |b| b,
            ),
        ),
    ]);
    check(&figure_11(&found), FIGURE);
}

#[test]
fn percentages() {
    for (ratio, expected) in [
        (0.0, " 0.00"),
        (0.00804, " 0.80"),
        (0.1139, " 11.39"),
        (1.0, " 100.00"),
        (-0.01, "-1.00"),
    ] {
        assert_eq!(percent(ratio), expected);
    }
    assert_eq!(number(2_204_823_101_440.0), "2204823101440");
    assert_eq!(number(0.018_315_272_811_091_667), "0.018315272811091667");
}

/// Without the last digits of rates, which depend on when Prometheus is asked.
fn tidied(mut figure: Figure) -> Figure {
    for group in &mut figure.results {
        for (key, text) in group.rows.iter_mut().flat_map(|row| &mut row.0) {
            if key.ends_with("(seconds)") || key.ends_with("(bytes)") {
                let value = text.as_deref().unwrap_or_default().parse().unwrap();
                *text = Some(number(crate::found::tidy(value)));
            }
        }
    }
    figure
}

/// The queries, against Prometheus itself: a node, a pod and a namespace whose figures one can compute by hand.
#[tokio::test]
async fn from_prometheus() {
    let engine = Engine::start(|minute| {
        let seconds = 60.0 * minute;
        let node = "node=\"edge-1\"";
        let pod = "node=\"edge-1\",namespace=\"shop\",pod=\"web-0\"";
        vec![
            // Of two cores one works half the time.
            (format!("node_cpu_seconds_total{{{node},cpu=\"0\",mode=\"idle\"}}"), 0.4 * seconds),
            (format!("node_cpu_seconds_total{{{node},cpu=\"0\",mode=\"iowait\"}}"), 0.1 * seconds),
            (format!("node_cpu_seconds_total{{{node},cpu=\"0\",mode=\"user\"}}"), 0.5 * seconds),
            (format!("node_cpu_seconds_total{{{node},cpu=\"1\",mode=\"idle\"}}"), seconds),
            (format!("node_memory_MemTotal_bytes{{{node}}}"), 4e9),
            (format!("node_memory_MemAvailable_bytes{{{node}}}"), 1e9),
            (format!("node_filesystem_size_bytes{{{node},device=\"/dev/mmcblk0p2\",fstype=\"ext4\",mountpoint=\"/\"}}"), 3e10),
            (format!("node_filesystem_avail_bytes{{{node},device=\"/dev/mmcblk0p2\",fstype=\"ext4\",mountpoint=\"/\"}}"), 1.2e10),
            (format!("node_filesystem_size_bytes{{{node},device=\"tmpfs\",fstype=\"tmpfs\",mountpoint=\"/tmp\"}}"), 1e9),
            (format!("node_filesystem_avail_bytes{{{node},device=\"tmpfs\",fstype=\"tmpfs\",mountpoint=\"/tmp\"}}"), 1e9),
            // Ten writes a second of 12 ms each, and no read.
            (format!("node_disk_writes_completed_total{{{node},device=\"mmcblk0\"}}"), 10.0 * seconds),
            (format!("node_disk_write_time_seconds_total{{{node},device=\"mmcblk0\"}}"), 0.12 * seconds),
            (format!("node_disk_reads_completed_total{{{node},device=\"mmcblk0\"}}"), 7.0),
            (format!("node_disk_read_time_seconds_total{{{node},device=\"mmcblk0\"}}"), 7.0),
            (format!("node_disk_io_time_seconds_total{{{node},device=\"mmcblk0\"}}"), 0.25 * seconds),
            (format!("node_disk_io_time_seconds_total{{{node},device=\"mmcblk0p2\"}}"), 0.9 * seconds),
            (format!("kube_pod_info{{{pod},instance=\"edge-1:3000\",pod_ip=\"10.42.0.5\",host_ip=\"10.0.0.1\",created_by_kind=\"StatefulSet\"}}"), 1.0),
            (format!("kube_pod_status_phase{{{pod},instance=\"edge-1:3000\",phase=\"Running\"}}"), 1.0),
            (format!("kube_pod_status_phase{{{pod},instance=\"edge-1:3000\",phase=\"Failed\"}}"), 0.0),
            // The pod's own cgroup is its containers' once more.
            (format!("container_cpu_usage_seconds_total{{{pod},container=\"\",cpu=\"total\"}}"), 0.5 * seconds),
            (format!("container_cpu_usage_seconds_total{{{pod},container=\"a\",cpu=\"total\"}}"), 0.25 * seconds),
            (format!("container_cpu_usage_seconds_total{{{pod},container=\"b\",cpu=\"total\"}}"), 0.25 * seconds),
            (format!("container_memory_working_set_bytes{{{pod},container=\"\"}}"), 6e6),
            (format!("container_memory_working_set_bytes{{{pod},container=\"a\"}}"), 4e6),
            (format!("container_memory_working_set_bytes{{{pod},container=\"b\"}}"), 2e6),
            (format!("container_memory_working_set_bytes{{{},container=\"c\"}}", pod.replace("shop", "other")), 1e6),
        ]
    })
    .await;
    let prometheus = engine.client();
    let timestamp = "\"timestamp\":1613918256.884719,";
    let expected = format!(
        r#"{{"Results":[{{{timestamp}"Cpu Usage Results":[{{"node":"edge-1","cpu_usage(percentage)":" 25.00"}}]}},
        {{{timestamp}"Memory Usage Results":[{{"node":"edge-1","mem_usage(percentage)":" 75.00"}}]}},
        {{{timestamp}"Disk Write Latency Results":[{{"node":"edge-1","device":"mmcblk0","disk_write_latency(percentage)":" 1.20"}}]}},
        {{{timestamp}"Disk Read Latency Results":[]}},
        {{{timestamp}"Filesystem Usage Results":[{{"node":"edge-1","mountpoint":null,"fstype":null,"filesystem_usage(percentage)":" 60.00"}}]}},
        {{{timestamp}"Disk Size Results":[{{"node":"edge-1","disk_total_size(bytes)":"30000000000"}}]}},
        {{{timestamp}"Disk Free Space Results":[{{"node":"edge-1","disk_free_space(bytes)":"12000000000"}}]}},
        {{{timestamp}"Disk IO Usage Results":[{{"node":"edge-1","disk_io_time_spent(seconds)":"0.25"}}]}}]}}"#
    );
    check(&tidied(physical(&prometheus).await.unwrap()), &expected);
    let expected = format!(
        r#"{{"Results":[{{{timestamp}"Pod Info Results":[{{"pod":"web-0","pod_ip":"10.42.0.5","namespace":"shop",
        "created_by_kind":"StatefulSet","replica":"1","node":"edge-1","node_ip":"10.0.0.1"}}]}},
        {{{timestamp}"Kube Pod Status Phase Results":[{{"kube_pod_status_phase":"Running","pod":"web-0","instance":"edge-1:3000","namespace":"shop"}}]}},
        {{{timestamp}"Pod CPU Usage Results":[{{"node":"edge-1","pod":"web-0","pod_cpu_usage(seconds)":"0.5"}}]}},
        {{{timestamp}"Pod Memory Usage Results":[{{"node":"edge-1","pod":"web-0","pod_memory_usage(bytes)":"6000000"}}]}}]}}"#
    );
    check(&tidied(pods(&prometheus, "shop").await.unwrap()), &expected);
    let none = pods(&prometheus, "shop\"} or up{job=\"").await.unwrap();
    assert!(none.results.iter().all(|group| group.rows.is_empty()));
    let expected = format!(
        r#"{{"Results":[{{{timestamp}"Namespace CPU Results":[{{"namespace":"shop","cpu_usage(seconds)":"0.5"}}]}},
        {{{timestamp}"Namespace Memory Results":[{{"namespace":"other","memory_usage(bytes)":"1000000"}},
        {{"namespace":"shop","memory_usage(bytes)":"6000000"}}]}}]}}"#
    );
    check(&tidied(namespaces(&prometheus).await.unwrap()), &expected);
}

#[tokio::test]
async fn without_prometheus() {
    let away = Prometheus::away("switched off");
    let error = physical(&away).await.unwrap_err();
    assert_eq!(error.to_string(), "Prometheus is away: switched off");
}
