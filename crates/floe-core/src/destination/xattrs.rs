//! Extended attributes: setting those of a snapshot, and finding what differs.

use std::os::fd::BorrowedFd;

use rustix::fs::{
    XattrFlags, fgetxattr_query, fremovexattr, fsetxattr, getxattr, getxattr_query, listxattr, removexattr,
    setxattr,
};
use rustix::io::{self, Errno};

use super::attributes::by_path;
use super::entry::{ALL_MODE_BITS, GROUP_BITS, Xattr};

/// The one that gives an ACL, and another mode, to what is made in its directory.
pub(super) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";
/// The one that what is made there gets.
pub(super) const ACL: &[u8] = b"system.posix_acl_access";

/// Whether an ACL is among them.
pub(super) fn has_acl(xattrs: &[Xattr<'_>]) -> bool {
    xattrs.iter().any(|(name, _)| *name == ACL)
}

/// The same, with the ACL at the end: by the mode that it comes with its owner may not set the others.
pub(super) fn acl_last<'x, 'a>(xattrs: &'x [Xattr<'a>]) -> impl Iterator<Item = Xattr<'a>> + use<'x, 'a> {
    let is_acl = |xattr: &&Xattr<'_>| xattr.0 == ACL;
    let others = xattrs.iter().filter(move |xattr| !is_acl(xattr));
    others.chain(xattrs.iter().filter(is_acl)).copied()
}

/// The bits that a mode may have where an ACL is not set that it belongs to: its group's are the most that the ACL gives
/// anybody, and become what it gives the group.
pub(super) fn bits_without(acl: &[u8]) -> u32 {
    const VERSION: [u8; 4] = [2, 0, 0, 0];
    const GROUP: [u8; 2] = [4, 0];
    let mut entries = acl.strip_prefix(&VERSION).unwrap_or_default().chunks_exact(8);
    let group = entries.find(|entry| entry[..2] == GROUP);
    let permissions = group.map_or(0, |entry| u32::from(entry[2]) & 0o7);
    ALL_MODE_BITS & !GROUP_BITS | permissions << 3
}

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
    by_path(fd, |path| setxattr(path, name, value, XattrFlags::empty()))
}

/// Whether what is made in a directory, for which a descriptor, perhaps an `O_PATH` one, stands, gets an ACL from it.
pub(super) fn has_default_acl(directory: BorrowedFd<'_>) -> bool {
    let length = match fgetxattr_query(directory, DEFAULT_ACL) {
        Err(Errno::BADF) => by_path(directory, |path| getxattr_query(path, DEFAULT_ACL)),
        other => other,
    };
    length.is_ok_and(|length| length > 0)
}

/// Whether what a descriptor, perhaps an `O_PATH` one, stands for has exactly the ACL that is among these, or none.
pub(super) fn has_acl_of(fd: BorrowedFd<'_>, wanted: &[Xattr<'_>]) -> bool {
    let wanted = wanted.iter().find(|(name, _)| *name == ACL).map(|(_, value)| *value);
    let mut value = vec![0; LARGEST_BYTES];
    match by_path(fd, |path| getxattr(path, ACL, &mut value[..])) {
        Ok(length) => wanted == Some(&value[..length]),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => wanted.is_none(),
        Err(_) => false,
    }
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
    let mut difference = Difference::default();
    let mut value = Vec::new();
    for &(name, bytes) in wanted {
        value.resize(LARGEST_BYTES, 0);
        match by_path(fd, |path| getxattr(path, name, &mut value[..])) {
            Ok(length) if value[..length] == *bytes => {}
            Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => {
                difference.set.push((name, bytes));
            }
            Err(errno) => return Err(errno),
        }
    }
    let mut list = vec![0; LARGEST_BYTES];
    let length = match by_path(fd, |path| listxattr(path, &mut list[..])) {
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

/// Takes one away from an open file, if it has it.
pub(super) fn remove_open(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match fremovexattr(fd, name) {
        Err(Errno::NODATA) => Ok(()),
        other => other,
    }
}

/// Takes one away, if it is there.
pub(super) fn remove_place(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match by_path(fd, |path| removexattr(path, name)) {
        Err(Errno::NODATA) => Ok(()),
        other => other,
    }
}
