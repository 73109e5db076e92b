//! The files that a daemon reads: written whole, by root, for it to read.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, fchown, lchown};
use std::path::{Path, PathBuf};

use crate::user::User;

/// The files of a daemon's folder, all of them: what is not among them is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    by_name: BTreeMap<String, Content>,
}

#[derive(Clone, PartialEq, Eq)]
struct Content {
    text: String,
    reload: bool,
}

impl std::fmt::Debug for Content {
    /// Some hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.text.len())
    }
}

impl Files {
    /// A file that the daemon reads when it starts or is told to reload. `name` is relative and may have folders.
    #[must_use]
    pub fn configuration(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.with(name.into(), text.into(), true)
    }

    /// A file that the daemon watches, or reads whenever it needs it.
    #[must_use]
    pub fn watched(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.with(name.into(), text.into(), false)
    }

    fn with(mut self, name: String, text: String, reload: bool) -> Self {
        self.by_name.insert(name, Content { text, reload });
        self
    }

    /// The text of a file.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(|file| file.text.as_str())
    }

    /// Every file's name and text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.by_name.iter();
        entries.map(|(name, file)| (name.as_str(), file.text.as_str()))
    }

    /// Makes `dir` hold these files. True when the daemon has to reload.
    pub(crate) fn write(&self, dir: &Path, reader: User) -> io::Result<bool> {
        make_dir(dir, 0o750, 0, reader.gid)?;
        let mut reload = false;
        for old in below(dir)? {
            let name = old.strip_prefix(dir).ok().and_then(Path::to_str);
            if !name.is_some_and(|name| self.by_name.contains_key(name)) {
                fs::remove_file(&old)?;
                reload = true;
            }
        }
        for (name, file) in &self.by_name {
            let path = dir.join(name);
            if let Some(folder) = path.parent().filter(|folder| *folder != dir) {
                make_dir(folder, 0o750, 0, reader.gid)?;
            }
            if fs::read_to_string(&path).is_ok_and(|old| old == file.text) {
                continue;
            }
            write_whole(&path, &file.text, reader)?;
            reload |= file.reload;
        }
        Ok(reload)
    }
}

/// Writes a file whole or not at all, for root and the daemon. What is in the run folder need not survive a power cut.
fn write_whole(path: &Path, text: &str, reader: User) -> io::Result<()> {
    // Another ending, or a daemon that watches `*.json` would read half of it.
    let draft = path.with_extension("draft");
    let mut file = File::create(&draft)?;
    file.set_permissions(Permissions::from_mode(0o640))?;
    fchown(&file, Some(0), Some(reader.gid))?;
    file.write_all(text.as_bytes())?;
    fs::rename(&draft, path)
}

/// A folder with this mode and owner, also where it is there already.
pub(crate) fn make_dir(dir: &Path, mode: u32, uid: u32, gid: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o711).create(dir)?;
    chown(dir, Some(uid), Some(gid))?;
    fs::set_permissions(dir, Permissions::from_mode(mode))
}

/// A folder of the daemon's own, with all that is in it: an earlier one may have run as somebody else.
pub(crate) fn own_dir(dir: &Path, user: User) -> io::Result<()> {
    let is_anothers = fs::metadata(dir).is_ok_and(|m| m.uid() != user.uid);
    make_dir(dir, 0o700, user.uid, user.gid)?;
    if is_anothers {
        give_all(dir, user)?;
    }
    Ok(())
}

fn give_all(dir: &Path, user: User) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        lchown(entry.path(), Some(user.uid), Some(user.gid))?;
        if entry.file_type()?.is_dir() {
            give_all(&entry.path(), user)?;
        }
    }
    Ok(())
}

/// All files below `dir`, whose folders nobody but root can have made.
fn below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_on_under_another_user() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("data");
        let (first, second) = (
            User {
                uid: 65521,
                gid: 65521,
            },
            User {
                uid: 12345,
                gid: 12346,
            },
        );
        own_dir(&dir, first).unwrap();
        fs::create_dir_all(dir.join("empty")).unwrap();
        let file = dir.join("wal/segments/0");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "x").unwrap();
        own_dir(&dir, second).unwrap();
        for path in [
            &dir,
            &dir.join("empty"),
            &dir.join("wal"),
            &dir.join("wal/segments"),
            &file,
        ] {
            let about = fs::metadata(path).unwrap();
            assert_eq!(
                (about.uid(), about.gid()),
                (12345, 12346),
                "{}",
                path.display()
            );
        }
    }

    fn me() -> User {
        User {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        }
    }

    #[test]
    fn a_folder_comes_to_hold_just_these_files_and_says_whether_it_matters() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("daemon");
        let first = Files::default()
            .configuration("a.yml", "a")
            .configuration("rules/r.yml", "r")
            .watched("targets/t.json", "[]");
        assert!(first.write(&dir, me()).unwrap());
        assert!(!first.write(&dir, me()).unwrap());
        let key = fs::metadata(dir.join("a.yml")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o640);
        // What the daemon watches needs no reload.
        let second = first.clone().watched("targets/t.json", "[{}]");
        assert!(!second.write(&dir, me()).unwrap());
        assert_eq!(
            fs::read_to_string(dir.join("targets/t.json")).unwrap(),
            "[{}]"
        );
        // A rule that is gone does.
        let third = Files::default().configuration("a.yml", "a");
        assert!(third.write(&dir, me()).unwrap());
        assert_eq!(below(&dir).unwrap(), [dir.join("a.yml")]);
        assert_eq!(
            format!("{third:?}"),
            r#"Files { by_name: {"a.yml": 1 bytes} }"#
        );
    }
}
