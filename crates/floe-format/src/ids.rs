//! Identifiers: newtypes over byte arrays, written as lowercase hexadecimal.

use std::fmt;

use crate::{Error, Result};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Number of bytes of this id.
            pub const LEN: usize = $bytes;

            /// The id with these bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes of this id.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The id written as exactly this many lowercase hexadecimal digits.
            ///
            /// # Errors
            /// `Invalid` for anything else.
            pub fn from_hex(hex: &str) -> Result<Self> {
                let mut bytes = [0; $bytes];
                if decode_hex(hex, &mut bytes) {
                    Ok(Self(bytes))
                } else {
                    Err(Error::invalid(format!(concat!("{:?} is not a ", $what, " of {} hex digits"), hex, $bytes * 2)))
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(hex: &str) -> Result<Self> {
                Self::from_hex(hex)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }
    };
}

id!(
    /// A frame's name: the BLAKE3-256 of its plain bytes.
    FrameId, 32, "frame id"
);
id!(
    /// A snapshot's name: the BLAKE3-256 of its root's bytes.
    SnapshotId, 32, "snapshot id"
);
id!(
    /// The BLAKE3-256 of a file's content.
    ContentHash, 32, "content hash"
);
id!(
    /// A pack's name: time-ordered and random.
    PackId, 16, "pack id"
);
id!(
    /// A layout's name: random.
    LayoutId, 16, "layout id"
);
id!(
    /// A lease's name: time-ordered and random.
    LeaseId, 16, "lease id"
);
id!(
    /// A namespace's name for caches: random, made with the namespace.
    NamespaceId, 16, "namespace id"
);
id!(
    /// What the writer of a mutable object left in it, to know its own write again: random.
    Token, 16, "token"
);
id!(
    /// The first 16 bytes of a BLAKE3-256.
    Sum128, 16, "128-bit sum"
);

impl FrameId {
    /// The id of a frame with these plain bytes.
    pub fn of(plain: &[u8]) -> Self {
        Self(blake3::hash(plain).into())
    }

    /// The first 8 bytes as a little-endian integer, which the cutting rules compare.
    pub fn leading_u64(&self) -> u64 {
        leading_u64(&self.0)
    }
}

impl SnapshotId {
    /// The id of a snapshot whose root has these bytes.
    pub fn of(root: &[u8]) -> Self {
        Self(blake3::hash(root).into())
    }
}

impl ContentHash {
    /// The hash of a whole content at hand.
    pub fn of(content: &[u8]) -> Self {
        Self(blake3::hash(content).into())
    }
}

impl From<blake3::Hash> for ContentHash {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash.into())
    }
}

impl Sum128 {
    /// The sum of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(blake3::hash(bytes))
    }

    /// The sum of a hash that was fed piecewise.
    pub fn from_hash(hash: blake3::Hash) -> Self {
        let mut sum = [0; 16];
        sum.copy_from_slice(&hash.as_bytes()[..16]);
        Self(sum)
    }
}

/// A random id whose order follows time: 48 bits of Unix time in milliseconds, then 80 random bits.
fn time_ordered(unix_milliseconds: u64, random: [u8; 10]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&unix_milliseconds.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes
}

impl PackId {
    /// A new id from the time and 80 random bits.
    pub fn new(unix_milliseconds: u64, random: [u8; 10]) -> Self {
        Self(time_ordered(unix_milliseconds, random))
    }
}

impl LeaseId {
    /// A new id from the time and 80 random bits.
    pub fn new(unix_milliseconds: u64, random: [u8; 10]) -> Self {
        Self(time_ordered(unix_milliseconds, random))
    }
}

/// The first 8 bytes of a digest as a little-endian integer.
pub(crate) fn leading_u64(digest: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn decode_hex(hex: &str, into: &mut [u8]) -> bool {
    fn digit(d: u8) -> Option<u8> {
        match d {
            b'0'..=b'9' => Some(d - b'0'),
            b'a'..=b'f' => Some(d - b'a' + 10),
            _ => None,
        }
    }
    if hex.len() != into.len() * 2 {
        return false;
    }
    for (byte, pair) in into.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
            return false;
        };
        *byte = high << 4 | low;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_and_refuses_others() {
        let id = FrameId::of(b"floe");
        assert_eq!(FrameId::from_hex(&id.to_string()).unwrap(), id);
        for bad in [
            "",
            "0",
            &id.to_string()[1..],
            &id.to_string().to_uppercase(),
            &format!("{id}0"),
            "é".repeat(32).as_str(),
        ] {
            assert!(FrameId::from_hex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pack_ids_sort_by_time() {
        assert!(PackId::new(1, [255; 10]) < PackId::new(2, [0; 10]));
        assert_eq!(PackId::new(0x0102_0304_0506, [9; 10]).to_string(), "01020304050609090909090909090909");
    }
}
