use expect_test::expect;
use minicloud_exporter::{Meter, Settings};

use super::*;

fn write(root: &std::path::Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// A machine with two cores, an SD card and two interfaces, five seconds apart.
#[test]
fn a_machine_that_works() {
    let root = tempfile::tempdir().unwrap();
    let mut meter = Meter::new(root.path(), &Settings::default(), &COLLECTORS);
    write(
        root.path(),
        &[
            (
                "proc/stat",
                "cpu0 100 0 100 1000 50 0 0 10\ncpu1 0 0 0 2000 0 0 0 0\n",
            ),
            (
                "proc/meminfo",
                "MemTotal: 4000 kB\nMemAvailable: 3000 kB\nSwapTotal: 100 kB\nSwapFree: 100 kB\n",
            ),
            ("proc/loadavg", "0.50 0.25 0.10 1/200 1\n"),
            (
                "proc/diskstats",
                " 179 0 mmcblk0 10 0 100 40 10 0 200 100 0 50 140\n 179 1 mmcblk0p1 1 0 8 4 1 0 8 4 0 4 8\n",
            ),
            (
                "proc/net/dev",
                "Inter-|   Receive |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n veth1: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
            ),
            ("proc/pressure/cpu", "some avg10=0.00 total=0\n"),
            (
                "proc/pressure/memory",
                "some avg10=0.00 total=0\nfull avg10=0.00 total=0\n",
            ),
            (
                "proc/pressure/io",
                "some avg10=0.00 total=1000000\nfull avg10=0.00 total=0\n",
            ),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
        ],
    );
    let before = meter.read();
    let first = measure(&[], &before, 0.25);
    assert_eq!((first.cpu.cores, first.cpu.used_ratio), (2, None));
    assert_eq!(first.memory.used_ratio, Some(0.25));
    assert!(first.disks.is_empty(), "no rates from one reading");
    write(
        root.path(),
        &[
            (
                "proc/stat",
                "cpu0 350 0 150 1150 90 0 0 20\ncpu1 0 0 0 2500 0 0 0 0\n",
            ),
            (
                "proc/meminfo",
                "MemTotal: 4000 kB\nMemAvailable: 1000 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n",
            ),
            (
                "proc/diskstats",
                " 179 0 mmcblk0 10 0 100 40 60 0 20200 1100 0 2550 1140\n 179 1 mmcblk0p1 1 0 8 4 1 0 8 4 0 4 8\n",
            ),
            (
                "proc/net/dev",
                "Inter-|   Receive |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n eth0: 6000 10 5 10 0 0 0 0 2000 20 0 0 0 0 0 0\n veth1: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
            ),
            ("proc/pressure/cpu", "some avg10=0.00 total=2500000\n"),
            (
                "proc/pressure/memory",
                "some avg10=0.00 total=500000\nfull avg10=0.00 total=5500000\n",
            ),
            ("sys/class/thermal/thermal_zone0/temp", "71000\n"),
        ],
    );
    let now = measure(&before, &meter.read(), 5.0);
    expect![[r#"
        {
          "cpu": {
            "cores": 2,
            "used_cores": 0.62,
            "used_ratio": 0.31,
            "io_wait_ratio": 0.04,
            "stolen_ratio": 0.01,
            "waiting_ratio": 0.5
          },
          "memory": {
            "total_bytes": 4096000.0,
            "available_bytes": 1024000.0,
            "used_ratio": 0.75,
            "swap_used_bytes": 61440.0,
            "waiting_ratio": 0.1,
            "stalled_ratio": 1.0
          },
          "load": {
            "load_1m": 0.5,
            "load_5m": 0.25,
            "load_15m": 0.1
          },
          "io": {
            "waiting_ratio": 0.0,
            "stalled_ratio": 0.0
          },
          "file_systems": [],
          "disks": [
            {
              "device": "mmcblk0",
              "read_bytes_per_second": 0.0,
              "written_bytes_per_second": 2048000.0,
              "busy_ratio": 0.5,
              "write_latency_seconds": 0.02
            }
          ],
          "networks": [
            {
              "interface": "eth0",
              "received_bytes_per_second": 1000.0,
              "transmitted_bytes_per_second": 0.0,
              "lost_packets_per_second": 3.0
            }
          ],
          "temperatures": [
            {
              "sensor": "cpu-thermal/0",
              "celsius": 71.0
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&now).unwrap());
    let text = serde_json::to_string(&now).unwrap();
    assert_eq!(serde_json::from_str::<Measurements>(&text).unwrap(), now);
}

/// A counter that began anew gives nothing for once, and never a wrong rate.
#[test]
fn a_counter_that_began_anew() {
    let reading = |value| Reading {
        name: "node_pressure_cpu_waiting_seconds_total".into(),
        labels: Vec::new(),
        value,
    };
    let check = |before, now, expected| {
        let measured = measure(&[reading(before)], &[reading(now)], 2.0);
        assert_eq!(measured.cpu.waiting_ratio, expected);
    };
    check(10.0, 11.0, Some(0.5));
    check(10.0, 1.0, None);
    check(10.0, 20.0, Some(1.0));
}

/// A bind mount is no second disk, and secrets are no file systems.
#[test]
fn file_systems_are_told_once() {
    let labels = |device: &str, fstype: &str, mountpoint: &str| {
        [
            ("device", device),
            ("fstype", fstype),
            ("mountpoint", mountpoint),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    };
    let mut readings = Vec::new();
    for labels in [
        labels("/dev/sda1", "ext4", "/var/lib/volume"),
        labels("/dev/sda1", "ext4", "/"),
        labels("tmpfs", "tmpfs", "/var/lib/secret"),
        labels("/dev/sdb1", "vfat", "/boot"),
    ] {
        for (name, value) in [
            ("size_bytes", 200.0),
            ("avail_bytes", 50.0),
            ("readonly", 1.0),
        ] {
            readings.push(Reading {
                name: format!("node_filesystem_{name}"),
                labels: labels.clone(),
                value,
            });
        }
    }
    let found = measure(&[], &readings, 1.0).file_systems;
    let found: Vec<_> = found
        .iter()
        .map(|f| (f.mountpoint.as_str(), f.used_ratio, f.read_only))
        .collect();
    assert_eq!(found, [("/", 0.75, true), ("/boot", 0.75, true)]);
}

#[test]
fn partitions() {
    for (device, expected) in [
        ("mmcblk0", false),
        ("mmcblk0p2", true),
        ("mmcblk0boot0", true),
        ("nvme0n1", false),
        ("nvme0n1p1", true),
        ("sda", false),
        ("vda", false),
        ("dm-0", false),
    ] {
        assert_eq!(is_partition(device), expected, "{device}");
    }
}
