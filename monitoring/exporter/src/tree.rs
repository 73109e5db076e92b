//! Reading below a root, with bounds: the kernel's files are small, and what is not small is not the kernel's.
//!
//! Folders are held open and files opened relative to them: the kernel walks short paths, and no path is built per file.

use std::mem::MaybeUninit;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, RawDir, SeekFrom, openat};
use rustix::io::Errno;

use crate::error::{CollectError, Malformed};

/// The largest file of `/proc` that is read: `/proc/stat` of hundreds of cores with thousands of interrupts is below it.
const FILE_LIMIT_BYTES: usize = 1 << 20;
/// The largest attribute of `/sys`: a page, as the kernel promises.
const ATTRIBUTE_LIMIT_BYTES: usize = 4096;
/// The most entries of a folder that are looked at.
const NAMES_LIMIT: usize = 4096;

/// A buffer for the file that is being read.
#[derive(Debug, Default)]
pub struct Text {
    bytes: Vec<u8>,
    replaced: String,
}

impl Text {
    /// What was read last. Bytes that are no UTF-8 are replaced: a label must be UTF-8, and a parser refuses the rest.
    fn as_str(&mut self) -> &str {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => text,
            Err(_) => {
                self.replaced = String::from_utf8_lossy(&self.bytes).into_owned();
                &self.replaced
            }
        }
    }
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    /// Relative to the root, for errors.
    path: String,
}

impl Folder {
    /// The root itself.
    pub fn root(path: &Path) -> Result<Self, Errno> {
        let fd = openat(CWD, path, FOLDER, Mode::empty())?;
        Ok(Self {
            fd,
            path: String::new(),
        })
    }

    /// A folder below this one.
    pub fn open(&self, path: &str) -> Result<Self, CollectError> {
        let fd = openat(&self.fd, path, FOLDER, Mode::empty())
            .map_err(|e| CollectError::read(self.path_of(path), e))?;
        Ok(Self {
            fd,
            path: self.path_of(path),
        })
    }

    /// The names in it that are no `.` and `..`, sorted so that `cpu2` comes before `cpu10`.
    pub fn names(&self) -> Result<Vec<String>, CollectError> {
        let error = |e| CollectError::read(self.path.as_str(), e);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(error)? {
            let entry = entry.map_err(error)?;
            // Nothing that is measured has a name that is no UTF-8.
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
                && names.len() < NAMES_LIMIT
            {
                names.push(name.to_owned());
            }
        }
        names.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        Ok(names)
    }

    /// The folders in it, in no order.
    ///
    /// # Errors
    /// When it cannot be listed, as when it is gone.
    pub fn folders(&self) -> Result<Vec<String>, CollectError> {
        let error = |e| CollectError::read(self.path.as_str(), e);
        // From the start, also at a second call.
        rustix::fs::seek(&self.fd, SeekFrom::Start(0)).map_err(error)?;
        let mut names = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(error)?;
            if entry.file_type() == FileType::Directory
                && let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
                && names.len() < NAMES_LIMIT
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// The number of what a path below this folder leads to, links followed; `None` when it leads nowhere.
    pub fn inode(&self, path: &str) -> Option<(u64, u64)> {
        let stat = rustix::fs::statat(&self.fd, path, rustix::fs::AtFlags::empty()).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    /// How many links a folder below this one has: two, and one for each folder in it.
    pub fn links(&self, path: &str) -> Option<u64> {
        let stat = rustix::fs::statat(&self.fd, path, rustix::fs::AtFlags::empty()).ok()?;
        Some(stat.st_nlink)
    }

    /// Its path below the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole of a file.
    pub fn read<'t>(&self, name: &str, text: &'t mut Text) -> Result<&'t str, CollectError> {
        match self.fill(name, text, FILE_LIMIT_BYTES, false) {
            Ok(()) => Ok(text.as_str()),
            Err(Unread::Refused(errno)) => Err(CollectError::read(self.path_of(name), errno)),
            Err(Unread::TooLarge) => Err(self.too_large(name, FILE_LIMIT_BYTES)),
        }
    }

    /// The whole of a file that is no text.
    pub(crate) fn read_bytes<'t>(
        &self,
        name: &str,
        text: &'t mut Text,
    ) -> Result<&'t [u8], CollectError> {
        self.read(name, text)?;
        Ok(&text.bytes)
    }

    /// An attribute without its line end; `None` when it is not there or the kernel has no value for it now, as happens with
    /// interfaces that are down and sensors that sleep.
    pub fn attribute<'t>(
        &self,
        name: &str,
        text: &'t mut Text,
    ) -> Result<Option<&'t str>, CollectError> {
        match self.fill(name, text, ATTRIBUTE_LIMIT_BYTES, true) {
            Ok(()) => Ok(Some(text.as_str().trim_end_matches('\n'))),
            Err(Unread::Refused(_)) => Ok(None),
            Err(Unread::TooLarge) => Err(self.too_large(name, ATTRIBUTE_LIMIT_BYTES)),
        }
    }

    /// An attribute that is a whole number, decimal or `0x`.
    pub fn number(&self, name: &str, text: &mut Text) -> Result<Option<f64>, CollectError> {
        let Some(found) = self.attribute(name, text)? else {
            return Ok(None);
        };
        match whole_number(found) {
            Some(number) => Ok(Some(number)),
            None => Err(Malformed::new("a number", found).at(&self.path_of(name))),
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            return name.to_owned();
        }
        format!("{}/{name}", self.path)
    }

    fn too_large(&self, name: &str, limit_bytes: usize) -> CollectError {
        let path = self.path_of(name);
        CollectError::TooLarge { path, limit_bytes }
    }

    /// With `once`, less than the buffer holds is the end: true of attributes, which the kernel writes in one piece, and not of
    /// the files of `/proc`. It saves a fourth of the system calls where there are hundreds of interfaces.
    fn fill(
        &self,
        name: &str,
        text: &mut Text,
        limit_bytes: usize,
        once: bool,
    ) -> Result<(), Unread> {
        let fd = openat(&self.fd, name, FILE, Mode::empty()).map_err(Unread::Refused)?;
        text.bytes.clear();
        while text.bytes.len() <= limit_bytes {
            // Doubles what is there when it is full.
            text.bytes.reserve(ATTRIBUTE_LIMIT_BYTES);
            let room = text.bytes.capacity() - text.bytes.len();
            match rustix::io::read(&fd, spare_capacity(&mut text.bytes)) {
                Ok(0) => return Ok(()),
                Ok(read) if once && read < room && read <= limit_bytes => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Unread::Refused(errno)),
            }
        }
        Err(Unread::TooLarge)
    }
}

/// Why a file was not read; without its path, for a missing attribute is no error and must cost nothing.
enum Unread {
    Refused(Errno),
    TooLarge,
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// Without waiting: a pipe where a file is expected must not hang the scrape.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// A whole number as attributes of `/sys` have them.
#[expect(
    clippy::cast_precision_loss,
    reason = "samples of Prometheus are floats"
)]
pub(crate) fn whole_number(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return u64::from_str_radix(hexadecimal, 16).ok().map(|n| n as f64);
    }
    text.parse::<i64>()
        .map(|n| n as f64)
        .or_else(|_| text.parse::<u64>().map(|n| n as f64))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::root(dir.path()).unwrap();
        (dir, folder)
    }

    #[test]
    fn a_huge_file_is_not_read_to_its_end() {
        let (dir, folder) = folder();
        let sparse = std::fs::File::create(dir.path().join("stat")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let mut text = Text::default();
        let error = folder.read("stat", &mut text).unwrap_err();
        assert_eq!(error.to_string(), "/stat is larger than 1048576 bytes");
        assert!(text.bytes.capacity() <= 4 * FILE_LIMIT_BYTES);
        let error = folder.number("stat", &mut text).unwrap_err();
        assert_eq!(error.to_string(), "/stat is larger than 4096 bytes");
    }

    #[test]
    fn files_up_to_the_limit_are_read_whole() {
        let (dir, folder) = folder();
        let mut text = Text::default();
        for size in [0, 1, 4095, 4096, 4097, 100_000, FILE_LIMIT_BYTES] {
            std::fs::write(dir.path().join("f"), "x".repeat(size)).unwrap();
            assert_eq!(folder.read("f", &mut text).unwrap().len(), size);
        }
    }

    #[test]
    fn a_pipe_does_not_hang() {
        let (dir, folder) = folder();
        rustix::fs::mknodat(CWD, dir.path().join("p"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(folder.read("p", &mut Text::default()).unwrap(), "");
    }

    #[test]
    fn what_the_kernel_has_no_value_for_is_none() {
        let (dir, folder) = folder();
        let mut text = Text::default();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        assert_eq!(folder.number("missing", &mut text).unwrap(), None);
        assert_eq!(folder.number("d", &mut text).unwrap(), None);
    }

    #[test]
    fn numbers() {
        let check = |text, expect: Option<f64>| assert_eq!(whole_number(text), expect, "{text}");
        check("12\n", Some(12.0));
        check("-1", Some(-1.0));
        check("0x1003", Some(4099.0));
        check("18446744073709551615", Some(18_446_744_073_709_551_615.0));
        check("", None);
        check("1.5", None);
        check("0x", None);
    }

    #[test]
    fn folders_are_told_apart_from_files() {
        let (dir, folder) = folder();
        std::fs::write(dir.path().join("file"), "").unwrap();
        for number in 0..200 {
            std::fs::create_dir(dir.path().join(format!("folder-{number}"))).unwrap();
        }
        for _ in 0..2 {
            let folders = folder.folders().unwrap();
            assert_eq!(folders.len(), 200);
            assert!(folders.iter().all(|name| name.starts_with("folder-")));
        }
    }

    #[test]
    fn names_are_in_the_order_of_people() {
        let (dir, folder) = folder();
        for name in ["cpu10", "cpu2", "cpu1"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(folder.names().unwrap(), ["cpu1", "cpu2", "cpu10"]);
    }
}
