//! Sparse files: extents of bytes, and holes between them.
//!
//! There are four ways to write them: a list in the header itself (GNU, type `S`), and three in PAX records, known as
//! 0.0 (a pair of records for each extent), 0.1 (one record for all) and 1.0 (a list before the content).

use super::pax::decimal;

/// Where the bytes of a sparse file are: offsets and lengths.
pub(super) type Extents = Vec<(u64, u64)>;

/// How many extents a sparse file may have.
pub(super) const MAX_EXTENTS: usize = 1 << 20;

/// What PAX records say about a sparse file.
#[derive(Clone, Debug, Default)]
pub(super) struct SparseRecords {
    major: Option<u64>,
    minor: Option<u64>,
    /// The path, where the header's is one made up for old programs.
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    extents: Extents,
    /// The offset of an extent whose length is to follow.
    offset: Option<u64>,
    is_sparse: bool,
}

/// A sparse file's length and where its extents are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SparseMap {
    Given(u64, Extents),
    /// Before its content.
    BeforeContent(u64),
}

impl SparseRecords {
    /// Takes a record; nothing where it cannot be read. Those of no consequence are not looked at.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        self.is_sparse = true;
        match key {
            b"major" => self.major = Some(decimal(value)?),
            b"minor" => self.minor = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            // Two without a length between them.
            b"offset" if self.offset.is_some() => return None,
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => self.extents.push((self.offset.take()?, decimal(value)?)),
            b"map" => {
                let mut numbers = value.split(|byte| *byte == b',').map(decimal);
                self.extents.clear();
                while let Some(offset) = numbers.next() {
                    self.extents.push((offset?, numbers.next()??));
                }
            }
            _ => {}
        }
        (self.extents.len() <= MAX_EXTENTS).then_some(())
    }

    /// Where the extents are; nothing of a file that is not sparse.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn map(self) -> Result<Option<SparseMap>, String> {
        if !self.is_sparse {
            return Ok(None);
        }
        let Some(size) = self.size else { return Err("a sparse file without its length".to_owned()) };
        match (self.major.unwrap_or(0), self.minor.unwrap_or(0)) {
            (1, 0) => Ok(Some(SparseMap::BeforeContent(size))),
            (0, _) if self.offset.is_none() => Ok(Some(SparseMap::Given(size, self.extents))),
            (0, _) => Err("a sparse file with half an extent".to_owned()),
            (major, minor) => Err(format!("a sparse file of format {major}.{minor}, which is not known")),
        }
    }
}

/// Checks that extents follow each other in a file of `size` bytes and hold `stored` bytes; tells how many bytes are
/// in holes.
///
/// # Errors
/// What is wrong.
pub(super) fn check_extents(extents: &[(u64, u64)], size: u64, stored: u64) -> Result<u64, String> {
    let (mut end, mut held) = (0_u64, 0_u64);
    for &(offset, length) in extents {
        if offset < end {
            return Err("extents of a sparse file overlap or are out of order".to_owned());
        }
        // Programs disagree on whether an extent in the middle of a block is padded.
        if length > 0 && held % 512 != 0 {
            return Err("an extent of a sparse file begins within a block".to_owned());
        }
        end = offset.checked_add(length).filter(|end| *end <= size).ok_or("an extent is beyond its file")?;
        held += length;
    }
    if held == stored {
        Ok(size - held)
    } else {
        Err("extents of a sparse file are not its content".to_owned())
    }
}

/// Reads the list that stands before the content: decimal numbers, each on a line.
#[derive(Debug, Default)]
pub(super) struct MapReader {
    count: Option<u64>,
    offset: Option<u64>,
    extents: Extents,
    /// A number whose line has not ended.
    digits: Vec<u8>,
}

impl MapReader {
    /// Takes a block; the extents, once all are there.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn take(&mut self, block: &[u8]) -> Result<Option<Extents>, String> {
        for byte in block {
            if *byte != b'\n' {
                // No number is longer.
                if self.digits.len() == 20 {
                    return Err("the list of a sparse file's extents has no numbers".to_owned());
                }
                self.digits.push(*byte);
                continue;
            }
            let number = decimal(&self.digits).ok_or("the list of a sparse file's extents cannot be read")?;
            self.digits.clear();
            match (self.count, self.offset.take()) {
                (None, _) if number > MAX_EXTENTS as u64 => {
                    return Err(format!("a sparse file of {number} extents"));
                }
                (None, _) => self.count = Some(number),
                (Some(_), None) => self.offset = Some(number),
                (Some(_), Some(offset)) => self.extents.push((offset, number)),
            }
            if self.count == Some(self.extents.len() as u64) {
                return Ok(Some(std::mem::take(&mut self.extents)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_follow_each_other_and_hold_the_content() {
        assert_eq!(check_extents(&[], 0, 0), Ok(0));
        assert_eq!(check_extents(&[], 9, 0), Ok(9));
        assert_eq!(check_extents(&[(0, 512), (1024, 3), (2000, 0)], 2000, 515), Ok(1485));
        for (extents, size, stored) in [
            (&[(0, 512), (511, 1)][..], 600, 513),
            (&[(0, 511), (512, 1)], 600, 512),
            (&[(0, 601)], 600, 601),
            (&[(u64::MAX, 1)], u64::MAX, 1),
            (&[(0, 10)], 600, 11),
            (&[(0, 10)], 600, 9),
        ] {
            check_extents(extents, size, stored).unwrap_err();
        }
    }

    #[test]
    fn a_list_may_be_in_any_number_of_blocks() {
        let mut reader = MapReader::default();
        assert_eq!(reader.take(b"2\n0\n5").unwrap(), None);
        assert_eq!(reader.take(b"12\n1024\n1\n\0\0").unwrap(), Some(vec![(0, 512), (1024, 1)]));
        assert_eq!(MapReader::default().take(b"0\n\0\0").unwrap(), Some(vec![]));
        for wrong in [&b"x\n"[..], b"\n", b"99999999\n", b"111111111111111111111"] {
            MapReader::default().take(wrong).unwrap_err();
        }
    }
}
