//! Reads a container's log: tail, since, limits, follow. Know before changing: a log is rotated by renaming, so a follower drains the file
//! it has open before it goes on with the next one, which may have been renamed too meanwhile; and it sleeps on inotify, not on a clock.

use std::collections::VecDeque;
use std::io::{self, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use rustix::fs::inotify;
use tokio::fs::File;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{mpsc, watch};

use super::line;

/// Bytes read at once, and the size of the chunks sent.
const BLOCK: usize = 32 * 1024;
/// How long a renamed file must be left alone before its successor is read.
const QUIET: Duration = Duration::from_millis(50);
/// Longest entry; what is longer was not written by a runtime.
const ENTRY: usize = 1 << 20;

/// What of a log is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Go on until the container ends.
    pub follow: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// Only what was written since.
    pub since: Option<Timestamp>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

/// Becomes false when the container has ended.
pub type Alive = watch::Receiver<bool>;

/// Sends what is wanted of the log at `path`, until its end or the receiver's.
pub async fn stream(
    path: &Path,
    options: Options,
    mut alive: Alive,
    sender: &mpsc::Sender<Bytes>,
) -> io::Result<()> {
    if options.tail_lines == Some(0) && !options.follow {
        return Ok(());
    }
    // Before the first read, so that nothing written meanwhile is missed.
    let changes = if options.follow {
        Some(Changes::of(path)?)
    } else {
        None
    };
    let mut file = open(path, &changes, &mut alive).await?;
    if let Some(lines) = options.tail_lines {
        let from = tail(&mut file, lines).await?;
        file.seek(SeekFrom::Start(from)).await?;
    }
    let mut filter = Filter {
        left: options.limit_bytes,
        options,
        out: BytesMut::new(),
        fresh: true,
    };
    let mut rest = BytesMut::new();
    loop {
        let ended = !*alive.borrow();
        drain(&mut file, &mut rest, &mut filter, sender).await?;
        if filter.left == Some(0) || sender.is_closed() {
            return Ok(());
        }
        let Some(changes) = &changes else {
            return filter.end(&rest, sender).await;
        };
        if let Some(next) = successor(path, &file).await? {
            // The runtime writes to the renamed file until it has opened the new one, and what it had in hand a moment longer.
            tokio::time::sleep(QUIET).await;
            while drain(&mut file, &mut rest, &mut filter, sender).await? > 0 {
                tokio::time::sleep(QUIET).await;
            }
            file = next;
            continue;
        }
        if ended {
            return filter.end(&rest, sender).await;
        }
        tokio::select! {
            moved = changes.wait() => moved?,
            _ = alive.wait_for(|alive| !alive) => {}
            () = sender.closed() => return Ok(()),
        }
    }
}

/// Opens the log; with `changes`, waits for one that is just being rotated or made.
async fn open(path: &Path, changes: &Option<Changes>, alive: &mut Alive) -> io::Result<File> {
    loop {
        let ended = !*alive.borrow();
        match (File::open(path).await, changes) {
            (Err(e), Some(changes)) if e.kind() == io::ErrorKind::NotFound && !ended => {
                tokio::select! {
                    moved = changes.wait() => moved?,
                    _ = alive.wait_for(|alive| !alive) => {}
                }
            }
            (opened, _) => return opened,
        }
    }
}

/// The file that a log goes on in after `file`; `None` while that is the present one, or there is no present one.
async fn successor(path: &Path, file: &File) -> io::Result<Option<File>> {
    let own = file.metadata().await?.ino();
    match tokio::fs::metadata(path).await {
        Ok(present) if present.ino() != own => {}
        _ => return Ok(None),
    }
    // Renamed ones end in the time, so their order is age; a slow reader may be several behind.
    let mut files = renamed(path).await?;
    files.sort();
    files.push(path.to_owned());
    let mut inodes = Vec::new();
    for file in &files {
        inodes.push(tokio::fs::metadata(file).await.map(|m| m.ino()).ok());
    }
    // One that was removed since was older than all that are left.
    let at = inodes.iter().position(|ino| *ino == Some(own));
    let next = at.map_or(0, |at| at + 1);
    match files.get(next) {
        Some(next) => match File::open(next).await {
            Ok(next) => Ok(Some(next)),
            // Renamed or removed just now: found at the next look.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        },
        None => Ok(None),
    }
}

/// The files that rotation made of a log.
async fn renamed(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let mut prefix = name.to_owned();
    prefix.push(".");
    let mut entries = tokio::fs::read_dir(dir).await?;
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(prefix.as_encoded_bytes())
        {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Reads to the file's present end; says how much that was.
async fn drain(
    file: &mut File,
    rest: &mut BytesMut,
    filter: &mut Filter,
    sender: &mpsc::Sender<Bytes>,
) -> io::Result<usize> {
    let mut read = 0;
    loop {
        rest.reserve(BLOCK);
        let more = file.read_buf(rest).await?;
        read += more;
        if more == 0 {
            return filter.flush(sender).await.map(|()| read);
        }
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let entry = rest.split_to(end + 1);
            filter.take(&entry);
            if filter.out.len() >= BLOCK {
                filter.flush(sender).await?;
            }
            if filter.left == Some(0) || sender.is_closed() {
                return filter.flush(sender).await.map(|()| 0);
            }
        }
        if rest.len() > ENTRY {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an entry without an end",
            ));
        }
    }
}

/// Offset of the last `lines` lines. A container's line in several entries counts once.
async fn tail(file: &mut File, lines: u64) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(length);
    }
    let mut found: u64 = 0;
    let mut at = length;
    // The part of an entry whose beginning is in the block before.
    let mut carried = VecDeque::new();
    let mut candidate = length;
    while at > 0 {
        let size = at.min(BLOCK as u64);
        at -= size;
        file.seek(SeekFrom::Start(at)).await?;
        let mut block = vec![0; usize::try_from(size).unwrap_or(BLOCK)];
        file.read_exact(&mut block).await?;
        for (index, byte) in block.iter().enumerate().rev() {
            let offset = at + index as u64;
            if *byte == b'\n' && offset + 1 < length {
                // An entry begins after this line end: count it unless it only goes on into the next.
                let whole = line::parse(carried.make_contiguous()).is_none_or(|l| !l.partial);
                if whole && found == lines {
                    return Ok(candidate);
                }
                found += u64::from(whole);
                candidate = offset + 1;
                carried.clear();
            } else if *byte != b'\n' {
                // Only the head of an entry is looked at.
                carried.push_front(*byte);
                carried.truncate(64);
            }
        }
    }
    let whole = line::parse(carried.make_contiguous()).is_none_or(|l| !l.partial);
    Ok(if whole && found == lines {
        candidate
    } else {
        0
    })
}

struct Filter {
    options: Options,
    left: Option<u64>,
    out: BytesMut,
    /// The next entry begins a line.
    fresh: bool,
}

impl Filter {
    fn take(&mut self, entry: &[u8]) {
        let Some(line) = line::parse(entry) else {
            return;
        };
        let wanted = if line.stderr {
            self.options.stderr
        } else {
            self.options.stdout
        };
        if !wanted || self.options.since.is_some_and(|since| line.at < since) {
            return;
        }
        if self.options.timestamps && self.fresh {
            self.push(line.time);
            self.push(b" ");
        }
        self.push(line.content);
        if !line.partial {
            self.push(b"\n");
        }
        self.fresh = !line.partial;
    }

    fn push(&mut self, bytes: &[u8]) {
        let most = self.left.map_or(bytes.len(), |left| {
            bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))
        });
        self.out.extend_from_slice(&bytes[..most]);
        self.left = self.left.map(|left| left - most as u64);
    }

    async fn flush(&mut self, sender: &mpsc::Sender<Bytes>) -> io::Result<()> {
        if !self.out.is_empty() {
            // A receiver that is gone is seen by the caller.
            let _ = sender.send(self.out.split().freeze()).await;
        }
        Ok(())
    }

    /// An entry that was cut off (a crash) is shown as far as it goes.
    async fn end(&mut self, rest: &[u8], sender: &mpsc::Sender<Bytes>) -> io::Result<()> {
        if !rest.is_empty() {
            self.take(rest);
        }
        self.flush(sender).await
    }
}

/// Changes in a log's directory, by inotify.
struct Changes {
    fd: AsyncFd<OwnedFd>,
}

impl Changes {
    fn of(path: &Path) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let flags = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE_SELF;
        inotify::add_watch(&fd, directory, flags)?;
        #[expect(
            deprecated,
            reason = "sound for an OwnedFd that stays inside; its successor is an unsafe function"
        )]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd })
    }

    /// Returns after the next change, however many there were.
    async fn wait(&self) -> io::Result<()> {
        let mut ready = self.fd.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.fd.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(e) => return Err(e.into()),
            }
        }
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
