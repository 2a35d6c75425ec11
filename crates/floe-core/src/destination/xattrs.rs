//! Extended attributes: setting those of a snapshot, and finding what differs.

use std::os::fd::BorrowedFd;

use rustix::fs::{XattrFlags, fgetxattr_query, fsetxattr, getxattr, listxattr, removexattr, setxattr};
use rustix::io::{self, Errno};

use super::attributes::proc_path;
use super::entry::Xattr;

/// The one that changes the modes of what is made in its directory, so that it comes last.
pub(super) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// The largest name list and the largest value that Linux has.
const LARGEST_BYTES: usize = 64 << 10;

/// Those that a snapshot may take away again. Others (`security.selinux` and the like) are the machine's policy.
fn is_removable(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name.starts_with(b"trusted.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability"
}

/// Sets one on a file open for writing or a directory open for reading.
pub(super) fn set_open(fd: BorrowedFd<'_>, (name, value): Xattr<'_>) -> io::Result<()> {
    fsetxattr(fd, name, value, XattrFlags::empty())
}

/// Sets one on what a descriptor, perhaps an `O_PATH` one, stands for.
pub(super) fn set_place(fd: BorrowedFd<'_>, (name, value): Xattr<'_>) -> io::Result<()> {
    setxattr(proc_path(fd), name, value, XattrFlags::empty())
}

/// Whether what is made in a directory gets an ACL from it.
pub(super) fn has_default_acl(directory: BorrowedFd<'_>) -> bool {
    fgetxattr_query(directory, DEFAULT_ACL).is_ok_and(|length| length > 0)
}

/// What must change so that a file has exactly these.
#[derive(Default)]
pub(super) struct Difference<'a> {
    pub(super) set: Vec<Xattr<'a>>,
    pub(super) removed: Vec<Vec<u8>>,
}

impl Difference<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }
}

/// Compares what a file has with what it should have.
pub(super) fn compare<'a>(fd: BorrowedFd<'_>, wanted: &[Xattr<'a>]) -> io::Result<Difference<'a>> {
    let path = proc_path(fd);
    let mut difference = Difference::default();
    let mut value = Vec::new();
    for &(name, bytes) in wanted {
        value.resize(LARGEST_BYTES, 0);
        match getxattr(&path, name, &mut value[..]) {
            Ok(length) if value[..length] == *bytes => {}
            Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => {
                difference.set.push((name, bytes));
            }
            Err(errno) => return Err(errno),
        }
    }
    let mut list = vec![0; LARGEST_BYTES];
    let length = match listxattr(&path, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno),
    };
    for name in list[..length].split(|&b| b == 0).filter(|n| !n.is_empty()) {
        if is_removable(name) && !wanted.iter().any(|(w, _)| *w == name) {
            difference.removed.push(name.to_vec());
        }
    }
    Ok(difference)
}

/// Takes one away.
pub(super) fn remove_place(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match removexattr(proc_path(fd), name) {
        Err(Errno::NODATA) => Ok(()),
        other => other,
    }
}
