//! The thin edge: reads of small files below a root. Every read has a bound, and whatever fails is absent.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Bytes of a text; the largest that is read whole is `/proc/cpuinfo`, some 1.5 kB for each processor.
const TEXT_BYTES: u64 = 1 << 20;
/// Bytes of a file with one value.
const VALUE_BYTES: u64 = 4096;
/// Characters of one value that are kept.
const VALUE_CHARS: usize = 256;
/// Bytes of a line of a long file; the rest of a longer one is left out.
const LINE_BYTES: u64 = 4096;
/// Entries of a folder that are looked at.
const ENTRIES: usize = 4096;

/// The root of a machine's files: `/`, or a folder with some of another machine's.
///
/// Symbolic links are followed as they are, also out of the folder: it must come from somebody trusted.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// The machine whose files are below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// True when the root is this machine's own, so that system calls may be asked as well.
    pub fn is_this_machine(&self) -> bool {
        self.path == Path::new("/")
    }

    /// The place of `path` below the root.
    fn at(&self, path: &str) -> PathBuf {
        self.path.join(path.trim_start_matches('/'))
    }

    /// Never waits, not even for a pipe without a writer, and opens nothing but files.
    fn open(&self, path: &str) -> Option<File> {
        let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .custom_flags(i32::try_from(flags).ok()?)
            .open(self.at(path))
            .ok()?;
        file.metadata().ok()?.is_file().then_some(file)
    }

    fn bytes(&self, path: &str, most: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.take(most).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// A text of several lines, at most 1 MiB of it.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let bytes = self.bytes(path, TEXT_BYTES)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The one value of a file, as sysfs has them: the first line that says something.
    pub(crate) fn value(&self, path: &str) -> Option<String> {
        self.values(path).into_iter().next()
    }

    /// The values of a file: its lines, or what is between zero bytes, as in a device tree's lists.
    pub(crate) fn values(&self, path: &str) -> Vec<String> {
        let bytes = self.bytes(path, VALUE_BYTES).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.split(['\0', '\n']).filter_map(clean).collect()
    }

    /// A whole number in decimal.
    pub(crate) fn number(&self, path: &str) -> Option<u64> {
        self.value(path)?.parse().ok()
    }

    /// `1` or `0`.
    pub(crate) fn flag(&self, path: &str) -> Option<bool> {
        self.number(path).map(|n| n != 0)
    }

    /// The lines of a long file, at most `most_bytes` of it, each cut where it gets too long.
    pub(crate) fn lines(&self, path: &str, most_bytes: u64) -> impl Iterator<Item = String> {
        let mut reader = self
            .open(path)
            .map(|file| BufReader::new(file.take(most_bytes)));
        std::iter::from_fn(move || next_line(reader.as_mut()?))
    }

    /// Names in a folder, in the order in which people count: `cpu2` before `cpu10`.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path))
            .into_iter()
            .flatten()
            .take(ENTRIES);
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort_by_cached_key(|name| counted(name));
        names
    }

    /// True when there is something.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    /// The last part of what a symbolic link points to: sysfs names a driver so.
    pub(crate) fn link_name(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.at(path)).ok()?;
        clean(target.file_name()?.to_str()?)
    }

    /// The path below the root once all symbolic links are followed.
    pub(crate) fn resolved(&self, path: &str) -> Option<String> {
        let root = fs::canonicalize(&self.path).ok()?;
        let path = fs::canonicalize(self.at(path)).ok()?;
        Some(path.strip_prefix(root).ok()?.to_str()?.to_owned())
    }

    /// Size and free bytes (for anyone but root) of the file system that is mounted at `path`.
    pub(crate) fn space_bytes(&self, path: &str) -> Option<(u64, u64)> {
        let space = rustix::fs::statvfs(self.at(path)).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Some((bytes(space.f_blocks), bytes(space.f_bavail)))
    }
}

/// A line without its end; the reader stands behind it afterwards, however long it was.
fn next_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = reader
        .by_ref()
        .take(LINE_BYTES)
        .read_until(b'\n', &mut line)
        .ok()?;
    if read == 0 {
        return None;
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else {
        reader.skip_until(b'\n').ok()?;
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// What is shown of a value; nothing when that is nothing.
pub(crate) fn clean(value: &str) -> Option<String> {
    let shown = value
        .chars()
        .filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER);
    let kept: String = shown.take(VALUE_CHARS).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// `0x1002`
pub(crate) fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// `cpu10` is `("cpu", 10, "cpu10")`.
fn counted(name: &str) -> (String, u64, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[stem.len()..].parse().unwrap_or(0);
    (stem.to_owned(), number, name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            fs::write(dir.path().join(path), content).unwrap();
        }
        let root = Root::new(dir.path());
        (dir, root)
    }

    #[test]
    fn values() {
        let (dir, root) = with(&[
            ("a", b"  4096\n"),
            ("b", b"brcm,bcm2711\0brcm,bcm2838\0"),
            ("c", b"\xff\x01\n\n"),
        ]);
        assert_eq!(root.number("/a"), Some(4096));
        assert_eq!(root.values("b"), ["brcm,bcm2711", "brcm,bcm2838"]);
        assert_eq!(root.value("c"), None);
        assert_eq!(root.value("nowhere"), None);
        assert_eq!(root.value("."), None);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert_eq!(root.text("pipe"), None);
    }

    #[test]
    fn long_lines_are_cut_and_long_files_end() {
        let long = [&[b'x'; 9000][..], b"\nnext\nlast"].concat();
        let (_dir, root) = with(&[("long", &long)]);
        let lines: Vec<String> = root.lines("long", 1 << 20).collect();
        assert_eq!(
            lines.iter().map(String::len).collect::<Vec<_>>(),
            [4096, 4, 4]
        );
        let lines: Vec<String> = root.lines("long", 9003).collect();
        assert_eq!(lines[1], "ne");
        assert_eq!(root.lines("nowhere", 9).count(), 0);
    }

    #[test]
    fn folders_are_in_the_order_of_people() {
        let (_dir, root) = with(&[("cpu10", b""), ("cpu2", b""), ("cpu", b""), ("a", b"")]);
        assert_eq!(root.names("/"), ["a", "cpu", "cpu2", "cpu10"]);
        assert!(root.names("/nowhere").is_empty());
    }
}
