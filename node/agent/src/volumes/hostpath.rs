//! hostPath volumes: the path must be what its type says, or is made so.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

pub(super) fn check(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    let meta = match fs::metadata(path) {
        Ok(meta) => Some(meta),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(format!("{shown}: {e}")),
    };
    let is = |right: Option<bool>, what: &str| match right {
        Some(true) => Ok(()),
        _ => Err(format!(
            "hostPath type check failed: {shown} is not a {what}"
        )),
    };
    let fail = |e: io::Error| format!("{shown}: {e}");
    match (kind, &meta) {
        ("", Some(_)) => Ok(()),
        // With no type the engine makes a directory of what is missing; make it here, where it is seen.
        ("" | "DirectoryOrCreate", None) => fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(fail),
        ("DirectoryOrCreate" | "Directory", _) => is(meta.map(|m| m.is_dir()), "directory"),
        ("FileOrCreate", None) => fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o644)
            .open(path)
            .map(drop)
            .map_err(fail),
        ("FileOrCreate" | "File", _) => is(meta.map(|m| m.is_file()), "file"),
        ("Socket", _) => is(meta.map(|m| m.file_type().is_socket()), "socket file"),
        ("CharDevice", _) => is(
            meta.map(|m| m.file_type().is_char_device()),
            "character device",
        ),
        ("BlockDevice", _) => is(
            meta.map(|m| m.file_type().is_block_device()),
            "block device",
        ),
        _ => Err(format!("hostPath type {kind:?} is not known")),
    }
}
