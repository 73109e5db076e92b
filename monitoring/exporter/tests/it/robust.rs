//! Whatever a file says, the others are measured and Prometheus can read the answer.

use std::fs::File;
use std::path::Path;

use proptest::prelude::*;

use crate::machine::{LAPTOP, Machine, PC, RASPBERRY_PI_4};
use crate::scrape;

/// Does something bad to each file in turn, and puts it right again. Returns how often a collector failed for it.
fn break_each(machine: &Machine, bad: impl Fn(&Path)) -> usize {
    let healthy = scrape(machine.root()).success();
    let mut failures = 0;
    for file in &machine.files {
        let path = machine.root().join(file);
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        bad(&path);
        let failed: Vec<String> = scrape(machine.root())
            .success()
            .into_iter()
            .filter(|(name, ok)| !ok && healthy[name])
            .map(|(name, _)| name)
            .collect();
        let allowed = if file.ends_with("proc/stat") { 2 } else { 1 };
        assert!(
            failed.len() <= allowed,
            "{} took away {failed:?}",
            file.display()
        );
        failures += failed.len();
        if path.is_dir() {
            std::fs::remove_dir(&path).unwrap();
        } else if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::write(&path, content).unwrap();
    }
    failures
}

#[test]
fn a_missing_file_fails_only_its_collector() {
    for machine in [RASPBERRY_PI_4, LAPTOP, PC] {
        assert!(break_each(&Machine::new(machine), |_| {}) >= 4);
    }
}

#[test]
fn an_unreadable_file_fails_only_its_collector() {
    // Root may read everything; what it cannot read is a folder.
    for machine in [RASPBERRY_PI_4, LAPTOP, PC] {
        assert!(
            break_each(&Machine::new(machine), |path| std::fs::create_dir(path)
                .unwrap())
                >= 4
        );
    }
}

#[test]
fn a_file_of_garbage_fails_only_its_collector() {
    let garbage: Vec<u8> = (0..3000_u32).map(|i| (i * 7 % 256) as u8).collect();
    for machine in [RASPBERRY_PI_4, LAPTOP, PC] {
        assert!(
            break_each(&Machine::new(machine), |path| std::fs::write(
                path, &garbage
            )
            .unwrap())
                >= 4
        );
    }
}

#[test]
fn a_huge_file_fails_only_its_collector() {
    let huge = |path: &Path| File::create(path).unwrap().set_len(1 << 40).unwrap();
    for machine in [RASPBERRY_PI_4, LAPTOP, PC] {
        assert!(break_each(&Machine::new(machine), huge) >= 4);
    }
}

#[test]
fn a_machine_without_anything_is_measured() {
    let empty = tempfile::tempdir().unwrap();
    for root in [empty.path(), Path::new("/nonexistent")] {
        let success = scrape(root).success();
        assert_eq!(success.len(), 26);
        assert!(!success["meminfo"]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_content_of_any_file_hurts(file in any::<prop::sample::Index>(), content in prop_oneof![
        any::<Vec<u8>>(),
        "[a-zA-Z0-9_:=.,\\\\\"{}() \n\t-]{0,200}".prop_map(String::into_bytes),
    ]) {
        thread_local!(static MACHINE: Machine = Machine::new(RASPBERRY_PI_4));
        MACHINE.with(|machine| {
            let path = machine.root().join(file.get(&machine.files));
            let before = std::fs::read(&path).unwrap();
            std::fs::write(&path, content).unwrap();
            // Panics when the text is not as Prometheus wants it.
            scrape(machine.root());
            std::fs::write(&path, before).unwrap();
        });
    }
}
