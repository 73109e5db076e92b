//! The queries of machines, pods and namespaces against a real Prometheus whose history one can compute by hand.

use crate::found::Found;
use crate::nodes::{averages, measurements};
use crate::pods::{self, ByThing, pod_of};
use crate::queries::{NAMESPACE, NODE_AVERAGE, NODE_NOW, POD_AVERAGE, POD_NOW};
use crate::testing::Engine;

fn history(minute: f64) -> Vec<(String, f64)> {
    let mut all = machine(minute);
    // A container that ended, and the one that took its place once nothing of the first was there any longer.
    for (id, there) in [("1", minute < 20.0), ("2", minute >= 25.0)] {
        let of = "node=\"edge-1\",namespace=\"jobs\",pod=\"job-0\",container=\"a\"";
        if there {
            let name = format!("container_memory_working_set_bytes{{{of},id=\"{id}\"}}");
            all.push((name, 2e8));
        }
    }
    all
}

fn machine(minute: f64) -> Vec<(String, f64)> {
    let seconds = 60.0 * minute;
    // Until ten minutes ago the machine slept, and then one of two cores worked all the time.
    let worked = 60.0 * (minute - 20.0).max(0.0);
    let node = |name: &str, labels: &str, value: f64| {
        let comma = if labels.is_empty() { "" } else { "," };
        (
            format!("node_{name}{{node=\"edge-1\"{comma}{labels}}}"),
            value,
        )
    };
    let root = "device=\"/dev/sda1\",fstype=\"ext4\",mountpoint=\"/\"";
    let bind = "device=\"/dev/sda1\",fstype=\"ext4\",mountpoint=\"/var/lib/volume\"";
    let pod = |name: &str, labels: &str, value: f64| {
        let of = "node=\"edge-1\",namespace=\"shop\",pod=\"web-0\"";
        (format!("container_{name}{{{of},{labels}}}"), value)
    };
    vec![
        node(
            "cpu_seconds_total",
            "cpu=\"0\",mode=\"idle\"",
            seconds - worked,
        ),
        node("cpu_seconds_total", "cpu=\"0\",mode=\"user\"", worked),
        node(
            "cpu_seconds_total",
            "cpu=\"1\",mode=\"idle\"",
            0.9 * seconds,
        ),
        node(
            "cpu_seconds_total",
            "cpu=\"1\",mode=\"iowait\"",
            0.06 * seconds,
        ),
        node(
            "cpu_seconds_total",
            "cpu=\"1\",mode=\"steal\"",
            0.04 * seconds,
        ),
        node(
            "cpu_core_throttles_total",
            "core=\"0\",package=\"0\"",
            0.5 * seconds,
        ),
        node("pressure_cpu_waiting_seconds_total", "", 0.125 * seconds),
        node("pressure_memory_waiting_seconds_total", "", 0.25 * seconds),
        node(
            "pressure_memory_stalled_seconds_total",
            "",
            0.0625 * seconds,
        ),
        node("pressure_io_waiting_seconds_total", "", 0.5 * seconds),
        node("memory_MemTotal_bytes", "", 4e9),
        node("memory_MemAvailable_bytes", "", 3e9),
        node("memory_SwapTotal_bytes", "", 1e9),
        node("memory_SwapFree_bytes", "", 0.75e9),
        node("load1", "", 1.5),
        node("load5", "", 1.25),
        node("load15", "", 0.5),
        node("filesystem_size_bytes", root, 2e10),
        node("filesystem_avail_bytes", root, 5e9),
        node("filesystem_readonly", root, 1.0),
        node("filesystem_size_bytes", bind, 2e10),
        node("filesystem_avail_bytes", bind, 5e9),
        node("filesystem_readonly", bind, 1.0),
        node(
            "disk_io_time_seconds_total",
            "device=\"sda\"",
            0.5 * seconds,
        ),
        node("disk_read_bytes_total", "device=\"sda\"", 1000.0 * seconds),
        node(
            "disk_written_bytes_total",
            "device=\"sda\"",
            2000.0 * seconds,
        ),
        // What is encrypted is written once.
        node(
            "disk_written_bytes_total",
            "device=\"dm-0\"",
            2000.0 * seconds,
        ),
        node("disk_reads_completed_total", "device=\"sda\"", 0.0),
        node("disk_read_time_seconds_total", "device=\"sda\"", 0.0),
        node(
            "disk_writes_completed_total",
            "device=\"sda\"",
            4.0 * seconds,
        ),
        node(
            "disk_write_time_seconds_total",
            "device=\"sda\"",
            0.5 * seconds,
        ),
        node(
            "network_receive_bytes_total",
            "device=\"eth0\"",
            100.0 * seconds,
        ),
        node(
            "network_transmit_bytes_total",
            "device=\"eth0\"",
            50.0 * seconds,
        ),
        node(
            "network_receive_bytes_total",
            "device=\"veth1\"",
            1e6 * seconds,
        ),
        node(
            "network_transmit_bytes_total",
            "device=\"veth1\"",
            1e6 * seconds,
        ),
        node(
            "network_receive_errs_total",
            "device=\"eth0\"",
            0.5 * seconds,
        ),
        node(
            "network_receive_drop_total",
            "device=\"eth0\"",
            0.25 * seconds,
        ),
        node("network_transmit_errs_total", "device=\"eth0\"", 0.0),
        node(
            "network_transmit_drop_total",
            "device=\"eth0\"",
            0.25 * seconds,
        ),
        // What pods get has come in by another interface.
        node(
            "network_receive_bytes_total",
            "device=\"minicloud0\"",
            100.0 * seconds,
        ),
        node("network_up", "device=\"eth0\"", 1.0),
        node("thermal_zone_temp", "type=\"cpu\",zone=\"0\"", 61.5),
        node("hwmon_temp_celsius", "chip=\"nvme\",sensor=\"temp1\"", 40.0),
        node("power_supply_capacity", "power_supply=\"BAT0\"", 87.0),
        node("power_supply_online", "power_supply=\"AC\"", 0.0),
        pod("cpu_usage_seconds_total", "container=\"a\"", 0.25 * seconds),
        pod("cpu_cfs_periods_total", "container=\"a\"", 10.0 * seconds),
        pod(
            "cpu_cfs_throttled_periods_total",
            "container=\"a\"",
            5.0 * seconds,
        ),
        pod("memory_working_set_bytes", "container=\"a\"", 4e6),
        pod("memory_rss", "container=\"a\"", 3e6),
        // Its own cgroup has the network; a container's is the pod's.
        pod(
            "network_receive_bytes_total",
            "container=\"\",interface=\"eth0\"",
            10.0 * seconds,
        ),
    ]
}

#[tokio::test]
async fn what_machines_and_pods_do() {
    let engine = Engine::start(history).await;
    let prometheus = engine.client();
    let ask = async |queries, window: &str| {
        Found::ask(&prometheus, queries, window, None)
            .await
            .unwrap()
    };
    let now = ask(NODE_NOW, "2m").await;
    assert!(measurements(&now, "edge-2").is_none(), "nothing is known");
    let told = serde_json::to_string_pretty(&measurements(&now, "edge-1")).unwrap();
    expect_test::expect_file!["../tests/node-now.json"].assert_eq(&told);
    let mut over = Vec::new();
    for window in ["5m", "10m", "15m"] {
        over.push(ask(NODE_AVERAGE, window).await);
    }
    assert!(averages(&over, "edge-2").is_empty());
    let told = serde_json::to_value(averages(&over, "edge-1")).unwrap();
    let of = |name: &str| -> Vec<f64> {
        let rows = told.as_array().unwrap().iter();
        rows.map(|row| row[name].as_f64().unwrap()).collect()
    };
    assert_eq!(of("minutes"), [5.0, 10.0, 15.0]);
    // Ten minutes of work are two thirds of fifteen. Stolen time is 2 % throughout.
    let used = of("cpu_used_ratio");
    for (used, expected) in used.iter().zip([0.52, 0.52, 0.02 + 0.5 * 2.0 / 3.0]) {
        assert!((used - expected).abs() < 0.02, "{used} {expected}");
    }
    for (name, expected) in [
        ("memory_used_ratio", 0.25),
        ("load", 1.5),
        ("disk_busy_ratio", 0.5),
        ("disk_written_bytes_per_second", 2000.0),
        ("network_received_bytes_per_second", 100.0),
        ("io_waiting_ratio", 0.5),
    ] {
        for value in of(name) {
            assert!((value - expected).abs() < 1e-6 * expected, "{name} {value}");
        }
    }
    let pod = ("shop".to_owned(), "web-0".to_owned());
    let numbers = ByThing::new(&ask(POD_NOW, "2m").await, pod_of).of(&pod);
    let text = serde_json::to_string(&numbers).unwrap();
    assert_eq!(
        text,
        "{\"cpu_throttled_ratio\":0.5,\"cpu_used_cores\":0.25,\"memory_rss_bytes\":3000000.0,\
         \"memory_working_set_bytes\":4000000.0,\"network_received_bytes_per_second\":10.0}"
    );
    let over = [ByThing::new(&ask(POD_AVERAGE, "5m").await, pod_of)];
    assert_eq!(pods::averages(&over, &pod)[0]["cpu_used_cores"], 0.25);
    let of = |s: &minicloud_prometheus_client::Sample| s.label("namespace").to_owned();
    let numbers = ByThing::new(&ask(NAMESPACE, "5m").await, of).of(&"shop".to_owned());
    assert_eq!(numbers.unwrap()["memory_working_set_bytes"], 4e6);
    // One container at a time is no more memory than one container.
    let numbers = ByThing::new(&ask(NAMESPACE, "15m").await, of).of(&"jobs".to_owned());
    assert_eq!(numbers.unwrap()["memory_working_set_bytes"], 2e8);
    let job = ("jobs".to_owned(), "job-0".to_owned());
    let numbers = ByThing::new(&ask(POD_AVERAGE, "15m").await, pod_of).of(&job);
    assert_eq!(numbers.unwrap()["memory_working_set_bytes"], 2e8);
}
