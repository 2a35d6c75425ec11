//! Entries of a tree.

use super::kept::{Kept, Meta, Owner, Timestamp};
use super::path::{Shown, compare_paths, validate_path};
use super::xattrs::{XattrList, Xattrs};
use crate::{ContentHash, Error, Result};

/// The largest file, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 60;

/// The longest target of a symlink, in bytes.
pub const MAX_TARGET_BYTES: usize = 4_095;

/// The highest major or minor number of a device: what seven octal digits hold.
pub const MAX_DEVICE_NUMBER: u32 = 0o7_777_777;

/// The kinds of entries, with their numbers in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "their names say it all")]
pub enum EntryKind {
    Directory = 1,
    File = 2,
    Symlink = 3,
    HardLink = 4,
    Fifo = 5,
    CharDevice = 6,
    BlockDevice = 7,
}

/// An entry's kind and what only this kind has, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body<'a> {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Length of its content in bytes.
        size: u64,
        /// The hash of its content; none exactly when the size is 0. (Lengths and the canonical tar do not need it, so
        /// it may be missing while they are asked for.)
        hash: Option<ContentHash>,
    },
    /// A symbolic link.
    Symlink {
        /// What it points at: 1 to 4,095 bytes.
        target: &'a [u8],
    },
    /// Another name of a file.
    HardLink {
        /// The path of the first entry that is the same file.
        target: &'a [u8],
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
}

impl<'a> Body<'a> {
    /// The kind.
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Directory => EntryKind::Directory,
            Self::File { .. } => EntryKind::File,
            Self::Symlink { .. } => EntryKind::Symlink,
            Self::HardLink { .. } => EntryKind::HardLink,
            Self::Fifo => EntryKind::Fifo,
            Self::CharDevice { .. } => EntryKind::CharDevice,
            Self::BlockDevice { .. } => EntryKind::BlockDevice,
        }
    }

    /// The target of a symlink or hard link, empty for all else.
    pub fn target(&self) -> &'a [u8] {
        match self {
            Self::Symlink { target } | Self::HardLink { target } => target,
            _ => &[],
        }
    }

    /// Length of a file's content, 0 for all else.
    pub fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            _ => 0,
        }
    }
}

/// An entry, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryRef<'a> {
    /// The path in the tree.
    pub path: &'a [u8],
    /// 12 bits; 0777 for a symlink, the file's for a hard link.
    pub mode: u16,
    /// The modification time, if kept; never of a hard link.
    pub mtime: Option<Timestamp>,
    /// The owner, if kept; never of a hard link.
    pub owner: Option<Owner>,
    /// The kind and what it has.
    pub body: Body<'a>,
    /// The extended attributes, if kept; never of a hard link.
    pub xattrs: Xattrs<'a>,
}

impl<'a> EntryRef<'a> {
    /// The kind.
    pub fn kind(&self) -> EntryKind {
        self.body.kind()
    }

    /// Mode, and of time and owner what is kept.
    #[inline]
    pub fn meta(&self) -> Meta {
        Meta { mode: self.mode, mtime: self.mtime, owner: self.owner }
    }

    /// *m(e)* of `docs/format.md` §5.3: what the entry weighs in a segment beyond its fixed part, in bytes.
    #[inline]
    pub fn metadata_len(&self) -> usize {
        self.path.len() + self.body.target().len() + self.xattrs.content_len() + 8 * self.xattrs.len()
    }

    /// Checks the entry for a snapshot that keeps `kept`, alone: what it has to do with other entries is not looked at,
    /// except that a hard link's path comes before its own.
    ///
    /// # Errors
    /// `Invalid` for an entry that such a snapshot cannot have.
    pub fn validate(&self, kept: Kept) -> Result<()> {
        validate_path(self.path)?;
        self.check(kept).map_err(|what| Error::invalid(format!("entry {}: {what}", Shown(self.path))))
    }

    /// Says what is wrong with all but the path, which is valid.
    pub(crate) fn check(&self, kept: Kept) -> Result<(), &'static str> {
        self.check_body()?;
        if self.kind() == EntryKind::HardLink {
            if !self.xattrs.is_empty() {
                return Err("a hard link has no xattrs of its own");
            }
            return self.meta().check(Kept::NONE);
        }
        if !self.xattrs.is_empty() && !kept.contains(Kept::XATTRS) {
            return Err("it has xattrs, and none are kept");
        }
        self.meta().check(kept)
    }

    fn check_body(&self) -> Result<(), &'static str> {
        match self.body {
            Body::File { size, .. } if size > MAX_FILE_BYTES => Err("a file over 2^60 bytes"),
            Body::File { size, hash } if hash.is_some() != (size > 0) => {
                Err("a file has a hash exactly when it has content")
            }
            Body::Symlink { .. } if self.mode != 0o777 => Err("a symlink's mode is 0777"),
            Body::Symlink { target } => check_target(target),
            Body::HardLink { target } => check_link(target, self.path),
            Body::CharDevice { major, minor } | Body::BlockDevice { major, minor }
                if major.max(minor) > MAX_DEVICE_NUMBER =>
            {
                Err("a device number over 2,097,151")
            }
            _ => Ok(()),
        }
    }

    /// Whether a reproducible snapshot may have this entry.
    pub fn is_reproducible(&self) -> bool {
        let mode = match self.kind() {
            EntryKind::HardLink => false,
            EntryKind::Directory => self.mode == 0o755,
            EntryKind::File => self.mode == 0o755 || self.mode == 0o644,
            EntryKind::Symlink => true,
            EntryKind::Fifo | EntryKind::CharDevice | EntryKind::BlockDevice => self.mode == 0o644,
        };
        mode && self.mtime.is_none() && self.owner.is_none() && self.xattrs.is_empty()
    }

    /// The entry with buffers of its own.
    #[inline]
    pub fn to_entry(&self) -> Entry {
        Entry {
            path: self.path.to_vec(),
            mode: self.mode,
            mtime: self.mtime,
            owner: self.owner,
            body: OwnedBody::from(self.body),
            xattrs: self.xattrs.to_list(),
        }
    }
}

/// Says what is wrong with a symlink's target.
pub(crate) fn check_target(target: &[u8]) -> Result<(), &'static str> {
    if target.is_empty() || target.len() > MAX_TARGET_BYTES {
        Err("a symlink's target has 1 to 4,095 bytes")
    } else if target.contains(&0) {
        Err("a target with a NUL byte")
    } else {
        Ok(())
    }
}

/// Says what is wrong with the target of a hard link at `path`.
pub(crate) fn check_link(target: &[u8], path: &[u8]) -> Result<(), &'static str> {
    if validate_path(target).is_err() {
        Err("a hard link's target is not a valid path")
    } else if compare_paths(target, path).is_lt() {
        Ok(())
    } else {
        Err("a hard link names an entry that does not come before it")
    }
}

/// An entry's kind and what only this kind has, with buffers of its own; see [`Body`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are those of `Body`")]
pub enum OwnedBody {
    Directory,
    File { size: u64, hash: Option<ContentHash> },
    Symlink { target: Vec<u8> },
    HardLink { target: Vec<u8> },
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

impl OwnedBody {
    /// The body, borrowed.
    #[inline]
    pub fn as_body(&self) -> Body<'_> {
        match *self {
            Self::Directory => Body::Directory,
            Self::File { size, hash } => Body::File { size, hash },
            Self::Symlink { ref target } => Body::Symlink { target },
            Self::HardLink { ref target } => Body::HardLink { target },
            Self::Fifo => Body::Fifo,
            Self::CharDevice { major, minor } => Body::CharDevice { major, minor },
            Self::BlockDevice { major, minor } => Body::BlockDevice { major, minor },
        }
    }
}

impl From<Body<'_>> for OwnedBody {
    fn from(body: Body<'_>) -> Self {
        match body {
            Body::Directory => Self::Directory,
            Body::File { size, hash } => Self::File { size, hash },
            Body::Symlink { target } => Self::Symlink { target: target.to_vec() },
            Body::HardLink { target } => Self::HardLink { target: target.to_vec() },
            Body::Fifo => Self::Fifo,
            Body::CharDevice { major, minor } => Self::CharDevice { major, minor },
            Body::BlockDevice { major, minor } => Self::BlockDevice { major, minor },
        }
    }
}

/// An entry with buffers of its own; see [`EntryRef`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they are those of `EntryRef`")]
pub struct Entry {
    pub path: Vec<u8>,
    pub mode: u16,
    pub mtime: Option<Timestamp>,
    pub owner: Option<Owner>,
    pub body: OwnedBody,
    pub xattrs: XattrList,
}

impl Entry {
    /// The entry, borrowed.
    #[inline]
    pub fn as_entry(&self) -> EntryRef<'_> {
        EntryRef {
            path: &self.path,
            mode: self.mode,
            mtime: self.mtime,
            owner: self.owner,
            body: self.body.as_body(),
            xattrs: self.xattrs.as_xattrs(),
        }
    }
}

#[cfg(test)]
mod tests;
