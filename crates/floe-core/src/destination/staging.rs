//! Writing a tree beside its destination, or inside where that is an empty directory, and moving it there when it is whole.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, PROC_SUPER_MAGIC, RenameFlags, StatxFlags, fchmod, flock,
    fsync, futimens, mkdirat, openat, renameat, renameat_with, statfs, statx, unlinkat,
};
use rustix::io::{self, Errno};
use tokio_util::sync::CancellationToken;

use super::attributes::{Handle, times};
use super::directories::DirId;
use super::entry::{FileStat, Kind, Mtime, Settings};
use super::existing::Listing;
use super::in_place::InPlace;
use super::problem::{STOPPED, failed};
use super::removal::Fate;
use super::tree::Tree;
use super::umask::PrivateUmask;
use super::{names, obstacles, open, removal, xattrs};
use crate::{Error, ErrorKind, Remedy, Result};

/// How much of the destination's name is in that of its staging directory, in bytes; a name has at most 255.
const NAME_BYTES: usize = 220;

/// What a pull finds at its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// Nothing: a tree can be staged.
    Absent,
    /// A directory, perhaps behind a symlink, which is used as it is: written in place, or staged [inside](Staging::within)
    /// where it is empty.
    Directory,
    /// A device, named pipe or socket, perhaps behind a symlink, which a program may be using.
    Special,
    /// Something else; no tree can be pulled there.
    Other,
}

/// Looks at what a pull would write to.
///
/// # Errors
///
/// Invalid: something that the path leads through is no directory. Otherwise what the
/// [module](crate::destination#errors) says of system calls.
pub(crate) fn look(destination: &Path) -> Result<Occupant> {
    let ask = |flags| match statx(CWD, destination, flags, StatxFlags::BASIC_STATS) {
        Ok(stat) => Ok(Some(FileStat::new(&stat).kind)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => Err(leads_nowhere(destination, errno)),
        Err(errno) => Err(failed("look at", &shown(destination), errno)),
    };
    let kind = match ask(AtFlags::SYMLINK_NOFOLLOW)? {
        None => return Ok(Occupant::Absent),
        Some(Kind::Symlink) => match ask(AtFlags::empty())? {
            Some(Kind::Directory) => Some(Kind::Directory),
            // As /dev/stdout: what it names is open somewhere, and it is not ours to put another in its place.
            _ if leads_through_proc(destination) => Some(Kind::Other),
            kind => kind,
        },
        kind => kind,
    };
    Ok(match kind {
        Some(Kind::Directory) => Occupant::Directory,
        Some(Kind::Fifo | Kind::Device(_) | Kind::Other) => Occupant::Special,
        Some(Kind::File | Kind::Symlink) | None => Occupant::Other,
    })
}

/// Whether a symlink leads to one of the process file system.
fn leads_through_proc(path: &Path) -> bool {
    let mut path = path.to_owned();
    // As many as the kernel follows.
    for _ in 0..40 {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if statfs(above).is_ok_and(|fs| fs.f_type == PROC_SUPER_MAGIC) {
            return true;
        }
        let Ok(target) = std::fs::read_link(&path) else { return false };
        path = above.join(target);
    }
    false
}

/// The error for a path that leads through what is no directory, or round in a circle; it was so when it was given.
fn leads_nowhere(path: &Path, errno: Errno) -> Error {
    let is_loop = errno == Errno::LOOP;
    let is_culprit = |part: &&Path| match part.metadata() {
        Ok(stat) => !is_loop && !stat.is_dir(),
        Err(_) => is_loop && part.is_symlink(),
    };
    // The last one is the first that cannot be passed; the path as components is without a slash at its end.
    let parts = path.components().as_path().ancestors();
    let culprit = parts.filter(|part| !part.as_os_str().is_empty()).filter(is_culprit).last();
    let what = if is_loop { "is a symlink that leads nowhere" } else { "is not a directory" };
    let path = shown(culprit.unwrap_or(path));
    Error::new(ErrorKind::Invalid, format!("`{path}` {what}"))
        .with_source(std::io::Error::from(errno))
        .with_remedy(Remedy::OtherPlace)
}

/// Whether a path ends in `/.`, which `Path` does not show.
fn ends_in_dot(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|&b| b != b'/').map_or(0, |last| last + 1);
    bytes[..end].ends_with(b"/.")
}

/// A directory that a tree is written into before it is at its destination; dropped without [`commit`](Self::commit), it is
/// removed.
#[derive(Debug)]
pub(crate) struct Staging {
    tree: Tree,
    parent: OwnedFd,
    /// The staging directory's name, until it has that of the destination.
    name: Option<Vec<u8>>,
    destination: PathBuf,
    /// The name that it gets; none where what is in it goes to `parent`, the destination itself.
    final_name: Option<Vec<u8>>,
    /// Where there is none. Dropped after what is in it was removed.
    destination_before: Option<Before>,
}

/// A directory that has its mode and its time again when it is dropped, unless it was changed for good. Where something is in it
/// by then, that is given no rights by its mode that it does not give now.
#[derive(Debug)]
struct Before {
    directory: OwnedFd,
    mode: u32,
    mtime: Mtime,
    is_changed: bool,
}

impl Staging {
    /// Makes a staging directory for a destination that is [absent](Occupant::Absent), and clears those that killed
    /// pulls to the same destination left behind.
    ///
    /// # Errors
    ///
    /// Invalid: something is there already. NotFound: the directory that it is to be in does not exist.
    pub(crate) fn create(destination: &Path, settings: Settings) -> Result<Self> {
        let Place { parent, above, final_name } = Place::find(destination)?;
        let prefix = prefix(&final_name);
        let wrong = |doing, errno| cannot_stage(doing, destination, &above, errno);
        clear_stale(parent.as_fd(), &prefix, &settings);
        let (name, root) = make(parent.as_fd(), &prefix, settings.token)
            .map_err(|e| wrong("make a staging directory for", e))?;
        Tree::drop_inherited_acls(&root);
        let mode = FileStat::of_descriptor(root.as_fd()).map_err(|e| wrong("look at", e))?.mode;
        Ok(Self {
            tree: Tree::new(root, settings, false, mode == 0o700, shown(destination)),
            parent,
            name: Some(name),
            destination: destination.to_owned(),
            final_name: Some(final_name),
            destination_before: None,
        })
    }

    /// Finds what [`create`](Self::create) would refuse, as far as that can be told without making anything.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub(crate) fn check(destination: &Path) -> Result<()> {
        let Place { parent, above, .. } = Place::find(destination)?;
        let wrong = |errno| cannot_stage("make a staging directory for", destination, &above, errno);
        if FileStat::of_descriptor(parent.as_fd()).map_err(wrong)?.links == 0 {
            return Err(wrong(Errno::NOENT));
        }
        obstacles::takes_directories(parent.as_fd()).map_err(wrong)
    }

    /// Makes a staging directory inside an existing destination, if that is empty and has no default ACL. Its name is
    /// one that a later pull takes for stale, should this one be killed.
    ///
    /// # Errors
    ///
    /// Denied: nothing may be made in the destination.
    pub(crate) fn within(place: &InPlace, destination: &Path, settings: Settings) -> Result<Option<Self>> {
        let wrong = |doing, errno| failed(doing, &shown(destination), errno);
        let there = place.tree();
        let listing = Listing::read(there.root.as_fd()).map_err(|e| wrong("look into", e))?;
        // What a default ACL gives to new entries is kept in place, where attributes are compared.
        if listing.iter().next().is_some() || xattrs::has_default_acl(there.root.as_fd()) {
            return Ok(None);
        }
        let before = Before::of(there)?;
        // One that its owner may not write gets its mode in the end, as where it is written in place.
        there.worker().directory_to_write(DirId::ROOT)?;
        let parent = kept_open(there)?;
        let name = there.temporary_name();
        // Whoever may not even look into what they make could not write there.
        let umask = PrivateUmask::enter();
        let made = || {
            mkdirat(&parent, &name, Mode::RWXU)?;
            open::readable(parent.as_fd(), &name).inspect_err(|_| {
                // It is empty, and the next pull clears what this cannot.
                let _ = unlinkat(&parent, &name, AtFlags::REMOVEDIR);
            })
        };
        let root = made().map_err(|e| wrong("make a staging directory in", e))?;
        drop(umask);
        let mode = FileStat::of_descriptor(root.as_fd()).map_err(|e| wrong("look at", e))?.mode;
        Ok(Some(Self {
            tree: Tree::new(root, settings, false, mode == 0o700, shown(destination)),
            parent,
            name: Some(name),
            destination: destination.to_owned(),
            final_name: None,
            destination_before: Some(before),
        }))
    }

    /// The tree to write.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Moves the finished tree to its destination; with `sync`, what was reported survives a loss of power.
    ///
    /// # Errors
    ///
    /// Conflict: something is there by now. The staging directory is removed then; of an empty destination's entries,
    /// those that were moved before the one in the way stay, each whole.
    pub(crate) fn commit(mut self, sync: bool) -> Result<()> {
        if sync {
            self.tree.sync()?;
        }
        let Some(name) = self.name.clone() else {
            return Ok(());
        };
        let moved = match &self.final_name {
            Some(to) => move_to_free_name(self.parent.as_fd(), &name, self.parent.as_fd(), to),
            None => self.move_entries(),
        };
        match moved {
            Ok(()) if self.final_name.is_some() => self.name = None,
            // Nothing is in it any more.
            Ok(()) => self.remove().map_err(|e| failed("end the pull to", &shown(&self.destination), e))?,
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR | Errno::BUSY) => {
                return Err(match self.final_name {
                    Some(_) => occupied(ErrorKind::Conflict, &self.destination),
                    None => {
                        let path = shown(&self.destination);
                        Error::new(ErrorKind::Conflict, format!("somebody wrote into `{path}` meanwhile"))
                    }
                });
            }
            Err(errno) => return Err(failed("move the tree to", &shown(&self.destination), errno)),
        }
        if let Some(before) = &mut self.destination_before {
            before.is_changed = true;
        }
        if sync {
            fsync(&self.parent).map_err(|e| failed("sync", &shown(&self.destination), e))?;
        }
        Ok(())
    }

    fn move_entries(&self) -> io::Result<()> {
        let root = self.tree.root.as_fd();
        for name in Listing::read(root)?.iter() {
            let moved = || move_to_free_name(root, name, self.parent.as_fd(), name);
            match moved() {
                Err(Errno::ACCESS) => while_writable(root, name, moved)?,
                other => other?,
            }
        }
        Ok(())
    }

    fn remove(&mut self) -> io::Result<()> {
        match self.name.take() {
            Some(name) => {
                // Above all a pull that was stopped leaves nothing behind.
                let settings = Settings { stop: CancellationToken::new(), ..self.tree.settings.clone() };
                remove_held(self.parent.as_fd(), &name, &self.tree.root, &settings, 0).map(drop)
            }
            None => Ok(()),
        }
    }
}

impl Before {
    fn of(tree: &Tree) -> Result<Self> {
        let directory = kept_open(tree)?;
        let stat = FileStat::of_descriptor(directory.as_fd())
            .map_err(|e| failed("look at", &tree.shown(DirId::ROOT, b""), e))?;
        let mode = tree.closed_root.unwrap_or(stat.mode);
        Ok(Self { directory, mode, mtime: stat.mtime, is_changed: false })
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        if self.is_changed {
            return;
        }
        let directory = self.directory.as_fd();
        // What somebody else does there meanwhile is theirs, and what is somebody else's keeps what it has.
        let is_empty = Listing::read(directory).is_ok_and(|listing| listing.iter().next().is_none());
        if is_empty {
            let _ = futimens(directory, &times(self.mtime));
        }
        let Ok(now) = FileStat::of_descriptor(directory) else { return };
        let mode = if is_empty { self.mode } else { self.mode & now.mode };
        if mode != now.mode {
            let _ = fchmod(directory, Mode::from_raw_mode(mode));
        }
    }
}

fn kept_open(tree: &Tree) -> Result<OwnedFd> {
    tree.root.try_clone().map_err(|e| Error::io("cannot keep the destination open", e))
}

/// Where an absent destination is to be.
struct Place {
    /// The directory that it is to be in, and its path.
    parent: OwnedFd,
    above: PathBuf,
    final_name: Vec<u8>,
}

impl Place {
    fn find(destination: &Path) -> Result<Self> {
        if look(destination)? != Occupant::Absent {
            return Err(occupied(ErrorKind::Invalid, destination));
        }
        let final_name = destination
            .file_name()
            .map(OsStr::as_bytes)
            .filter(|_| !ends_in_dot(destination))
            .ok_or_else(|| {
                let path = shown(destination);
                Error::new(ErrorKind::Invalid, format!("the destination `{path}` does not end in a name"))
            })?
            .to_vec();
        let above = destination.parent().filter(|p| !p.as_os_str().is_empty());
        let above = above.unwrap_or(Path::new(".")).to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat(CWD, &above, flags, Mode::empty())
            .map_err(|e| Error::io(format!("cannot open the directory `{}`", shown(&above)), e.into()))?;
        // With a slash at its end the path leads through a symlink, and the name itself is taken.
        match FileStat::of_name_if_any(parent.as_fd(), &final_name) {
            Ok(None) => Ok(Self { parent, above, final_name }),
            Ok(Some(_)) => Err(occupied(ErrorKind::Invalid, destination)),
            Err(errno) => Err(failed("look at", &shown(destination), errno)),
        }
    }
}

fn cannot_stage(doing: &str, destination: &Path, above: &Path, errno: Errno) -> Error {
    match errno {
        // It is open, and yet nothing can be in it: it was removed, or is none where names are made.
        Errno::NOENT => Error::io(format!("no directory can be made in `{}`", shown(above)), errno.into()),
        errno => failed(doing, &shown(destination), errno),
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The next pull clears what this could not.
        let _ = self.remove();
    }
}

fn shown(path: &Path) -> String {
    names::shown(path.as_os_str().as_bytes())
}

fn occupied(kind: ErrorKind, destination: &Path) -> Error {
    let path = shown(destination);
    Error::new(kind, format!("`{path}` exists, and a new directory was to be made there"))
}

/// What the names of a destination's staging directories begin with.
fn prefix(name: &[u8]) -> Vec<u8> {
    let mut prefix = vec![b'.'];
    prefix.extend_from_slice(&name[..name.len().min(NAME_BYTES)]);
    prefix.extend_from_slice(names::MARK);
    prefix
}

/// Makes a staging directory and takes its lock.
fn make(parent: BorrowedFd<'_>, prefix: &[u8], token: u64) -> io::Result<(Vec<u8>, OwnedFd)> {
    let mut token = token;
    // Whoever may not even look into what they make could not write there.
    let _umask = PrivateUmask::enter();
    loop {
        let mut name = prefix.to_vec();
        name.extend_from_slice(format!("{token:016x}").as_bytes());
        token = token.wrapping_add(1);
        match mkdirat(parent, &name, Mode::RWXU) {
            Err(Errno::EXIST) => continue,
            other => other?,
        }
        // Before it was locked, another pull may have taken it for a dead one and have removed it.
        match lock(parent, &name) {
            Ok(Some(root)) => return Ok((name, root)),
            other => {
                // It is empty; who has locked it meanwhile removes it as well.
                let _ = unlinkat(parent, &name, AtFlags::REMOVEDIR);
                other?;
            }
        }
    }
}

/// Locks a staging directory; none if another process holds it or it is no longer there. As long as the lock is held, nobody
/// who makes staging directories writes in it or moves it: who has not locked it by then makes another.
fn lock(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    let fd = match open::readable_same_mount(parent, name) {
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(None),
        other => other?,
    };
    match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    // Committed or removed in between: the lock is then on something that no longer has this name.
    Ok(is_same(parent, name, &fd)?.then_some(fd))
}

fn is_same(parent: BorrowedFd<'_>, name: &[u8], fd: &OwnedFd) -> io::Result<bool> {
    let held = FileStat::of_descriptor(fd.as_fd())?;
    Ok(FileStat::of_name_if_any(parent, name)?.is_some_and(|there| there.is_same_file(&held)))
}

/// Removes the staging directories of pulls that are no longer alive. What is somebody else's is left to them, and what
/// cannot be removed is in nobody's way.
fn clear_stale(parent: BorrowedFd<'_>, prefix: &[u8], settings: &Settings) {
    let Ok(listing) = Listing::read(parent) else { return };
    for name in listing.iter() {
        let Some(rest) = name.strip_prefix(prefix) else {
            continue;
        };
        if rest.len() == names::TOKEN_DIGITS
            && names::is_hexadecimal(rest)
            && FileStat::of_name(parent, name).is_ok_and(|stat| stat.is_ours())
            && let Ok(Some(root)) = lock(parent, name)
            && let Err(errno) = remove_held(parent, name, &root, settings, 0)
            && errno != STOPPED
        {
            let error = failed("clear what a killed pull left in", &names::shown(name), errno);
            tracing::warn!("{}", error.with_causes());
        }
    }
}

/// Whether a pull that lives may be writing in a staging directory; of one that may not be opened nobody else can tell.
pub(super) fn is_living(parent: BorrowedFd<'_>, name: &[u8]) -> bool {
    match open::readable(parent, name) {
        Ok(fd) => flock(&fd, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK),
        Err(errno) => errno == Errno::ACCESS,
    }
}

/// Removes what has the name of a staging directory, which is so deep below what is removed, unless a pull that lives holds
/// it.
///
/// Whether one does is asked here again, however long ago it was asked before: it may have made the directory and not have
/// locked it then, or have moved it to its destination meanwhile.
pub(super) fn remove_dead(
    parent: BorrowedFd<'_>,
    name: &[u8],
    settings: &Settings,
    depth: usize,
) -> io::Result<Fate> {
    match lock(parent, name)? {
        Some(root) => remove_held(parent, name, &root, settings, depth),
        None => Ok(Fate::Stays),
    }
}

/// Removes a staging directory whose lock is held, and which is so deep.
fn remove_held(
    parent: BorrowedFd<'_>,
    name: &[u8],
    root: &OwnedFd,
    settings: &Settings,
    depth: usize,
) -> io::Result<Fate> {
    removal::prepare(root.as_fd(), settings)?;
    let fate = removal::empty(root.as_fd(), settings, depth)?;
    if fate == Fate::Gone && is_same(parent, name, root)? {
        unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    }
    Ok(fate)
}

/// Moves a directory that its owner may not write, which changes its `..`. Its mode is the same afterwards.
fn while_writable(at: BorrowedFd<'_>, name: &[u8], moved: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let place = Handle::place(at, name)?;
    let stat = FileStat::of_descriptor(place.as_fd())?;
    if stat.kind != Kind::Directory || stat.mode & 0o200 != 0 {
        return Err(Errno::ACCESS);
    }
    place.set_mode(stat.mode | 0o200)?;
    let moved = moved();
    place.set_mode(stat.mode)?;
    moved
}

pub(super) fn move_to_free_name(
    at: BorrowedFd<'_>,
    from: &[u8],
    into: BorrowedFd<'_>,
    to: &[u8],
) -> io::Result<()> {
    match renameat_with(at, from, into, to, RenameFlags::NOREPLACE) {
        // The file system does not know the flag; a directory then replaces an empty directory at most.
        Err(Errno::INVAL | Errno::NOSYS) => renameat(at, from, into, to),
        other => other,
    }
}
