//! What is written of an entry, and what is found of one.

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::io::{self, Errno};
use std::hash::Hash;
use std::os::fd::BorrowedFd;
use tokio_util::sync::CancellationToken;

use crate::{Error, ErrorKind, Result};

/// The permission bits that are always restored.
const PERMISSIONS: u32 = 0o777;
/// Those and setuid, setgid and sticky.
pub(super) const ALL_MODE_BITS: u32 = 0o7777;

/// Setuid and setgid.
pub(super) const SPECIAL_BITS: u32 = 0o6000;

/// What the group may do, or where there is an ACL the most that it gives anybody.
pub(super) const GROUP_BITS: u32 = 0o070;
/// What the owner may do.
pub(super) const OWNER_BITS: u32 = 0o700;

/// One extended attribute: name and value.
pub(crate) type Xattr<'a> = (&'a [u8], &'a [u8]);

/// A file's device and inode.
pub(crate) type FileId = (u64, u64);

/// How a tree is written.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Restore setuid, setgid and sticky bits of what is not a directory, the first two not of another owner than the
    /// snapshot's. Otherwise they are left out, and so a file that has them already is one that differs. Directories always
    /// get theirs.
    pub(crate) special_bits: bool,
    /// Make device nodes. Otherwise [`Worker::device`](super::Worker::device) refuses and a survey skips them.
    pub(crate) devices: bool,
    /// In place: a directory with entries may be removed where the snapshot has something else.
    pub(crate) delete: bool,
    /// Return the [`FileStat`] of each file written, at the price of one more system call.
    pub(crate) stat_written: bool,
    /// In place: survey, and change nothing at all.
    pub(crate) looks_only: bool,
    /// Directories of Floe's own, sorted: nothing is written in one, and none is emptied or removed, by whatever path it is met.
    pub(crate) own: Vec<FileId>,
    /// A random number that tells this pull's temporary names from others'.
    pub(crate) token: u64,
    /// Cancelled when the pull is to stop; it is asked where one call may take long, which is removing.
    pub(crate) stop: CancellationToken,
}

/// A modification time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Mtime {
    /// Seconds since 1970, rounded down.
    pub(crate) seconds: i64,
    /// And nanoseconds, below 1,000,000,000.
    pub(crate) nanoseconds: u32,
}

/// A user and a group, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    /// The user.
    pub(crate) user: u32,
    /// The group.
    pub(crate) group: u32,
}

/// What is restored of an entry besides kind, name and content; what is `None` is left as it comes.
///
/// A file system holds fewer times than a snapshot (ext4: 1901 to 2446). The kernel takes the nearest that it can hold and
/// reports nothing, so such an entry differs again at the next pull in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta<'a> {
    /// The mode's 12 bits.
    pub(crate) mode: u32,
    /// The modification time.
    pub(crate) mtime: Option<Mtime>,
    /// The owner.
    pub(crate) owner: Option<Owner>,
    /// Whose it is in the snapshot, be that restored or not: setuid and setgid are rights of theirs.
    pub(crate) recorded_owner: Option<Owner>,
    /// All extended attributes.
    pub(crate) xattrs: Option<&'a [Xattr<'a>]>,
}

/// The numbers of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Whether it is a block device; otherwise it is a character device.
    pub(crate) block: bool,
    /// The major number.
    pub(crate) major: u32,
    /// The minor number.
    pub(crate) minor: u32,
}

/// What a name in the file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A device node.
    Device(Device),
    /// A socket, or something newer than this code.
    Other,
}

/// What the file system says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStat {
    /// What it is.
    pub(crate) kind: Kind,
    /// The mode's 12 bits.
    pub(crate) mode: u32,
    /// The number of the file system.
    pub(crate) device: u64,
    /// The number of the file in it.
    pub(crate) inode: u64,
    /// How many names it has.
    pub(crate) links: u32,
    /// Who owns it.
    pub(crate) owner: Owner,
    /// Its length, in bytes.
    pub(crate) size: u64,
    /// When its content last changed.
    pub(crate) mtime: Mtime,
    /// When anything of it last changed.
    pub(crate) ctime: Mtime,
}

impl Settings {
    /// The bits of an entry's mode that are restored; an entry that is not a directory may not get all.
    pub(super) fn restored_mode(&self, mode: u32) -> u32 {
        mode & if self.special_bits { ALL_MODE_BITS } else { PERMISSIONS }
    }

    /// The same of what belongs to somebody, unless its owner is restored: what is to run as one owner must not run as
    /// another. Where the snapshot has no owners, who asks for the bits means their own.
    pub(super) fn mode_for(&self, meta: &Meta<'_>, owner: Owner) -> u32 {
        let is_theirs = meta.owner.is_some() || meta.recorded_owner.is_none_or(|recorded| recorded == owner);
        self.restored_mode(meta.mode) & if is_theirs { ALL_MODE_BITS } else { !SPECIAL_BITS }
    }

    /// Whether that can be less than [`restored_mode`](Self::restored_mode).
    pub(super) fn is_owner_asked(&self, meta: &Meta<'_>) -> bool {
        meta.owner.is_none()
            && meta.recorded_owner.is_some()
            && self.restored_mode(meta.mode) & SPECIAL_BITS != 0
    }

    /// Whether this is a directory of Floe's own.
    pub(super) fn is_own(&self, stat: &FileStat) -> bool {
        stat.kind == Kind::Directory && self.own.binary_search(&stat.id()).is_ok()
    }
}

impl Meta<'_> {
    /// The same, and of extended attributes nothing is said.
    pub(crate) fn without_xattrs(&self) -> Meta<'static> {
        let Self { mode, mtime, owner, recorded_owner, xattrs: _ } = *self;
        Meta { mode, mtime, owner, recorded_owner, xattrs: None }
    }

    /// Refuses what no file system can hold or what has another meaning to the kernel.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = if self.mtime.is_some_and(|t| t.nanoseconds > 999_999_999) {
            "a time with more than 999,999,999 nanoseconds"
        } else if self.owner.is_some_and(|o| o.user == u32::MAX || o.group == u32::MAX) {
            "an owner that the kernel reserves"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Corrupt, format!("the snapshot has an entry with {wrong}")))
    }
}

impl FileStat {
    /// What is another where it is another file, or anything of it was changed.
    pub(super) fn identity(&self) -> impl Hash {
        let time = |time: Mtime| (time.seconds, time.nanoseconds);
        (self.id(), self.mode, self.size, time(self.mtime), time(self.ctime))
    }

    /// That of one name in a directory; symlinks are not followed.
    pub(super) fn of_name(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Self> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(directory, name, flags, StatxFlags::BASIC_STATS).map(|s| Self::new(&s))
    }

    /// That of one name in a directory, if it exists.
    pub(super) fn of_name_if_any(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Self>> {
        match Self::of_name(directory, name) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// That of what is open.
    pub(super) fn of_descriptor(fd: BorrowedFd<'_>) -> io::Result<Self> {
        statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(|s| Self::new(&s))
    }

    pub(super) fn new(stat: &Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        let device =
            |block| Kind::Device(Device { block, major: stat.stx_rdev_major, minor: stat.stx_rdev_minor });
        Self {
            kind: match FileType::from_raw_mode(mode) {
                FileType::Directory => Kind::Directory,
                FileType::RegularFile => Kind::File,
                FileType::Symlink => Kind::Symlink,
                FileType::Fifo => Kind::Fifo,
                FileType::CharacterDevice => device(false),
                FileType::BlockDevice => device(true),
                _ => Kind::Other,
            },
            mode: mode & ALL_MODE_BITS,
            device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            links: stat.stx_nlink,
            owner: Owner { user: stat.stx_uid, group: stat.stx_gid },
            size: stat.stx_size,
            mtime: Mtime::new(stat.stx_mtime),
            ctime: Mtime::new(stat.stx_ctime),
        }
    }

    /// Which file it is.
    pub(super) fn id(&self) -> FileId {
        (self.device, self.inode)
    }

    /// Whether two are the same file, whatever was done to it in between.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.id() == other.id()
    }

    /// Whether it belongs to another user than this process does.
    pub(super) fn is_foreign(&self) -> bool {
        rustix::process::geteuid().as_raw() != self.owner.user
    }

    /// Whether this process may set its attributes, and is the one to clear it away.
    pub(super) fn is_ours(&self) -> bool {
        let user = rustix::process::geteuid();
        user.is_root() || user.as_raw() == self.owner.user
    }
}

impl Mtime {
    fn new(time: StatxTimestamp) -> Self {
        Self { seconds: time.tv_sec, nanoseconds: time.tv_nsec }
    }
}
