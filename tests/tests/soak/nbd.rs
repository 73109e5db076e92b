//! A disk served to QEMU by the Network Block Device protocol (fixed newstyle) over a Unix socket.
//!
//! One export, one client at a time, one request after the other, which is an order of requests that every client accepts.
//! <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::disk::{Disk, SECTOR};

const INIT_MAGIC: u64 = 0x4e42_444d_4147_4943;
const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

/// Fixed newstyle, no zeroes after an export's data.
const HANDSHAKE_FLAGS: u16 = 0b11;
/// Flags are valid; flush and forced unit access are understood.
const EXPORT_FLAGS: u16 = 0b1101;

const OPTION_ABORT: u32 = 2;
const OPTION_INFO: u32 = 6;
const OPTION_GO: u32 = 7;

const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNSUPPORTED: u32 = (1 << 31) + 1;

const INFO_EXPORT: u16 = 0;
const INFO_BLOCK_SIZE: u16 = 3;

const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
const FLAG_FORCED: u16 = 1;

/// Error numbers of the protocol.
const EIO: u32 = 5;
const EINVAL: u32 = 22;

/// The largest request, in bytes.
const LARGEST: u32 = 32 << 20;

/// The largest option that is read, in bytes.
const LARGEST_OPTION: u32 = 8192;

/// When a disk loses its power: after so many further writes into its cache.
#[derive(Debug, Default)]
struct Fuse {
    armed: AtomicBool,
    writes_left: AtomicU64,
    blown: AtomicBool,
}

impl Fuse {
    /// True when the disk is without power from now on.
    fn after_write(&self) -> bool {
        if self.armed.load(Ordering::Acquire)
            && self.writes_left.fetch_sub(1, Ordering::AcqRel) == 0
        {
            self.blown.store(true, Ordering::Release);
        }
        self.blown.load(Ordering::Acquire)
    }
}

/// A disk that is being served.
#[derive(Debug)]
pub struct Server {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    fuse: Arc<Fuse>,
    thread: JoinHandle<Disk>,
}

impl Server {
    /// Serves `disk` at a socket that must not be there yet.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start(disk: Disk, socket: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let stop = Arc::new(AtomicBool::new(false));
        let fuse = Arc::new(Fuse::default());
        let (stopping, its_fuse) = (stop.clone(), fuse.clone());
        let thread = std::thread::spawn(move || {
            let mut disk = disk;
            while let Ok((stream, _)) = listener.accept() {
                if stopping.load(Ordering::Acquire) {
                    break;
                }
                // A client that is killed ends its connection anywhere.
                if let Err(error) = serve(&mut disk, stream, &its_fuse)
                    && error.kind() != io::ErrorKind::UnexpectedEof
                {
                    eprintln!("disk: {error}");
                }
            }
            disk
        });
        Ok(Self {
            socket: socket.to_owned(),
            stop,
            fuse,
            thread,
        })
    }

    /// The power will go right after so many further writes that a flush does not follow yet: left to chance it would go
    /// between a flush and the next write nearly always, when a disk has nothing to lose.
    pub fn die_after(&self, writes: u64) {
        self.fuse.writes_left.store(writes, Ordering::Release);
        self.fuse.armed.store(true, Ordering::Release);
    }

    /// True when the power is gone.
    pub fn is_dead(&self) -> bool {
        self.fuse.blown.load(Ordering::Acquire)
    }

    /// Takes the disk back, once its client is gone.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn finish(self) -> io::Result<Disk> {
        self.stop.store(true, Ordering::Release);
        drop(UnixStream::connect(&self.socket)?);
        let disk = self
            .thread
            .join()
            .map_err(|_| io::Error::other("the disk's thread panicked"))?;
        std::fs::remove_file(&self.socket)?;
        Ok(disk)
    }
}

fn serve(disk: &mut Disk, mut stream: UnixStream, fuse: &Fuse) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 20, stream.try_clone()?);
    if negotiate(disk, &mut reader, &mut stream)? {
        while answer(disk, &mut reader, &mut stream, fuse)? {}
        if fuse.blown.load(Ordering::Acquire) {
            // No answer, not even an error, until the rest of the machine is without power too.
            io::copy(&mut reader, &mut io::sink())?;
        }
    }
    Ok(())
}

/// True when the client goes on to requests.
fn negotiate(disk: &Disk, reader: &mut impl Read, writer: &mut impl Write) -> io::Result<bool> {
    let mut hello = Vec::new();
    hello.extend(INIT_MAGIC.to_be_bytes());
    hello.extend(OPTION_MAGIC.to_be_bytes());
    hello.extend(HANDSHAKE_FLAGS.to_be_bytes());
    writer.write_all(&hello)?;
    let _client_flags = u32_from(reader)?;
    loop {
        if u64_from(reader)? != OPTION_MAGIC {
            return Err(broken("no option"));
        }
        let (option, length) = (u32_from(reader)?, u32_from(reader)?);
        if length > LARGEST_OPTION {
            return Err(broken("an option that is too long"));
        }
        // There is one export, whatever name and information are asked for.
        io::copy(&mut reader.take(length.into()), &mut io::sink())?;
        let mut reply = |kind: u32, data: &[u8]| {
            let mut bytes = OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
            bytes.extend(option.to_be_bytes());
            bytes.extend(kind.to_be_bytes());
            bytes.extend(u32::try_from(data.len()).unwrap_or_default().to_be_bytes());
            bytes.extend(data);
            writer.write_all(&bytes)
        };
        match option {
            OPTION_INFO | OPTION_GO => {
                let mut export = INFO_EXPORT.to_be_bytes().to_vec();
                export.extend(disk.size().to_be_bytes());
                export.extend(EXPORT_FLAGS.to_be_bytes());
                reply(REPLY_INFO, &export)?;
                let mut sizes = INFO_BLOCK_SIZE.to_be_bytes().to_vec();
                for size in [SECTOR as u32, 4096, LARGEST] {
                    sizes.extend(size.to_be_bytes());
                }
                reply(REPLY_INFO, &sizes)?;
                reply(REPLY_ACK, &[])?;
                if option == OPTION_GO {
                    return Ok(true);
                }
            }
            OPTION_ABORT => {
                reply(REPLY_ACK, &[])?;
                return Ok(false);
            }
            _ => reply(REPLY_UNSUPPORTED, &[])?,
        }
    }
}

/// Answers one request; false when it was the last.
fn answer(
    disk: &mut Disk,
    reader: &mut impl Read,
    writer: &mut impl Write,
    fuse: &Fuse,
) -> io::Result<bool> {
    if u32_from(reader)? != REQUEST_MAGIC {
        return Err(broken("no request"));
    }
    let (flags, kind) = (u16_from(reader)?, u16_from(reader)?);
    let (cookie, offset, length) = (u64_from(reader)?, u64_from(reader)?, u32_from(reader)?);
    if matches!(kind, READ | WRITE) && length > LARGEST {
        return Err(broken("a request that is too long"));
    }
    let mut data = vec![
        0;
        if matches!(kind, READ | WRITE) {
            length as usize
        } else {
            0
        }
    ];
    let done = match kind {
        READ => disk.read(offset, &mut data),
        WRITE => {
            reader.read_exact(&mut data)?;
            let done = disk.write(offset, &data, flags & FLAG_FORCED != 0);
            data.clear();
            if flags & FLAG_FORCED == 0 && fuse.after_write() {
                return Ok(false);
            }
            done
        }
        FLUSH => disk.flush(),
        DISCONNECT => return Ok(false),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    let error = match &done {
        Ok(()) => 0,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => EINVAL,
        Err(_) => EIO,
    };
    let mut reply = REPLY_MAGIC.to_be_bytes().to_vec();
    reply.extend(error.to_be_bytes());
    reply.extend(cookie.to_be_bytes());
    if done.is_ok() {
        reply.extend(data);
    }
    writer.write_all(&reply)?;
    Ok(true)
}

fn broken(what: &str) -> io::Error {
    io::Error::other(format!("the client sent {what}"))
}

fn u16_from(reader: &mut impl Read) -> io::Result<u16> {
    let mut bytes = [0; 2];
    reader.read_exact(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes))
}

fn u32_from(reader: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn u64_from(reader: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
