//! Rows of the log on disk, and the checksum that each of them carries.
//!
//! Know before changing: this is the file format. SQLite does not notice a flipped bit in a value; the checksum does.

use std::sync::Arc;

use bytes::Bytes;

use crate::Entry;

/// What a row says about its key. The numbers are the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowKind {
    Put = 0,
    Delete = 1,
    /// A value of a key that takes volatile writes: after a restart, newer ones may be lost.
    PutVolatile = 2,
}

impl RowKind {
    fn from_number(number: i64) -> Option<RowKind> {
        [RowKind::Put, RowKind::Delete, RowKind::PutVolatile]
            .into_iter()
            .find(|kind| *kind as i64 == number)
    }
}

/// One row of the log: a change of a key. A delete has no value on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) kind: RowKind,
    pub(crate) entry: Entry,
    /// The revision of the row that this one replaces as the key's newest, 0 when there is none.
    pub(crate) prev_revision: u64,
}

/// The columns that [`Row::read`] expects, in its order.
pub(crate) const COLUMNS: &str =
    "revision, key, kind, create_revision, prev_revision, checksum, value";

/// Why a row could not be read.
#[derive(Debug)]
pub(crate) enum RowError {
    Sqlite(rusqlite::Error),
    Damaged(String),
}

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> RowError {
        RowError::Sqlite(error)
    }
}

impl Row {
    /// The bytes that go to disk as the value.
    pub(crate) fn stored_value(&self) -> &[u8] {
        if self.kind == RowKind::Delete {
            &[]
        } else {
            &self.entry.value
        }
    }

    /// Reads a row of [`COLUMNS`] and checks it.
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> Result<Row, RowError> {
        let revision: i64 = row.get(0)?;
        let damaged =
            |what: &str| RowError::Damaged(format!("the row of revision {revision} {what}"));
        let text = |_| damaged("has values of the wrong type");
        let key = row.get_ref(1)?.as_str().map_err(text)?;
        let kind: i64 = row.get_ref(2)?.as_i64().map_err(text)?;
        let create: i64 = row.get_ref(3)?.as_i64().map_err(text)?;
        let prev: i64 = row.get_ref(4)?.as_i64().map_err(text)?;
        let stored: i64 = row.get_ref(5)?.as_i64().map_err(text)?;
        let value = row.get_ref(6)?.as_blob().map_err(text)?;
        if stored != checksum([revision, kind, create, prev], key, value) {
            return Err(damaged("does not match its checksum"));
        }
        let kind = RowKind::from_number(kind).ok_or_else(|| damaged("is of an unknown kind"))?;
        let entry = Entry {
            key: Arc::from(key),
            value: Bytes::copy_from_slice(value),
            create_revision: create as u64,
            mod_revision: revision as u64,
        };
        Ok(Row {
            kind,
            entry,
            prev_revision: prev as u64,
        })
    }

    pub(crate) fn checksum(&self) -> i64 {
        let numbers = [
            self.entry.mod_revision as i64,
            self.kind as i64,
            self.entry.create_revision as i64,
            self.prev_revision as i64,
        ];
        checksum(numbers, &self.entry.key, self.stored_value())
    }
}

/// FNV-1a of 64 bits over 8 bytes at a time (the whole words of each part, then its tail): a changed word always changes
/// the sum, since every step is a bijection of the state.
pub(crate) fn checksum(numbers: [i64; 4], key: &str, value: &[u8]) -> i64 {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    let mut mix = |word: u64| {
        sum = (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        sum ^= sum >> 29;
    };
    for number in numbers {
        mix(number as u64);
    }
    for part in [key.as_bytes(), value] {
        mix(part.len() as u64);
        let (words, tail) = part.as_chunks::<8>();
        for word in words {
            mix(u64::from_le_bytes(*word));
        }
        for byte in tail {
            mix(u64::from(*byte));
        }
    }
    sum as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_changes_the_checksum() {
        let value: Vec<u8> = (0..100).collect();
        let right = checksum([5, 0, 2, 3], "/a/key", &value);
        for bit in 0..value.len() * 8 {
            let mut wrong = value.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum([5, 0, 2, 3], "/a/key", &wrong), right, "bit {bit}");
        }
        assert_ne!(checksum([5, 0, 2, 3], "/a/kez", &value), right);
        assert_ne!(checksum([5, 0, 2, 4], "/a/key", &value), right);
        assert_ne!(checksum([5, 0, 2, 3], "/a/key0", &value[1..]), right);
    }

    #[test]
    fn the_checksum_is_part_of_the_file_format() {
        assert_eq!(
            checksum([2, 0, 2, 0], "/registry/a", b"some value, not whole words"),
            PINNED
        );
    }

    /// Changing the checksum makes every existing database unreadable: raise the format first.
    const PINNED: i64 = -2_661_426_229_096_121_684;
}
