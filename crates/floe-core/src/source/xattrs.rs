//! Extended attributes of what a walk found.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use floe_format::XattrList;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::stat::{FileKind, Stat};

/// The largest name list and the largest value that Linux has.
const LARGEST_BYTES: usize = 64 << 10;

/// Those that belong to a file. Others (`security.selinux` and the like) are the machine's policy.
pub(super) fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name.starts_with(b"trusted.")
        || name.starts_with(b"system.posix_acl_")
        || name == b"security.capability"
}

/// Why extended attributes could not be read.
#[derive(Debug)]
pub(super) enum Unlisted {
    /// What the kernel said; `NOENT` also where it vanished meanwhile.
    Errno(Errno),
    /// No snapshot can hold them.
    TooMany(floe_format::Error),
    /// There is no way to them but through `/proc`, which is not there.
    NoProc,
}

impl From<Errno> for Unlisted {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// Reads those of `name` in an open directory, of the directory itself where the name is empty.
///
/// No symbolic link is followed. Where the file system knows none, nothing has any.
pub(super) fn read(directory: BorrowedFd<'_>, name: &[u8]) -> Result<XattrList, Unlisted> {
    read_by("/proc", directory, name)
}

/// The same, by the `/proc` that is there.
fn read_by(proc: &str, directory: BorrowedFd<'_>, name: &[u8]) -> Result<XattrList, Unlisted> {
    // There is no call that takes a directory and a name; the link in /proc is the directory itself. By it no file has to
    // be opened, which is one call instead of three.
    let link = format!("{proc}/self/fd/{}", directory.as_raw_fd());
    let mut path = link.clone().into_bytes();
    path.push(b'/');
    path.extend_from_slice(if name.is_empty() { b"." } else { name });
    let path = PathBuf::from(std::ffi::OsString::from_vec(path));
    let list = |names: &mut [u8]| rustix::fs::llistxattr(&path, names);
    let get = |name: &[u8], value: &mut [u8]| rustix::fs::lgetxattr(&path, name, value);
    match collect(list, get) {
        Err(Unlisted::Errno(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS))
            if !leads_to(&link, directory) =>
        {
            read_open(directory, name)
        }
        read => read,
    }
}

/// Whether a link in `/proc` is one, so that what it did not find is not there.
fn leads_to(link: &str, directory: BorrowedFd<'_>) -> bool {
    let told = |stat: Stat| (stat.device, stat.inode);
    let there = Stat::of_path(Path::new(link)).map(told);
    Stat::of_file(directory).map(told).is_ok_and(|known| there == Ok(known))
}

/// Reads those of a file or directory that is opened for it. Nothing else is: it would wait, or something would happen.
fn read_open(directory: BorrowedFd<'_>, name: &[u8]) -> Result<XattrList, Unlisted> {
    let name = if name.is_empty() { b"." } else { name };
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    let kind = Stat::of_name(directory, &name)?.kind;
    if !matches!(kind, FileKind::File | FileKind::Directory) {
        return Err(Unlisted::NoProc);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = match rustix::fs::openat(directory, &name, flags, Mode::empty()) {
        Err(Errno::ACCESS | Errno::PERM) => return Err(Unlisted::NoProc),
        open => open?,
    };
    collect(
        |names| rustix::fs::flistxattr(&open, names),
        |name, value| rustix::fs::fgetxattr(&open, name, value),
    )
}

fn collect(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> Result<XattrList, Unlisted> {
    let mut names = vec![0; LARGEST_BYTES];
    let length = match list(&mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(XattrList::default()),
        Err(errno) => return Err(errno.into()),
    };
    let mut found = Vec::new();
    let mut value = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        value.resize(LARGEST_BYTES, 0);
        match get(name, &mut value) {
            Ok(length) => found.push((name.to_vec(), value[..length].to_vec())),
            // It was removed meanwhile.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    XattrList::new(found).map_err(Unlisted::TooMany)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use floe_testkit::skip;
    use rustix::fs::XattrFlags;

    use super::*;

    const NO_PROC: &str = "/no/such/proc";

    /// A directory with a file that has an attribute, or nothing where there are none.
    fn source() -> Option<(tempfile::TempDir, std::fs::File)> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "content").unwrap();
        for path in [dir.path().join("file"), dir.path().to_owned()] {
            if let Err(e) = rustix::fs::setxattr(path, "user.floe", b"value", XattrFlags::empty()) {
                skip(format_args!("no extended attributes here: {e}"));
                return None;
            }
        }
        let open = std::fs::File::open(dir.path()).unwrap();
        Some((dir, open))
    }

    #[test]
    fn without_proc_none_is_lost() {
        let Some((dir, open)) = source() else { return };
        for proc in ["/proc", NO_PROC] {
            for name in [&b"file"[..], b""] {
                let read = read_by(proc, open.as_fd(), name).unwrap();
                assert_eq!(read, XattrList::new([("user.floe", "value")]).unwrap(), "{proc}");
            }
            let vanished = read_by(proc, open.as_fd(), b"none");
            assert!(matches!(vanished, Err(Unlisted::Errno(Errno::NOENT))), "{proc}: {vanished:?}");
        }
        symlink("file", dir.path().join("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("fifo"), Mode::RWXU).unwrap();
        for name in [&b"link"[..], b"fifo"] {
            assert_eq!(read_by("/proc", open.as_fd(), name).unwrap(), XattrList::default());
            assert!(matches!(read_by(NO_PROC, open.as_fd(), name), Err(Unlisted::NoProc)));
        }
    }

    #[test]
    fn what_vanishes_while_its_attributes_are_listed_has_not_none() {
        let list = |names: &mut [u8]| {
            names[..7].copy_from_slice(b"user.a\0");
            Ok(7)
        };
        let gone = collect(list, |_, _| Err(Errno::NOENT));
        assert!(matches!(gone, Err(Unlisted::Errno(Errno::NOENT))), "{gone:?}");
        assert_eq!(collect(list, |_, _| Err(Errno::NODATA)).unwrap(), XattrList::default());
    }
}
