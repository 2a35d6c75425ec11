//! The end of a tree: what its directories become.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io;

use super::attributes::{Handle, set_mtime_of_name};
use super::directories::{DirId, FinalMeta, state};
use super::entry::{ALL_MODE_BITS, FileStat, Meta};
use super::problem::failed;
use super::worker::Worker;
use super::{attributes, xattrs};
use crate::Result;

impl Worker<'_> {
    /// Sets mode, owner and time of all directories, the deepest first, and of the root when they are given. The last
    /// call for a tree, after all workers' work is done.
    pub fn finish(&mut self, root: Option<&Meta<'_>>) -> Result<()> {
        let tree = self.tree;
        let count = tree.directories().len();
        // There are fewer than 2^32; `add_directory` saw to it.
        let last = u32::try_from(count - 1).unwrap_or(u32::MAX);
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
            let at = self.directory(parent)?;
            self.finish_one(at.as_fd(), &name, known, &meta, late.as_deref())
                .map_err(|(doing, errno)| failed(doing, &tree.shown(id, b""), errno))?
                .map_or_else(|| (), |errno| tree.complain(parent, &name, xattrs::DEFAULT_ACL, errno));
        }
        root.map_or(Ok(()), |meta| self.finish_root(meta))
    }

    /// Returns why the default ACL could not be set, which is no error.
    fn finish_one(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        known: u8,
        meta: &FinalMeta,
        default_acl: Option<&[u8]>,
    ) -> Result<Option<io::Errno>, (&'static str, io::Errno)> {
        let made_so = known & state::EXISTED == 0
            && self.umask.is_private()
            && self.tree.exact_modes
            && meta.mode & 0o7000 == 0
            && meta.mode & 0o700 == 0o700;
        let mut complaint = None;
        if !made_so || meta.owner.is_some() || default_acl.is_some() {
            let handle = Handle::directory(parent, name).map_err(|e| ("open", e))?;
            let stat = FileStat::of_descriptor(handle.as_fd()).map_err(|e| ("look at", e))?;
            if let Some(owner) = meta.owner.filter(|&owner| owner != stat.owner) {
                handle.set_owner(owner).map_err(|e| ("set the owner of", e))?;
            }
            if let Some(acl) = default_acl {
                complaint = xattrs::set_place(handle.as_fd(), (xattrs::DEFAULT_ACL, acl)).err();
            }
            // A change of owner may have taken bits away.
            if stat.mode != meta.mode || meta.owner.is_some() {
                handle.set_mode(meta.mode).map_err(|e| ("set the mode of", e))?;
            }
        }
        if let Some(mtime) = meta.mtime {
            set_mtime_of_name(parent, name, mtime).map_err(|e| ("set the time of", e))?;
        }
        Ok(complaint)
    }

    fn finish_root(&mut self, meta: &Meta<'_>) -> Result<()> {
        meta.check()?;
        let tree = self.tree;
        let wrong = |doing, errno| failed(doing, &tree.shown(DirId::ROOT, b""), errno);
        let stat = FileStat::of_descriptor(tree.root.as_fd()).map_err(|e| wrong("look at", e))?;
        let handle = tree
            .root
            .try_clone()
            .map(Handle::Open)
            .map_err(|e| crate::Error::io("cannot keep the destination open", e))?;
        if let Some(owner) = meta.owner.filter(|&owner| owner != stat.owner) {
            handle.set_owner(owner).map_err(|e| wrong("set the owner of", e))?;
        }
        if let Some(wanted) = meta.xattrs {
            self.bring_xattrs(&handle, DirId::ROOT, b"", wanted)?;
        }
        let mode = meta.mode & ALL_MODE_BITS;
        if stat.mode != mode || meta.owner.is_some() || meta.xattrs.is_some() {
            handle.set_mode(mode).map_err(|e| wrong("set the mode of", e))?;
        }
        let changed = tree.directories().state(DirId::ROOT) & state::TOUCHED != 0;
        if let Some(mtime) = meta.mtime.filter(|&t| t != stat.mtime || changed || !tree.in_place) {
            rustix::fs::futimens(&tree.root, &attributes::times(mtime))
                .map_err(|e| wrong("set the time of", e))?;
        }
        Ok(())
    }
}
