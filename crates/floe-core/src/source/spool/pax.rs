//! The records of PAX headers: what they say that a header block cannot.

use std::collections::BTreeMap;

use super::sparse::SparseRecords;
use crate::source::FileTime;
use crate::source::xattrs::is_kept;

/// Before the names of extended attributes.
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// Before ACLs as text, with the names that users and groups have on some machine.
const ACL_PREFIX: &[u8] = b"SCHILY.acl.";

/// Before everything about sparse files.
const SPARSE_PREFIX: &[u8] = b"GNU.sparse.";

/// What stands in the place of a header's fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<FileTime>,
    pub(super) user: Option<Number>,
    pub(super) group: Option<Number>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether there are ACLs as text, of which nothing is kept.
    has_acl_text: bool,
    pub(super) sparse: SparseRecords,
}

/// A number of a user or group, which may be one that no snapshot can hold as long as nobody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(pub(super) Option<u32>);

impl Overrides {
    /// Takes the records of a header that is about one entry.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut overrides = Self::default();
        for_each_record(bytes, |key, value| overrides.set(key, value))?;
        Ok(overrides)
    }

    /// Takes the records of a header that is about all entries that follow.
    ///
    /// # Errors
    /// What is wrong with them; among that is what can only be said of one entry.
    pub(super) fn read_global(&mut self, bytes: &[u8]) -> Result<(), String> {
        for_each_record(bytes, |key, value| {
            let is_for_one = matches!(key, b"path" | b"linkpath" | b"size")
                || key.starts_with(XATTR_PREFIX)
                || key.starts_with(ACL_PREFIX)
                || key.starts_with(SPARSE_PREFIX);
            if is_for_one {
                return Err(format!("a global PAX header sets `{}` for all entries", key.escape_ascii()));
            }
            self.set(key, value)
        })
    }

    /// Whether there are ACLs that only text tells of.
    pub(super) fn loses_acl(&self) -> bool {
        self.has_acl_text && !self.xattrs.keys().any(|name| name.starts_with(b"system.posix_acl_"))
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = || format!("the PAX record `{}` cannot be read", key.escape_ascii());
        // An empty value takes back what stood before.
        let given = Some(value).filter(|value| !value.is_empty());
        match key {
            b"path" => self.path = given.map(<[u8]>::to_vec),
            b"linkpath" => self.link = given.map(<[u8]>::to_vec),
            b"size" => self.size = given.map(|value| decimal(value).ok_or_else(wrong)).transpose()?,
            b"mtime" => self.modified = given.map(|value| time(value).ok_or_else(wrong)).transpose()?,
            b"uid" => self.user = given.map(|value| Number(small(value))),
            b"gid" => self.group = given.map(|value| Number(small(value))),
            _ => {
                if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    if is_kept(name) {
                        self.xattrs.insert(name.to_vec(), value.to_vec());
                    }
                } else if key.starts_with(ACL_PREFIX) {
                    self.has_acl_text |= given.is_some();
                } else if let Some(key) = key.strip_prefix(SPARSE_PREFIX) {
                    self.sparse.set(key, value).ok_or_else(wrong)?;
                }
            }
        }
        Ok(())
    }
}

/// Splits a header into records: `LENGTH KEY=VALUE\n`, the length being that of all of it.
fn for_each_record(
    mut bytes: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    while !bytes.is_empty() {
        let (key, value, rest) = split_record(bytes).ok_or("a PAX header has a malformed record")?;
        take(key, value)?;
        bytes = rest;
    }
    Ok(())
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=').filter(|equals| *equals > 0)?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

/// A number in decimal digits alone.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(digit.into())
    })
}

fn small(digits: &[u8]) -> Option<u32> {
    u32::try_from(decimal(digits)?).ok()
}

/// A time in seconds with a fraction, rounded down to the nanosecond.
fn time(value: &[u8]) -> Option<FileTime> {
    let (is_negative, value) = match value.strip_prefix(b"-") {
        Some(value) => (true, value),
        None => (false, value),
    };
    let point = value.iter().position(|byte| *byte == b'.').unwrap_or(value.len());
    let fraction = value.get(point + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut nanos = i128::from(decimal(&value[..point])?) * 1_000_000_000;
    let mut unit = 100_000_000;
    for digit in fraction.iter().take(9) {
        nanos += i128::from(digit - b'0') * unit;
        unit /= 10;
    }
    if is_negative {
        let is_exact = fraction.iter().skip(9).all(|digit| *digit == b'0');
        nanos = -nanos - i128::from(!is_exact);
    }
    Some(FileTime {
        seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?,
        nanos: u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_down() {
        let cases = [
            ("0", 0, 0),
            ("1.5", 1, 500_000_000),
            ("1.", 1, 0),
            ("7.1234567899", 7, 123_456_789),
            ("-1", -1, 0),
            ("-1.5", -2, 500_000_000),
            ("-0.0000000001", -1, 999_999_999),
            ("4294967296.000000001", 4_294_967_296, 1),
        ];
        for (text, seconds, nanos) in cases {
            assert_eq!(time(text.as_bytes()), Some(FileTime { seconds, nanos }), "{text}");
        }
        for text in ["", ".5", "-", "1.x", "1e9", "+1", "99999999999999999999", "9223372036854775808"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn records_are_split_by_their_lengths() {
        let read = Overrides::read(b"15 path=a\nb=c\n\n19 mtime=1.000000001\n").unwrap_err();
        assert!(read.contains("malformed"), "{read}");
        let read = Overrides::read(b"15 path=a\nb=c\n\n21 mtime=1.000000001\n7 uid=\n").unwrap();
        assert_eq!(read.path.as_deref(), Some(b"a\nb=c\n".as_slice()));
        assert_eq!(read.modified, Some(FileTime { seconds: 1, nanos: 1 }));
        assert_eq!(read.user, None);
        for wrong in
            ["9 path=a", "0 path=a\n", "9path=a\n", "8 path=a\n", "99 path=a\n", "4 =\n", "x", "5 =a\n"]
        {
            assert!(Overrides::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let huge = Overrides::read(b"29 size=99999999999999999999\n");
        assert!(huge.unwrap_err().contains("`size`"));
    }

    #[test]
    fn a_global_header_cannot_name_entries() {
        let mut global = Overrides::default();
        global.read_global(b"11 mtime=7\n17 comment=abcde\n").unwrap();
        assert_eq!(global.modified, Some(FileTime { seconds: 7, nanos: 0 }));
        for wrong in [&b"10 path=a\n"[..], b"10 size=1\n", b"14 linkpath=a\n", b"24 GNU.sparse.major=1\n"] {
            assert!(global.read_global(wrong).is_err());
        }
    }
}
