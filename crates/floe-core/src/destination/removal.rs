//! Removing a tree of files without following anything, however deep it is.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, RawDir, SeekFrom, seek, unlinkat};
use rustix::io::{self, Errno};

use super::attributes::Handle;
use super::entry::{FileId, FileStat, Kind, Settings};
use super::existing::has_entries;
use super::in_place::lock_in_time;
use super::problem::{HELD, OWN, STOPPED};
use super::{names, open, staging};

/// How many directories are open at once, but for two of those that are deeper, which bounds descriptors and stack for any
/// depth.
const DEEPEST: usize = 40;
/// Room for the directory entries of one system call.
const BUFFER_BYTES: usize = 16 << 10;

/// Is told the name of a directory with entries, and answers what became of it, or that nothing beside it is to be looked
/// at.
type EachFilled<'a> = dyn FnMut(&[u8]) -> io::Result<ControlFlow<(), Fate>> + 'a;

/// What became of a name that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is gone.
    Gone,
    /// It is a staging directory that a living pull writes in, or one is below it.
    Stays,
}

/// What was found in a directory.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// Something else than what stays.
    any: bool,
    /// Something that [stays](Fate::Stays).
    stays: bool,
}

/// Removes a name of a directory, with all below it when it is a directory; what is not there is removed already. What
/// living pulls stage below it [stays](Fate::Stays), and the directories that it is in.
///
/// A mount below it is an error (`EXDEV` or `EBUSY`), and what is in it stays; so is a directory of Floe's own
/// ([`OWN`]), and one that a pull in place holds ([`HELD`]). It asks at each name whether to [stop](STOPPED).
pub(super) fn remove(parent: BorrowedFd<'_>, name: &[u8], settings: &Settings) -> io::Result<Fate> {
    go_on(settings)?;
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(Fate::Gone),
        // Linux says the first of a directory, POSIX the second.
        Err(Errno::ISDIR) => {}
        Err(Errno::PERM) if FileStat::of_name(parent, name)?.kind == Kind::Directory => {}
        Err(errno) => return Err(errno),
    }
    refuse_own(parent, name, settings)?;
    if names::is_staging(name) {
        return staging::remove_dead(parent, name, settings, 0);
    }
    if is_gone(unlinkat(parent, name, AtFlags::REMOVEDIR))? {
        return Ok(Fate::Gone);
    }
    remove_filled(parent, name, settings, 0)
}

/// The same for a directory that stays, open perhaps as a place only. One that its owner, who is the user, may not write is
/// made writable for as long, and is as it was afterwards.
pub(super) fn remove_from_staying(directory: OwnedFd, name: &[u8], settings: &Settings) -> io::Result<Fate> {
    let before = FileStat::of_descriptor(directory.as_fd())?;
    if rustix::process::geteuid().is_root() || before.is_foreign() || before.mode & 0o200 != 0 {
        return remove(directory.as_fd(), name, settings);
    }
    let place = Handle::Place(directory);
    place.set_mode(before.mode | 0o200)?;
    let removed = remove(place.as_fd(), name, settings);
    let put_back = place.set_mtime(before.mtime).and(place.set_mode(before.mode));
    let fate = removed?;
    put_back.map(|()| fate)
}

/// Refuses a directory of another with entries, one of Floe's own, and one that a living pull stages in. False: it may not be
/// looked into.
pub(super) fn check_empty(parent: BorrowedFd<'_>, name: &[u8], settings: &Settings) -> io::Result<bool> {
    go_on(settings)?;
    refuse_own(parent, name, settings)?;
    if names::is_staging(name) && staging::is_living(parent, name) {
        return Err(Errno::NOTEMPTY);
    }
    match has_entries(parent, name) {
        Ok(true) => Err(Errno::NOTEMPTY),
        Err(Errno::ACCESS) => Ok(false),
        other => other.map(|_| true),
    }
}

/// Removes all that is in a directory, which is so deep.
pub(super) fn empty(directory: BorrowedFd<'_>, settings: &Settings, depth: usize) -> io::Result<Fate> {
    // Entries passed over because the directory changed while it was read are found in the next pass.
    loop {
        let found = pass_and_enter(directory, settings, depth + 1)?;
        if !found.any {
            return Ok(if found.stays { Fate::Stays } else { Fate::Gone });
        }
    }
}

fn go_on(settings: &Settings) -> io::Result<()> {
    if settings.stop.is_cancelled() { Err(STOPPED) } else { Ok(()) }
}

/// Reads a directory once and removes what it finds. Its own directories are so deep.
fn pass_and_enter(directory: BorrowedFd<'_>, settings: &Settings, depth: usize) -> io::Result<Found> {
    pass(directory, settings, depth, &mut |name| {
        remove_filled(directory, name, settings, depth).map(ControlFlow::Continue)
    })
}

/// Reads a directory and removes what it finds, but directories with entries. Its own directories are so deep.
fn pass(
    directory: BorrowedFd<'_>,
    settings: &Settings,
    depth: usize,
    filled: &mut EachFilled<'_>,
) -> io::Result<Found> {
    seek(directory, SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut found = Found::default();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        go_on(settings)?;
        if entry.file_type() != FileType::Directory {
            match unlinkat(directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {
                    found.any = true;
                    continue;
                }
                // Somebody made it a directory, or the file system does not tell kinds.
                Err(Errno::ISDIR) => {}
                Err(errno) => return Err(errno),
            }
        }
        // Asked only where the number fits; what is opened is looked at in any case.
        if settings.own.iter().any(|&(_, inode)| inode == entry.ino()) {
            refuse_own(directory, name, settings)?;
        }
        let fate = if names::is_staging(name) && staging::is_living(directory, name) {
            ControlFlow::Continue(Fate::Stays)
        } else if names::is_staging(name) && depth < DEEPEST {
            ControlFlow::Continue(staging::remove_dead(directory, name, settings, depth)?)
        } else if is_gone(unlinkat(directory, name, AtFlags::REMOVEDIR))? {
            ControlFlow::Continue(Fate::Gone)
        } else {
            filled(name)?
        };
        match fate {
            ControlFlow::Continue(Fate::Stays) => found.stays = true,
            ControlFlow::Continue(Fate::Gone) => found.any = true,
            ControlFlow::Break(()) => {
                found.any = true;
                break;
            }
        }
    }
    Ok(found)
}

fn remove_filled(parent: BorrowedFd<'_>, name: &[u8], settings: &Settings, depth: usize) -> io::Result<Fate> {
    let directory = match open_to_empty(parent, name, settings) {
        Err(Errno::NOENT) => return Ok(Fate::Gone),
        other => other?,
    };
    if depth >= DEEPEST {
        return remove_deep(parent, name, directory, settings);
    }
    loop {
        let found = pass_and_enter(directory.as_fd(), settings, depth + 1)?;
        if !found.stays && is_gone(unlinkat(parent, name, AtFlags::REMOVEDIR))? {
            return Ok(Fate::Gone);
        }
        match found {
            // What was passed over because the directory changed while it was read is found in the next pass.
            Found { any: true, .. } => {}
            Found { stays: true, .. } => return Ok(Fate::Stays),
            Found { .. } => return Err(Errno::NOTEMPTY),
        }
    }
}

/// Removes a directory that is open, with one more open at a time. The way back up is `..`, which somebody who moves
/// directories meanwhile could make lead elsewhere, so that it must be where the way down came from.
///
/// Nothing is moved to be less deep: file systems of several layers do not move directories, nor do those with quotas of
/// projects where the two are of different ones.
///
/// A staging directory is emptied here without its lock, which would have to be kept open: so deep only one that somebody
/// begins to write in at this very moment is not seen.
fn remove_deep(
    parent: BorrowedFd<'_>,
    name: &[u8],
    mut at: OwnedFd,
    settings: &Settings,
) -> io::Result<Fate> {
    // Those above, below `parent`: which directory it is, and the name in it that leads on.
    let mut way: Vec<(FileId, Vec<u8>)> = Vec::new();
    // Those that something below stays in.
    let mut staying: HashSet<FileId> = HashSet::new();
    loop {
        let mut next = None;
        let found = pass(at.as_fd(), settings, DEEPEST, &mut |name| {
            if !staying.is_empty()
                && FileStat::of_name_if_any(at.as_fd(), name)?
                    .is_some_and(|stat| staying.contains(&stat.id()))
            {
                return Ok(ControlFlow::Continue(Fate::Stays));
            }
            next = Some(name.to_vec());
            Ok(ControlFlow::Break(()))
        })?;
        if let Some(next) = next {
            match open_to_empty(at.as_fd(), &next, settings) {
                Err(Errno::NOENT) => {}
                below => {
                    let below = below?;
                    way.push((FileStat::of_descriptor(at.as_fd())?.id(), next));
                    at = below;
                }
            }
            continue;
        }
        if found.stays && found.any {
            continue;
        }
        let gone = match way.pop() {
            Some((was, _)) if found.stays => {
                staying.insert(FileStat::of_descriptor(at.as_fd())?.id());
                at = up(at.as_fd(), was)?;
                continue;
            }
            None if found.stays => return Ok(Fate::Stays),
            Some((was, leads_on)) => {
                at = up(at.as_fd(), was)?;
                is_gone(unlinkat(&at, &leads_on, AtFlags::REMOVEDIR))?
            }
            None if is_gone(unlinkat(parent, name, AtFlags::REMOVEDIR))? => return Ok(Fate::Gone),
            None => false,
        };
        // What somebody wrote into it meanwhile is found in the next pass.
        if !gone && !found.any {
            return Err(Errno::NOTEMPTY);
        }
    }
}

/// Opens the directory that another is in, if it is the one that it was in.
fn up(directory: BorrowedFd<'_>, was: FileId) -> io::Result<OwnedFd> {
    let above = open::readable(directory, b"..")?;
    let now = FileStat::of_descriptor(above.as_fd())?;
    if now.id() == was { Ok(above) } else { Err(Errno::XDEV) }
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
/// Floe's own, or a pull in place holds it; as long as it is open none begins there.
fn open_to_empty(parent: BorrowedFd<'_>, name: &[u8], settings: &Settings) -> io::Result<OwnedFd> {
    let opened = match open::readable_same_mount(parent, name) {
        Err(Errno::ACCESS) => {
            make_writable(parent, name)?;
            open::readable_same_mount(parent, name)
        }
        other => other,
    }?;
    prepare(opened.as_fd(), settings)?;
    // Where there are no locks nobody can tell.
    match lock_in_time(&opened, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(HELD),
        _ => Ok(opened),
    }
}

/// Makes entries of a directory removable, if the user may change its mode, and unless it is Floe's own.
pub(super) fn prepare(directory: BorrowedFd<'_>, settings: &Settings) -> io::Result<()> {
    let is_root = rustix::process::geteuid().is_root();
    if is_root && settings.own.is_empty() {
        return Ok(());
    }
    let stat = FileStat::of_descriptor(directory)?;
    if settings.is_own(&stat) {
        return Err(OWN);
    }
    if !is_root && stat.mode & 0o700 != 0o700 {
        // Where it is not ours, the removals themselves tell whether they are permitted.
        let _ = rustix::fs::fchmod(directory, Mode::from_raw_mode(stat.mode | 0o700));
    }
    Ok(())
}

fn make_writable(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let place = Handle::place(parent, name)?;
    if FileStat::of_descriptor(place.as_fd())?.kind != Kind::Directory {
        return Err(Errno::NOTDIR);
    }
    place.set_mode(0o700)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::tests::settings;
    use rustix::fs::{CWD, OFlags, openat};
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn it_stops_between_two_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/full", "b/full", "c/full"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let top = openat(CWD, dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let settings = settings();
        let mut seen = 0;
        let stopped = pass(top.as_fd(), &settings, 1, &mut |_| {
            seen += 1;
            settings.stop.cancel();
            Ok(ControlFlow::Continue(Fate::Gone))
        });
        assert_eq!((stopped.err(), seen), (Some(STOPPED), 1));
    }

    /// Somebody moves a directory that is being emptied, and that is too deep for those above it to be open, to a place
    /// where others are.
    #[test]
    fn i6_the_way_up_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir_all(outside.join("precious/inner")).unwrap();
        let top: std::path::PathBuf = std::iter::repeat_n("d", 50).collect();
        let deep = dir.path().join(top);
        std::fs::create_dir_all(deep.join("full/inner")).unwrap();
        let parent = openat(CWD, dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let settings = settings();
        let at = openat(CWD, deep.join("full"), OFlags::RDONLY, Mode::empty()).unwrap();
        std::fs::rename(deep.join("full"), outside.join("full")).unwrap();
        let was =
            FileStat::of_name(parent.as_fd(), deep.strip_prefix(dir.path()).unwrap().as_os_str().as_bytes());
        assert_eq!(up(at.as_fd(), was.unwrap().id()).err(), Some(Errno::XDEV));
        let was = FileStat::of_name(parent.as_fd(), b"outside").unwrap();
        up(at.as_fd(), was.id()).unwrap();
        assert_eq!(remove(parent.as_fd(), b"d", &settings).unwrap(), Fate::Gone);
        assert!(outside.join("precious/inner").exists() && !dir.path().join("d").exists());
    }

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
        assert!(remove_filled(parent.as_fd(), b"link", &settings, 1).is_err());
        assert!(outside.join("precious").exists());
        remove(parent.as_fd(), b"link", &settings).unwrap();
        assert!(outside.join("precious").exists() && !inside.join("link").exists());
    }
}
