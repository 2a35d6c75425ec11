//! Opening directories beneath another by their whole paths, following nothing.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{self, Errno};

/// For a directory that entries are named relative to.
pub(crate) const ANCHOR: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the directory with this path of plain names in one step; no component may be a symlink, nor anything that `more`
/// forbids. Nothing where the kernel is too old for that, or a sandbox does not know the call.
///
/// # Errors
/// Those of `openat2`.
pub(crate) fn at_once(base: BorrowedFd<'_>, path: &[u8], more: ResolveFlags) -> io::Result<Option<OwnedFd>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | more;
    match openat2(base, path, ANCHOR, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => Ok(None),
        opened => opened.map(Some),
    }
}
