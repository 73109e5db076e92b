//! Takes a pod's volumes down. Know before changing: a bind mount of somebody's data may be beneath the pod's directory, so nothing is
//! removed until the kernel's own list of mounts says that nothing is mounted there.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

use super::Dirs;

/// Unmounts and removes all that the pod has on this machine.
pub fn remove_pod(dirs: &Dirs, uid: &str, whole: bool) -> Result<(), String> {
    if uid.is_empty() || uid.contains('/') || uid.starts_with('.') {
        return Err(format!("{uid:?} is not a pod's UID"));
    }
    for dir in [dirs.pod_data(uid), dirs.pod_run(uid)] {
        unmount_beneath(&dir)?;
        for path in if whole {
            vec![dir]
        } else {
            vec![dir.join("volumes"), dir.join("volume-subpaths")]
        } {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), String> {
    if !mounts_beneath(path)?.is_empty() {
        return Err(format!(
            "something is still mounted beneath {}",
            path.display()
        ));
    }
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {e}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Unmounts everything at or beneath `path`, the deepest first.
pub fn unmount_beneath(path: &Path) -> Result<(), String> {
    // Stacked mounts need several rounds; more than this many is somebody's loop.
    for _ in 0..16 {
        let mounts = mounts_beneath(path)?;
        if mounts.is_empty() {
            return Ok(());
        }
        for mount in mounts.iter().rev() {
            let done = rustix::mount::unmount(mount, UnmountFlags::NOFOLLOW);
            // What is in use by a process that is going away is detached now and freed later.
            let done = done.or_else(|_| {
                rustix::mount::unmount(mount, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)
            });
            done.map_err(|e| format!("unmount {}: {e}", mount.display()))?;
        }
    }
    Err(format!("{} stays mounted", path.display()))
}

/// Mount points at or beneath `path`, parents before children.
pub(super) fn mounts_beneath(path: &Path) -> Result<Vec<PathBuf>, String> {
    let text =
        fs::read("/proc/self/mountinfo").map_err(|e| format!("/proc/self/mountinfo: {e}"))?;
    let path = match path.parent().map(fs::canonicalize) {
        Some(Ok(parent)) => parent.join(path.file_name().unwrap_or_default()),
        _ => path.to_owned(),
    };
    let mut found: Vec<PathBuf> = text
        .split(|b| *b == b'\n')
        .filter_map(|line| line.split(|b| *b == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(unescape(field))))
        .filter(|mount| mount.starts_with(&path))
        .collect();
    found.sort();
    Ok(found)
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        match (byte, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = tail;
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_fields() {
        let check = |field: &[u8], expect: &[u8]| assert_eq!(unescape(field), expect);
        check(b"/a", b"/a");
        check(b"/a\\040b\\134", b"/a b\\");
        check(b"\\9", b"\\9");
        check(b"\\04", b"\\04");
    }

    #[test]
    fn only_pods_are_removed() {
        let dirs = Dirs {
            data: "/nonexistent".into(),
            run: "/nonexistent".into(),
        };
        for uid in ["", ".", "..", "../x", "a/b"] {
            assert!(remove_pod(&dirs, uid, true).is_err(), "{uid}");
        }
        assert_eq!(remove_pod(&dirs, "abc", true), Ok(()));
    }
}
