//! Extended attributes of an entry, in their encoded form.

use crate::wire::{WireReader, WireWrite};
use crate::{Error, Result};

/// The most bytes that the names and values of one entry may have.
pub const MAX_XATTRS_BYTES: usize = 256 * 1024;

/// The longest name, in bytes.
pub const MAX_XATTR_NAME_BYTES: usize = 255;

/// Extended attributes, borrowed: always valid, in ascending order of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Xattrs<'a> {
    /// Each name and value as `bytes`.
    encoded: &'a [u8],
    count: usize,
    bytes: usize,
}

impl<'a> Xattrs<'a> {
    /// Number of attributes.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Length of all names and values, added up.
    pub fn content_len(&self) -> usize {
        self.bytes
    }

    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut reader = WireReader::new("xattrs", self.encoded);
        (0..self.count).map_while(move |_| {
            Some((reader.bytes(usize::MAX, "").ok()?, reader.bytes(usize::MAX, "").ok()?))
        })
    }

    /// The attributes with a buffer of their own.
    pub fn to_list(&self) -> XattrList {
        XattrList { encoded: self.encoded.to_vec(), count: self.count, bytes: self.bytes }
    }

    /// Reads the number of attributes, at least `least`, and the attributes.
    pub(crate) fn read(reader: &mut WireReader<'a>, least: usize) -> Result<Self> {
        let count = reader.length(MAX_XATTRS_BYTES, "number of xattrs")?;
        if count < least {
            return Err(reader.corrupt("xattrs are announced, and there are none"));
        }
        let mut encoded = reader.clone();
        let mut bytes = 0;
        let mut last: &[u8] = &[];
        for _ in 0..count {
            let name = reader.bytes(MAX_XATTR_NAME_BYTES, "xattr name")?;
            let value = reader.bytes(MAX_XATTRS_BYTES, "xattr value")?;
            // An empty name is not above the empty `last` either.
            if name <= last {
                return Err(reader.corrupt("xattr names that do not ascend"));
            }
            if name.contains(&0) {
                return Err(reader.corrupt("an xattr name with a NUL byte"));
            }
            bytes += name.len() + value.len();
            if bytes > MAX_XATTRS_BYTES {
                return Err(reader.corrupt("over 256 KiB of xattrs"));
            }
            last = name;
        }
        let encoded = encoded.take(reader.offset() - encoded.offset())?;
        Ok(Self { encoded, count, bytes })
    }

    /// Appends the number of attributes, and the attributes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_uv(self.count as u64);
        out.extend_from_slice(self.encoded);
    }
}

/// Extended attributes with a buffer of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct XattrList {
    encoded: Vec<u8>,
    count: usize,
    bytes: usize,
}

impl XattrList {
    /// The list of these names and values, in any order.
    ///
    /// # Errors
    /// `Invalid` for a name that cannot be or stands twice, and over 256 KiB in all.
    pub fn new<N, V>(attributes: impl IntoIterator<Item = (N, V)>) -> Result<Self>
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut attributes: Vec<(N, V)> = attributes.into_iter().collect();
        attributes.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let mut list = Self::default();
        let mut last: &[u8] = &[];
        for (name, value) in &attributes {
            let (name, value) = (name.as_ref(), value.as_ref());
            if name.is_empty() || name.len() > MAX_XATTR_NAME_BYTES || name.contains(&0) {
                return Err(Error::invalid(format!(
                    "\"{}\" cannot be the name of an xattr",
                    name.escape_ascii()
                )));
            }
            if name == last {
                return Err(Error::invalid(format!("xattr \"{}\" stands twice", name.escape_ascii())));
            }
            list.bytes += name.len() + value.len();
            if list.bytes > MAX_XATTRS_BYTES {
                return Err(Error::invalid("over 256 KiB of xattrs"));
            }
            list.encoded.put_bytes(name);
            list.encoded.put_bytes(value);
            list.count += 1;
            last = name;
        }
        Ok(list)
    }

    /// The attributes, borrowed.
    #[inline]
    pub fn as_xattrs(&self) -> Xattrs<'_> {
        Xattrs { encoded: &self.encoded, count: self.count, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let value = vec![0; MAX_XATTRS_BYTES - 1];
        let list = XattrList::new([(b"b", &value[..])]).unwrap();
        assert_eq!(list.as_xattrs().content_len(), MAX_XATTRS_BYTES);
        assert!(XattrList::new([(&b"bb"[..], &value[..])]).is_err());
        assert!(XattrList::new([(b"b", &value[..]), (b"a", &[][..])]).is_err());
        for bad in [&b""[..], b"a\0", &[b'x'; 256]] {
            assert!(XattrList::new([(bad, b"")]).is_err());
        }
        assert!(XattrList::new([(b"a", b"1"), (b"a", b"2")]).is_err());
    }

    #[test]
    fn order_does_not_matter_and_all_come_back() {
        let list = XattrList::new([(b"user.b", &b"2"[..]), (b"user.a", b""), (b"user.c", b"\0")]).unwrap();
        let back: Vec<_> = list.as_xattrs().iter().collect();
        assert_eq!(back, [(&b"user.a"[..], &b""[..]), (b"user.b", b"2"), (b"user.c", b"\0")]);
        let mut bytes = Vec::new();
        list.as_xattrs().write(&mut bytes);
        let mut reader = WireReader::new("test", &bytes);
        assert_eq!(Xattrs::read(&mut reader, 1).unwrap(), list.as_xattrs());
        reader.end().unwrap();
    }

    #[test]
    fn hostile_lists_are_refused() {
        let encode = |pairs: &[(&[u8], &[u8])]| {
            let mut bytes = Vec::new();
            bytes.put_uv(pairs.len() as u64);
            for (name, value) in pairs {
                bytes.put_bytes(name);
                bytes.put_bytes(value);
            }
            bytes
        };
        let half = vec![7; MAX_XATTRS_BYTES / 2];
        let mut count_of_many = Vec::new();
        count_of_many.put_uv(1 << 62);
        for bad in [
            encode(&[(b"", b"")]),
            encode(&[(b"b", b""), (b"a", b"")]),
            encode(&[(b"a", b""), (b"a", b"")]),
            encode(&[(b"a\0", b"")]),
            encode(&[(&[1; 256], b"")]),
            encode(&[(b"a", &half), (b"b", &half)]),
            encode(&[]),
            count_of_many,
        ] {
            assert!(Xattrs::read(&mut WireReader::new("test", &bad), 1).is_err());
        }
        assert!(Xattrs::read(&mut WireReader::new("test", &[0]), 0).unwrap().is_empty());
    }
}
