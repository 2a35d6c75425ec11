//! Removing a tree of files without following anything, however deep it is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, RawDir, SeekFrom, chmod, renameat, seek, unlinkat};
use rustix::io::{self, Errno};

use super::attributes::{Handle, proc_path};
use super::entry::{FileStat, Kind, Settings};
use super::problem::OWN;
use super::{names, open};

/// How many directories are open at once. Those that are deeper are first moved up to the top of what is removed, which
/// bounds descriptors and stack for any depth.
const DEEPEST: usize = 40;
/// Room for the directory entries of one system call.
const BUFFER_BYTES: usize = 16 << 10;

/// Removes a name of a directory, with all below it when it is a directory; what is not there is removed already.
///
/// A mount below it is an error (`EXDEV` or `EBUSY`), and what is in it stays; so is a directory of Floe's own
/// ([`OWN`]).
pub(super) fn remove(parent: BorrowedFd<'_>, name: &[u8], settings: &Settings) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // Linux says the first of a directory, POSIX the second.
        Err(Errno::ISDIR) => {}
        Err(Errno::PERM) if FileStat::of_name(parent, name)?.kind == Kind::Directory => {}
        Err(errno) => return Err(errno),
    }
    refuse_own(parent, name, settings)?;
    if is_gone(unlinkat(parent, name, AtFlags::REMOVEDIR))? {
        return Ok(());
    }
    let top = open_to_empty(parent, name, settings)?;
    loop {
        let removed = empty(top.as_fd(), settings)?;
        if is_gone(unlinkat(parent, name, AtFlags::REMOVEDIR))? {
            return Ok(());
        }
        if !removed {
            return Err(Errno::NOTEMPTY);
        }
    }
}

/// Removes all that is in a directory; false if there was nothing.
pub(super) fn empty(top: BorrowedFd<'_>, settings: &Settings) -> io::Result<bool> {
    let mut removal = Removal { top, settings, moved: 0 };
    let mut any = false;
    // Directories that were moved up, and entries passed over because the directory changed while it was read, are found
    // in the next pass.
    while removal.pass(top, 0)? {
        any = true;
    }
    Ok(any)
}

struct Removal<'a> {
    top: BorrowedFd<'a>,
    settings: &'a Settings,
    moved: u64,
}

impl Removal<'_> {
    /// Reads a directory once and removes what it finds; false if it found nothing.
    fn pass(&mut self, directory: BorrowedFd<'_>, depth: usize) -> io::Result<bool> {
        seek(directory, SeekFrom::Start(0))?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        let mut any = false;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            any = true;
            if entry.file_type() != FileType::Directory {
                match unlinkat(directory, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => continue,
                    // Somebody made it a directory, or the file system does not tell kinds.
                    Err(Errno::ISDIR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            // Asked only where the number fits; what is opened is looked at in any case.
            if self.settings.own.iter().any(|&(_, inode)| inode == entry.ino()) {
                refuse_own(directory, name, self.settings)?;
            }
            self.remove_directory(directory, name, depth + 1)?;
        }
        Ok(any)
    }

    fn remove_directory(&mut self, parent: BorrowedFd<'_>, name: &[u8], depth: usize) -> io::Result<()> {
        if is_gone(unlinkat(parent, name, AtFlags::REMOVEDIR))? {
            return Ok(());
        }
        if depth >= DEEPEST {
            return self.move_up(parent, name);
        }
        let directory = match open_to_empty(parent, name, self.settings) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        while self.pass(directory.as_fd(), depth)? {
            if is_gone(unlinkat(parent, name, AtFlags::REMOVEDIR))? {
                return Ok(());
            }
        }
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    /// Moves a directory to the top. Each move takes depth away, so that this ends.
    fn move_up(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        refuse_own(parent, name, self.settings)?;
        let mut made_writable = false;
        loop {
            let above = names::temporary(self.settings.token, self.moved);
            self.moved += 1;
            match renameat(parent, name, self.top, &above) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                // Its `..` changes, for which it must be writable.
                Err(Errno::ACCESS) if !made_writable => {
                    make_writable(parent, name)?;
                    made_writable = true;
                }
                other => return other,
            }
        }
    }
}

/// Whether an attempt to remove a directory that may not be empty has removed it.
fn is_gone(attempt: io::Result<()>) -> io::Result<bool> {
    match attempt {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Refuses a name that is a directory of Floe's own; what is not there is none.
fn refuse_own(parent: BorrowedFd<'_>, name: &[u8], settings: &Settings) -> io::Result<()> {
    if settings.own.is_empty() {
        return Ok(());
    }
    match FileStat::of_name_if_any(parent, name)? {
        Some(stat) if settings.is_own(&stat) => Err(OWN),
        _ => Ok(()),
    }
}

/// Opens a directory so that its entries can be removed, whatever its mode, if the user may change that, and unless it is
/// Floe's own.
fn open_to_empty(parent: BorrowedFd<'_>, name: &[u8], settings: &Settings) -> io::Result<OwnedFd> {
    let opened = match open::readable_same_mount(parent, name) {
        Err(Errno::ACCESS) => {
            make_writable(parent, name)?;
            open::readable_same_mount(parent, name)
        }
        other => other,
    }?;
    let is_root = rustix::process::geteuid().is_root();
    if is_root && settings.own.is_empty() {
        return Ok(opened);
    }
    let stat = FileStat::of_descriptor(opened.as_fd())?;
    if settings.is_own(&stat) {
        return Err(OWN);
    }
    if !is_root && stat.mode & 0o700 != 0o700 {
        // Where it is not ours, the removals themselves tell whether they are permitted.
        let _ = rustix::fs::fchmod(&opened, Mode::from_raw_mode(stat.mode | 0o700));
    }
    Ok(opened)
}

fn make_writable(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let place = Handle::place(parent, name)?;
    if FileStat::of_descriptor(place.as_fd())?.kind != Kind::Directory {
        return Err(Errno::NOTDIR);
    }
    chmod(proc_path(place.as_fd()), Mode::from_raw_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::tests::settings;
    use rustix::fs::{CWD, OFlags, openat};

    #[test]
    fn i6_what_is_emptied_is_never_reached_by_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir_all(outside.join("precious")).unwrap();
        let inside = dir.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        let parent = openat(CWD, &inside, OFlags::RDONLY, Mode::empty()).unwrap();
        // As if it had been a directory when it was read.
        let settings = settings();
        assert!(open_to_empty(parent.as_fd(), b"link", &settings).is_err());
        let mut removal = Removal { top: parent.as_fd(), settings: &settings, moved: 0 };
        assert!(removal.remove_directory(parent.as_fd(), b"link", 1).is_err());
        assert!(outside.join("precious").exists());
        remove(parent.as_fd(), b"link", &settings).unwrap();
        assert!(outside.join("precious").exists() && !inside.join("link").exists());
    }
}
