//! Makes layers: tars of a folder or of single files, the same bytes from the same input.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::ImageError;
use crate::recipe::FileRule;

/// One file, folder or link of a layer that is made in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root, with no leading slash.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub content: Content,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A folder.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
}

/// The tar of `entries`, in their order, owned by root.
///
/// # Errors
/// When a path cannot stand in a tar.
pub fn entries(entries: &[Entry]) -> Result<Vec<u8>, ImageError> {
    let mut tar = builder(Vec::new());
    for entry in entries {
        let kind = match &entry.content {
            Content::File(_) => tar::EntryType::Regular,
            Content::Directory => tar::EntryType::Directory,
            Content::Symlink(_) => tar::EntryType::Symlink,
        };
        let mut header = header(kind, entry.mode, (0, 0));
        let packed = match &entry.content {
            Content::File(bytes) => {
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, &entry.path, bytes.as_slice())
            }
            Content::Directory => tar.append_data(&mut header, &entry.path, std::io::empty()),
            Content::Symlink(target) => tar.append_link(&mut header, &entry.path, target),
        };
        packed.map_err(ImageError::io("pack", &entry.path))?;
    }
    tar.into_inner().map_err(ImageError::io("write", "a layer"))
}

/// Writes the tar of all below `folder`, sorted by path, with numeric owners and no times.
///
/// # Errors
/// When something below `folder` cannot be read or `out` cannot be written.
pub fn folder(out: impl Write, folder: &Path) -> Result<(), ImageError> {
    let mut tar = builder(out);
    append_tree(&mut tar, folder, Path::new(""), None)?;
    finish(tar)
}

/// The tar of the files that a recipe lays on top; `base` is the recipe's folder.
///
/// # Errors
/// When a file cannot be read, or its rule cannot be used.
pub fn files(base: &Path, rules: &[FileRule]) -> Result<Vec<u8>, ImageError> {
    let mut tar = builder(Vec::new());
    let mut made = std::collections::BTreeSet::new();
    for rule in rules {
        let source = base.join(&rule.from);
        let target = rule.to.strip_prefix("/").unwrap_or(&rule.to);
        for parent in parents(target) {
            if made.insert(parent.clone()) {
                append_directory(&mut tar, &parent, 0o755, (0, 0))?;
            }
        }
        if source.is_dir() {
            append_tree(&mut tar, &source, target, Some(rule.owner))?;
            continue;
        }
        let content = std::fs::read(&source).map_err(ImageError::io("read", &source))?;
        let mode = rule.mode_bits().map_err(|problem| ImageError::Recipe {
            path: source.clone(),
            problem,
        })?;
        let mut header = header(tar::EntryType::Regular, mode, rule.owner);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, target, content.as_slice())
            .map_err(ImageError::io("pack", &source))?;
    }
    tar.into_inner().map_err(ImageError::io("write", "a layer"))
}

/// The folders above `path`, outermost first.
fn parents(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = path
        .ancestors()
        .skip(1)
        .filter(|p| !p.as_os_str().is_empty())
        .map(Path::to_owned)
        .collect();
    all.reverse();
    all
}

fn builder<W: Write>(out: W) -> tar::Builder<W> {
    let mut tar = tar::Builder::new(out);
    tar.follow_symlinks(false);
    tar
}

fn finish(tar: tar::Builder<impl Write>) -> Result<(), ImageError> {
    tar.into_inner()
        .and_then(|mut out| out.flush())
        .map_err(ImageError::io("write", "a layer"))
}

fn header(kind: tar::EntryType, mode: u32, owner: (u32, u32)) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o7777);
    header.set_uid(owner.0.into());
    header.set_gid(owner.1.into());
    header.set_mtime(0);
    header.set_size(0);
    header
}

fn append_directory(
    tar: &mut tar::Builder<impl Write>,
    target: &Path,
    mode: u32,
    owner: (u32, u32),
) -> Result<(), ImageError> {
    let mut header = header(tar::EntryType::Directory, mode, owner);
    tar.append_data(&mut header, target, std::io::empty())
        .map_err(ImageError::io("pack", target))
}

/// Appends `source` and all below it at `target`; `owner` replaces the owner of each file.
fn append_tree(
    tar: &mut tar::Builder<impl Write>,
    source: &Path,
    target: &Path,
    owner: Option<(u32, u32)>,
) -> Result<(), ImageError> {
    let mut entries: Vec<_> = std::fs::read_dir(source)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(ImageError::io("list", source))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    if !target.as_os_str().is_empty() {
        let meta = std::fs::metadata(source).map_err(ImageError::io("read", source))?;
        let owner = owner.unwrap_or((meta.uid(), meta.gid()));
        append_directory(tar, target, meta.permissions().mode(), owner)?;
    }
    for entry in entries {
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let meta = std::fs::symlink_metadata(&from).map_err(ImageError::io("read", &from))?;
        let owner_of = owner.unwrap_or((meta.uid(), meta.gid()));
        let mode = meta.permissions().mode();
        if meta.is_dir() {
            append_tree(tar, &from, &to, owner)?;
        } else if meta.is_symlink() {
            let link = std::fs::read_link(&from).map_err(ImageError::io("read", &from))?;
            let mut header = header(tar::EntryType::Symlink, 0o777, owner_of);
            tar.append_link(&mut header, &to, &link)
                .map_err(ImageError::io("pack", &from))?;
        } else if meta.is_file() {
            let file = std::fs::File::open(&from).map_err(ImageError::io("open", &from))?;
            let mut header = header(tar::EntryType::Regular, mode, owner_of);
            header.set_size(meta.len());
            tar.append_data(&mut header, &to, file)
                .map_err(ImageError::io("pack", &from))?;
        } else {
            return Err(ImageError::Recipe {
                path: from,
                problem:
                    "is neither a file, a folder nor a symbolic link, and has no place in an image"
                        .into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_packs_the_same_every_time() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        std::fs::write(dir.path().join("b/x"), "1").unwrap();
        std::fs::write(dir.path().join("a"), "2").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("c")).unwrap();
        let make = || {
            let mut out = Vec::new();
            folder(&mut out, dir.path()).unwrap();
            out
        };
        let bytes = make();
        assert_eq!(bytes, make());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|e| e.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["a", "b", "b/x", "c"]);
    }

    #[test]
    fn files_bring_their_folders() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), "1").unwrap();
        let rule = FileRule {
            from: "x".into(),
            to: "/usr/bin/x".into(),
            mode: Some("755".into()),
            owner: (0, 0),
        };
        let bytes = files(dir.path(), &[rule]).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: Vec<(String, u32)> = archive
            .entries()
            .unwrap()
            .map(|e| e.unwrap())
            .map(|e| {
                (
                    e.path().unwrap().display().to_string(),
                    e.header().mode().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            entries,
            [
                ("usr".into(), 0o755),
                ("usr/bin".into(), 0o755),
                ("usr/bin/x".into(), 0o755)
            ]
        );
    }
}
