//! Setting mode, owner and times of what exists, by descriptor.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, chmod, chownat, fchmod, fchown, futimens,
    utimensat,
};
use rustix::io::{self, Errno};

use super::entry::{Mtime, Owner};
use super::open;

/// Something that is open, and how far.
pub(super) enum Handle {
    /// For reading or writing.
    Open(OwnedFd),
    /// As a place only (`O_PATH`): works for any kind and any mode, through `/proc/self/fd`.
    Place(OwnedFd),
}

impl Handle {
    /// Any name of a directory, which is neither read nor followed.
    pub(super) fn place(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<Self> {
        open::for_attributes(directory, name).map(Self::Place)
    }

    /// A directory in another.
    pub(super) fn directory(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Self> {
        match open::readable(parent, name) {
            Ok(fd) => Ok(Self::Open(fd)),
            Err(Errno::ACCESS) => Self::place(parent, name),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Open(fd) | Self::Place(fd) => fd.as_fd(),
        }
    }

    /// A path that leads to exactly this file, whatever happens to its names.
    pub(super) fn proc_path(&self) -> String {
        proc_path(self.as_fd())
    }

    pub(super) fn set_owner(&self, owner: Owner) -> io::Result<()> {
        let (user, group) = ids(owner);
        match self {
            Self::Open(fd) => fchown(fd, user, group),
            Self::Place(fd) => chownat(fd, c"", user, group, AtFlags::EMPTY_PATH),
        }
    }

    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        match self {
            Self::Open(fd) => fchmod(fd, Mode::from_raw_mode(mode)),
            Self::Place(_) => chmod(self.proc_path(), Mode::from_raw_mode(mode)),
        }
    }

    pub(super) fn set_mtime(&self, mtime: Mtime) -> io::Result<()> {
        match self {
            Self::Open(fd) => futimens(fd, &times(mtime)),
            Self::Place(_) => utimensat(CWD, self.proc_path(), &times(mtime), AtFlags::empty()),
        }
    }
}

/// A path that leads to exactly what this descriptor is open to.
pub(super) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Both ids as the kernel takes them; [`Meta::check`](super::Meta::check) has refused the reserved ones.
pub(super) fn ids(owner: Owner) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw_unchecked(owner.user)), Some(Gid::from_raw_unchecked(owner.group)))
}

/// The modification time, and the time of access as it is.
pub(super) fn times(mtime: Mtime) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() },
    }
}

/// Sets the mtime of a name in a directory; a symlink is not followed.
pub(super) fn set_mtime_of_name(directory: BorrowedFd<'_>, name: &[u8], mtime: Mtime) -> io::Result<()> {
    utimensat(directory, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)
}
