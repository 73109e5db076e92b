//! Rotation of containers' logs, and removal with their container.
//!
//! The current file keeps its name and older ones get `.YYYYMMDD-HHMMSS` behind it, as kubelet names them. The runtime is then asked
//! to open the file anew; until it does, it writes to the renamed one, so no line is lost.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::config::LogRotation;

/// Whether a current file of this size is due.
pub(crate) fn is_due(size: u64, rotation: LogRotation) -> bool {
    size > rotation.max_bytes
}

/// Which of the older files (any order) to remove before one more is added.
fn surplus(mut older: Vec<PathBuf>, rotation: LogRotation) -> Vec<PathBuf> {
    // Names end in the time, so their order is age.
    older.sort();
    let keep = rotation.max_files.max(2) - 2;
    older.truncate(older.len().saturating_sub(keep));
    older
}

fn rotated_name(log: &Path, now: Timestamp) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(now.strftime(".%Y%m%d-%H%M%S").to_string());
    PathBuf::from(name)
}

/// Files that rotation made of this log.
fn older(log: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (log.parent(), log.file_name()) else {
        return Vec::new();
    };
    let mut prefix = name.to_owned();
    prefix.push(".");
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(prefix.as_encoded_bytes())
        })
        .map(|entry| entry.path())
        .collect()
}

/// Renames the current file, if it is due, and removes what is too old. Returns the new name when the runtime must open the
/// log anew; if it then cannot, [`undo`].
pub(crate) fn rotate(
    log: &Path,
    rotation: LogRotation,
    now: Timestamp,
) -> io::Result<Option<PathBuf>> {
    match fs::metadata(log) {
        Ok(file) if is_due(file.len(), rotation) => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let target = rotated_name(log, now);
    if target.exists() {
        // Twice within a second: next time.
        return Ok(None);
    }
    for old in surplus(older(log), rotation) {
        fs::remove_file(old)?;
    }
    fs::rename(log, &target)?;
    Ok(Some(target))
}

/// Gives the current file its name back.
pub(crate) fn undo(log: &Path, rotated: &Path) -> io::Result<()> {
    fs::rename(rotated, log)
}

/// Removes a container's log with its older files, and their folder once it is empty.
pub(crate) fn remove(log: &Path) -> io::Result<()> {
    if log.as_os_str().is_empty() {
        return Ok(());
    }
    for file in older(log).into_iter().chain([log.to_owned()]) {
        ignore_absent(fs::remove_file(file))?;
    }
    if let Some(dir) = log.parent() {
        remove_if_empty(dir);
    }
    Ok(())
}

/// Removes a folder unless something is in it.
pub(crate) fn remove_if_empty(dir: &Path) {
    let _ = fs::remove_dir(dir);
}

fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: LogRotation = LogRotation {
        max_bytes: 4,
        max_files: 3,
        interval: std::time::Duration::ZERO,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn rotates_when_due_and_keeps_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        assert_eq!(rotate(&log, SMALL, at(0)).unwrap(), None);
        fs::write(&log, "1234").unwrap();
        assert_eq!(rotate(&log, SMALL, at(0)).unwrap(), None);
        for second in 0..5 {
            fs::write(&log, "12345").unwrap();
            let rotated = rotate(&log, SMALL, at(second)).unwrap().unwrap();
            assert!(
                rotated
                    .to_string_lossy()
                    .ends_with(&format!("0.log.19700101-00000{second}")),
                "{rotated:?}"
            );
            assert!(!log.exists());
            assert!(older(&log).len() <= 2);
        }
        let mut names: Vec<String> = older(&log)
            .iter()
            .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["0.log.19700101-000003", "0.log.19700101-000004"]);
    }

    #[test]
    fn a_name_is_not_taken_twice() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        fs::write(&log, "12345").unwrap();
        let rotated = rotate(&log, SMALL, at(0)).unwrap().unwrap();
        fs::write(&log, "67890").unwrap();
        assert_eq!(rotate(&log, SMALL, at(0)).unwrap(), None);
        assert_eq!(fs::read_to_string(&rotated).unwrap(), "12345");
        undo(&log, &rotated).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "12345");
    }

    #[test]
    fn removal_takes_only_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("app");
        fs::create_dir(&folder).unwrap();
        for name in ["0.log", "0.log.19700101-000000", "1.log", "10.log"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        remove(&folder.join("0.log")).unwrap();
        assert!(folder.join("1.log").exists() && folder.join("10.log").exists());
        remove(&folder.join("1.log")).unwrap();
        remove(&folder.join("10.log")).unwrap();
        assert!(!folder.exists());
        remove(&folder.join("0.log")).unwrap();
        remove(Path::new("")).unwrap();
    }
}
