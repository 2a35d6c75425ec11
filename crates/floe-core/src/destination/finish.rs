//! The end of a tree: what its directories become.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io;

use super::attributes::{Handle, set_mtime_of_name};
use super::directories::{DirId, FinalMeta, state};
use super::entry::{ALL_MODE_BITS, FileStat, GROUP_BITS, Meta, Owner};
use super::problem::{changed_meanwhile, failed};
use super::worker::Worker;
use super::{attributes, open, xattrs};
use crate::{Error, Result};

impl Worker<'_> {
    /// Takes from others at once what directories that are there let them do and will not in the end, so that nobody writes
    /// between what is written; also whose they are, where owners are given. Where that fails,
    /// [`finish`](Self::finish) does it, or tells.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls.
    pub(crate) fn tighten(&mut self, root: &Meta<'_>) -> Result<()> {
        root.check()?;
        let tree = self.tree;
        let handle = self.root_handle()?;
        let has_other_acl = root.xattrs.is_some_and(|wanted| !xattrs::has_acl_of(handle.as_fd(), wanted));
        if let Err(errno) = tighten_one(&handle, early(root.mode, has_other_acl), root.owner) {
            tracing::debug!("cannot take rights away of `{}` early: {errno}", tree.shown(DirId::ROOT, b""));
        }
        let last = u32::try_from(tree.directories().len() - 1).unwrap_or(u32::MAX);
        for id in (1..=last).map(DirId) {
            let (parent, name, meta, known) = {
                let table = tree.directories();
                let known = table.state(id);
                if known & state::LOOSE == 0 {
                    continue;
                }
                (table.parent(id), table.name(id).to_vec(), table.meta(id), known)
            };
            let at = self.directory(parent)?;
            let mode = early(meta.mode, known & state::OTHER_ACL != 0);
            let tightened = Handle::directory(at.as_fd(), &name).and_then(|handle| {
                let stat = FileStat::of_descriptor(handle.as_fd())?;
                // Another is told of when something is done in it, or in the end.
                if !tree.directories().is_it(id, stat.id()) {
                    return Ok(());
                }
                tighten_one(&handle, mode, meta.owner)
            });
            if let Err(errno) = tightened {
                tracing::debug!("cannot take rights away of `{}` early: {errno}", tree.shown(id, b""));
            }
        }
        Ok(())
    }

    /// Sets mode, owner and time of all directories, the deepest first, and of the root when they are given. The last
    /// call for a tree, after all workers' work is done. What fails for one directory keeps nothing from the others.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls: of the first directory that failed, and how many did.
    pub(crate) fn finish(&mut self, root: Option<&Meta<'_>>) -> Result<()> {
        let tree = self.tree;
        let count = tree.directories().len();
        // There are fewer than 2^32; `add_directory` saw to it.
        let last = u32::try_from(count - 1).unwrap_or(u32::MAX);
        let (mut failures, mut first) = (0_u64, None);
        let mut hear = |finished: Result<()>| {
            if let Err(error) = finished {
                failures += 1;
                first.get_or_insert(error);
            }
        };
        for id in (1..=last).rev().map(DirId) {
            let (parent, name, known, meta, late) = {
                let table = tree.directories();
                let known = table.state(id);
                if known & (state::TOUCHED | state::EXISTED) == 0 {
                    // Never made.
                    continue;
                }
                let late = table.late(id).map(<[u8]>::to_vec);
                let meta = table.meta(id);
                if known & state::EXISTED != 0
                    && known & (state::TOUCHED | state::DIFFERS) == 0
                    && late.is_none()
                {
                    continue;
                }
                (table.parent(id), table.name(id).to_vec(), known, meta, late)
            };
            hear(self.directory(parent).and_then(|at| {
                let finished =
                    self.finish_one(id, at.as_fd(), (parent, &name), known, &meta, late.as_deref());
                if known & state::ASIDE == 0 {
                    return finished;
                }
                let replaced = finished.and_then(|()| {
                    tree.replace_by_aside(parent, at.as_fd(), id, &name)
                        .map_err(|e| failed("replace", &tree.shown(id, b""), e))
                });
                if replaced.is_err() {
                    // Once the directory that it is in has its mode, that may not be permitted.
                    tree.remove_one_aside(at.as_fd(), id);
                }
                replaced
            }));
        }
        hear(root.map_or(Ok(()), |meta| self.finish_root(meta)));
        match first {
            None => Ok(()),
            Some(first) if failures == 1 => Err(first),
            Some(first) => {
                let message = format!("{failures} directories did not become what they should; the first");
                let error = Error::new(first.kind(), message);
                Err(match first.remedy() {
                    Some(remedy) => error.with_remedy(remedy),
                    None => error,
                }
                .with_source(first))
            }
        }
    }

    /// A default ACL that could not be set is no error.
    fn finish_one(
        &self,
        id: DirId,
        parent: BorrowedFd<'_>,
        (above, name): (DirId, &[u8]),
        known: u16,
        meta: &FinalMeta,
        default_acl: Option<&[u8]>,
    ) -> Result<()> {
        let wrong = |doing, errno| failed(doing, &self.tree.shown(id, b""), errno);
        let existed = known & state::EXISTED != 0;
        let aside = (known & state::ASIDE != 0).then(|| self.tree.name_aside(id));
        let for_now = aside.as_deref().unwrap_or(name);
        let made_so = !existed
            && self.umask.is_private()
            && self.tree.exact_modes
            && meta.mode & 0o7000 == 0
            && meta.mode & 0o700 == 0o700;
        if !made_so || meta.owner.is_some() || default_acl.is_some() {
            let handle = Handle::directory(parent, for_now).map_err(|e| wrong("open", e))?;
            let stat = FileStat::of_descriptor(handle.as_fd()).map_err(|e| wrong("look at", e))?;
            // What the names of two directories become, and what is in them, is not for who may rename them to choose.
            if !self.tree.directories().is_it(id, stat.id()) {
                return Err(changed_meanwhile(&self.tree.shown(id, b"")));
            }
            let is_foreign = existed && stat.is_foreign();
            self.tree.note_written(&stat, || open::readable(handle.as_fd(), b"."));
            if let Some(owner) = meta.owner.filter(|&owner| owner != stat.owner) {
                tighten_one(&handle, meta.mode, Some(owner)).map_err(|e| wrong("set the owner of", e))?;
            }
            if let Some(acl) = default_acl
                && let Err(errno) = xattrs::set_place(handle.as_fd(), (xattrs::DEFAULT_ACL, acl))
            {
                self.tree.complain_of_xattr(above, name, xattrs::DEFAULT_ACL, errno);
            }
            // A change of owner may have taken bits away.
            if stat.mode != meta.mode || meta.owner.is_some() {
                self.unless_foreign(is_foreign, above, name, "the mode", handle.set_mode(meta.mode))
                    .map_err(|e| wrong("set the mode of", e))?;
            }
            if let Some(mtime) = meta.mtime {
                let set = handle.set_mtime(mtime);
                self.unless_foreign(is_foreign, above, name, "the time", set)
                    .map_err(|e| wrong("set the time of", e))?;
            }
        } else if let Some(mtime) = meta.mtime {
            set_mtime_of_name(parent, for_now, mtime).map_err(|e| wrong("set the time of", e))?;
        }
        Ok(())
    }

    /// Of a directory that was there and is somebody else's, who may be right about it, mode and time stay as they are:
    /// that is told, and no error. Where they cannot be set of one of the user's own, it is one.
    fn unless_foreign(
        &self,
        is_foreign: bool,
        above: DirId,
        name: &[u8],
        what: &str,
        set: io::Result<()>,
    ) -> io::Result<()> {
        match set {
            Err(io::Errno::PERM) if is_foreign => {
                self.tree.complain(above, name, what, io::Errno::PERM);
                Ok(())
            }
            other => other,
        }
    }

    fn root_handle(&self) -> Result<Handle> {
        let root = self.tree.root.try_clone();
        root.map(Handle::Open).map_err(|e| crate::Error::io("cannot keep the destination open", e))
    }

    fn finish_root(&mut self, meta: &Meta<'_>) -> Result<()> {
        meta.check()?;
        let tree = self.tree;
        let wrong = |doing, errno| failed(doing, &tree.shown(DirId::ROOT, b""), errno);
        let stat = FileStat::of_descriptor(tree.root.as_fd()).map_err(|e| wrong("look at", e))?;
        let is_foreign = tree.in_place && stat.is_foreign();
        let handle = self.root_handle()?;
        let mut mode = meta.mode & ALL_MODE_BITS;
        if let Some(owner) = meta.owner.filter(|&owner| owner != stat.owner) {
            tighten_one(&handle, mode, Some(owner)).map_err(|e| wrong("set the owner of", e))?;
        }
        if let Some(wanted) = meta.xattrs {
            mode &= self.bring_xattrs(&handle, DirId::ROOT, b"", wanted)?.unwrap_or(ALL_MODE_BITS);
        }
        // An ACL or another owner may have changed it.
        let stat = FileStat::of_descriptor(tree.root.as_fd()).map_err(|e| wrong("look at", e))?;
        if stat.mode != mode {
            self.unless_foreign(is_foreign, DirId::ROOT, b"", "the mode", handle.set_mode(mode))
                .map_err(|e| wrong("set the mode of", e))?;
        }
        let changed = tree.directories().state(DirId::ROOT) & state::TOUCHED != 0;
        if let Some(mtime) = meta.mtime.filter(|&t| t != stat.mtime || changed || !tree.in_place) {
            let set = rustix::fs::futimens(&tree.root, &attributes::times(mtime));
            self.unless_foreign(is_foreign, DirId::ROOT, b"", "the time", set)
                .map_err(|e| wrong("set the time of", e))?;
        }
        Ok(())
    }
}

/// The mode that a directory gets no more than at the beginning: where an ACL is to change, of an ACL nothing.
fn early(mode: u32, has_other_acl: bool) -> u32 {
    if has_other_acl { mode & !GROUP_BITS } else { mode }
}

/// Takes away what a directory lets others do and will not in the end, and sets its owner where that is another.
fn tighten_one(directory: &Handle, mode: u32, owner: Option<Owner>) -> io::Result<()> {
    let tighten = || {
        let now = FileStat::of_descriptor(directory.as_fd())?;
        let strict = stricter(now.mode, mode);
        if strict != now.mode && now.is_ours() {
            directory.set_mode(strict)?;
        }
        io::Result::Ok(now.owner)
    };
    let now = tighten()?;
    if let Some(owner) = owner.filter(|&owner| owner != now) {
        directory.set_owner(owner)?;
        // Until then its owner could take the mode back.
        tighten()?;
    }
    Ok(())
}

/// A mode without what others may do now and not in the end, and sticky where it is then.
pub(super) fn stricter(now: u32, then: u32) -> u32 {
    now & (then | 0o7700) | then & 0o1000
}
