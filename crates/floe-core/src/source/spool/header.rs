//! The fields of a header block.

use tar::Header;

use super::blocks::BLOCK_BYTES;
use super::sparse::Extents;
use crate::source::FileTime;

/// Where the checksum stands, which counts as spaces in the sum.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// A header, its checksum checked.
#[derive(Debug)]
pub(super) struct Fields {
    header: Header,
}

impl Fields {
    /// The fields of a block that is not the tar's end; nothing where the checksum is wrong.
    pub(super) fn new(block: &[u8; BLOCK_BYTES]) -> Option<Self> {
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        let outside = block[..CHECKSUM.start].iter().chain(&block[CHECKSUM.end..]);
        let sum = outside.map(|byte| i128::from(*byte)).sum::<i128>() + 8 * i128::from(b' ');
        (number(&block[CHECKSUM]) == Some(sum)).then_some(Self { header })
    }

    /// The type of the entry; those of regular files are all `b'0'`.
    pub(super) fn kind(&self) -> u8 {
        match self.header.as_old().linkflag[0] {
            // As in the oldest tars, and files that wish to be stored in one piece.
            0 | b'7' => b'0',
            kind => kind,
        }
    }

    /// The path with the prefix, where the format has one.
    pub(super) fn path(&self) -> Vec<u8> {
        self.header.path_bytes().into_owned()
    }

    /// The target of a link.
    pub(super) fn link(&self) -> Vec<u8> {
        self.header.link_name_bytes().unwrap_or_default().into_owned()
    }

    /// Length of the content in the tar.
    pub(super) fn size(&self) -> Option<u64> {
        unsigned(&self.header.as_old().size)
    }

    /// Permission bits with set-uid, set-gid and sticky. Some tars have the kind here, too.
    pub(super) fn mode(&self) -> Option<u16> {
        let mode = number(&self.header.as_old().mode)?;
        u16::try_from(mode & 0o7777).ok()
    }

    /// The time of modification.
    pub(super) fn modified(&self) -> Option<FileTime> {
        let seconds = number(&self.header.as_old().mtime)?;
        Some(FileTime { seconds: i64::try_from(seconds).ok()?, nanos: 0 })
    }

    /// The numbers of user and group.
    pub(super) fn owner(&self) -> (Option<u32>, Option<u32>) {
        let header = self.header.as_old();
        (small(&header.uid), small(&header.gid))
    }

    /// The device's major and minor number.
    pub(super) fn device(&self) -> Option<(u32, u32)> {
        if let Some(header) = self.header.as_ustar() {
            return Some((small(&header.dev_major)?, small(&header.dev_minor)?));
        }
        let header = self.header.as_gnu()?;
        Some((small(&header.dev_major)?, small(&header.dev_minor)?))
    }

    /// Of a sparse file in the old GNU format: its length, its first extents, and whether blocks with more follow.
    pub(super) fn gnu_sparse(&self) -> Option<(u64, Extents, bool)> {
        let header = self.header.as_gnu()?;
        let extents = gnu_extents(header.sparse.iter().map(|extent| (&extent.offset, &extent.numbytes)))?;
        Some((unsigned(&header.realsize)?, extents, header.is_extended()))
    }
}

/// The extents of a block that goes on the list of a sparse file, and whether another follows.
pub(super) fn more_gnu_extents(block: &[u8; BLOCK_BYTES]) -> Option<(Extents, bool)> {
    let mut header = tar::GnuExtSparseHeader::new();
    header.as_mut_bytes().copy_from_slice(block);
    let extents = gnu_extents(header.sparse.iter().map(|extent| (&extent.offset, &extent.numbytes)))?;
    Some((extents, header.is_extended()))
}

/// The extents up to the first that is not there.
fn gnu_extents<'a>(fields: impl Iterator<Item = (&'a [u8; 12], &'a [u8; 12])>) -> Option<Extents> {
    fields
        .take_while(|(offset, length)| offset[0] != 0 && length[0] != 0)
        .map(|(offset, length)| Some((unsigned(offset)?, unsigned(length)?)))
        .collect()
}

fn unsigned(field: &[u8]) -> Option<u64> {
    u64::try_from(number(field)?).ok()
}

fn small(field: &[u8]) -> Option<u32> {
    u32::try_from(number(field)?).ok()
}

/// A number in octal digits, or where the first bit is set, in binary and signed. Nothing at all is 0.
fn number(field: &[u8]) -> Option<i128> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // At most twelve bytes, so nothing is lost; the second bit is the sign.
        let sign = if first & 0x40 != 0 { -1 } else { 0 };
        return Some(
            rest.iter()
                .fold(sign << 6 | i128::from(first & 0x3f), |value, byte| value << 8 | i128::from(*byte)),
        );
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let digits = &digits[..digits.iter().position(blank).unwrap_or(digits.len())];
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'7' => Some(value << 3 | i128::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        let cases: [(&[u8], Option<i128>); 10] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"77777777", Some(0o77_777_777)),
            (b"\0\0\0\0", Some(0)),
            (b"00008 \0", None),
            (b"-1\0", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX as i128)),
            (b"", None),
        ];
        for (field, expected) in cases {
            assert_eq!(number(field), expected, "{}", field.escape_ascii());
        }
    }
}
