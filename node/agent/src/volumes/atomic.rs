//! Writes a generated volume so that a reader sees all of the old or all of the new: files in a directory of their own, a `..data`
//! link that is renamed over, and links to it for the names a user sees. Programs watch for exactly this dance.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use super::content::File;

const DATA: &str = "..data";
const NEXT: &str = "..data_tmp";

/// Brings the volume at `target` to `files`. With a group, it may read everything. Does nothing when all is as it should be.
pub fn write(target: &Path, files: &[File], group: Option<u32>) -> io::Result<()> {
    let data = target.join(DATA);
    let old = fs::read_link(&data).ok();
    if old.is_some() && same(&data, files, group)? {
        return links(target, files);
    }
    let stamp = jiff::Timestamp::now();
    let name = format!(
        "..{}.{}",
        stamp.strftime("%Y_%m_%d_%H_%M_%S"),
        stamp.subsec_nanosecond()
    );
    let fresh = target.join(&name);
    dir(&fresh, group)?;
    for file in files {
        let path = fresh.join(&file.path);
        let mut parent = fresh.clone();
        for part in file.path.parent().iter().flat_map(|p| p.components()) {
            parent.push(part);
            if !parent.exists() {
                dir(&parent, group)?;
            }
        }
        fs::write(&path, &file.data)?;
        if file.owner.is_some() || group.is_some() {
            chown(&path, file.owner, group)?;
        }
        fs::set_permissions(
            &path,
            fs::Permissions::from_mode(effective(file.mode, group)),
        )?;
    }
    let next = target.join(NEXT);
    match fs::remove_file(&next) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    symlink(&name, &next)?;
    fs::rename(&next, &data)?;
    links(target, files)?;
    // Whatever stamped directory is not the new one is left from an earlier write, or one that was cut off.
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        let left = entry.file_name().to_string_lossy().starts_with("..2")
            && entry.file_name() != OsString::from(&name);
        if left && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn effective(mode: u32, group: Option<u32>) -> u32 {
    mode | if group.is_some() { 0o440 } else { 0 }
}

fn dir(path: &Path, group: Option<u32>) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    match group {
        Some(_) => chown(path, None, group),
        None => Ok(()),
    }
}

fn same(data: &Path, files: &[File], group: Option<u32>) -> io::Result<bool> {
    let mut found = BTreeSet::new();
    list(data, Path::new(""), &mut found)?;
    if found != files.iter().map(|f| f.path.clone()).collect() {
        return Ok(false);
    }
    for file in files {
        let path = data.join(&file.path);
        let meta = fs::metadata(&path)?;
        let access = meta.permissions().mode() & 0o777 == effective(file.mode, group)
            && file.owner.unwrap_or(0) == meta.uid()
            && group.is_none_or(|g| g == meta.gid());
        if !access || fs::read(&path)? != file.data {
            return Ok(false);
        }
    }
    Ok(true)
}

fn list(dir: &Path, prefix: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = prefix.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// The names a user sees: one link for each first part of a path.
fn links(target: &Path, files: &[File]) -> io::Result<()> {
    let wanted: BTreeSet<OsString> = files
        .iter()
        .filter_map(|f| f.path.iter().next().map(OsString::from))
        .collect();
    for name in &wanted {
        let link = target.join(name);
        let to = Path::new(DATA).join(name);
        if fs::read_link(&link).is_ok_and(|l| l == to) {
            continue;
        }
        symlink(&to, &link)?;
    }
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("..")
            && !wanted.contains(&name)
            && entry.file_type()?.is_symlink()
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
