//! What is read of a pod that does nothing, and when it is read anew.

use std::sync::atomic::Ordering;

use crate::fixture::{Machine, NGINX, Version, WEB};

const VERSIONS: [Version; 2] = [Version::Hybrid, Version::V2];

/// Nobody ran, so nothing is looked for; a turn of the processor, and it is.
#[tokio::test]
async fn a_quiet_pod_is_told_as_it_was_until_somebody_runs() {
    for version in VERSIONS {
        let machine = Machine::new(version);
        let (failures, usage) = match version {
            Version::Hybrid => ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct"),
            Version::V2 => ("/sys/fs/cgroup", "/sys/fs/cgroup"),
        };
        let hit = |times: u32| match version {
            Version::Hybrid => {
                machine.write(
                    &format!("{failures}{NGINX}/memory.failcnt"),
                    format!("{times}\n"),
                );
            }
            Version::V2 => machine.write(
                &format!("{failures}{NGINX}/memory.events"),
                format!("max {times}\noom_kill 2\n"),
            ),
        };
        let run = |time: u32| match version {
            Version::Hybrid => {
                machine.write(&format!("{usage}{WEB}/cpuacct.usage"), format!("{time}\n"));
            }
            Version::V2 => {
                machine.write(
                    &format!("{usage}{WEB}/cpu.stat"),
                    format!("usage_usec {time}\n"),
                );
            }
        };
        let told = async || machine.nginx("container_memory_failcnt").await.unwrap();
        assert_eq!(told().await, 5.0, "{version:?}");
        hit(6);
        // The files of a quiet pod are not opened.
        assert_eq!(told().await, 5.0, "{version:?}");
        run(1);
        assert_eq!(told().await, 6.0, "{version:?}");
        // What changes by itself is read every so often.
        let (file, key) = match version {
            Version::Hybrid => ("/sys/fs/cgroup/memory", "total_rss"),
            Version::V2 => ("/sys/fs/cgroup", "anon"),
        };
        machine.write(
            &format!("{file}{NGINX}/memory.stat"),
            format!("{key} 4711\n"),
        );
        let mut scrapes = 0;
        while machine.nginx("container_memory_rss").await != Some(4711.0) {
            scrapes += 1;
            assert!(scrapes < 25, "{version:?}");
        }
        assert!(scrapes > 5, "{version:?}");
    }
}

/// Traffic takes no turn of the processor in the pod.
#[tokio::test]
async fn the_network_of_a_quiet_pod_is_read() {
    let machine = Machine::new(Version::Hybrid);
    let before = machine.scrape().await;
    let file = machine.path("/proc/42/net/dev");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("eth0: 11 ", "eth0: 99999 ")).unwrap();
    let after = machine.scrape().await;
    let received = |text: &str, count: &str| {
        let mut lines = text.lines();
        lines.any(|l| {
            l.starts_with("container_network_receive_bytes_total{")
                && l.contains("pod=\"web\"")
                && l.ends_with(&format!("interface=\"eth0\"}} {count}"))
        })
    };
    assert!(received(&before, "11"), "{before}");
    assert!(received(&after, "99999"), "{after}");
}

/// The engine is asked when there is something new, and not at rest.
#[tokio::test]
async fn what_is_new_is_asked_for_and_what_is_gone_is_forgotten() {
    for version in VERSIONS {
        let machine = Machine::new(version);
        let asked = || machine.asked.load(Ordering::SeqCst);
        machine.scrape().await;
        machine.scrape().await;
        assert_eq!(asked(), 1, "{version:?}");

        // A second container, as a copy of the first.
        let mounts: &[&str] = match version {
            Version::Hybrid => &["/cpu,cpuacct", "/memory", "/blkio", "/pids", "/unified"],
            Version::V2 => &[""],
        };
        for mount in mounts {
            let from = machine.path(&format!("/sys/fs/cgroup{mount}{NGINX}"));
            for entry in std::fs::read_dir(&from).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let text = std::fs::read(entry.path()).unwrap();
                machine.write(
                    &format!("/sys/fs/cgroup{mount}{WEB}/helper-id/{name}"),
                    text,
                );
            }
        }
        let told = machine.scrape().await;
        assert_eq!(asked(), 2, "{version:?}");
        assert!(!told.contains("helper"), "nobody says whose it is: {told}");
        assert!(told.contains("\ncontainer_scrape_error 0\n"), "{told}");
        {
            let mut listed = machine.listed.lock().unwrap();
            let nginx = listed.members.iter().find(|m| m.container == "nginx");
            let mut helper = nginx.unwrap().clone();
            (helper.container, helper.cgroup) = ("helper".into(), "helper-id".into());
            listed.members.push(helper);
        }
        let told = machine.scrape().await;
        assert!(told.contains("container=\"helper\""), "{told}");
        for mount in mounts {
            let path = machine.path(&format!("/sys/fs/cgroup{mount}{WEB}/helper-id"));
            std::fs::remove_dir_all(path).unwrap();
        }
        let told = machine.scrape().await;
        assert!(!told.contains("helper"), "{told}");
        assert_eq!(asked(), 3, "{version:?}");
    }
}

/// One cgroup that was left behind must not have the engine asked at each scrape, nor a hung engine slow each scrape down.
#[tokio::test]
async fn what_was_left_behind_is_asked_for_ever_more_rarely() {
    let machine = Machine::new(Version::V2);
    let left = format!("/sys/fs/cgroup{WEB}/left-id");
    machine.write(&format!("{left}/cgroup.procs"), "");
    let scrapes = async |number: u32| {
        let before = machine.asked.load(Ordering::SeqCst);
        for _ in 0..number {
            machine.scrape().await;
        }
        machine.asked.load(Ordering::SeqCst) - before
    };
    assert_eq!(scrapes(31).await, 5);
    assert_eq!(scrapes(100).await, 5);
    machine.away.store(true, Ordering::SeqCst);
    assert_eq!(scrapes(100).await, 5);
    machine.away.store(false, Ordering::SeqCst);
    // What is new is asked for at once all the same.
    machine.write(&format!("/sys/fs/cgroup{WEB}/new-id/cgroup.procs"), "");
    assert_eq!(scrapes(1).await, 1);
}
