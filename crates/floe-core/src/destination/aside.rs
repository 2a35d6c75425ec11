//! Directories made beside files that stand in their place.
//!
//! Such a directory has a temporary name until all of the tree is written and checked; then it changes places with the
//! file, which is removed. A pull that ends before leaves the file as it was.

use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, Mode, RenameFlags, mkdirat, renameat_with, unlinkat};
use rustix::io::{self, Errno};
use tokio_util::sync::CancellationToken;

use super::directories::{DirId, Directories, state};
use super::entry::{FileStat, Kind, Settings};
use super::staging::move_to_free_name;
use super::tree::Tree;
use super::{names, removal};

/// Apart from the numbers of other temporary names.
const FIRST_NUMBER: u64 = 1 << 63;

impl Tree {
    /// The name that a directory has for now.
    pub(super) fn name_for_now<'d>(&self, table: &'d Directories, id: DirId) -> Cow<'d, [u8]> {
        match table.state(id) & state::ASIDE {
            0 => Cow::Borrowed(table.name(id)),
            _ => Cow::Owned(self.name_aside(id)),
        }
    }

    pub(super) fn name_aside(&self, id: DirId) -> Vec<u8> {
        names::temporary(self.settings.token, FIRST_NUMBER + u64::from(id.0))
    }

    /// Makes a directory under a temporary name, which is returned.
    pub(super) fn make_aside(&self, at: BorrowedFd<'_>, id: DirId, mode: Mode) -> io::Result<Vec<u8>> {
        let name = self.name_aside(id);
        mkdirat(at, &name, mode)?;
        self.has_aside.store(true, Ordering::Release);
        self.directories().mark(id, state::ASIDE);
        Ok(name)
    }

    /// Puts a directory where it belongs in its parent, in place of the file that is there.
    pub(super) fn replace_by_aside(
        &self,
        parent: DirId,
        at: BorrowedFd<'_>,
        id: DirId,
        name: &[u8],
    ) -> io::Result<()> {
        // A file that the snapshot has too, by another spelling.
        if self.is_folded(parent, at, name) {
            return Err(Errno::EXIST);
        }
        // Also who is killed between exchanging the two and removing what was there leaves somebody's directory where it is.
        if FileStat::of_name(at, name).is_ok_and(|there| there.kind == Kind::Directory) {
            return Err(Errno::ISDIR);
        }
        exchange(at, &self.name_aside(id), name)?;
        self.directories().unmark(id, state::ASIDE);
        Ok(())
    }

    /// Removes those that did not get their place.
    pub(super) fn remove_aside(&self) {
        if !self.has_aside.load(Ordering::Acquire) {
            return;
        }
        let mut worker = self.worker();
        let last = u32::try_from(self.directories().len() - 1).unwrap_or(u32::MAX);
        for id in (1..=last).map(DirId) {
            let parent = {
                let table = self.directories();
                if table.state(id) & state::ASIDE == 0 {
                    continue;
                }
                table.parent(id)
            };
            // One in another is gone with that; the next pull clears what this cannot.
            if let Ok(at) = worker.directory(parent) {
                self.remove_one_aside(at.as_fd(), id);
            }
        }
    }

    /// Removes one, if it is still what this pull made there.
    pub(super) fn remove_one_aside(&self, at: BorrowedFd<'_>, id: DirId) {
        // Above all a pull that was stopped leaves nothing behind.
        let settings = Settings { stop: CancellationToken::new(), ..self.settings.clone() };
        let name = self.name_aside(id);
        if FileStat::of_name(at, &name).is_ok_and(|stat| self.directories().is_it(id, stat.id())) {
            let _ = removal::remove(at, &name, &settings);
        }
    }
}

/// Moves a directory over a file. On file systems that do not exchange names there is a moment without either.
fn exchange(at: BorrowedFd<'_>, aside: &[u8], name: &[u8]) -> io::Result<()> {
    let exchanged = || renameat_with(at, aside, at, name, RenameFlags::EXCHANGE);
    match exchanged() {
        // Somebody removed it.
        Err(Errno::NOENT) => return move_to_free_name(at, aside, at, name),
        Err(Errno::INVAL | Errno::NOSYS | Errno::XDEV) => {
            unlinkat(at, name, AtFlags::empty())?;
            return move_to_free_name(at, aside, at, name);
        }
        other => other?,
    }
    match unlinkat(at, aside, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => {
            // A directory by now, or nothing that may be removed.
            exchanged()?;
            Err(errno)
        }
    }
}
