//! What would keep a pull from writing, found without writing anything: for a dry run, which fails where the pull would.
//!
//! It is what can be told beforehand: that a file system is read-only, what modes, ACLs and flags forbid, mounts. What a full
//! disk or a quota refuses only the pull itself finds.

use std::os::fd::{AsFd, BorrowedFd};

use floe_format::parent_and_name;
use rustix::fs::{
    Access, AtFlags, FsWord, PROC_SUPER_MAGIC, StatVfsMountFlags, StatxAttributes, StatxFlags, accessat,
    fstatfs, fstatvfs, statx,
};
use rustix::io::{self, Errno};

use super::directories::{DirId, state};
use super::entry::{FileStat, Kind};
use super::open;
use super::problem::failed;
use super::reconcile::{Verdict, Wanted, WantedKind};
use super::worker::Worker;
use crate::Result;

/// Of `linux/magic.h`.
const SYSFS_MAGIC: FsWord = 0x6265_6572;
const STICKY: u32 = 0o1000;
/// What is so flagged keeps its names, mode, owner and time.
const FLAGGED: StatxAttributes = StatxAttributes::IMMUTABLE.union(StatxAttributes::APPEND);

impl Worker<'_> {
    /// Looks for what would keep a verdict from being carried out.
    ///
    /// # Errors
    ///
    /// Those that this would have.
    pub(super) fn foresee(
        &self,
        directory: DirId,
        at: BorrowedFd<'_>,
        entry: &Wanted<'_>,
        stat: Option<&FileStat>,
        verdict: Verdict,
    ) -> Result<()> {
        let wrong = |doing, errno| failed(doing, &self.tree.shown(directory, entry.name), errno);
        match (verdict, entry.kind, stat) {
            (Verdict::Replace, _, Some(_)) => removable(at, entry.name).map_err(|e| wrong("replace", e)),
            (Verdict::Fix, _, Some(stat)) => {
                let place = open::for_attributes(at, entry.name).map_err(|e| wrong("look at", e))?;
                changeable(place.as_fd(), stat, false).map_err(|e| wrong("set the attributes of", e))
            }
            (Verdict::Keep, WantedKind::Directory(id), Some(stat))
                if self.tree.directories().state(id) & state::DIFFERS != 0 =>
            {
                let place = open::for_attributes(at, entry.name).map_err(|e| wrong("look at", e))?;
                changeable(place.as_fd(), stat, true).map_err(|e| wrong("set the attributes of", e))
            }
            _ => Ok(()),
        }
    }

    /// Looks for what would keep from writing in a directory.
    ///
    /// # Errors
    ///
    /// Those that writing there would have.
    pub(super) fn foresee_writing(&self, directory: DirId, at: BorrowedFd<'_>) -> Result<()> {
        writable(at).map_err(|e| failed("write in", &self.tree.shown(directory, b""), e))
    }

    /// The same, for who has not surveyed it just now; one that is to be made yet is written by who makes it.
    ///
    /// # Errors
    ///
    /// Those that writing there would have.
    pub(crate) fn foresee_writing_in(&mut self, directory: DirId) -> Result<()> {
        // What is in its place, if anything, its own survey told.
        match self.directory(directory) {
            Ok(at) => self.foresee_writing(directory, at.as_fd()),
            Err(_) => Ok(()),
        }
    }

    /// Looks for what would keep the root from getting other attributes.
    ///
    /// # Errors
    ///
    /// Those that setting them would have.
    pub(super) fn foresee_root(&self, stat: &FileStat) -> Result<()> {
        changeable(self.tree.root.as_fd(), stat, true)
            .map_err(|e| failed("set the attributes of", &self.tree.shown(DirId::ROOT, b""), e))
    }

    /// Looks for what would keep a path below a directory from being removed; what is below that is not looked at.
    ///
    /// # Errors
    ///
    /// Those of [`remove_path`](Self::remove_path).
    pub(crate) fn foresee_removal(&mut self, directory: DirId, path: &[u8]) -> Result<()> {
        let at = self.directory(directory)?;
        let look = |within: BorrowedFd<'_>, name| {
            writable(within)?;
            removable(within, name)
        };
        let looked = match parent_and_name(path) {
            ([], name) => look(at.as_fd(), name),
            (parent, name) => {
                open::beneath_same_mount(at.as_fd(), parent).and_then(|within| look(within.as_fd(), name))
            }
        };
        looked.map_err(|e| failed("remove", &self.tree.shown(directory, path), e))
    }
}

/// Whether it is known by now that something is to be written, where this is there. A link that is there may be the one that
/// it should be, or the file that it is to become.
pub(super) fn is_to_be_written(kind: WantedKind<'_>, there: Option<&FileStat>, verdict: Verdict) -> bool {
    match verdict {
        Verdict::Create | Verdict::Replace => true,
        Verdict::Link | Verdict::Relink => {
            let is_alone_enough = matches!(kind, WantedKind::StandIn);
            there.is_none_or(|stat| stat.kind != Kind::File || stat.links == 1 && !is_alone_enough)
        }
        Verdict::Keep | Verdict::Fix | Verdict::Skip => false,
    }
}

/// Whether a directory may be made in another and be renamed there, neither of which has to be ours.
pub(super) fn takes_directories(parent: BorrowedFd<'_>) -> io::Result<()> {
    // What the kernel says where it makes no names but its own.
    match fstatfs(parent)?.f_type {
        PROC_SUPER_MAGIC => return Err(Errno::NOENT),
        SYSFS_MAGIC => return Err(Errno::PERM),
        _ => {}
    }
    accessat(parent, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
    if flags(parent)?.intersects(FLAGGED) { Err(Errno::PERM) } else { Ok(()) }
}

/// Whether names can be made, replaced and removed in a directory.
fn writable(directory: BorrowedFd<'_>) -> io::Result<()> {
    refuse_read_only(directory)?;
    if flags(directory)?.intersects(FLAGGED) {
        return Err(Errno::PERM);
    }
    match accessat(directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        // Its owner makes it writable first.
        Err(Errno::ACCESS) if is_users(&FileStat::of_descriptor(directory)?) => Ok(()),
        other => other,
    }
}

/// Whether what has a name in a directory that is [`writable`] can go from there.
fn removable(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let looked =
        statx(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS);
    let stat = match looked {
        // Somebody removed it.
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Err(Errno::BUSY);
    }
    let above = FileStat::of_descriptor(directory)?;
    let is_kept = above.mode & STICKY != 0 && !above.is_ours() && !FileStat::new(&stat).is_ours();
    if is_kept || stat.stx_attributes.intersects(FLAGGED) { Err(Errno::PERM) } else { Ok(()) }
}

/// Whether mode and time of something can be set. What is a foreign directory keeps them, where `may_be_foreign`.
fn changeable(place: BorrowedFd<'_>, stat: &FileStat, may_be_foreign: bool) -> io::Result<()> {
    refuse_read_only(place)?;
    let is_excused = may_be_foreign && stat.is_foreign();
    if !is_excused && flags(place)?.intersects(FLAGGED) { Err(Errno::PERM) } else { Ok(()) }
}

fn refuse_read_only(fd: BorrowedFd<'_>) -> io::Result<()> {
    if fstatvfs(fd)?.f_flag.contains(StatVfsMountFlags::RDONLY) { Err(Errno::ROFS) } else { Ok(()) }
}

fn flags(fd: BorrowedFd<'_>) -> io::Result<StatxAttributes> {
    Ok(statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?.stx_attributes)
}

/// Whether something is of this process's user, who is not root, whom modes do not keep from anything.
fn is_users(stat: &FileStat) -> bool {
    !rustix::process::geteuid().is_root() && !stat.is_foreign()
}
