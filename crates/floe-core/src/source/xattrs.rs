//! Extended attributes of what a walk found.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use floe_format::XattrList;
use rustix::io::Errno;

/// The largest name list and the largest value that Linux has.
const LARGEST_BYTES: usize = 64 << 10;

/// Those that belong to a file. Others (`security.selinux` and the like) are the machine's policy.
pub(super) fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name.starts_with(b"trusted.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability"
}

/// Reads those of `name` in an open directory, of the directory itself where the name is empty.
///
/// No symbolic link is followed. What vanished has none, nor has anything where the file system knows none.
pub(super) fn read(
    directory: BorrowedFd<'_>,
    name: &[u8],
) -> Result<Result<XattrList, floe_format::Error>, Errno> {
    // There is no call that takes a directory and a name; the link in /proc is the directory itself.
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(if name.is_empty() { b"." } else { name });
    let path = PathBuf::from(std::ffi::OsString::from_vec(path));
    let mut names = vec![0; LARGEST_BYTES];
    let length = match rustix::fs::llistxattr(&path, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::NOENT) => return Ok(Ok(XattrList::default())),
        Err(errno) => return Err(errno),
    };
    let mut found = Vec::new();
    let mut value = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        value.resize(LARGEST_BYTES, 0);
        match rustix::fs::lgetxattr(&path, name, &mut value[..]) {
            Ok(length) => found.push((name.to_vec(), value[..length].to_vec())),
            // It was removed meanwhile.
            Err(Errno::NODATA | Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(XattrList::new(found))
}
