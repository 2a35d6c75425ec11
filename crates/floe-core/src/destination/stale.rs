//! Clearing what killed pulls left in an existing directory, and nothing that a living one still writes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::{self, Errno};

use super::directories::DirId;
use super::entry::FileStat;
use super::in_place::InPlace;
use super::problem::failed;
use crate::Result;

impl InPlace {
    /// Removes the temporary names that a survey found ([`Survey::stale`](super::Survey::stale)), those of one directory
    /// beside each other, unless they may be of a pull that lives: one to a directory between, or to one above.
    ///
    /// # Errors
    ///
    /// As [`Worker::remove`](super::Worker::remove).
    pub fn remove_stale(&self, found: &[(DirId, Vec<u8>)]) -> Result<()> {
        if !self.is_locked() {
            return Ok(());
        }
        let mut worker = self.tree().worker();
        for names in found.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((directory, _)) = names.first() else { continue };
            let opened = worker.directory(*directory)?;
            let is_held = is_held_by_another(opened.as_fd(), self.tree().root.as_fd())
                .map_err(|e| failed("look above", &self.tree().shown(*directory, b""), e))?;
            if is_held {
                continue;
            }
            for (_, name) in names {
                worker.remove(*directory, name)?;
            }
        }
        Ok(())
    }
}

/// Whether anybody but the holder of `own` has locked a directory or one that it is in, up to the root.
fn is_held_by_another(directory: BorrowedFd<'_>, own: BorrowedFd<'_>) -> io::Result<bool> {
    let own = FileStat::of_descriptor(own)?;
    let mut at = reopened(directory, c".")?;
    let mut stat = FileStat::of_descriptor(at.as_fd())?;
    loop {
        if !stat.is_same_file(&own) && is_locked(&at) {
            return Ok(true);
        }
        // Who may not look further up sees no lock there.
        let Ok(above) = reopened(at.as_fd(), c"..") else { return Ok(false) };
        let stat_above = FileStat::of_descriptor(above.as_fd())?;
        if stat_above.is_same_file(&stat) {
            return Ok(false);
        }
        (at, stat) = (above, stat_above);
    }
}

/// Asks by a lock that is not exclusive, so that those who ask at the same time do not see each other.
fn is_locked(directory: &OwnedFd) -> bool {
    flock(directory, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

fn reopened(at: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
