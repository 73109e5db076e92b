//! `fsGroup`: gives a volume to a group. Links are changed themselves and never followed; other file systems mounted inside are left.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

use crate::pod;

/// Gives `root` and all in it to `group`: readable and writable, directories passing the group on.
pub(super) fn apply(pod: &Pod, root: &Path, group: Option<u32>) -> Result<(), String> {
    let Some(group) = group else { return Ok(()) };
    let fail = |e: std::io::Error| format!("apply fsGroup to {}: {e}", root.display());
    let policy = pod::spec(pod)
        .security_context
        .as_ref()
        .and_then(|s| s.fs_group_change_policy.as_deref());
    if policy == Some("OnRootMismatch") {
        let meta = fs::symlink_metadata(root).map_err(fail)?;
        if meta.gid() == group && meta.mode() & 0o2770 == 0o2770 {
            return Ok(());
        }
    }
    let device = fs::symlink_metadata(root).map_err(fail)?.dev();
    // Contents first: the root's look says that all is done.
    give(root, group, device).map_err(fail)
}

fn give(path: &Path, group: u32, device: u64) -> std::io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.dev() != device {
        return Ok(());
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            match give(&entry?.path(), group, device) {
                // Someone else may be at work in the volume.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    if meta.gid() != group {
        lchown(path, None, Some(group))?;
    }
    if meta.is_symlink() {
        return Ok(());
    }
    let add = if meta.is_dir() { 0o2770 } else { 0o660 };
    let mode = meta.mode() & 0o7777;
    if mode | add != mode || meta.gid() != group {
        fs::set_permissions(path, fs::Permissions::from_mode(mode | add))?;
    }
    Ok(())
}
