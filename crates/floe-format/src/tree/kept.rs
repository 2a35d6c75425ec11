//! What a snapshot may keep of an entry beyond path, kind, mode, link and content.

use crate::wire::{WireReader, WireWrite};
use crate::{Error, Result};

/// A set of what is kept of each entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kept(u8);

impl Kept {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Modification times.
    pub const MTIME: Self = Self(1);
    /// Users and groups.
    pub const OWNER: Self = Self(2);
    /// Extended attributes.
    pub const XATTRS: Self = Self(4);

    /// The set with these bits.
    ///
    /// # Errors
    /// `Unsupported` for bits that are not known.
    pub fn from_bits(bits: u8) -> Result<Self> {
        if bits <= 7 { Ok(Self(bits)) } else { Err(Error::unsupported(format!("kept bits {bits:#x}"))) }
    }

    /// The bits of the set.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for Kept {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A modification time: seconds since 1970, and nanoseconds after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since 1970 in UTC, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

/// User and group, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

/// Mode, and of time and owner what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// 12 bits: permissions, setuid, setgid, sticky.
    pub mode: u16,
    /// The modification time, if kept.
    pub mtime: Option<Timestamp>,
    /// The owner, if kept.
    pub owner: Option<Owner>,
}

impl Meta {
    /// Says what is wrong with it in a snapshot that keeps `kept`.
    pub(crate) fn check(&self, kept: Kept) -> Result<(), &'static str> {
        if self.mode > 0o7777 {
            return Err("a mode over 12 bits");
        }
        if self.mtime.is_some() != kept.contains(Kept::MTIME) {
            return Err("a modification time is kept for all entries or for none");
        }
        if self.owner.is_some() != kept.contains(Kept::OWNER) {
            return Err("an owner is kept for all entries or for none");
        }
        if self.mtime.is_some_and(|mtime| mtime.nanos > 999_999_999) {
            return Err("more nanoseconds than a second has");
        }
        Ok(())
    }

    /// Appends time and owner, as far as there are any.
    #[inline]
    pub(crate) fn write_kept(&self, out: &mut Vec<u8>) {
        if let Some(mtime) = self.mtime {
            out.put_sv(mtime.seconds);
            out.put_uv(u64::from(mtime.nanos));
        }
        if let Some(owner) = self.owner {
            out.put_uv(u64::from(owner.user));
            out.put_uv(u64::from(owner.group));
        }
    }

    /// Reads time and owner, as far as they are kept.
    #[inline]
    pub(crate) fn read_kept(mode: u16, reader: &mut WireReader<'_>, kept: Kept) -> Result<Self> {
        let mut meta = Self { mode, ..Self::default() };
        if kept.contains(Kept::MTIME) {
            let seconds = reader.sv()?;
            let nanos = read_u32(reader, 999_999_999, "nanoseconds")?;
            meta.mtime = Some(Timestamp { seconds, nanos });
        }
        if kept.contains(Kept::OWNER) {
            let user = read_u32(reader, u32::MAX, "user")?;
            let group = read_u32(reader, u32::MAX, "group")?;
            meta.owner = Some(Owner { user, group });
        }
        Ok(meta)
    }
}

/// Reads a mode of 12 bits.
#[inline]
pub(crate) fn read_mode(reader: &mut WireReader<'_>) -> Result<u16> {
    let mode = reader.uv_max(0o7777, "mode")?;
    Ok((mode & 0o7777) as u16)
}

/// Reads an integer of at most `limit`.
#[inline]
pub(crate) fn read_u32(reader: &mut WireReader<'_>, limit: u32, what: &str) -> Result<u32> {
    let value = reader.uv_max(u64::from(limit), what)?;
    u32::try_from(value).map_err(|_| reader.corrupt("an integer over 32 bits"))
}
