//! How much Prometheus may keep, and what is done about a store that it cannot open.
//!
//! Metrics are expendable, a site without metrics is not: a store that is broken beyond Prometheus' own repair is moved aside.

use std::path::Path;
use std::{fs, io};

use minicloud_daemon::Failure;

const MIB: u64 = 1 << 20;
/// The most that is kept when nothing else is set.
pub const DEFAULT_SIZE_BYTES: u64 = 512 * MIB;
/// The least that Prometheus can work with: its journal and the newest block.
const LEAST_BYTES: u64 = 64 * MIB;

/// The limit on disk: what is wished, but at most a fifth of what is free or already its own. Rounded down to a power of two, so
/// that a little more or less free space does not change the command line, which would start Prometheus anew.
pub fn size_limit(wished: u64, free: u64, used: u64) -> u64 {
    let share = (free.saturating_add(used) / 5).max(LEAST_BYTES);
    if wished <= share {
        return wished;
    }
    // The highest bit alone.
    1 << share.ilog2()
}

/// Bytes that are free at `dir`, or at the first folder above that is there.
pub fn free(dir: &Path) -> u64 {
    let folder = dir.ancestors().find(|folder| folder.exists());
    let stat = folder.and_then(|folder| rustix::fs::statvfs(folder).ok());
    stat.map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of the files below `dir`.
pub fn used(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => used(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

/// What to do about a start that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Try again: nothing says that the store is the reason.
    Wait,
    /// Start with an empty store, keep the old one aside.
    MoveAside,
    /// Start with an empty store; there is no room for the old one.
    Discard,
}

/// Three failures by a store that cannot be opened are no accident; nor are six that ended while it was being read (killed for
/// want of memory, or by a fault in the program).
pub fn remedy(failure: &Failure) -> Remedy {
    let said = failure.said.as_str();
    let cannot_open = said.contains("opening storage failed");
    let while_reading = [
        "Replaying",
        "replaying",
        "WAL segment loaded",
        "On-disk memory mappable",
    ]
    .iter()
    .any(|part| said.contains(part))
        && !said.contains("TSDB started");
    let patience = if cannot_open {
        3
    } else if while_reading {
        6
    } else {
        return Remedy::Wait;
    };
    // Again and again: the second try may have met another fault.
    if failure.in_a_row < patience || !failure.in_a_row.is_multiple_of(patience) {
        Remedy::Wait
    } else if said.contains("no space left on device") {
        Remedy::Discard
    } else {
        Remedy::MoveAside
    }
}

/// How far behind its newest sample Prometheus still takes one: clocks are put right by minutes, and an hour is what a machine without
/// a clock of its own may be wrong by after a restart.
pub const LATE: &str = "3h";
const LATE_MS: i64 = 3 * 3600 * 1000;

/// Whether the newest sample of a store lies so far ahead of the clock that nothing that is measured now is kept. `status` is the
/// answer of `/api/v1/status/tsdb`, `now_ms` Unix time in milliseconds.
pub fn is_ahead(status: &str, now_ms: i64) -> bool {
    let status: serde_json::Value = serde_json::from_str(status).unwrap_or_default();
    let newest = status["data"]["headStats"]["maxTime"].as_i64();
    newest.is_some_and(|newest| newest.saturating_sub(now_ms) > LATE_MS)
}

/// Carries a remedy out. One older store is kept aside.
///
/// # Errors
/// When folders cannot be moved or removed.
pub fn mend(dir: &Path, remedy: Remedy) -> io::Result<()> {
    let aside = dir.with_extension("broken");
    if remedy == Remedy::Wait {
        return Ok(());
    }
    for old in [&aside, dir] {
        if remedy == Remedy::MoveAside && old == dir {
            fs::rename(dir, &aside)?;
        } else if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    match remedy {
        Remedy::MoveAside => {
            let aside = aside.display();
            tracing::error!(%aside, "Prometheus cannot open its store: it starts with an empty one; the old one is kept aside");
        }
        _ => {
            tracing::error!(dir = %dir.display(), "Prometheus cannot open its store and the disk is full: it starts with an empty one");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_leaves_room() {
        const GIB: u64 = 1 << 30;
        let check =
            |wished, free, used, expected| assert_eq!(size_limit(wished, free, used), expected);
        check(512 * MIB, 100 * GIB, 0, 512 * MIB);
        check(500 * MIB, 100 * GIB, 0, 500 * MIB);
        check(512 * MIB, 2 * GIB, 0, 256 * MIB);
        // What it uses itself does not make it smaller.
        check(512 * MIB, GIB, GIB, 256 * MIB);
        check(512 * MIB, 0, 0, 64 * MIB);
        check(u64::MAX, u64::MAX, u64::MAX, 1 << 61);
        check(10 * MIB, 0, 0, 10 * MIB);
    }

    #[test]
    fn a_store_is_ahead_when_no_sample_of_now_fits() {
        let check = |newest: &str, expected| {
            let status = format!(r#"{{"data":{{"headStats":{{"maxTime":{newest}}}}}}}"#);
            assert_eq!(is_ahead(&status, 1_800_000_000_000), expected, "{newest}");
        };
        check("1800000000000", false);
        check("1800010000000", false);
        check("1800010800001", true);
        check("4102444800000", true);
        // An empty head.
        check("-9223372036854775808", false);
        check("9223372036854775807", true);
        check("null", false);
        assert!(!is_ahead("nonsense", 0));
    }

    #[test]
    fn only_a_store_that_cannot_be_opened_is_given_up() {
        let check = |in_a_row, said: &str, expected| {
            let failure = Failure {
                in_a_row,
                said: said.to_owned(),
            };
            assert_eq!(remedy(&failure), expected, "{in_a_row} {said}");
        };
        let storage = "level=error err=\"opening storage failed: block dir: invalid magic number\"";
        check(1, storage, Remedy::Wait);
        check(2, storage, Remedy::Wait);
        check(3, storage, Remedy::MoveAside);
        check(4, storage, Remedy::Wait);
        check(6, storage, Remedy::MoveAside);
        check(
            3,
            "opening storage failed: create dir: no space left on device",
            Remedy::Discard,
        );
        let replay = "msg=\"Replaying WAL, this may take a while\"";
        check(3, replay, Remedy::Wait);
        check(6, replay, Remedy::MoveAside);
        check(
            6,
            "msg=\"Replaying\"\nmsg=\"TSDB started\"\nerr=\"bind: address already in use\"",
            Remedy::Wait,
        );
        check(99, "error loading config", Remedy::Wait);
        check(99, "", Remedy::Wait);
    }

    #[test]
    fn the_old_store_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        for text in ["first", "second"] {
            fs::create_dir(&data).unwrap();
            fs::write(data.join("wal"), text).unwrap();
            mend(&data, Remedy::MoveAside).unwrap();
            assert!(!data.exists());
            assert_eq!(
                fs::read_to_string(dir.path().join("data.broken/wal")).unwrap(),
                text
            );
        }
        fs::create_dir(&data).unwrap();
        mend(&data, Remedy::Discard).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
