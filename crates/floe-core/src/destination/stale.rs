//! Clearing what killed pulls left in an existing directory, and nothing that a living one still writes.
//!
//! Whoever writes a tree holds an exclusive lock on its top, whoever writes single names a shared one on the directory that
//! they are in; both end with the process. Clearing is done as far as it can be: what is somebody else's is left to them,
//! and what cannot be removed is in nobody's way.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, unlinkat};
use rustix::io::{self, Errno};

use super::directories::DirId;
use super::entry::{FileStat, Kind};
use super::in_place::{InPlace, is_taken, lock_in_time};
use crate::{ErrorKind, Result};

impl InPlace {
    /// Removes the temporary names that a survey found ([`Survey::stale`](super::Survey::stale)), those of one directory
    /// beside each other, unless they may be of a pull that lives: one to that directory, to one between, or to one above.
    pub(crate) fn remove_stale(&self, found: &[(DirId, Vec<u8>)]) {
        if !self.is_locked() {
            return;
        }
        let mut worker = self.tree().worker();
        for names in found.chunk_by(|(a, _), (b, _)| a == b) {
            let Some(&(directory, _)) = names.first() else { continue };
            let Ok(opened) = worker.directory(directory) else { continue };
            // Where that cannot be told, somebody may.
            if is_held_by_another(opened.as_fd(), self.tree().root.as_fd()).unwrap_or(true) {
                continue;
            }
            for (_, name) in names {
                let is_ours = FileStat::of_name(opened.as_fd(), name).is_ok_and(|stat| stat.is_ours());
                match is_ours.then(|| worker.remove(directory, name)) {
                    Some(Err(error)) if error.kind() == ErrorKind::Cancelled => return,
                    Some(Err(error)) => tracing::warn!("a killed pull's: {}", error.with_causes()),
                    _ => {}
                }
            }
        }
    }

    /// The same for who writes single names in the tree's own directory, and only of files: what takes longer is left to
    /// who has the directory alone.
    ///
    /// # Errors
    ///
    /// Conflict: somebody else began to write a tree there, so that this one must not go on.
    pub(crate) fn remove_stale_files(&self, found: &[Vec<u8>]) -> Result<()> {
        let root = &self.tree().root;
        if found.is_empty() || self.is_locked() {
            return Ok(());
        }
        // Also when it is refused, the shared lock is gone.
        match flock(root, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                if !is_held_by_another(root.as_fd(), root.as_fd()).unwrap_or(true) {
                    found.iter().for_each(|name| remove_file(root.as_fd(), name));
                }
            }
            Err(Errno::WOULDBLOCK) => {}
            // There are no locks here.
            Err(_) => return Ok(()),
        }
        lock_in_time(root, FlockOperation::NonBlockingLockShared)
            .map_err(|_| is_taken(&self.tree().shown(DirId::ROOT, b"")))
    }
}

fn remove_file(directory: BorrowedFd<'_>, name: &[u8]) {
    let is_ours = |stat: FileStat| stat.kind != Kind::Directory && stat.is_ours();
    if FileStat::of_name(directory, name).is_ok_and(is_ours) {
        // Nobody needs to know of one that stays.
        let _ = unlinkat(directory, name, AtFlags::empty());
    }
}

/// Whether anybody but the holder of `own` has locked a directory, or an exclusive lock on one that it is in, up to the
/// root.
///
/// Of the directory itself it asks by an exclusive lock, for who writes single names there has a shared one. Of those
/// above, where such names are not, by a shared one, so that those who ask at the same time do not see each other.
fn is_held_by_another(directory: BorrowedFd<'_>, own: BorrowedFd<'_>) -> io::Result<bool> {
    let own = FileStat::of_descriptor(own)?;
    let mut at = reopened(directory, c".")?;
    let mut stat = FileStat::of_descriptor(at.as_fd())?;
    let mut asking = FlockOperation::NonBlockingLockExclusive;
    loop {
        if !stat.is_same_file(&own) && flock(&at, asking) == Err(Errno::WOULDBLOCK) {
            return Ok(true);
        }
        asking = FlockOperation::NonBlockingLockShared;
        // Who may not look further up sees no lock there.
        let Ok(above) = reopened(at.as_fd(), c"..") else { return Ok(false) };
        let stat_above = FileStat::of_descriptor(above.as_fd())?;
        if stat_above.is_same_file(&stat) {
            return Ok(false);
        }
        (at, stat) = (above, stat_above);
    }
}

fn reopened(at: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<std::os::fd::OwnedFd> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
