//! subPath: a part of a volume as a mount. Know before changing: what is in a volume belongs to the pod and may be changed while we
//! look. The path is opened by `openat2` beneath the volume's root, so that no link leads out, and it is the *opened* file that is
//! mounted; the name is never looked up again.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// Opens `sub` in `root`, making directories that are missing (not in read-only volumes).
pub(super) fn open(root: &Path, sub: &str, create: bool) -> Result<OwnedFd, String> {
    let sub = Path::new(sub);
    if sub.is_absolute() || sub.components().any(|c| c == Component::ParentDir) {
        return Err(format!("subPath {sub:?} must be relative and without '..'"));
    }
    let say = |e: Errno| match e {
        Errno::XDEV | Errno::LOOP => format!("subPath {sub:?} leads out of its volume"),
        e => format!("subPath {sub:?}: {e}"),
    };
    let top = rustix::fs::open(
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|e| format!("{}: {e}", root.display()))?;
    let at = |fd: &OwnedFd, path: &Path| {
        rustix::fs::openat2(
            fd,
            path,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            BENEATH,
        )
    };
    let path = if sub.as_os_str().is_empty() {
        Path::new(".")
    } else {
        sub
    };
    match at(&top, path) {
        Err(Errno::NOENT) if create => {}
        other => return other.map_err(say),
    }
    // Make what is missing one step at a time: each step is opened beneath the root before the next is made in it.
    let mut here = std::path::PathBuf::new();
    let mut parent = at(&top, Path::new(".")).map_err(say)?;
    for part in path.components() {
        let Component::Normal(name) = part else {
            continue;
        };
        here.push(name);
        parent = match at(&top, &here) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o750)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(say(e)),
                }
                let made = at(&top, &here).map_err(say)?;
                // As the volume's root: who may use the one may use the other.
                let stat = rustix::fs::fstat(&top).map_err(say)?;
                let fd = rustix::fs::openat2(
                    &top,
                    &here,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                    BENEATH,
                )
                .map_err(say)?;
                rustix::fs::fchmod(&fd, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(say)?;
                rustix::fs::fchown(&fd, None, Some(rustix::fs::Gid::from_raw(stat.st_gid)))
                    .map_err(say)?;
                made
            }
            other => other.map_err(say)?,
        };
    }
    Ok(parent)
}

/// Mounts what `open` found on `target`, which is made to fit. An earlier mount there is replaced.
pub(super) fn bind(fd: &OwnedFd, target: &Path) -> Result<(), String> {
    let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", target.display());
    let stat = rustix::fs::fstat(fd).map_err(|e| fail(&e))?;
    let directory =
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
    super::unmount_beneath(target)?;
    if let Some(parent) = target.parent() {
        super::make_dir(parent, 0o700)?;
    }
    match fs::symlink_metadata(target) {
        Ok(meta) if meta.is_dir() != directory => {
            if meta.is_dir() {
                fs::remove_dir(target)
            } else {
                fs::remove_file(target)
            }
            .map_err(|e| fail(&e))?;
        }
        _ => {}
    }
    if directory {
        super::make_dir(target, 0o700)?;
    } else {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(target)
            .map_err(|e| fail(&e))?;
    }
    let source = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::mount::mount_bind_recursive(source.as_str(), target).map_err(|e| fail(&e))
}
