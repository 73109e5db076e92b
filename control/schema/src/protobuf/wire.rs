//! The wire format of protobuf: numbered fields, each a varint, eight or four bytes, or a length with bytes.

use super::Error;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn wrong<T>(self, wanted: &str) -> Result<T, Error> {
        let found = match self {
            Self::Varint(_) => "a number",
            Self::Fixed64(_) => "eight bytes",
            Self::Fixed32(_) => "four bytes",
            Self::Bytes(_) => "bytes",
        };
        Err(Error(format!("expected {wanted}, found {found}")))
    }

    pub(super) fn varint(self) -> Result<u64, Error> {
        match self {
            Self::Varint(number) => Ok(number),
            // The zero value of a map's entry.
            Self::Bytes([]) => Ok(0),
            other => other.wrong("a number"),
        }
    }

    pub(super) fn fixed64(self) -> Result<u64, Error> {
        match self {
            Self::Fixed64(bits) => Ok(bits),
            other => other.wrong("eight bytes"),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => other.wrong("bytes"),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Error("a text is not UTF-8".to_owned()))
    }
}

/// Reads fields one after another.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field's number and value; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| Error("a field's number is out of range".to_owned()))?;
        let wire = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some((bytes, rest)) = self.rest.split_at_checked(length) else {
                    return truncated();
                };
                self.rest = rest;
                Wire::Bytes(bytes)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
            other => {
                return Err(Error(format!(
                    "field {number} has the unknown wire type {other}"
                )));
            }
        };
        Ok(Some((number, wire)))
    }

    pub(super) fn varint(&mut self) -> Result<u64, Error> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else {
                return truncated();
            };
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error("a number is longer than 64 bits".to_owned()))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return truncated();
        };
        self.rest = rest;
        Ok(*bytes)
    }
}

fn truncated<T>() -> Result<T, Error> {
    Err(Error("the body ends within a field".to_owned()))
}
