use std::collections::BTreeSet;

use super::*;
use crate::testing::Engine;

#[test]
fn questions() {
    let check = |node: Option<&str>, pod: Option<&str>, expected: Option<About>| {
        let query = ImpactQuery {
            node: node.map(str::to_owned),
            pod: pod.map(str::to_owned),
        };
        assert_eq!(query.about(), expected, "{node:?} {pod:?}");
    };
    check(None, None, Some(About::Everything));
    check(Some("edge-1"), None, Some(About::Node("edge-1".into())));
    check(
        None,
        Some("shop/web-1"),
        Some(About::Pod("shop".into(), "web-1".into())),
    );
    check(Some("edge-1"), Some("shop/web-1"), None);
    check(None, Some("web-1"), None);
    check(None, Some("../web-1"), None);
    check(None, Some("shop/a/b"), None);
    check(Some(""), None, None);
}

#[test]
fn a_problem_begins_where_its_last_run_begins() {
    let check = |times: &[f64], expected: Option<&str>| {
        let points = times.iter().map(|time| minicloud_prometheus_client::Point {
            time: *time,
            value: 1.0,
        });
        let series = Series {
            labels: Default::default(),
            points: points.collect(),
        };
        assert_eq!(beginning(&series, 600.0).as_deref(), expected, "{times:?}");
    };
    check(&[], None);
    check(&[600.0], Some("1970-01-01T00:10:00Z"));
    check(
        &[120.0, 180.0, 420.0, 480.0, 540.0, 600.0],
        Some("1970-01-01T00:07:00Z"),
    );
    check(&[120.0, 180.0], None);
}

#[test]
fn what_could_not_be_measured_is_said() {
    let check = |failed: [bool; 3], expected: &[&str]| {
        let error = |n: usize| failed[n].then_some(&"it is slow");
        assert_eq!(unmeasured(error(0), error(1), error(2)), expected);
    };
    check([false, false, false], &[]);
    check(
        [true, true, true],
        &["everything that is measured: it is slow"],
    );
    check(
        [false, true, true],
        &[
            "affected by what pods take: it is slow",
            "affected by file systems: it is slow",
        ],
    );
    check(
        [false, false, true],
        &["affected by file systems: it is slow"],
    );
}

/// A site where everything is well, and the same with everything wrong from the twentieth of thirty minutes on.
fn history(wrong: bool) -> impl Fn(f64) -> Vec<(String, f64)> {
    move |minute| {
        let seconds = 60.0 * minute;
        let bad = wrong && minute >= 20.0;
        // What a counter has that grows by so much a second once things are bad.
        let since = if wrong {
            60.0 * (minute - 20.0).max(0.0)
        } else {
            0.0
        };
        let pick = |well: f64, ill: f64| if bad { ill } else { well };
        let node = |name: &str, labels: &str, value: f64| {
            let comma = if labels.is_empty() { "" } else { "," };
            (
                format!("node_{name}{{node=\"edge-1\"{comma}{labels}}}"),
                value,
            )
        };
        let pod = |name: &str, labels: &str, value: f64| {
            let of = "node=\"edge-1\",namespace=\"shop\",pod=\"web-1\",container=\"a\"";
            let comma = if labels.is_empty() { "" } else { "," };
            (format!("container_{name}{{{of}{comma}{labels}}}"), value)
        };
        let root = "device=\"/dev/sda1\",fstype=\"ext4\",mountpoint=\"/\"";
        let data = "device=\"/dev/sdc1\",fstype=\"ext4\",mountpoint=\"/data\"";
        let image = "device=\"/dev/loop0\",fstype=\"erofs\",mountpoint=\"/usr\"";
        let flips = f64::from(minute % 2.0 == 0.0);
        let mut all = vec![
            ("up{job=\"node\",node=\"edge-1\"}".to_owned(), 1.0),
            (
                "up{job=\"node\",node=\"edge-2\"}".to_owned(),
                pick(1.0, 0.0),
            ),
            node(
                "pressure_cpu_waiting_seconds_total",
                "",
                0.1 * seconds + 0.5 * since,
            ),
            node("pressure_memory_waiting_seconds_total", "", 0.2 * since),
            node("pressure_io_waiting_seconds_total", "", 0.5 * since),
            node("cpu_seconds_total", "cpu=\"0\",mode=\"steal\"", 0.3 * since),
            node(
                "cpu_seconds_total",
                "cpu=\"0\",mode=\"idle\"",
                seconds - 0.3 * since,
            ),
            node(
                "cpu_core_throttles_total",
                "core=\"0\",package=\"0\"",
                2.0 * since,
            ),
            node(
                "thermal_zone_temp",
                "type=\"cpu\",zone=\"0\"",
                pick(50.0, 85.0),
            ),
            node("hwmon_temp_celsius", "chip=\"nvme\",sensor=\"temp1\"", 40.0),
            node("memory_MemTotal_bytes", "", 4e9),
            node("memory_MemAvailable_bytes", "", pick(2e9, 1e8)),
            node(
                "disk_write_time_seconds_total",
                "device=\"sda\"",
                0.01 * seconds + 0.9 * since,
            ),
            node("disk_writes_completed_total", "device=\"sda\"", seconds),
            node(
                "disk_io_time_seconds_total",
                "device=\"sda\"",
                0.1 * seconds,
            ),
            node(
                "md_disks",
                "device=\"md0\",state=\"failed\"",
                pick(0.0, 1.0),
            ),
            node("filesystem_device_error", root, pick(0.0, 1.0)),
            node("filesystem_size_bytes", root, 2e10),
            node("filesystem_avail_bytes", root, pick(1e10, 1e8)),
            node("filesystem_files", root, 1e6),
            node("filesystem_files_free", root, pick(9e5, 1e3)),
            node("filesystem_readonly", root, 0.0),
            node("filesystem_readonly", data, pick(0.0, 1.0)),
            // An image of a read-only file system is as full as it was made.
            node("filesystem_size_bytes", image, 1e8),
            node("filesystem_avail_bytes", image, 0.0),
            node("filesystem_files", image, 1e3),
            node("filesystem_files_free", image, 0.0),
            node("filesystem_readonly", image, 1.0),
            // Was never meant to be written.
            node(
                "filesystem_readonly",
                "device=\"/dev/sr0\",fstype=\"udf\",mountpoint=\"/cd\"",
                1.0,
            ),
            node("network_up", "device=\"eth0\"", pick(1.0, flips)),
            // The pods' bridge is up while there are pods: a CronJob makes it come and go.
            node("network_up", "device=\"minicloud0\"", flips),
            node("network_receive_errs_total", "device=\"eth0\"", 5.0 * since),
            node("network_transmit_errs_total", "device=\"eth0\"", 0.0),
            // The fixture's samples have its own times, and edge-1's clock goes wrong by a minute.
            node(
                "time_seconds",
                "",
                now() - 1800.0 + seconds + pick(0.0, 60.0),
            ),
            pod("cpu_cfs_periods_total", "", 10.0 * seconds),
            pod("cpu_cfs_throttled_periods_total", "", 5.0 * since),
            pod("oom_events_total", "", pick(0.0, 2.0)),
            pod("memory_failcnt", "", since),
            pod("pressure_cpu_waiting_seconds_total", "", 0.4 * since),
            pod("pressure_memory_waiting_seconds_total", "", 0.4 * since),
            pod("pressure_io_waiting_seconds_total", "", 0.4 * since),
            pod("cpu_usage_seconds_total", "", 0.2 * since),
            pod("memory_working_set_bytes", "", pick(1e6, 1e9)),
            pod(
                "memory_failures_total",
                "failure_type=\"pgmajfault\",scope=\"hierarchy\"",
                50.0 * since,
            ),
            pod("fs_reads_bytes_total", "device=\"sda\"", 1e6 * since),
            pod("fs_writes_bytes_total", "device=\"sda\"", 1e6 * since),
            pod(
                "network_receive_bytes_total",
                "interface=\"eth0\"",
                1e4 * since,
            ),
            pod(
                "network_transmit_bytes_total",
                "interface=\"eth0\"",
                1e4 * since,
            ),
        ];
        // A crypt device that was closed is no drive that is gone.
        if minute < 20.0 {
            all.push(node(
                "disk_io_time_seconds_total",
                "device=\"dm-0\"",
                seconds,
            ));
        }
        if !bad {
            all.push(node(
                "disk_io_time_seconds_total",
                "device=\"sdb\"",
                0.1 * seconds,
            ));
        }
        all
    }
}

/// Every rule and every sign holds when it should and does not when it should not, for a real Prometheus.
#[tokio::test]
async fn every_rule_in_prometheus() {
    let all = RULES.iter().map(|r| r.kind).collect::<BTreeSet<_>>();
    for (wrong, expected) in [(false, BTreeSet::new()), (true, all)] {
        let engine = Engine::start(history(wrong)).await;
        let prometheus = engine.client();
        let found = ask(
            &prometheus,
            RULES.iter().map(|r| (r.kind, rules::violation(r))),
        )
        .await
        .unwrap();
        let violations: Vec<Violation> = RULES
            .iter()
            .flat_map(|rule| violations(rule, Some(&found)))
            .collect();
        let kinds: BTreeSet<_> = violations.iter().map(|v| v.kind).collect();
        assert_eq!(kinds, expected, "{violations:#?}");
        let signs = ask(
            &prometheus,
            SIGNS.iter().map(|s| (s.measure, rules::shown(s))),
        )
        .await
        .unwrap();
        let shown: BTreeSet<_> = SIGNS
            .iter()
            .filter(|sign| !signs.named(sign.measure).is_empty())
            .map(|sign| sign.measure)
            .collect();
        assert_eq!(
            shown.len(),
            if wrong { SIGNS.len() } else { 0 },
            "{shown:?}"
        );
        if !wrong {
            continue;
        }
        let of = |kind: &str| violations.iter().find(|v| v.kind == kind).unwrap();
        assert_eq!(of("silent_node").node, "edge-2");
        assert_eq!(of("overheating").subject, "cpu/0");
        assert_eq!(of("disk_gone").subject, "sdb");
        assert_eq!(of("read_only_file_system").subject, "/data");
        assert_eq!(
            violations
                .iter()
                .filter(|v| v.kind == "read_only_file_system")
                .count(),
            1
        );
        assert_eq!(of("cpu_limit").pod, Some(("shop".into(), "web-1".into())));
        // It began ten minutes ago, told from the history.
        let facts = Facts {
            violations: violations.clone(),
            ..Facts::default()
        };
        let mut problems = judge::judge(&facts, &|promql| written(promql));
        date(&prometheus, &mut problems).await.unwrap();
        let events = events::history(&prometheus).await.unwrap();
        let events = serde_json::to_value(&events["edge-1"]).unwrap();
        let event = |kind: &str| {
            let mut all = events.as_array().unwrap().iter();
            all.find(|event| event["kind"] == kind).cloned()
        };
        assert_eq!(event("read_only_file_system").unwrap()["subject"], "/data");
        assert_eq!(event("disk_gone").unwrap()["subject"], "sdb");
        assert_eq!(event("memory_pressure"), None);
        let full = problems
            .iter()
            .find(|p| p.kind == "full_file_system")
            .unwrap();
        let since: Timestamp = full.since.as_deref().unwrap().parse().unwrap();
        let ago = Timestamp::now().duration_since(since).as_secs();
        assert!((500..=720).contains(&ago), "{ago}");
        // What is shown as evidence can be asked again.
        let query = &full.evidence[0].query;
        assert_eq!(prometheus.query(query).await.unwrap()[0].value(), 0.005);
    }
}
