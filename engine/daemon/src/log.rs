//! A daemon's log: appended to, kept small, its end quoted in errors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The log is cut when it is larger; one older piece is kept.
const MAX_BYTES: u64 = 5 << 20;
/// How much of it is quoted.
const QUOTE_BYTES: u64 = 2048;

pub(crate) fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Keeps it small. The daemon holds it open for appending, so it is copied and emptied, not renamed.
pub(crate) fn trim(path: &Path) -> io::Result<()> {
    if length(path) > MAX_BYTES {
        fs::copy(path, path.with_extension("log.1"))?;
        OpenOptions::new().write(true).open(path)?.set_len(0)?;
    }
    Ok(())
}

/// The end of what was logged after the first `from` bytes.
pub(crate) fn end(path: &Path, from: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            length.saturating_sub(QUOTE_BYTES).max(from.min(length)),
        ))?;
        let mut bytes = Vec::new();
        file.take(QUOTE_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_else(|error| format!("its log {} cannot be read: {error}", path.display()))
}
