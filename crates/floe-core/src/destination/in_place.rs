//! Writing a tree over a directory that is there.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::{self, Errno};

use super::attributes::Handle;
use super::directories::{DirId, state};
use super::entry::{FileStat, Settings};
use super::problem::failed;
use super::tree::Tree;
use super::{names, xattrs};
use crate::offload::rest;
use crate::{Error, ErrorKind, Result};

/// An existing directory that a tree is written over, held against other pulls.
///
/// In this order, each step by as many workers as there are: add all directories; [survey](super::Worker::survey)
/// them, parents first; remove what is stale; [tighten](super::Worker::tighten); make the directories, in order; write,
/// replace and fix; link; remove what is extra, if asked for; [finish](super::Worker::finish).
#[derive(Debug)]
pub(crate) struct InPlace {
    tree: Tree,
    is_locked: bool,
}

impl InPlace {
    /// Opens a directory, following the path that the user gave, to write a tree over it.
    ///
    /// # Errors
    ///
    /// Conflict: another pull is writing there. Invalid: it was removed, and is only still open; or it is Floe's own.
    pub(crate) fn open(destination: &Path, settings: Settings) -> Result<Self> {
        Self::held(destination, settings, FlockOperation::NonBlockingLockExclusive)
    }

    /// The same for who writes single names in it, as others may at the same time.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(crate) fn open_shared(destination: &Path, settings: Settings) -> Result<Self> {
        Self::held(destination, settings, FlockOperation::NonBlockingLockShared)
    }

    fn held(destination: &Path, settings: Settings, lock: FlockOperation) -> Result<Self> {
        let shown = names::shown(destination.as_os_str().as_bytes());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || openat(CWD, destination, flags, Mode::empty());
        let mut closed = None;
        let mut is_hidden = false;
        let root = match open() {
            // Its mode is set in the end, where it is the tree's own directory that is written, and not single names.
            Err(Errno::ACCESS)
                if lock == FlockOperation::NonBlockingLockExclusive && !settings.looks_only =>
            {
                closed = open_for_owner(destination);
                open()
            }
            // Who only looks leaves it closed.
            Err(Errno::ACCESS) if lock == FlockOperation::NonBlockingLockExclusive => {
                let path = openat(CWD, destination, flags.union(OFlags::PATH), Mode::empty());
                path.and_then(|root| match FileStat::of_descriptor(root.as_fd())?.is_ours() {
                    true => {
                        is_hidden = true;
                        Ok(root)
                    }
                    false => Err(Errno::ACCESS),
                })
            }
            opened => opened,
        };
        let root = root.map_err(|e| Error::io(format!("cannot open the directory `{shown}`"), e.into()))?;
        let stat = FileStat::of_descriptor(root.as_fd()).map_err(|e| failed("look at", &shown, e))?;
        if stat.links == 0 {
            let message = format!("the directory `{shown}` was removed; nothing can be written in it");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        if settings.is_own(&stat) {
            let message = format!("`{shown}` is the store or the caches of this very command");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let is_locked = match lock_in_time(&root, lock) {
            Ok(()) => lock == FlockOperation::NonBlockingLockExclusive,
            Err(Errno::WOULDBLOCK) => {
                return Err(is_taken(&shown));
            }
            // A file system without locks on directories (NFS): then nobody can tell the living from the dead.
            Err(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => false,
            Err(errno) => return Err(failed("lock", &shown, errno)),
        };
        let mut tree = Tree::new(root, settings, true, false, shown);
        tree.closed_root = closed;
        tree.note_root(&stat);
        if is_hidden {
            tree.directories().mark(DirId::ROOT, state::CLOSED);
        }
        if xattrs::has_default_acl(tree.root.as_fd()) {
            tree.directories().mark(DirId::ROOT, state::GIVES_ACL);
        }
        Ok(Self { tree, is_locked })
    }

    /// The tree to write.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Lets other pulls write to this directory: nothing more is looked at.
    pub(crate) fn unlock(&mut self) {
        if std::mem::take(&mut self.is_locked) {
            // It ends with the descriptor at the latest.
            let _ = flock(&self.tree.root, FlockOperation::Unlock);
        }
    }

    /// Whether other pulls are kept away from this directory.
    pub(super) fn is_locked(&self) -> bool {
        self.is_locked
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        self.tree.remove_aside();
    }
}

/// Lets the owner of a directory, if that is us, look into it and write there; the mode that it had.
fn open_for_owner(directory: &Path) -> Option<u32> {
    let place =
        openat(CWD, directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let stat = FileStat::of_descriptor(place.as_fd()).ok().filter(FileStat::is_ours)?;
    // Where it cannot be, that is told when it is opened.
    Handle::Place(place).set_mode(stat.mode | 0o700).ok()?;
    Some(stat.mode)
}

pub(super) fn is_taken(shown: &str) -> Error {
    let message = format!("another pull is writing to `{shown}`, or somebody else holds a lock on it");
    Error::new(ErrorKind::Conflict, message)
}

/// Tries a few times: who [looks](InPlace::remove_stale) whether somebody lives here holds the lock for a moment.
pub(super) fn lock_in_time(root: &OwnedFd, lock: FlockOperation) -> io::Result<()> {
    for _ in 0..5 {
        match flock(root, lock) {
            Err(Errno::WOULDBLOCK) => rest(Duration::from_millis(5)),
            other => return other,
        }
    }
    flock(root, lock)
}
