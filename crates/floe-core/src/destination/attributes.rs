//! Setting mode, owner and times of what exists, by descriptor.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, chmod, chownat, fchmod, fchown, futimens,
    statat, utimensat,
};
use rustix::io::{self, Errno};

use super::entry::{Mtime, Owner};
use super::open;
use super::problem::NO_PROC;

/// Something that is open, and how far.
pub(super) enum Handle {
    /// For reading or writing.
    Open(OwnedFd),
    /// As a place only (`O_PATH`): works for any kind and any mode, [by a path](by_path).
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
            Self::Place(fd) => by_path(fd.as_fd(), |path| chmod(path, Mode::from_raw_mode(mode))),
        }
    }

    pub(super) fn set_mtime(&self, mtime: Mtime) -> io::Result<()> {
        match self {
            Self::Open(fd) => futimens(fd, &times(mtime)),
            Self::Place(fd) => {
                by_path(fd.as_fd(), |path| utimensat(CWD, path, &times(mtime), AtFlags::empty()))
            }
        }
    }
}

/// Does something by a path that leads to exactly what a descriptor is open to, whatever happens to its names.
/// [`NO_PROC`] where there is no such path.
pub(super) fn by_path<T>(fd: BorrowedFd<'_>, act: impl FnOnce(&str) -> io::Result<T>) -> io::Result<T> {
    by_path_in("/proc", fd, act)
}

fn by_path_in<T>(proc: &str, fd: BorrowedFd<'_>, act: impl FnOnce(&str) -> io::Result<T>) -> io::Result<T> {
    let path = format!("{proc}/self/fd/{}", fd.as_raw_fd());
    match act(&path) {
        Err(Errno::NOENT | Errno::NOTDIR) if statat(CWD, &path, AtFlags::empty()).is_err() => Err(NO_PROC),
        done => done,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_proc_it_is_told_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let above = std::fs::File::open(dir.path()).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let place = open::for_attributes(above.as_fd(), b"file").unwrap();
        let list = |path: &str| rustix::fs::listxattr(path, &mut [0; 4096][..]).map(drop);
        assert_eq!(by_path(place.as_fd(), list), Ok(()));
        assert_eq!(by_path_in("/no/such/proc", place.as_fd(), list), Err(NO_PROC));
        // Nothing is known to be missing where only the answer is that.
        assert_eq!(by_path(place.as_fd(), |_| Err::<(), _>(Errno::NOENT)), Err(Errno::NOENT));
    }
}
