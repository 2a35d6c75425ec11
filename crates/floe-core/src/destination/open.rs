//! Opening directories beneath another, following nothing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{self, Errno};

use super::entry::FileStat;
use crate::beneath::{ANCHOR, at_once};

/// For a directory whose entries or attributes are read or changed.
const READABLE: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the directory with this path of plain names beneath another; no component may be a symlink.
pub(super) fn beneath(base: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    resolved(base, path, ResolveFlags::empty())
}

/// The same, and no component may be a mount of its own (`EXDEV`).
pub(super) fn beneath_same_mount(base: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    resolved(base, path, ResolveFlags::NO_XDEV)
}

fn resolved(base: BorrowedFd<'_>, path: &[u8], more: ResolveFlags) -> io::Result<OwnedFd> {
    match at_once(base, path, more)? {
        Some(opened) => Ok(opened),
        // As safe, but more calls.
        None => one_by_one(base, path, more.contains(ResolveFlags::NO_XDEV)),
    }
}

fn one_by_one(base: BorrowedFd<'_>, path: &[u8], same_mount: bool) -> io::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    for name in path.split(|&b| b == b'/') {
        let from = at.as_ref().map_or(base, AsFd::as_fd);
        let next = openat(from, name, ANCHOR, Mode::empty())?;
        if same_mount {
            refuse_other_device(from, next.as_fd())?;
        }
        at = Some(next);
    }
    at.ok_or(Errno::INVAL)
}

/// As near as an old kernel comes to telling mounts from each other.
fn refuse_other_device(above: BorrowedFd<'_>, below: BorrowedFd<'_>) -> io::Result<()> {
    let device = |fd| FileStat::of_descriptor(fd).map(|s| s.device);
    if device(above)? == device(below)? { Ok(()) } else { Err(Errno::XDEV) }
}

/// Opens one directory of another to read or change it; it is not followed when it is a symlink.
pub(super) fn readable(base: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    openat(base, name, READABLE, Mode::empty())
}

/// Opens one directory of another to read it, unless it is a mount of its own.
pub(super) fn readable_same_mount(base: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match openat2(base, name, READABLE, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => {
            let fd = readable(base, name)?;
            refuse_other_device(base, fd.as_fd())?;
            Ok(fd)
        }
        other => other,
    }
}

/// Opens any name of a directory only to change its attributes; it is not followed when it is a symlink.
pub(super) fn for_attributes(base: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    openat(base, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;

    #[test]
    fn i6_one_by_one_follows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        std::os::unix::fs::symlink("b", dir.path().join("a/link")).unwrap();
        let root = openat(CWD, dir.path(), READABLE, Mode::empty()).unwrap();
        for same_mount in [false, true] {
            one_by_one(root.as_fd(), b"a/b/c", same_mount).unwrap();
        }
        for beneath in [beneath, beneath_same_mount] {
            beneath(root.as_fd(), b"a/b/c").unwrap();
        }
        for path in [&b"a/link"[..], b"a/link/c"] {
            assert!(one_by_one(root.as_fd(), path, false).is_err());
            assert!(beneath(root.as_fd(), path).is_err());
            assert!(beneath_same_mount(root.as_fd(), path).is_err());
        }
    }

    #[test]
    fn another_file_system_is_no_part_of_the_same_mount() {
        let top = openat(CWD, "/", READABLE, Mode::empty()).unwrap();
        let device =
            |path: &str| std::fs::metadata(path).map(|stat| std::os::unix::fs::MetadataExt::dev(&stat));
        if device("/proc").is_ok_and(|proc| proc == device("/").unwrap()) {
            return floe_testkit::skip("/proc is no file system of its own");
        }
        for path in [&b"proc"[..], b"proc/sys"] {
            assert_eq!(beneath_same_mount(top.as_fd(), path).err(), Some(Errno::XDEV));
            assert_eq!(one_by_one(top.as_fd(), path, true).err(), Some(Errno::XDEV));
            one_by_one(top.as_fd(), path, false).unwrap();
        }
    }
}
