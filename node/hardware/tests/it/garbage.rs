//! Files that nobody meant: whatever is in them, a machine is read, in bounded time, and what is told can be written down.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use minicloud_hardware::characterization::{figure_12, tosca};
use minicloud_hardware::{Inputs, Root, read};
use proptest::prelude::*;

use crate::tree::{MACHINES, plant};

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            files(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
    found.sort();
}

fn look(dir: &Path) {
    let status = read(&Root::new(dir), &Inputs::default());
    serde_json::to_string(&status).unwrap();
    serde_json::to_string(&figure_12("uid", &status)).unwrap();
    tosca([&status]);
}

/// Bytes, or text of the kind that parsers look for.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let words = "([a-z_]{0,9}[ \t]?[:= ]?[ \t]?(0x)?[0-9a-fA-F-]{0,20}[ ,\n]?){0,40}";
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        words.prop_map(String::into_bytes),
        "(\t?[0-9a-f]{4}  .{0,9}\n){0,9}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_content(
        machine in prop::sample::select(&MACHINES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), content()), 1..30),
    ) {
        let dir = plant(machine);
        let mut all = Vec::new();
        files(dir.path(), &mut all);
        for (index, content) in changes {
            fs::write(index.get(&all), content).unwrap();
        }
        look(dir.path());
    }

    #[test]
    fn cut_anywhere(machine in prop::sample::select(&MACHINES[..]), part in 0.0..1.0_f64) {
        let dir = plant(machine);
        let mut all = Vec::new();
        files(dir.path(), &mut all);
        for path in all {
            let whole = fs::read(&path).unwrap();
            let end = (whole.len() as f64 * part) as usize;
            fs::write(&path, &whole[..end]).unwrap();
        }
        look(dir.path());
    }
}

#[test]
fn huge_files_end() {
    let dir = plant("laptop-intel");
    let mut all = Vec::new();
    files(dir.path(), &mut all);
    for path in &all {
        // Holes: they cost no disk.
        File::create(path).unwrap().set_len(1 << 40).unwrap();
    }
    let started = Instant::now();
    look(dir.path());
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn folders_and_links_in_the_place_of_files() {
    let dir = plant("pc-amd-gpu");
    let mut all = Vec::new();
    files(dir.path(), &mut all);
    for (n, path) in all.iter().enumerate() {
        fs::remove_file(path).unwrap();
        match n % 3 {
            0 => fs::create_dir(path).unwrap(),
            // A ring.
            1 => std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap(),
            _ => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        }
    }
    look(dir.path());
}
