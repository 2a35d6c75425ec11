//! The bounded reader and the writer of `docs/format.md` §1.
//!
//! The reader never allocates: what it hands out are slices of what it was given, and a length is checked against
//! its limit and against the bytes that are left first.

use crate::{Error, Result};

/// Reads fields one after another from bytes of a named object.
#[derive(Clone, Debug)]
pub struct WireReader<'a> {
    object: &'static str,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> WireReader<'a> {
    /// A reader of `bytes`, which are said to be an `object` in errors.
    pub fn new(object: &'static str, bytes: &'a [u8]) -> Self {
        Self { object, bytes, offset: 0 }
    }

    /// A reader like [`new`](Self::new)'s that has read the first `offset` bytes already.
    pub fn starting_at(object: &'static str, bytes: &'a [u8], offset: usize) -> Self {
        Self { object, bytes, offset: offset.min(bytes.len()) }
    }

    /// A [`Corrupt`](crate::ErrorKind::Corrupt) error about the field just read.
    #[cold]
    pub fn corrupt(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(format!("{}: {what} (before byte {})", self.object, self.offset))
    }

    /// An [`Unsupported`](crate::ErrorKind::Unsupported) error about the field just read.
    pub fn unsupported(&self, what: impl std::fmt::Display) -> Error {
        Error::unsupported(format!("{}: {what}", self.object))
    }

    /// Number of bytes read so far.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Number of bytes left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.offset
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// `Corrupt` where fewer are left.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        if length > self.remaining() {
            return Err(self.corrupt(format_args!("ends {} bytes early", length - self.remaining())));
        }
        let taken = &self.bytes[self.offset..self.offset + length];
        self.offset += length;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// `Corrupt` where fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A `u8`.
    ///
    /// # Errors
    /// `Corrupt` at the end.
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// A little-endian `u16`.
    ///
    /// # Errors
    /// `Corrupt` where less is left.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// A little-endian `u32`.
    ///
    /// # Errors
    /// `Corrupt` where less is left.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A little-endian `u64`.
    ///
    /// # Errors
    /// `Corrupt` where less is left.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A `uv`: an unsigned LEB128 integer in its shortest form.
    ///
    /// # Errors
    /// `Corrupt` for a longer form, for over 64 bits, and where less is left.
    #[inline]
    pub fn uv(&mut self) -> Result<u64> {
        // Most integers are a single byte.
        match self.bytes.get(self.offset) {
            Some(&byte) if byte < 0x80 => {
                self.offset += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_uv(),
        }
    }

    fn long_uv(&mut self) -> Result<u64> {
        let mut value = 0u64;
        let rest = &self.bytes[self.offset..];
        for (shift, &byte) in (0..70).step_by(7).zip(rest) {
            if shift == 63 && byte > 1 {
                return Err(self.corrupt("an integer over 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.corrupt("an integer not in its shortest form"));
                }
                self.offset += shift / 7 + 1;
                return Ok(value);
            }
        }
        Err(self.corrupt("ends inside of an integer"))
    }

    /// A `uv` that is at most `limit`.
    ///
    /// # Errors
    /// `Corrupt` for more, and for what is no `uv`.
    #[inline]
    pub fn uv_max(&mut self, limit: u64, what: &str) -> Result<u64> {
        let value = self.uv()?;
        if value > limit {
            return Err(self.corrupt(format_args!("{what} of {value}, over the limit of {limit}")));
        }
        Ok(value)
    }

    /// A `uv` length or count that is at most `limit`, as a `usize`.
    ///
    /// # Errors
    /// `Corrupt` for more, and for what is no `uv`.
    #[inline]
    pub fn length(&mut self, limit: usize, what: &str) -> Result<usize> {
        let value = self.uv_max(limit as u64, what)?;
        usize::try_from(value).map_err(|_| self.corrupt(format_args!("{what} over the address space")))
    }

    /// A `sv`: a zigzag integer.
    ///
    /// # Errors
    /// `Corrupt` for what is no `uv`, of which it is made.
    #[inline]
    pub fn sv(&mut self) -> Result<i64> {
        let zigzag = self.uv()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// `bytes`: a length of at most `limit`, and that many bytes.
    ///
    /// # Errors
    /// `Corrupt` for a longer length, and where fewer bytes are left.
    #[inline]
    pub fn bytes(&mut self, limit: usize, what: &str) -> Result<&'a [u8]> {
        let length = self.length(limit, what)?;
        self.take(length)
    }

    /// Checks that the next bytes are this magic.
    ///
    /// # Errors
    /// `Corrupt` where they are not.
    pub fn magic(&mut self, magic: &[u8]) -> Result<()> {
        if self.take(magic.len())? == magic {
            Ok(())
        } else {
            Err(self.corrupt(format_args!("does not begin with {}", magic.escape_ascii())))
        }
    }

    /// Checks that the next `length` bytes are zero.
    ///
    /// # Errors
    /// `Unsupported` where one is not; `Corrupt` where fewer are left.
    pub fn reserved(&mut self, length: usize) -> Result<()> {
        if self.take(length)?.iter().all(|&b| b == 0) {
            Ok(())
        } else {
            Err(self.unsupported("a reserved field is used: it was written by a newer version"))
        }
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// `Corrupt` where something is.
    pub fn end(self) -> Result<()> {
        if self.remaining() == 0 {
            Ok(())
        } else {
            Err(self.corrupt(format_args!("{} bytes follow its end", self.remaining())))
        }
    }
}

/// Appends fields of `docs/format.md` §1 to a byte vector.
pub trait WireWrite {
    /// Appends a `uv`.
    fn put_uv(&mut self, value: u64);
    /// Appends a `sv`.
    fn put_sv(&mut self, value: i64);
    /// Appends `bytes`: the length, then the bytes.
    fn put_bytes(&mut self, bytes: &[u8]);
}

impl WireWrite for Vec<u8> {
    #[inline]
    fn put_uv(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.push((value & 0x7f) as u8);
    }

    #[inline]
    fn put_sv(&mut self, value: i64) {
        self.put_uv(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    #[inline]
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_uv(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_round_trip(u: u64, s: i64) {
            let mut bytes = Vec::new();
            bytes.put_uv(u);
            bytes.put_sv(s);
            let mut reader = WireReader::new("test", &bytes);
            prop_assert_eq!(reader.uv().unwrap(), u);
            prop_assert_eq!(reader.sv().unwrap(), s);
            reader.end().unwrap();
        }

        #[test]
        fn an_integer_that_reads_has_one_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = WireReader::new("test", &bytes);
            if let Ok(value) = reader.uv() {
                let mut again = Vec::new();
                again.put_uv(value);
                prop_assert_eq!(&again[..], &bytes[..reader.offset()]);
            }
        }
    }

    #[test]
    fn edges() {
        for (value, encoded) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0x80, 1]),
            (u64::MAX, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ] {
            let mut bytes = Vec::new();
            bytes.put_uv(value);
            assert_eq!(bytes, encoded);
        }
        for bad in [&[0x80, 0][..], &[0xff; 10], &[0x80; 11], &[0x80], &[]] {
            assert!(WireReader::new("test", bad).uv().is_err(), "{bad:?}");
        }
        for s in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut bytes = Vec::new();
            bytes.put_sv(s);
            assert_eq!(WireReader::new("test", &bytes).sv().unwrap(), s);
        }
    }

    #[test]
    fn a_length_is_checked_before_it_is_used() {
        let mut bytes = Vec::new();
        bytes.put_uv(u64::MAX);
        assert!(WireReader::new("test", &bytes).bytes(usize::MAX, "name").is_err());
        assert!(WireReader::new("test", &[5, 1, 2]).bytes(4, "name").is_err());
        assert!(WireReader::new("test", &[3, 1, 2]).bytes(4, "name").is_err());
        assert_eq!(WireReader::new("test", &[2, 1, 2]).bytes(2, "name").unwrap(), [1, 2]);
    }
}
