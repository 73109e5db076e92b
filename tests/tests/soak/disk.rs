//! A disk with a volatile cache, as real disks have: what was written and not flushed is lost in a power cut, or stays, or
//! stays in part.
//!
//! The file is what is on the platter; the cache is only in memory. Whatever the guest was told about a write, the disk owes
//! it nothing before a flush, and the cut takes that literally, sector by sector: only a sector (512 bytes) is atomic.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::dice::Dice;

/// The unit that is written whole or not at all, in bytes.
pub const SECTOR: usize = 512;

/// Sectors in the cache (32 MiB, as disks have) before some are written out of turn.
const CACHE: usize = 1 << 16;

/// A disk.
#[derive(Debug)]
pub struct Disk {
    file: File,
    size: u64,
    cache: BTreeMap<u64, [u8; SECTOR]>,
    dice: Dice,
    /// A disk that says it flushed and did not; what finds no difference finds nothing.
    lies: bool,
    flushes: u64,
}

/// What a power cut did.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// Sectors that had not been flushed and are as they were before.
    pub lost: usize,
    /// Sectors that had not been flushed and are written nevertheless.
    pub kept: usize,
}

impl Disk {
    /// The disk in a file, whose length is its size.
    ///
    /// # Errors
    /// When the length cannot be read.
    pub fn new(file: File, dice: Dice) -> io::Result<Self> {
        let size = file.metadata()?.len() / SECTOR as u64 * SECTOR as u64;
        Ok(Self {
            file,
            size,
            cache: BTreeMap::new(),
            dice,
            lies: false,
            flushes: 0,
        })
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// From now on the disk lies about flushes, or no longer.
    pub fn lie(&mut self, lies: bool) {
        self.lies = lies;
    }

    /// How often it was flushed.
    pub fn flushes(&self) -> u64 {
        self.flushes
    }

    /// The sectors of a request.
    fn sectors(&self, offset: u64, length: usize) -> io::Result<std::ops::Range<u64>> {
        let (sector, length) = (SECTOR as u64, length as u64);
        let end = offset.checked_add(length).filter(|end| *end <= self.size);
        match end {
            Some(end) if offset.is_multiple_of(sector) && length.is_multiple_of(sector) => {
                Ok(offset / sector..end / sector)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// What was written last, wherever it is.
    ///
    /// # Errors
    /// When the range is not one of whole sectors, or the file cannot be read.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let sectors = self.sectors(offset, buffer.len())?;
        self.file.read_exact_at(buffer, offset)?;
        for (sector, data) in self.cache.range(sectors.clone()) {
            let at = usize::try_from(sector - sectors.start).unwrap_or_default() * SECTOR;
            buffer[at..at + SECTOR].copy_from_slice(data);
        }
        Ok(())
    }

    /// Writes into the cache; with `through` (forced unit access) onto the platter.
    ///
    /// # Errors
    /// When the range is not one of whole sectors, or the file cannot be written.
    pub fn write(&mut self, offset: u64, data: &[u8], through: bool) -> io::Result<()> {
        let sectors = self.sectors(offset, data.len())?;
        if through && !self.lies {
            for sector in sectors {
                self.cache.remove(&sector);
            }
            return self.file.write_all_at(data, offset);
        }
        for (sector, chunk) in sectors.zip(data.as_chunks::<SECTOR>().0) {
            self.cache.insert(sector, *chunk);
        }
        // Disks write out what they like when they like: order means nothing without a flush.
        if self.cache.len() > CACHE {
            self.write_out(CACHE / 2)
        } else if self.dice.percent(2) && !self.lies {
            self.write_out(8)
        } else {
            Ok(())
        }
    }

    /// Writes some sectors out, from a random one on.
    fn write_out(&mut self, count: usize) -> io::Result<()> {
        let from = self.dice.below(self.size / SECTOR as u64);
        let chosen: Vec<u64> = self
            .cache
            .range(from..)
            .chain(self.cache.range(..from))
            .take(count)
            .map(|(sector, _)| *sector)
            .collect();
        for sector in chosen {
            if let Some(data) = self.cache.remove(&sector) {
                self.file.write_all_at(&data, sector * SECTOR as u64)?;
            }
        }
        Ok(())
    }

    /// Brings everything onto the platter.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        if self.lies {
            return Ok(());
        }
        for (sector, data) in std::mem::take(&mut self.cache) {
            self.file.write_all_at(&data, sector * SECTOR as u64)?;
        }
        Ok(())
    }

    /// The power goes: of the unflushed sectors a random part of about `keep` percent is written nevertheless.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn cut(&mut self, keep: u64) -> io::Result<Cut> {
        let mut cut = Cut { lost: 0, kept: 0 };
        for (sector, data) in std::mem::take(&mut self.cache) {
            if self.dice.percent(keep) {
                cut.kept += 1;
                self.file.write_all_at(&data, sector * SECTOR as u64)?;
            } else {
                cut.lost += 1;
            }
        }
        Ok(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Disk {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 * SECTOR as u64).unwrap();
        Disk::new(file, Dice::new(1, 1)).unwrap()
    }

    fn first_bytes(disk: &Disk) -> Vec<u8> {
        let mut all = vec![0; 64 * SECTOR];
        disk.read(0, &mut all).unwrap();
        all.chunks(SECTOR).map(|sector| sector[0]).collect()
    }

    #[test]
    fn only_what_was_flushed_is_owed() {
        let mut disk = disk();
        disk.write(0, &[1; 8 * SECTOR], false).unwrap();
        disk.flush().unwrap();
        disk.write(4 * SECTOR as u64, &[2; 8 * SECTOR], false)
            .unwrap();
        disk.write(20 * SECTOR as u64, &[3; SECTOR], true).unwrap();
        let before = first_bytes(&disk);
        assert_eq!(before[..13], [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 0]);
        let lost = disk.cut(0).unwrap().lost;
        let after = first_bytes(&disk);
        // Some may have been written out of turn; what was flushed or forced is there.
        assert_eq!(after[..4], [1; 4]);
        assert_eq!(after[20], 3);
        let changed = before.iter().zip(&after).filter(|(b, a)| b != a).count();
        assert_eq!(changed, lost);
    }

    #[test]
    fn a_cut_keeps_a_part() {
        let mut disk = disk();
        disk.write(0, &[1; 64 * SECTOR], false).unwrap();
        let cut = disk.cut(50).unwrap();
        let there: usize = first_bytes(&disk).iter().map(|b| usize::from(*b)).sum();
        assert!(
            (10..54).contains(&cut.lost) && cut.lost + there == 64,
            "{cut:?}"
        );
    }

    #[test]
    fn a_liar_loses_what_it_flushed() {
        let mut disk = disk();
        disk.lie(true);
        disk.write(0, &[1; SECTOR], true).unwrap();
        disk.flush().unwrap();
        disk.cut(0).unwrap();
        assert_eq!(first_bytes(&disk)[0], 0);
    }

    #[test]
    fn odd_ranges_are_refused() {
        let mut disk = disk();
        for (offset, length) in [
            (1, SECTOR),
            (0, 1),
            (64 * SECTOR as u64, SECTOR),
            (u64::MAX - 511, SECTOR),
        ] {
            assert!(
                disk.write(offset, &vec![0; length], false).is_err(),
                "{offset} {length}"
            );
        }
    }
}
