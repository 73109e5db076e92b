//! Machines and engines that are not as they should be.

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use crate::fixture::{Machine, NGINX, Version};

#[tokio::test]
async fn an_engine_that_is_away_takes_away_nothing_that_is_known() {
    let machine = Machine::new(Version::V2);
    machine.away.store(true, Ordering::SeqCst);
    // Nobody says what runs: the machine and the levels are told, and that it is not all.
    let told = machine.scrape().await;
    assert!(told.contains("\ncontainer_scrape_error 1\n"), "{told}");
    assert!(told.contains("id=\"/minicloud/burstable\""), "{told}");
    assert!(told.contains("\nmachine_cpu_cores{"), "{told}");
    assert!(!told.contains("pod=\"web\""), "{told}");
    machine.away.store(false, Ordering::SeqCst);
    let all = machine.scrape().await;
    assert!(all.contains("\ncontainer_scrape_error 0\n"), "{all}");
    machine.away.store(true, Ordering::SeqCst);
    assert_eq!(machine.scrape().await, all);
}

#[tokio::test]
async fn a_machine_without_cgroups_is_told_all_the_same() {
    let machine = Machine::new(Version::V2);
    machine.write(
        "/proc/self/mountinfo",
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
    );
    let told = machine.scrape().await;
    assert!(told.contains("container_scrape_error 1\n"), "{told}");
    assert!(told.contains("machine_memory_bytes{"), "{told}");
}

/// A file that is not understood is left out and said; the others stay.
#[tokio::test]
async fn garbage_takes_away_its_own_samples_only() {
    for (version, file, lost, kept) in [
        (
            Version::Hybrid,
            "/sys/fs/cgroup/memory",
            "container_memory_rss",
            "container_memory_usage_bytes",
        ),
        (
            Version::V2,
            "/sys/fs/cgroup",
            "container_memory_rss",
            "container_memory_usage_bytes",
        ),
    ] {
        let machine = Machine::new(version);
        machine.write(&format!("{file}{NGINX}/memory.stat"), "\u{0}\u{ff}nonsense");
        assert_eq!(machine.nginx(lost).await, None, "{version:?}");
        assert_eq!(machine.nginx(kept).await, Some(300_000.0), "{version:?}");
        let told = machine.scrape().await;
        assert!(told.contains("\nmachine_scrape_error 0\n"), "{told}");
    }
}

/// As Prometheus reads it: name, labels in quotation marks, a number.
fn well_formed(line: &str) -> bool {
    let Some((series, value)) = line.rsplit_once(' ') else {
        return false;
    };
    let name = series.split('{').next().unwrap_or_default();
    let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let labels = series.get(name.len()..).unwrap_or_default();
    let closed = labels.is_empty() || (labels.starts_with('{') && labels.ends_with("\"}"));
    named && closed && value.parse::<f64>().is_ok_and(f64::is_finite)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_files_say_the_text_is_well_formed(
        texts in proptest::collection::vec(
            prop_oneof![
                "[0-9]{1,25}\n?",
                "(user|system|usage_usec|total_rss|8:0|some|max|oom_kill|Read|rbytes=)( |=|:)-?[0-9]{0,25}\n",
                any::<String>(),
            ],
            40,
        ),
        v2 in any::<bool>(),
    ) {
        let machine = Machine::new(if v2 { Version::V2 } else { Version::Hybrid });
        let mut texts = texts.iter().cycle();
        let mut folders = vec![machine.path("/sys/fs/cgroup"), machine.path("/proc/42"), machine.path("/sys/dev/block")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => std::fs::write(entry.path(), texts.next().unwrap()).unwrap(),
                }
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let told = runtime.block_on(machine.scrape());
        for line in told.lines() {
            prop_assert!(well_formed(line), "{line:?}");
        }
    }
}
